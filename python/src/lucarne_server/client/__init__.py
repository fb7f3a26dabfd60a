"""A client of a server of Lucarne, and what it answers."""

from .asynchronous import AsyncClient
from .errors import DeadlineExceeded, LucarneError, NotFound, NotReady, Overloaded, Unreachable
from .evidence import Chance, Curve, Evidence, Stability, Stage, Weights
from .explanation import Explanation, SaliencyMap, Target
from .latents import Comparison, Encoding, Frame, Frames, Reconstruction, Visualization
from .models import Layer, Method, ModelInfo, Parameter
from .pictures import Picture
from .result import PictureResult, Result, Shown
from .results import (
    Caption,
    Captioning,
    Class,
    ClassArea,
    Classification,
    DetectedObject,
    Detection,
    Embedding,
    ImageToImage,
    Keypoint,
    MaskUncertainty,
    OrientedBox,
    Quantity,
    Regression,
    Segmentation,
    Spread,
    Token,
    Uncertainty,
)
from .synchronous import Client

__all__ = [
    "AsyncClient",
    "Caption",
    "Captioning",
    "Chance",
    "Class",
    "ClassArea",
    "Classification",
    "Client",
    "Comparison",
    "Curve",
    "DeadlineExceeded",
    "DetectedObject",
    "Detection",
    "Embedding",
    "Encoding",
    "Evidence",
    "Explanation",
    "Frame",
    "Frames",
    "ImageToImage",
    "Keypoint",
    "Layer",
    "LucarneError",
    "MaskUncertainty",
    "Method",
    "ModelInfo",
    "NotFound",
    "NotReady",
    "OrientedBox",
    "Overloaded",
    "Parameter",
    "Picture",
    "PictureResult",
    "Quantity",
    "Reconstruction",
    "Regression",
    "Result",
    "SaliencyMap",
    "Segmentation",
    "Shown",
    "Spread",
    "Stability",
    "Stage",
    "Target",
    "Token",
    "Uncertainty",
    "Unreachable",
    "Visualization",
    "Weights",
]

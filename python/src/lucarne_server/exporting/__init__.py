"""From a network in Python to a model folder that answers as the network does."""

from .core import export
from .methods import Captioner, Detector, Vae
from .problems import ExportError

__all__ = ["Captioner", "Detector", "ExportError", "Vae", "export"]

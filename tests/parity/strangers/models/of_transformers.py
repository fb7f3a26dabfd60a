"""transformers: `torch.jit.trace(model.eval(), pixels, strict=False)`, whose answers become dicts of tensors.

The configurations are those of the published models but for their width and depth.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
import transformers
from torch import Tensor

from reference.calibrated import calibrate
from reference.seeded import seeded

from ..readings import Field, Mask, Objects, Reading, Scores
from ..stranger import IMAGE_STRIDES, Exported, Stranger
from .examples import pictures
from .of_timm import FEATURES
from .of_ultralytics import DEPTH

Config = Callable[..., Any]
VIT = {"hidden_size": 96, "num_hidden_layers": 3, "num_attention_heads": 3}
SMALL_VIT = {**VIT, "intermediate_size": 192, "image_size": 64, "patch_size": 16}
STAGES = ["stage1", "stage2", "stage3", "stage4"]
BASIC = {"depths": [1, 1, 1, 1], "hidden_sizes": [16, 32, 48, 64], "embedding_size": 16, "layer_type": "basic"}
DETR = {
    "d_model": 32, "encoder_layers": 1, "decoder_layers": 2, "encoder_attention_heads": 2, "decoder_attention_heads": 2,
    "encoder_ffn_dim": 64, "decoder_ffn_dim": 64, "num_queries": 10, "num_labels": 5, "use_timm_backbone": False,
    "use_pretrained_backbone": False, "backbone": None,
}  # fmt: skip


@dataclass(frozen=True)
class Transformer:
    """`kind` is the class of the model, and `config` makes its configuration."""

    kind: str
    config: Callable[[], Any]
    reading: Reading
    layer: str
    size: tuple[int, int] = (64, 64)
    prefix: int = 0
    strides: tuple[int, ...] = IMAGE_STRIDES
    default_strides: tuple[int, ...] = ()
    tasks: tuple[str, ...] = ("classification",)
    earliest: float = 0.5
    fixed: bool = False
    spread: tuple[str, ...] = ()
    """Layers whose outputs are given a sensible spread: queries are all alike else."""

    def stranger(self) -> Stranger:
        """What the trials want to know."""
        return Stranger(
            name="hf_" + re.sub("For(?=[A-Z])", "_", self.kind.removesuffix("Model")).lower(),
            library="transformers",
            export=f"torch.jit.trace(transformers.{self.kind}(config).eval(), pixels, strict=False)",
            make=self._make,
            size=self.size,
            tasks=self.tasks,
            reading=self.reading,
            layer=self.layer,
            prefix=self.prefix,
            strides=self.strides,
            default_strides=self.default_strides,
            earliest=self.earliest,
            fixed=self.fixed,
        )

    def _make(self) -> Exported:
        transformers.logging.set_verbosity_error()
        model = seeded(lambda: getattr(transformers, self.kind)(self.config()), seed=0, example=(2, 3, *self.size))
        calibrate(model, dict.fromkeys(self.spread, 1.5), lambda: model(pictures(self.size)))
        return Exported(model, torch.jit.trace(model, torch.rand(1, 3, *self.size), strict=False))


def _config(name: str, **words: Any) -> Callable[[], Any]:
    """Made late: a configuration is changed by the model that it makes; those within it are made by the way."""

    def make() -> Any:
        made = {key: value() if callable(value) else value for key, value in words.items()}
        return getattr(transformers, f"{name}Config")(**made)

    return make


def _field(name: str) -> Callable[[Mapping[str, Tensor]], Tensor]:
    return lambda output: output[name]


def _queries(softmax: bool) -> Callable[[Mapping[str, Tensor]], tuple[Tensor, Tensor]]:
    """DETR's `logits` [1, Q, K (+ 1)] and `pred_boxes`, centre and size as parts of the picture."""

    def pick(output: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        centre, half = output["pred_boxes"][0].split(2, dim=1)
        boxes = torch.cat([centre - half / 2, centre + half / 2], dim=1)
        logits = output["logits"][0]
        # The last of a softmax is that there is no object.
        return boxes, logits.softmax(1)[:, :-1] if softmax else logits.sigmoid()

    return pick


def _detr(kind: str, config: Callable[[], Any], softmax: bool, layer: str, **more: Any) -> Transformer:
    size = more.pop("size", (96, 128))
    reading = Objects(_queries(softmax), relative=True, one_class=softmax, suppressed=True)
    words = {"tasks": ("detection",), "spread": ("class_labels_classifier", "bbox_predictor.layers.2"), "earliest": 0.1}
    return Transformer(kind, config, reading, layer, size=size, **words | more)


LOGITS = Scores(_field("logits"))
EMBEDS, POOLED = Scores(_field("image_embeds"), "none"), Scores(_field("pooler_output"), "none")
SEGMENTS = {"size": (64, 96), "tasks": ("segmentation",), "strides": (1, 2, 4, 8, 16, 32), "earliest": 0.3}
PATCH = {"strides": (16,), "default_strides": (16,)}
TRANSFORMERS = [
    Transformer("ViTForImageClassification", _config("ViT", **SMALL_VIT, num_labels=10), LOGITS,
                "vit.layers.0", prefix=1, **PATCH),
    Transformer("DeiTForImageClassificationWithTeacher", _config("DeiT", **SMALL_VIT, num_labels=10), LOGITS,
                "deit.layers.0", prefix=2, **PATCH),
    Transformer("Dinov2Model", _config("Dinov2", **VIT, image_size=70, patch_size=14), POOLED,
                "encoder.layer.0", size=(70, 98), prefix=1, strides=(14,), default_strides=(14,), tasks=FEATURES),
    Transformer("Dinov2WithRegistersForImageClassification",
                _config("Dinov2WithRegisters", **VIT, image_size=70, patch_size=14, num_labels=10), LOGITS,
                "dinov2_with_registers.encoder.layer.0", size=(70, 70), prefix=5, strides=(14,), default_strides=(14,)),
    Transformer("CLIPVisionModelWithProjection", _config("CLIPVision", **SMALL_VIT, projection_dim=32), EMBEDS,
                "vision_model.encoder.layers.0", prefix=1, tasks=FEATURES, **PATCH),
    Transformer("SiglipVisionModel", _config("SiglipVision", **SMALL_VIT), POOLED,
                "encoder.layers.0", tasks=FEATURES, **PATCH),
    Transformer("SwinForImageClassification",
                _config("Swin", image_size=224, embed_dim=24, depths=[1, 1, 2, 1], num_heads=[1, 2, 3, 6], num_labels=10),
                LOGITS, "swin.encoder.layers.2.blocks.0", size=(224, 224), default_strides=(32,)),
    Transformer("ResNetForImageClassification", _config("ResNet", **BASIC, num_labels=10), LOGITS,
                "resnet.encoder.stages.2", size=(96, 128), default_strides=(32,)),
    Transformer("SegformerForSemanticSegmentation",
                _config("Segformer", num_labels=7, hidden_sizes=[16, 32, 64, 96], depths=[1, 1, 1, 1], decoder_hidden_size=64),
                Mask(_field("logits")), "segformer.stages.2", **SEGMENTS),
    Transformer("UperNetForSemanticSegmentation",
                _config("UperNet", num_labels=7, hidden_size=32, auxiliary_in_channels=64,
                        backbone_config=_config("ConvNext", depths=[1, 1, 1, 1], hidden_sizes=[16, 32, 64, 96], out_features=STAGES)),
                Mask(_field("logits")), "backbone.encoder.stages.2", **SEGMENTS),
    _detr("DetrForObjectDetection", _config("Detr", backbone_config=_config("ResNet", **BASIC, out_features=["stage4"]), **DETR),
          True, "model.backbone.model.encoder.stages.2"),
    _detr("ConditionalDetrForObjectDetection",
          _config("ConditionalDetr", backbone_config=_config("ResNet", **BASIC, out_features=["stage4"]), **DETR),
          False, "model.backbone.model.encoder.stages.2"),
    _detr("DeformableDetrForObjectDetection",
          _config("DeformableDetr", num_feature_levels=3,
                  backbone_config=_config("ResNet", **BASIC, out_features=STAGES[1:]), **DETR), False, "model.backbone.model.encoder.stages.2", fixed=True,
          spread=("class_embed.1", "bbox_embed.1.layers.2")),
    _detr("YolosForObjectDetection",
          _config("Yolos", **SMALL_VIT | {"image_size": [64, 96]}, num_detection_tokens=10, num_labels=5), True,
          "vit.embeddings.patch_embeddings.projection", size=(64, 96), prefix=1, fixed=True, earliest=0.02, **PATCH,
          spread=("class_labels_classifier.layers.2", "bbox_predictor.layers.2")),
    Transformer("DPTForDepthEstimation",
                _config("DPT", **SMALL_VIT | {"image_size": 96, "num_hidden_layers": 4}, backbone_out_indices=[0, 1, 2, 3],
                        neck_hidden_sizes=[16, 32, 48, 64], fusion_hidden_size=32, is_hybrid=False),
                Field(_field("predicted_depth")), "neck.convs.2", size=(96, 96), prefix=1, strides=(1, 2, 4, 8, 16, 32), tasks=DEPTH),
    Transformer("GLPNForDepthEstimation",
                _config("GLPN", hidden_sizes=[16, 32, 80, 128], depths=[1, 1, 1, 1], decoder_hidden_size=32),
                Field(_field("predicted_depth")), "glpn.encoder.layer_norm.2", size=(64, 96), strides=(1, 2, 4, 8, 16, 32), tasks=DEPTH),
    Transformer("Swin2SRForImageSuperResolution",
                _config("Swin2SR", image_size=32, embed_dim=24, depths=[2, 2], num_heads=[2, 2], window_size=8, upscale=2),
                Field(_field("reconstruction")), "swin2sr.first_convolution", size=(32, 48), strides=(0.5, 1), tasks=DEPTH),
]  # fmt: skip

STRANGERS = [model.stranger() for model in TRANSFORMERS]

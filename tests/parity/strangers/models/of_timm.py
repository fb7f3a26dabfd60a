"""timm: `create_model(…, exportable=True)`, traced, or `scriptable=True`, scripted."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import timm
import torch
from torch import Tensor, nn

from harness.conversions import CONVERSIONS
from reference.seeded import seeded

from ..readings import Scores
from ..stranger import IMAGE_STRIDES, Exported, Stranger
from .examples import pictures

CLASSIFIER = ("classification",)
# How these are called is the server's to choose; a classifier's scores would be wrong words for them.
FEATURES = ("embedding", "embeddings", "features", "vector", "vectors", "tensor")
LOGIT_SPREAD = 2.0


@dataclass(frozen=True)
class Timm:
    """`layer` is explained besides the default; `changed` makes a large model small."""

    name: str
    layer: str
    size: tuple[int, int] = (96, 128)
    conversion: str = "traced"
    prefix: int = 0
    strides: tuple[int, ...] = IMAGE_STRIDES
    default_strides: tuple[int, ...] = (32,)
    tasks: tuple[str, ...] = CLASSIFIER
    half: bool = False
    label: str = ""
    branch_end: str | tuple[str, ...] | None = None
    changed: Mapping[str, Any] = field(default_factory=dict)

    def stranger(self) -> Stranger:
        """What the trials want to know."""
        way = "script" if self.conversion == "scripted" else "trace"
        flag = "scriptable" if self.conversion == "scripted" else "exportable"
        changed = "".join(f", {key}={value}" for key, value in self.changed.items())
        half = ".half()" if self.half else ""
        example = "" if self.conversion == "scripted" else ", x"
        return Stranger(
            name=self.label or self.name,
            library="timm",
            export=f"torch.jit.{way}(timm.create_model({self.name!r}, {flag}=True{changed}).eval(){half}{example})",
            make=self._make,
            size=self.size,
            tasks=self.tasks,
            reading=Scores(activation="softmax" if self.tasks == CLASSIFIER else "none"),
            channels=self._channels,
            layer=self.layer,
            prefix=self.prefix,
            strides=self.strides,
            default_strides=self.default_strides,
            prediction_tolerance=2e-2 if self.half else 1e-4,
            map_tolerance=5e-2 if self.half else 1e-3,
        )

    @property
    def _channels(self) -> int:
        return self.changed.get("in_chans", 3)

    def _make(self) -> Exported:
        shape = (self._channels, *self.size)
        model = seeded(self._build, seed=0, example=(2, *shape), branch_end=self.branch_end)
        if self._channels == 3 and self.tasks == CLASSIFIER:
            _spread(model, pictures(self.size))
        example = torch.rand(1, *shape)
        if self.half:
            model, example = model.half(), example.half()
        return Exported(model, CONVERSIONS[self.conversion](model, example))

    def _build(self) -> nn.Module:
        flags = {"scriptable": True} if self.conversion == "scripted" else {"exportable": True}
        model = timm.create_model(self.name, **flags, **self.changed)
        # Some heads begin at zero, and answer the same to every picture.
        for module in model.modules():
            if isinstance(module, nn.Linear) and not module.weight.any():
                nn.init.normal_(module.weight, std=0.02)
        return model


@torch.no_grad()
def _spread(model: nn.Module, images: Tensor) -> None:
    """Gives the logits of a head a sensible spread: a softmax that is all of one class, or the same of each, tells little."""
    logits = model(images)
    gain = LOGIT_SPREAD / logits.std()
    for module in model.modules():
        if isinstance(module, nn.Linear) and module.out_features == logits.shape[1] and module.out_features != module.in_features:
            module.weight.mul_(gain)
            if module.bias is not None:
                module.bias.mul_(gain)


SMALL_VIT = {"img_size": (64, 64), "depth": 4}
TIMM = [
    Timm("resnet18", "layer3", branch_end="bn2", label="resnet18"),
    Timm("resnet18", "layer3", branch_end="bn2", label="resnet18_scripted", conversion="scripted"),
    Timm("resnet18", "layer3", branch_end="bn2", label="resnet18_half", half=True),
    Timm("resnet18", "layer3", branch_end="bn2", label="resnet18_gray", changed={"in_chans": 1, "num_classes": 14}),
    Timm("resnet50", "layer3.5", branch_end="bn3"),
    Timm("efficientnet_b0", "blocks.4", branch_end="bn3"),
    Timm("repvit_m0_9", "stages.2"),
    Timm("mobilenetv3_small_100", "blocks.3"),
    Timm("mobilenetv4_conv_small", "blocks.3"),
    Timm("convnext_atto", "stages.2.blocks.0.mlp"),
    Timm("regnety_002", "s3"),
    Timm("densenet121", "features.denseblock3"),
    Timm("ghostnet_100", "blocks.6"),
    Timm("hrnet_w18_small", "layer1"),
    Timm("swin_tiny_patch4_window7_224", "layers.2", size=(224, 224), changed={"depths": (2, 2, 2, 2), "embed_dim": 48}),
    Timm("swinv2_cr_tiny_ns_224", "stages.2", size=(224, 224), changed={"depths": (1, 1, 2, 1), "embed_dim": 48}),
    Timm("mambaout_femto", "stages.2"),
    Timm("tiny_vit_5m_224", "stages.1", size=(224, 224)),
    Timm("pvt_v2_b0", "stages.2"),
    Timm("maxvit_rmlp_pico_rw_256", "stages.2", size=(256, 256)),
    Timm("coatnet_pico_rw_224", "stages.2", size=(224, 224)),
    Timm("davit_tiny", "stages.2", changed={"depths": (1, 1, 1, 1), "embed_dims": (48, 96, 192, 384)}),
    Timm("poolformer_s12", "stages.2"),
    Timm("edgenext_xx_small", "stages.2"),
    Timm("fastvit_t8", "stages.2"),
    Timm("mobilevit_xxs", "stages.3", size=(128, 128)),
    Timm("levit_128s", "stages.2.blocks.1", branch_end=("proj.bn", "ln2.bn"), size=(224, 224), strides=(16, 32, 64), default_strides=(64,)),
    Timm("xcit_nano_12_p16_224", "blocks.5", size=(64, 96), prefix=1, strides=(16,), default_strides=(16,)),
    Timm("vit_tiny_patch16_224", "blocks.1", size=(64, 96), prefix=1, strides=(16,), default_strides=(16,),
         changed={"img_size": (64, 96), "depth": 4}),
    Timm("vit_tiny_patch16_224", "blocks.1.norm1", label="vit_tiny_scripted", conversion="scripted", size=(64, 64),
         prefix=1, strides=(16,), default_strides=(16,), changed=SMALL_VIT),
    Timm("deit_tiny_distilled_patch16_224", "blocks.1", size=(64, 64), prefix=2, strides=(16,), default_strides=(16,),
         changed=SMALL_VIT),
    Timm("vit_small_patch14_reg4_dinov2", "blocks.1", size=(70, 98), prefix=5, strides=(14,), default_strides=(14,),
         tasks=FEATURES, changed={"img_size": (70, 98), "depth": 4}),
    Timm("eva02_tiny_patch14_224", "blocks.1", size=(70, 70), prefix=1, strides=(14,), default_strides=(14,),
         changed={"img_size": (70, 70), "depth": 4, "num_classes": 10}),
    Timm("beit_base_patch16_224", "blocks.1", size=(64, 64), prefix=1, strides=(16,), default_strides=(16,),
         changed=SMALL_VIT | {"embed_dim": 192, "num_heads": 3, "num_classes": 10}),
    Timm("vit_base_patch16_siglip_224", "blocks.1", size=(64, 96), strides=(16,), default_strides=(16,), tasks=FEATURES,
         changed={"img_size": (64, 96), "depth": 3, "embed_dim": 192, "num_heads": 3}),
    Timm("cait_xxs24_224", "blocks.1", size=(64, 64), prefix=1, strides=(16,), default_strides=(16,), changed=SMALL_VIT),
    Timm("mixer_s32_224", "blocks.3", size=(224, 224), strides=(32,)),
    Timm("resmlp_12_224", "blocks.3", size=(64, 96), strides=(16,), default_strides=(16,), changed={"img_size": (64, 96)}),
]

STRANGERS = [model.stranger() for model in TIMM]

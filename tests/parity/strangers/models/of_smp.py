"""segmentation-models-pytorch: `torch.jit.trace(model.eval(), x)`, as its page on saving and exporting has it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import segmentation_models_pytorch as smp
import torch
from torch import nn

from reference.calibrated import calibrate
from reference.seeded import seeded

from ..readings import Mask
from ..stranger import Exported, Stranger
from .examples import pictures

SIZE = (64, 96)
LOGIT_SPREAD = 3.0


@dataclass(frozen=True)
class Smp:
    """`layer` is explained besides the default."""

    architecture: str
    layer: str = "encoder.layer3"
    classes: int = 3
    size: tuple[int, int] = SIZE
    changed: Mapping[str, Any] = field(default_factory=dict)

    def stranger(self) -> Stranger:
        """What the trials want to know."""
        words = {"encoder_name": "resnet18", "classes": self.classes, **self.changed}
        shown = ", ".join(f"{key}={value!r}" for key, value in words.items())
        return Stranger(
            name=f"smp_{self.architecture.lower()}" + ("_one" if self.classes == 1 else ""),
            library="smp",
            export=f"torch.jit.trace(smp.{self.architecture}({shown}).eval(), x)",
            make=lambda: self._make(words),
            size=self.size,
            tasks=("segmentation",),
            reading=Mask(),
            layer=self.layer,
            strides=(1, 2, 4, 8, 16, 32),
            earliest=0.3,
        )

    def _make(self, words: dict[str, Any]) -> Exported:
        def build() -> nn.Module:
            return getattr(smp, self.architecture)(encoder_weights=None, **words)

        ends = {"branch_end": "bn2"} if words["encoder_name"] == "resnet18" else {}
        model = seeded(build, seed=0, example=(2, 3, *self.size), **ends)
        example = torch.rand(1, 3, *self.size)
        calibrate(model, {_last_convolution(model): LOGIT_SPREAD}, lambda: model(pictures(self.size)))
        return Exported(model, torch.jit.trace(model, example))


def _last_convolution(model: nn.Module) -> str:
    """The path of the one that gives the logits."""
    head = [path for path, module in model.segmentation_head.named_modules() if isinstance(module, nn.Conv2d)]
    return f"segmentation_head.{head[-1]}"


SMP = [
    Smp("Unet"),
    Smp("Unet", classes=1),
    Smp("UnetPlusPlus", "decoder.blocks.x_0_0"),
    Smp("FPN", "decoder.p5"),
    Smp("DeepLabV3Plus", "encoder.layer2"),
    Smp("PSPNet", "encoder.layer2"),
    Smp("Segformer", "encoder.norm3", changed={"encoder_name": "mit_b0"}),
    Smp("UPerNet"),
    Smp("MAnet"),
    Smp("Linknet", "decoder.blocks.1", changed={"encoder_name": "tu-mobilenetv3_small_100"}),
]

STRANGERS = [model.stranger() for model in SMP]

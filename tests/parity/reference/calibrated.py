"""Gives the last layers of an untrained network outputs of a sensible size.

Fresh heads say the same everywhere (RetinaNet: 0.01 for every anchor, below its own threshold; FCN: one class for all
pixels), or saturate. Either leaves little to compare but the order of ties.
"""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn


def calibrate(model: nn.Module, spreads: Mapping[str, float], run: Callable[[], object]) -> None:
    """Makes the outputs of each named layer, in order, have a mean of zero in each channel, and that deviation overall.

    The layer is a convolution or a linear layer. One that runs several times in `run()`, once a pyramid level or once a
    word, is scaled for all of them together. One that has a single output (the last, 1 × 1 level of an SSD) has no
    deviation, and stays as it is.
    """
    for path, spread in spreads.items():
        layer = model.get_submodule(path)
        outputs: list[Tensor] = []
        handle = layer.register_forward_hook(lambda _module, _inputs, output, kept=outputs: kept.append(output))
        try:
            with torch.no_grad():
                run()
                channels = torch.cat([_by_channel(layer, output) for output in outputs], dim=1)
                mean = channels.mean(dim=1, keepdim=True)
                deviation = (channels - mean).std()
                if deviation == 0:
                    continue
                gain = spread / deviation
                layer.weight.mul_(gain)
                layer.bias.sub_(mean[:, 0]).mul_(gain)
        finally:
            handle.remove()


def _by_channel(layer: nn.Module, output: Tensor) -> Tensor:
    """[C, all values of it]: the channel is the last axis of a linear layer's output, the second of a convolution's."""
    return output.flatten(0, -2).T if isinstance(layer, nn.Linear) else output.transpose(0, 1).flatten(1)

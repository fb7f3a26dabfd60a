"""Reads the weights of a TensorFlow.js graph model and puts them into PyTorch convolutions.

Such a model is a JSON file (the graph and a manifest of weights) and binary files with the weights one behind another,
in the order of the manifest, each perhaps quantised: https://www.tensorflow.org/js/guide/save_load. The graph is not
interpreted: a recipe writes the network out as PyTorch modules, and says which kernel belongs to which of them.

TensorFlow orders a kernel as height, width, inputs, outputs; a depthwise one as height, width, channels, multiplier;
a transposed one as height, width, outputs, inputs.
"""

import json
import math
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

_STORED = {"float32": "<f4", "float16": "<f2", "int32": "<i4", "uint8": "u1", "uint16": "<u2", "bool": "u1"}


def read_weights(graph: Path) -> dict[str, Tensor]:
    """Every constant of the model whose JSON file is `graph`, by name; the floating ones as float32."""
    weights: dict[str, Tensor] = {}
    for group in json.loads(graph.read_text(encoding="utf-8"))["weightsManifest"]:
        content = b"".join((graph.parent / name).read_bytes() for name in group["paths"])
        offset = 0
        for entry in group["weights"]:
            values, offset = _read_entry(entry, content, offset)
            weights[entry["name"]] = values
        if offset != len(content):
            raise SystemExit(f"{graph}: the manifest describes {offset} bytes of weights, the files hold {len(content)}")
    return weights


def _read_entry(entry: dict, content: bytes, offset: int) -> tuple[Tensor, int]:
    quantization = entry.get("quantization", {})
    stored = np.dtype(_STORED[quantization.get("dtype", entry["dtype"])])
    values = np.frombuffer(content, stored, math.prod(entry["shape"]), offset)
    offset += values.nbytes
    if "scale" in quantization:
        values = values.astype(np.float32) * quantization["scale"] + quantization["min"]
    values = values.astype(_STORED[entry["dtype"]]).reshape(entry["shape"])
    return torch.from_numpy(values), offset


def load_convolutions(module: nn.Module, weights: dict[str, Tensor], names: list[tuple[str, str]]) -> None:
    """Fills the convolutions of `module`, in the order of their definition, from the (kernel, bias) of those names.

    Raises `SystemExit` where the numbers of convolutions or the shapes of a pair disagree.
    """
    convolutions = [
        (path, layer) for path, layer in module.named_modules() if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d))
    ]
    if len(convolutions) != len(names):
        raise SystemExit(f"{len(convolutions)} convolutions to fill, {len(names)} kernels named")
    for (path, layer), (kernel_name, bias_name) in zip(convolutions, names):
        kernel, bias = _in_torch_order(layer, weights[kernel_name]), weights[bias_name]
        if layer.bias is None or kernel.shape != layer.weight.shape or bias.shape != layer.bias.shape:
            raise SystemExit(f"{kernel_name} {tuple(kernel.shape)} does not fit {path} {tuple(layer.weight.shape)}")
        with torch.no_grad():
            layer.weight.copy_(kernel)
            layer.bias.copy_(bias)


def _in_torch_order(layer: nn.Conv2d | nn.ConvTranspose2d, kernel: Tensor) -> Tensor:
    if isinstance(layer, nn.Conv2d) and layer.groups > 1:
        height, width, channels, multiplier = kernel.shape
        return kernel.permute(2, 3, 0, 1).reshape(channels * multiplier, 1, height, width)
    return kernel.permute(3, 2, 0, 1)

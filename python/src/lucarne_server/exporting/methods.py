"""Networks whose task needs more than one method: each class says which, and what they take and give."""

from torch import nn


class Captioner:
    """`start(pictures) → (memory, state)` and `step(token, memory, state) → (logits, state[, attention])`.

    Both are modules, or bound methods of one module.
    """

    task = "captioning"

    def __init__(self, start: object, step: object, *, start_token: str, end_token: str, max_length: int = 20) -> None:
        self.programs = {"start": _module(start), "step": _module(step)}
        self.output = {"start_token": start_token, "end_token": end_token, "max_length": max_length}


class Vae:
    """`encode(pictures) → (mu, logvar)` and `decode(latents) → pictures`. Both are modules, or bound methods of one module."""

    task = "vae"

    def __init__(self, encode: object, decode: object) -> None:
        self.programs = {"encode": _module(encode), "decode": _module(decode)}
        self.output: dict[str, object] = {}


class Detector:
    """A network whose answer has the contract `format` of docs/tasks.md: `yolo`, `detr`, `torchvision` …"""

    task = "detection"

    def __init__(self, module: nn.Module, format: str, **output: object) -> None:
        self.module = module
        self.output = {"format": format, **output}


class _Method(nn.Module):
    """A bound method as the `forward` of a module, whose parameters keep their paths."""

    def __init__(self, module: nn.Module, name: str) -> None:
        super().__init__()
        for child_name, child in module.named_children():
            self.add_module(child_name, child)
        for owned, parameter in module.named_parameters(recurse=False):
            self.register_parameter(owned, parameter)
        for owned, buffer in module.named_buffers(recurse=False):
            self.register_buffer(owned, buffer)
        # Not a child: its parameters are there already.
        object.__setattr__(self, "_bound", getattr(module, name))

    def forward(self, *arguments: object) -> object:
        """What the method answers."""
        return self._bound(*arguments)


def _module(method: object) -> nn.Module:
    if isinstance(method, nn.Module):
        return method
    owner, name = getattr(method, "__self__", None), getattr(method, "__name__", "")
    if isinstance(owner, nn.Module) and name:
        return _Method(owner, name)
    raise TypeError(f"expected a module or a method of one, found {type(method).__name__}")

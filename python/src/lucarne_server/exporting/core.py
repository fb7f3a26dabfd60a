"""Export: a network becomes a folder, which the server takes and answers for as Python does."""

from __future__ import annotations

import copy
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from . import folder as folders
from . import programs
from .adapters import Known, known, labels_of
from .asked import Row
from .compare import compare, table
from .methods import Captioner, Detector, Vae
from .preprocess import IMAGENET_MEAN, IMAGENET_STD, Picture, Preprocess, read
from .problems import ExportError

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
Example = Tensor | Image.Image | str | Path


def export(
    model: Any,
    folder: str | Path,
    *,
    example: Example | None = None,
    task: str | None = None,
    labels: Any = None,
    preprocess: Any = None,
    output: dict[str, Any] | None = None,
    pictures: Sequence[str | Path | Image.Image] = (),
    format: str = "auto",
    quiet: bool = False,
) -> Path:
    """Writes the model folder of a network, checks it by the server, and compares the server's answers with Python's.

    `model`: an `nn.Module`, a `YOLO` of ultralytics, a `Captioner`, `Vae` or `Detector`.
    `example`: a batch of pictures as the network takes it, `[B, C, H, W]`, or a picture.
    `task`: one of docs/tasks.md; networks of known libraries say it themselves.
    `labels`: a list, a dict by index (`config.id2label`, `model.names`), or weights of torchvision.
    `preprocess`: `weights.transforms()` or a `Compose` of torchvision, timm's data config, an image processor of
    transformers, or a dict with the keys of `[input]`.
    `output`: keys of `[output]`, as `{"activation": "sigmoid"}`.
    `pictures`: files or pictures to compare on, besides the example.
    `format`: `auto` (torch.export, TorchScript where that fails), `exported` or `torchscript`.
    """
    say = _silent if quiet else _said
    found = _found(model)
    found.output.update(output or {})
    chosen = _task(task, found)
    if format not in ("auto", "exported", "torchscript"):
        raise ExportError(f"format: found {format!r}, expected auto, exported or torchscript")
    folder = _folder(folder)
    compared = _pictures(example, pictures)
    prepared = _preprocess(preprocess, found, example)
    names = labels_of(labels, found)
    batch = _batch(example, prepared)
    say(f"exporting {type(found.module).__name__} as {chosen} …")
    program = _write(model, found, batch, folder, format)
    say(f"wrote {program.file} ({program.format}{': ' + program.why if program.why else ''})")
    tables: dict[str, Any] = {"input": prepared.picture.keys(), "output": found.output}
    if program.largest_batch:
        tables["batching"] = {"max_batch_size": program.largest_batch}
    folders.write(folder, chosen, tables, names)
    for note in prepared.notes:
        say(f"note: {note}")
    say("checking it by the server …")
    folders.check(folder)
    _compare(folder, compare(folder, chosen, found, names, prepared, compared), say)
    return folder


def _folder(folder: str | Path) -> Path:
    """The folder, which may be there; its name is the model's."""
    folder = Path(folder)
    if not NAME.fullmatch(folder.name):
        raise ExportError(f"folder: {folder.name!r} is no name of a model; letters, digits, _, - and . are, up to 128")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ExportError(f"folder: {error}") from error
    (folder / "labels.txt").unlink(missing_ok=True)
    return folder


def _said(text: str) -> None:
    print(text, flush=True)


def _silent(_: str) -> None:
    """Says nothing."""


def _found(model: Any) -> Known:
    if isinstance(model, (Captioner, Vae)):
        served = {name: _as_served(module) for name, module in model.programs.items()}
        return Known(next(iter(served.values())), model.task, output=dict(model.output), programs=served)
    if isinstance(model, Detector):
        inner = known(model.module)
        return Known(_as_served(inner.module), "detection", inner.labels, inner.preprocess, dict(model.output), inner.size)
    found = known(model)
    found.module = _as_served(found.module)
    return found


def _as_served(module: nn.Module) -> nn.Module:
    """The network in f32 on the CPU and in eval(), which is what the server computes: a copy, unless it is so already."""
    tensors = [*module.parameters(), *module.buffers()]
    is_plain = all(t.device.type == "cpu" and (t.dtype == torch.float32 or not t.is_floating_point()) for t in tensors)
    if is_plain and not any(part.training for part in module.modules()):
        return module
    try:
        module = copy.deepcopy(module)
    except Exception as error:  # noqa: BLE001  (whatever a network's own __deepcopy__ raises)
        raise ExportError(
            f"model: it cannot be copied ({error}); give it as it is to be served: model.eval().float().cpu()"
        ) from error
    return module.float().cpu().eval()


def _task(task: str | None, found: Known) -> str:
    chosen = task or found.task
    if chosen not in folders.TASKS or chosen == "tensor":
        said = f"found {chosen!r}" if chosen else "the network does not say it"
        named = ", ".join(name for name in folders.TASKS if name != "tensor")
        raise ExportError(f"task: {said}; say one of {named}; of tensors in and out model.toml is written by hand")
    return chosen


def _preprocess(preprocess: Any, found: Known, example: Example | None) -> Preprocess:
    size = _size(example) or found.size
    wanted = preprocess if preprocess is not None else found.preprocess
    if wanted is not None:
        return read(wanted, size)
    if size is None:
        raise ExportError(
            "preprocess: how pictures were prepared in training is not known; give preprocess=, as weights.transforms()"
        )
    channels = example.shape[1] if isinstance(example, Tensor) else 3
    if channels == 1:
        picture = Picture(size, "stretch", color="gray", mean=(0.0,), std=(1.0,))
    else:
        # A square is the usual crop; what is wider or higher was made for pictures of its aspect.
        resize = "shorter_side" if size[0] == size[1] else "stretch"
        picture = Picture(size, resize, min(size), mean=IMAGENET_MEAN, std=IMAGENET_STD)
    note = "how pictures were prepared in training was not said, so ImageNet's way stands in model.toml; preprocess= says another"
    return Preprocess(picture, picture.tensor, (note,))


def _size(example: Example | None) -> tuple[int, int] | None:
    if isinstance(example, Tensor):
        return (int(example.shape[-2]), int(example.shape[-1]))
    if example is None:
        return None
    picture = _opened(example)
    return (picture.height, picture.width)


def _batch(example: Example | None, prepared: Preprocess) -> Tensor:
    if isinstance(example, Tensor):
        return example if example.dim() == 4 else example[None]
    if example is None:
        height, width = prepared.picture.size
        return torch.rand(2, len(prepared.picture.mean), height, width)
    return prepared.python(_opened(example))


def _write(model: Any, found: Known, batch: Tensor, folder: Path, format: str) -> programs.Program:
    for stale in ("model.pt", "model.pt2"):
        (folder / stale).unlink(missing_ok=True)
    if isinstance(model, Vae):
        with torch.no_grad():
            mean = found.programs["encode"](programs.doubled(batch))[0]
        return programs.write_methods(found.programs, {"encode": (batch,), "decode": (mean,)}, folder)
    if isinstance(model, Captioner):
        pictures = programs.doubled(batch)
        with torch.no_grad():
            memory, state = found.programs["start"](pictures)
        token = torch.zeros(pictures.shape[0], dtype=torch.int64)
        return programs.write_methods(found.programs, {"start": (batch,), "step": (token, memory, state)}, folder)
    if found.output.get("format") == "torchvision":
        format = "torchscript"
    return programs.write(found.module, (batch,), folder, format)


def _opened(picture: Example) -> Image.Image:
    if isinstance(picture, (str, Path)):
        try:
            return Image.open(picture).convert("RGB")
        except OSError as error:
            raise ExportError(f"pictures: {picture} cannot be read: {error}") from error
    if isinstance(picture, Image.Image):
        return picture
    raise ExportError(f"pictures: expected files or pictures, found a {type(picture).__name__}")


def _pictures(example: Example | None, more: Sequence[str | Path | Image.Image]) -> dict[str, Image.Image]:
    """What is compared: the example, the pictures that are given, else two that are made up."""
    found: dict[str, Image.Image] = {}
    for at, picture in enumerate([*([] if example is None or isinstance(example, Tensor) else [example]), *more]):
        name = Path(picture).name if isinstance(picture, (str, Path)) else f"picture {at + 1}"
        found[name] = _opened(picture)
    return found or {"made up, wide": _made_up(320, 200), "made up, tall": _made_up(150, 260)}


def _made_up(width: int, height: int) -> Image.Image:
    """Edges and gradients, of which two ways of resizing make different things."""
    y, x = np.mgrid[:height, :width]
    checks = (x // 12 + y // 9) % 2 * 120
    pixels = np.stack([x * 255 // width, y * 255 // height, checks + (x + y) * 120 // (width + height)], axis=-1)
    return Image.fromarray(pixels.astype(np.uint8))


def _compare(folder: Path, rows: list[Row], say: Any) -> None:
    say(table(rows))
    wrong = [row for row in rows if not row.passed]
    if wrong:
        raise ExportError(
            f"the server answers otherwise than Python for {len(wrong)} of {len(rows)} pictures, so {folder} is not what the "
            f"network is: {wrong[0].picture} is off by {wrong[0].difference:.3f}. Look at [input] in model.toml "
            "(size, resize, mean, std, color), and at output={'activation': …}"
        )
    say(f"the server answers as Python does for {len(rows)} pictures")

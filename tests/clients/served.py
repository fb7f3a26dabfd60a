"""The models that are served: those of the repository, and small ones of tests/golden for what those have not."""

import json
import shutil
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import paths

TYPES = (("flag", "bool"), ("byte", "u8"), ("count", "i32"), ("half", "f16"), ("double", "f64"))
# A class for each pixel would not say that a pixel may be of several.
OVERLAPPING = """task = "segmentation"
[input]
size = [24, 32]
resize = "stretch"
scale = 0.00392156862745098
[output]
activation = "sigmoid"
score_threshold = 0.5
"""
DETECTORS = ("yolo_pose", "yolo_obb", "yolo_seg")
"""Of keypoints, of rotated boxes, and of masks."""
CROPS = "super_resolution_cropped"


@dataclass(frozen=True)
class Served:
    """A model and its model.toml."""

    name: str
    manifest: dict[str, Any]

    @property
    def task(self) -> str:
        """As model.toml names it."""
        return self.manifest["task"]

    @property
    def takes_pictures(self) -> bool:
        """Whether its input is a picture."""
        return self.task != "tensor"


def serve(folder: Path) -> dict[str, Served]:
    """Puts all models into an empty folder."""
    for source in sorted(paths.MODELS.iterdir()):
        if (source / "model.toml").is_file():
            (folder / source.name).symlink_to(source)
    _of_tensors(folder)
    _of_the_middle(folder)
    _write(folder, "overlapping", "overlaps/model.pt", OVERLAPPING)
    expected = json.loads((paths.GOLDEN / "detectors" / "expected.json").read_text(encoding="utf-8"))
    for name in DETECTORS:
        _write(folder, name, f"detectors/{name}.pt", expected[name]["model_toml"])
    read = {entry.name: tomllib.loads((entry / "model.toml").read_text(encoding="utf-8")) for entry in folder.iterdir()}
    return {name: Served(name, manifest) for name, manifest in sorted(read.items())}


def _of_the_middle(folder: Path) -> None:
    """One that crops: at the size of the original it has no value where it did not look."""
    source, model = paths.MODELS / "super_resolution", folder / CROPS
    model.mkdir()
    shutil.copy(source / "model.pt", model / "model.pt")
    manifest = (source / "model.toml").read_text(encoding="utf-8")
    (model / "model.toml").write_text(manifest.replace('"letterbox"', '"shorter_side"'), encoding="utf-8")


def _of_tensors(folder: Path) -> None:
    types = _tables("inputs", *((name, dtype, "[-1, 2]") for name, dtype in TYPES))
    types += _tables("outputs", *((name, dtype, "[-1, 2]") for name, dtype in TYPES))
    _write(folder, "types", "tensors/types.pt", _of_task(types))
    # The same with whole numbers that no double is.
    _write(folder, "wide", "tensors/types.pt", _of_task(types.replace('"i32"', '"i64"')))
    fusion = _tables("inputs", ("signal", "f32", "[-1, 3, 16]"), ("vector", "f32", "[-1, 5]"), ("kind", "i64", "[-1]"))
    fusion += _tables("outputs", ("logits", "f32", "[-1, 4]"), ("value", "f32", "[-1, 1]"))
    _write(folder, "fusion", "tensors/fusion.pt", _of_task(fusion))
    # A mean passes NaN and infinity on, and has a size that is open beside the batch.
    lengths = _tables("inputs", ("x", "f32", "[-1, 2, -1]\nexample = [1, 2, 5]"))
    _write(folder, "lengths", "tensors/lengths.pt", _of_task(lengths + _tables("outputs", ("mean", "f32", "[-1, 2]"))))
    whole = _tables("inputs", ("signal", "f32", "[3, -1]\nexample = [3, 16]")) + _tables("outputs", ("logits", "f32", "[4]"))
    _write(folder, "whole", "tensors/whole.pt", _of_task(whole))
    linear = _tables("inputs", ("x", "f32", "[-1, 3, 6, 8]")) + _tables("outputs", ("logits", "f32", "[-1, 3]"))
    _write(folder, "linear", "closed_forms/linear.pt", _of_task(linear))


def _of_task(tables: str) -> str:
    return f'task = "tensor"\n{tables}'


def _tables(key: str, *tensors: tuple[str, str, str]) -> str:
    return "".join(f'[[{key}]]\nname = "{name}"\ndtype = "{dtype}"\nshape = {shape}\n' for name, dtype, shape in tensors)


def _write(folder: Path, name: str, file: str, manifest: str) -> None:
    model = folder / name
    model.mkdir()
    shutil.copy(paths.GOLDEN / file, model / "model.pt")
    (model / "model.toml").write_text(manifest, encoding="utf-8")

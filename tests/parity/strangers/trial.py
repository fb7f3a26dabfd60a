"""One stranger's way through the program: export, inspect, check, serve, predict, explain."""

import dataclasses
import json
from contextlib import contextmanager
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from harness.client import Client, map_of
from harness.pictures import random_picture
from harness.server import Server
from harness.table import relative_difference

from . import manifests
from .beside import METHODS, SCRIPT, TOLERANCE, Beside
from .maps import Expected, NoMap, expected_map, fault_of_default
from .readings import Asked, tensors_difference
from .stranger import Exported, Stranger

COLUMNS = ("export", "task", "inspect → check", "predictions", "default layer", "Grad-CAM", "one more layer")
THIRD = "a third layer"
# Of a program of torch.export alone; the last is how many times as fast as the TorchScript, and no test.
BESIDE = (THIRD, "batch of 3", "batch of 16", *METHODS, "× TorchScript")
SERVED = "stranger"


@dataclass(frozen=True)
class Cell:
    """What a column says of a model, and why where it failed."""

    text: str
    passed: bool = True
    note: str = ""


@dataclass
class Trial:
    """The columns of one model, each filled as it becomes known."""

    stranger: Stranger
    binary: Path
    folder: Path
    """The model's folder: model.pt, model.toml, meta.json."""
    exports: bool = False
    """Whether the file is a program of torch.export."""
    cells: dict[str, Cell] = field(default_factory=dict)

    def run(self) -> None:
        """What fails stands in its column; what could not be tried then, too."""
        with self._column("export"):
            exported = self._export()
        if not self.cells["export"].passed:
            return
        with torch.no_grad():
            probe = exported.model(torch.zeros(1, self.stranger.channels, *self.stranger.size, dtype=_kind(exported)))
        manifest = self._manifest() or manifests.by_hand(self.stranger, probe)
        self.stranger = dataclasses.replace(self.stranger, size=manifests.size_of(manifest) or self.stranger.size)
        with self._column("predictions"):
            self._serve(exported, manifest)

    def _export(self) -> Exported:
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "meta.json").write_text(json.dumps(self.stranger.facts(), indent=1), encoding="utf-8")
        exported = self.stranger.make()
        if self.exports:
            self._save_program(exported)
        else:
            torch.jit.save(exported.module, self.folder / self._file)
        self.cells["export"] = Cell("yes")
        return exported

    def _save_program(self, exported: Exported) -> None:
        # Of two pictures: a batch of one would be written into the program.
        example = torch.rand(2, self.stranger.channels, *self.stranger.size, dtype=_kind(exported))
        batch = torch.export.Dim("batch", min=1, max=16)
        program = torch.export.export(exported.model, (example,), dynamic_shapes=({0: batch},))
        torch.export.save(program, self.folder / self._file)

    @property
    def _file(self) -> str:
        return "model.pt2" if self.exports else "model.pt"

    def _manifest(self) -> str | None:
        """What `inspect` says, if the server takes it and it is the right task."""
        with self._column("task"):
            manifest = manifests.inspected(self.binary, self.folder / self._file, self.stranger)
            (self.folder / "model.toml").write_text(manifest, encoding="utf-8")
            task = manifests.parsed(manifest)["task"]
            right = task in self.stranger.tasks
            self.cells["task"] = Cell(task, right, f"{task}, expected {' or '.join(self.stranger.tasks)}")
        if not (self.folder / "model.toml").is_file():
            return None
        with self._column("inspect → check"):
            manifests.check(self.binary, self.folder)
            self.cells["inspect → check"] = Cell("right")
        right = all(self.cells[column].passed for column in ("task", "inspect → check"))
        return manifest if right else None

    def _serve(self, exported: Exported, manifest: str) -> None:
        models = self.folder / "served"
        served = models / SERVED
        served.mkdir(parents=True, exist_ok=True)
        (served / "model.toml").write_text(manifests.unresized(manifest), encoding="utf-8")
        (served / self._file).unlink(missing_ok=True)
        (served / self._file).hardlink_to(self.folder / self._file)
        if self.exports:
            self._serve_beside(exported, models, manifest)
        with Server(self.binary, models) as client:
            self._ask(exported, client, manifests.parsed(manifest))

    def _serve_beside(self, exported: Exported, models: Path, manifest: str) -> None:
        script = models / SCRIPT
        script.mkdir(parents=True, exist_ok=True)
        waits = "\n[batching]\nmax_delay_ms = 25\n"
        for folder in (script, models / SERVED):
            lines = manifests.unresized(manifest).splitlines()
            kept = [line for line in lines if not line.startswith("file =")]
            (folder / "model.toml").write_text("\n".join(kept) + waits, encoding="utf-8")
        torch.jit.save(exported.module, script / "model.pt")

    def _ask(self, exported: Exported, client: Client, manifest: dict[str, Any]) -> None:
        picture = random_picture(*self.stranger.size, seed=0)
        image = manifests.image_of(self.stranger, picture, manifest)
        asked = Asked(client, SERVED, picture, manifest)
        with torch.no_grad():
            output = exported.model(image.to(_kind(exported)).clone())
        with self._column("predictions"):
            if manifest["task"] == "tensor":
                difference = tensors_difference(asked, image, output)
            else:
                difference = self.stranger.reading.difference(asked, output)
            self.cells["predictions"] = _compared(difference, self.stranger.prediction_tolerance)
        self._explain(exported, asked, image, output)
        if self.exports:
            self._beside(Beside(self.stranger, exported, asked), output)

    def _beside(self, beside: Beside, output: Any) -> None:
        if beside.asked.manifest["task"] == "tensor":
            return
        with self._column(BESIDE[0]):
            # Random weights can make much of a rounding: then the TorchScript is as far off.
            both = zip(beside.batches(SERVED), beside.batches(SCRIPT), strict=True)
            for (count, difference), (_, of_script) in both:
                tolerance = max(self.stranger.prediction_tolerance, 2 * of_script)
                self.cells[f"batch of {count}"] = _compared(difference, tolerance)
        target = next(self.stranger.reading.targets(beside.asked, output), None)
        words = {"target": target.words} if target and target.words else {}
        for method in METHODS:
            with self._column(method):
                self.cells[method] = _compared(beside.method(method, words), TOLERANCE)
        with self._column(BESIDE[-1]):
            self.cells[BESIDE[-1]] = Cell(f"{beside.speed():.3f}")

    def _explain(self, exported: Exported, asked: Asked, image: Tensor, output: Any) -> None:
        targets = list(self.stranger.reading.targets(asked, output))

        def compare(layer: str, parameters: dict[str, Any]) -> Cell:
            expected = expected_map(self.stranger, exported.model, image, targets, layer)
            return self._compare(asked, expected, parameters)

        default = ""
        with self._column("default layer"):
            default = asked.client.layers(SERVED)["default"] or ""
            if not default:
                raise NoMap("the server has no layer to explain")
            if not targets:
                raise NoMap("there is nothing to explain")
            fault = fault_of_default(self.stranger, exported.model, image, targets[0], default)
            self.cells["default layer"] = Cell(default, fault is None, fault or "")
        with self._column("Grad-CAM"):
            if default:
                self.cells["Grad-CAM"] = compare(default, {})
        with self._column("one more layer"):
            self.cells["one more layer"] = compare(self.stranger.layer, {"layer": self.stranger.layer})
        if self.exports and default:
            with self._column(THIRD):
                self.cells[THIRD] = self._third(exported, asked, default, compare)

    def _third(
        self, exported: Exported, asked: Asked, default: str, compare: Callable[[str, dict[str, Any]], Cell]
    ) -> Cell:
        """The map of the layer that is the nearest to the middle of the network, and none of the other two."""
        known = dict(exported.model.named_modules())
        paths = [layer["path"] for layer in asked.client.layers(SERVED)["layers"]]
        paths = [path for path in paths if path in known and path not in (default, self.stranger.layer)]
        for path in sorted(paths, key=lambda path: abs(paths.index(path) - len(paths) / 2)):
            try:
                return compare(path, {"layer": path})
            except NoMap:
                continue
        raise NoMap("no third layer has a map")

    def _compare(self, asked: Asked, expected: Expected, parameters: dict[str, Any]) -> Cell:
        words = {"target": expected.target.words} if expected.target.words else {}
        answer = asked.client.explain(SERVED, asked.picture.png, method="grad_cam", **words, **parameters)
        found = map_of(answer)
        if found.shape != expected.values.shape:
            return Cell(f"{found.shape}", False, f"a map of {found.shape}, expected {expected.values.shape}")
        difference = relative_difference(found, expected.values)
        return _compared(difference, expected.tolerance(self.stranger))

    @contextmanager
    def _column(self, name: str) -> Iterator[None]:
        """What goes wrong is written into the column, and goes no further."""
        try:
            yield
        except Exception as error:  # noqa: BLE001  (a column that fails must not hide the others)
            self.cells.setdefault(name, Cell("—", False, f"{type(error).__name__}: {error}"))


def _compared(difference: float, tolerance: float) -> Cell:
    passed = difference <= tolerance
    return Cell(f"{difference:.1e}", passed, "" if passed else f"differs by {difference:.2e}, allowed {tolerance:.1e}")


def _kind(exported: Exported) -> torch.dtype:
    return next((p.dtype for p in exported.model.parameters()), torch.float32)

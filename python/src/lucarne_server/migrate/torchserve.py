"""Importing a model archive (.mar) of TorchServe."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..manifest import toml_text
from . import workers
from .archive import MANIFEST, Archive, opened, scratch_folder
from .eager import script
from .folder import artifact_name, checked_name, install, kind_of_file
from .handlers import HANDLERS, Handler, custom_handler_error
from .labels import FILE as LABELS
from .labels import labels
from .report import MigrationError, Report


@dataclass(frozen=True)
class Manifest:
    """What MAR-INF/MANIFEST.json says of the model."""

    name: str
    version: str
    handler: str
    serialized_file: str | None
    model_file: str | None
    config_file: str | None
    requirements_file: str | None

    @classmethod
    def of(cls, archive: Archive) -> "Manifest":
        """Reads it, and refuses what is no manifest of a model."""
        try:
            content = json.loads(archive.text(MANIFEST))
        except (ValueError, RecursionError) as error:
            raise MigrationError(f"{MANIFEST} is no JSON: {error}") from error
        if isinstance(content, dict) and "workflow" in content:
            raise MigrationError("It is an archive of a workflow. Import each of its models, and call them one after the other.")
        model = content.get("model") if isinstance(content, dict) else None
        if not isinstance(model, dict):
            raise MigrationError(f'{MANIFEST} has no "model".')
        wrong = [key for key, value in model.items() if key in _KEYS and not isinstance(value, str | None)]
        if wrong:
            raise MigrationError(f"{MANIFEST}: model.{wrong[0]} is no text.")
        return cls(**{ours: model.get(theirs) or _DEFAULTS.get(ours) for theirs, ours in _KEYS.items()})


_KEYS = {
    "modelName": "name",
    "modelVersion": "version",
    "handler": "handler",
    "serializedFile": "serialized_file",
    "modelFile": "model_file",
    "configFile": "config_file",
    "requirementsFile": "requirements_file",
}
_DEFAULTS = {"name": "", "version": "1.0", "handler": ""}


def import_mar(
    archive: str | Path,
    models_folder: str | Path,
    *,
    name: str | None = None,
    run_code: bool = False,
    handler: str | None = None,
    size: tuple[int, int] | None = None,
) -> Path:
    """Makes a model folder of an archive of TorchServe, prints what became of its settings, and returns the folder.

    `run_code`: an eager model is Python in the archive, and is run only with this. `handler`: one of TorchServe's own, in place
    of the archive's. `size`: height and width of the pictures of a detector.
    """
    with opened(Path(archive)) as members, scratch_folder() as scratch:
        manifest = Manifest.of(members)
        chosen = _handler(members, manifest, handler)
        report = Report()
        network = _network(members, manifest, chosen, scratch, run_code)
        imported = _Import(
            network=network,
            settings=_settings(members, manifest, chosen, network, size, report),
            labels=_labels(members, chosen),
            version=_version(manifest.version, report),
            report=report,
        )
        _tell_leftovers(members, manifest, report)
        made = install(Path(models_folder), checked_name(name or manifest.name), imported.write, imported.keep_apart)
    print(report.text(made))
    return made


@dataclass(frozen=True)
class _Network:
    """The serialised network in the temporary folder."""

    path: Path
    shown: str
    how: str


@dataclass(frozen=True)
class _Import:
    """All that becomes a model folder."""

    network: _Network
    settings: dict[str, Any]
    labels: list[str]
    version: str
    report: Report

    def write(self, folder: Path) -> None:
        """Writes the folder, into which the network is moved."""
        file = artifact_name(self.network.path, self.network.shown)
        place = folder / self.version
        place.mkdir(exist_ok=True)
        shutil.move(self.network.path, place / file)
        self.report.wrote(str((place / file).relative_to(folder)), self.network.how)
        if self.labels:
            (folder / "labels.txt").write_text("".join(f"{label}\n" for label in self.labels), encoding="utf-8")
            self.report.wrote("labels.txt", f"{len(self.labels)} labels of {LABELS}.")
            self.settings["output"]["labels"] = "labels.txt"
        self._write_settings(folder)
        self.report.wrote("model.toml", f"the task {self.settings['task']}.")

    def keep_apart(self, folder: Path) -> bool:
        """Without a batchSize TorchServe has batches of one, and a network may have that written into it."""
        batching = self.settings.setdefault("batching", {})
        if "max_batch_size" in batching:
            return False
        batching["max_batch_size"] = 1
        self._write_settings(folder)
        self.report.maps("no batchSize, and a network that takes one picture alone", "[batching] max_batch_size = 1")
        return True

    def _write_settings(self, folder: Path) -> None:
        (folder / "model.toml").write_text(toml_text(self.settings), encoding="utf-8")


def _handler(members: Archive, manifest: Manifest, instead: str | None) -> Handler:
    if instead is not None:
        if instead not in HANDLERS:
            raise MigrationError(f"The handler {instead[:80]!r} is none of {', '.join(HANDLERS)}.")
        return HANDLERS[instead]
    # "module:function" names a function of the archive's Python, and so does a file of that name.
    module = manifest.handler.split(":")[0].removesuffix(".py")
    if f"{module}.py" in members.sizes or module not in HANDLERS:
        source = members.text(f"{module}.py") if f"{module}.py" in members.sizes else None
        raise custom_handler_error(manifest.handler, source)
    return HANDLERS[module]


def _network(members: Archive, manifest: Manifest, handler: Handler, scratch: Path, run_code: bool) -> _Network:
    file = manifest.serialized_file
    if file is not None:
        packed = scratch / f"serialized{Path(file).suffix}"
        members.copy(file, packed)
        if manifest.model_file is None or kind_of_file(packed) in {"torchscript", "exported"}:
            artifact_name(packed, file)
            return _Network(packed, file, f"{file} of {members.path.name}, as it was.")
    if manifest.model_file is None:
        raise MigrationError(f"{MANIFEST} names neither a serializedFile nor a modelFile, so there is no network.")
    if not run_code:
        raise MigrationError(
            f"The model is eager: {manifest.model_file} is Python that builds the network. "
            "Importing it runs this Python, with your rights. Read it first. Then allow it with --run-code, or run_code=True."
        )
    if manifest.model_file not in members.sizes:
        raise MigrationError(f"{members.path.name} has no {manifest.model_file}, which its manifest names.")
    code = scratch / "archive"
    members.copy_all(code)
    scripted = scratch / "scripted.pt"
    how = script(code, manifest.model_file, file, scripted, handler.task)
    return _Network(scripted, manifest.model_file, f"{manifest.model_file} with the weights of {file or 'no file'}, {how}.")


def _settings(
    members: Archive,
    manifest: Manifest,
    handler: Handler,
    network: _Network,
    size: tuple[int, int] | None,
    report: Report,
) -> dict[str, Any]:
    tables = handler.tables(network.path, size, report)
    text = None
    for file in (manifest.config_file, workers.FILE):
        if file is not None and file in members.sizes:
            text = members.text(file)
            break
    return {**tables, **(workers.settings(text, report) if text is not None else {})}


def _labels(members: Archive, handler: Handler) -> list[str]:
    if LABELS not in members.sizes:
        return []
    return labels(members.text(LABELS), background=handler.task == "detection")


def _version(version: str, report: Report) -> str:
    """The numbered folder of this version; model.toml's own folder is the version 1."""
    whole = version.removesuffix(".0")
    if whole.isascii() and whole.isdigit() and whole == str(int(whole)) and len(whole) < 10:
        report.maps(f"modelVersion {version}", f"version {whole}")
        return "" if whole == "1" else whole
    report.leaves(f"modelVersion {version}", "Versions of Lucarne are whole numbers. It becomes version 1.")
    return ""


def _tell_leftovers(members: Archive, manifest: Manifest, report: Report) -> None:
    if manifest.requirements_file is not None:
        report.leaves(f"requirementsFile {manifest.requirements_file}", "Lucarne runs no Python, and installs no package.")
    used = {MANIFEST, LABELS, workers.FILE, manifest.serialized_file, manifest.model_file, manifest.config_file}
    used.add(manifest.requirements_file)
    left = sorted(name for name in members.sizes if name not in used)
    if left:
        more = f" and {len(left) - 5} more" if len(left) > 5 else ""
        report.leaves(f"extra files {', '.join(left[:5])}{more}", "They are not taken.")

"""Importing a model folder of Triton Inference Server."""

import re
import shutil
from pathlib import Path, PurePosixPath
from typing import Any

from ..manifest import toml_text
from . import pbtxt
from .folder import artifact_name, checked_name, install
from .groups import batching, instances, tell_the_rest
from .pbtxt import Message
from .report import MigrationError, Report
from .tensors import one, ordered, tensor, with_example

CONFIG = "config.pbtxt"
_MOST_LABELS = 16 << 20
_VERSION = re.compile(r"[1-9][0-9]{0,17}")
_REFUSED = {
    "ensemble_scheduling": "It is an ensemble of other models. Import each of them, and call them one after the other.",
    "sequence_batching": "Lucarne keeps no state between requests.",
    "batch_input": "Lucarne gives a model only what the request holds.",
    "batch_output": "Lucarne gives a model only what the request holds.",
    "model_operations": "Lucarne loads no library of operators.",
}


def import_triton(folder: str | Path, models_folder: str | Path, *, name: str | None = None) -> Path:
    """Makes a model folder of a model of Triton's PyTorch backend, prints what became of its settings, and returns the folder."""
    source = Path(folder)
    config = _config(source)
    _refuse(config)
    report = Report()
    versions = _versions(source, config, report)
    newest = versions[max(versions)]
    settings = _settings(config, newest, report)
    labels = _labels(source, config, report)

    def write(target: Path) -> None:
        for number, file in versions.items():
            place = target / str(number)
            place.mkdir()
            plain = artifact_name(file, f"{number}/{file.name}")
            shutil.copyfile(file, place / plain)
            report.wrote(f"{number}/{plain}", f"{number}/{file.name}, as it was.")
        text = toml_text(settings)
        if labels is not None:
            shutil.copyfile(labels, target / "labels.txt")
            report.wrote("labels.txt", f"{labels.name}, as it was.")
            text = _as_classification(settings) + text
        (target / "model.toml").write_text(text, encoding="utf-8")
        report.wrote("model.toml", "the task tensor.")

    chosen = checked_name(name or one(config, "name", str, "") or source.resolve().name)
    made = install(Path(models_folder), chosen, write)
    print(report.text(made))
    return made


def _config(folder: Path) -> Message:
    file = folder / CONFIG
    if not file.is_file():
        raise MigrationError(f"{folder} has no {CONFIG}. Name the folder of one model of Triton.")
    if file.stat().st_size > pbtxt.MOST_TEXT:
        raise MigrationError(f"{file} has more than {pbtxt.MOST_TEXT} bytes.")
    try:
        return pbtxt.parse(file.read_text(encoding="utf-8-sig"))
    except UnicodeDecodeError as error:
        raise MigrationError(f"{file} is no text in UTF-8.") from error


def _refuse(config: Message) -> None:
    for key, cure in _REFUSED.items():
        if key in config:
            raise MigrationError(f"{CONFIG} has {key}. {cure}")
    platform, backend = one(config, "platform", str, ""), one(config, "backend", str, "")
    if platform == "torch_aoti":
        raise MigrationError(
            "The platform is torch_aoti, whose packages hold code for the processor that compiled them. "
            "Export the network anew with lucarne_server.export."
        )
    if platform not in {"", "pytorch_libtorch"} or backend not in {"", "pytorch"} or not (platform or backend):
        found = f"platform {platform!r}, backend {backend!r}"
        raise MigrationError(
            f'{CONFIG} says {found}. Imported are platform "pytorch_libtorch" and backend "pytorch". '
            "Export the network from PyTorch with lucarne_server.export."
        )
    if one(config, "runtime", str, ""):
        raise MigrationError(f"{CONFIG} has a runtime, which is Python. Export the network with lucarne_server.export.")
    policy = config.get("model_transaction_policy", [])
    if any(isinstance(value, dict) and True in value.get("decoupled", []) for value in policy):
        raise MigrationError(f"{CONFIG} is decoupled: a request has any number of answers. In Lucarne it has one.")
    missing = [key for key in ("input", "output") if not config.get(key)]
    if missing:
        raise MigrationError(f"{CONFIG} has no {missing[0]}. Triton completes it by itself; write it as its documentation says.")


def _versions(folder: Path, config: Message, report: Report) -> dict[int, Path]:
    """The network's file of each version."""
    file = one(config, "default_model_filename", str, "") or "model.pt"
    if PurePosixPath(file).name != file or file in {".", ".."}:
        raise MigrationError(f"{CONFIG}: default_model_filename is {file[:80]!r}, and should be the name of a file.")
    numbers = sorted(int(path.name) for path in folder.iterdir() if _VERSION.fullmatch(path.name))
    found = {number: folder / str(number) / file for number in numbers}
    found = {number: path for number, path in found.items() if path.is_file()}
    if not found:
        raise MigrationError(f"{folder} has no version: there is no 1/{file}.")
    policy = next((value for value in config.get("version_policy", []) if isinstance(value, dict)), {})
    specific = next((value for value in policy.get("specific", []) if isinstance(value, dict)), None)
    if specific is not None:
        found = {number: path for number, path in found.items() if number in specific.get("versions", [])}
        if not found:
            raise MigrationError(f"{CONFIG}: version_policy names no version that is there.")
        report.maps("version_policy specific", f"these versions are taken: {', '.join(map(str, found))}")
    if len(found) > 1:
        report.leaves("several versions", f"Lucarne serves the highest number, {max(found)}. The others stay beside it.")
    return found


def _settings(config: Message, network: Path, report: Report) -> dict[str, Any]:
    size = one(config, "max_batch_size", int, 0)
    inputs = ordered(_messages(config, "input"), network, report)
    outputs = _messages(config, "output")
    outputs = ordered(outputs, network, report) if len(outputs) > 1 else outputs
    settings: dict[str, Any] = {
        "task": "tensor",
        "batching": batching(config, size, report),
        "inputs": [with_example(tensor(field, size > 0, report), size > 0, report) for field in inputs],
        "outputs": [tensor(field, size > 0, report) for field in outputs],
    }
    devices = instances(config, report)
    if devices:
        settings["instances"] = devices
    tell_the_rest(config, report)
    return settings


def _messages(config: Message, key: str) -> list[Message]:
    values = config[key]
    if not all(isinstance(value, dict) for value in values):
        raise MigrationError(f"{CONFIG}: {key} is no list of tensors.")
    return [value for value in values if isinstance(value, dict)]


def _labels(folder: Path, config: Message, report: Report) -> Path | None:
    """The labels of the first output that has some."""
    names = [one(field, "label_filename", str, "") for field in _messages(config, "output")]
    name = next(filter(None, names), None)
    if name is None:
        return None
    file = (folder / name).resolve()
    if not file.is_relative_to(folder.resolve()):
        raise MigrationError(f"label_filename {name[:80]!r} leads out of {folder}. It is refused.")
    if not file.is_file() or file.stat().st_size > _MOST_LABELS:
        raise MigrationError(f"label_filename {name[:80]!r} is no file, or larger than {_MOST_LABELS} bytes.")
    report.leaves(
        f"label_filename {name}",
        "Tensors have no labels. If this is a classifier of one picture, a comment in model.toml says how to serve it as one.",
    )
    return file


def _as_classification(settings: dict[str, Any]) -> str:
    """The comment that tells how to serve the model as a classifier of pictures."""
    inputs = settings["inputs"]
    shape = inputs[0]["shape"]
    if len(inputs) != 1 or len(shape) != 4 or inputs[0]["dtype"] != "f32" or min(shape[2:]) < 1:
        return ""
    lines = [
        "To serve this model as a classifier of pictures, put these lines in the place of task, [[inputs]] and [[outputs]]:",
        'task = "classification"',
        "[input]",
        f"size = [{shape[2]}, {shape[3]}]",
        'resize = "shorter_side"   # this, mean and std: as your clients prepare their pictures',
        "mean = [0.485, 0.456, 0.406]",
        "std = [0.229, 0.224, 0.225]",
        "[output]",
        'labels = "labels.txt"',
        'activation = "softmax"    # "none" if the model answers probabilities',
    ]
    return "".join(f"# {line}\n" for line in lines) + "\n"

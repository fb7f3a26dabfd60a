"""The model folder that an import makes: written beside the others, tried, and only then given its name."""

import re
import shutil
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

from ..manifest import refusal
from .report import MigrationError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
# Packages with one of these keep their network under this name in the archive.
_TORCHSCRIPT_PART, _EXPORTED_PART, _COMPILED_PART = "/code/", "/models/", "/data/aotinductor/"


def kind_of_file(path: Path) -> str:
    """What a serialised network is: `torchscript`, `exported`, `aoti`, `weights`, or `unknown`. Nothing in it is opened."""
    try:
        with ZipFile(path) as archive:
            names = archive.namelist()
    except (BadZipFile, OSError):
        # PyTorch before 1.6 wrote pickles, of weights alone.
        return "weights" if path.suffix in {".pth", ".pt"} else "unknown"
    for part, kind in ((_COMPILED_PART, "aoti"), (_TORCHSCRIPT_PART, "torchscript"), (_EXPORTED_PART, "exported")):
        if any(part in name for name in names):
            return kind
    return "weights" if any(name.endswith("/data.pkl") for name in names) else "unknown"


def loaded(path: Path) -> Any | None:
    """A TorchScript file, to read its attributes and signatures; None for other files. No method of it is called."""
    if kind_of_file(path) != "torchscript":
        return None
    import torch

    with warnings.catch_warnings():
        # PyTorch warns of TorchScript, which is what there is.
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            return torch.jit.load(str(path), map_location="cpu")
        except RuntimeError as error:
            # The rest of the message is a trace of C++.
            raise MigrationError(f"PyTorch cannot load the network: {str(error).splitlines()[0]}") from error


def artifact_name(path: Path, shown: str) -> str:
    """The file name under which Lucarne finds this network."""
    kind = kind_of_file(path)
    if kind == "torchscript":
        return "model.pt"
    if kind == "exported":
        return "model.pt2"
    reasons = {
        "aoti": "It is a package of AOTInductor, which holds code for the processor that compiled it. "
        "Export the network anew with lucarne_server.export.",
        "weights": "It holds weights without a network. Export the network with lucarne_server.export.",
        "unknown": "It is neither a file of TorchScript nor of torch.export. Export the network with lucarne_server.export.",
    }
    raise MigrationError(f"{shown} cannot be served. {reasons[kind]}")


def checked_name(name: str) -> str:
    """The name, if a model may have it."""
    if not _NAME.fullmatch(name):
        raise MigrationError(
            f"The name {name[:80]!r} is refused. A model is named with letters, digits, _, - and . and begins with a letter "
            "or a digit. Say another one with --name."
        )
    return name


def install(
    models_folder: Path,
    name: str,
    write: Callable[[Path], None],
    amend: Callable[[Path], bool] | None = None,
) -> Path:
    """Makes the folder of the model `name` by `write`, and gives it its place if `lucarne check` finds nothing wrong.

    What is refused may be changed once by `amend`, which says whether there was something to change.
    """
    target = models_folder / checked_name(name)
    if target.exists() or target.is_symlink():
        raise MigrationError(f"{target} is there already. Remove it, or say another name with --name.")
    models_folder.mkdir(parents=True, exist_ok=True)
    # A server passes over hidden folders, and a rename within one file system is done at once.
    scratch = Path(tempfile.mkdtemp(prefix=".import-", dir=models_folder))
    try:
        made = scratch / name
        made.mkdir()
        write(made)
        refused = _refusal(made, target)
        if refused is not None and (amend is None or not amend(made) or _refusal(made, target) is not None):
            raise refused
        made.rename(target)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return target


def _refusal(made: Path, target: Path) -> MigrationError | None:
    """What the server's own program finds wrong with the folder."""
    words = refusal(made)
    if words is None:
        return None
    words = words.replace(str(made), str(target))
    tried = (made / "model.toml").read_text(encoding="utf-8")
    return MigrationError(
        f"`lucarne check` refuses the model, and nothing is left of {target}:\n{words}\n"
        f"This model.toml was tried. Correct it by hand beside the network's file:\n{tried}"
    )

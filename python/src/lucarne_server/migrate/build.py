"""What runs an archive's Python: a process of its own, so that nothing of it stays in the importer's."""

import importlib
import inspect
import pickle
import sys
import warnings
from pathlib import Path
from typing import Any

import torch


def _network(code: Path, model_file: str, weights: str) -> Any:
    """As TorchServe's BaseHandler loads it: the one class of the file, without arguments, and its weights."""
    sys.path.insert(0, str(code))
    module = importlib.import_module(Path(model_file).stem)
    classes = [
        member
        for _, member in inspect.getmembers(module, inspect.isclass)
        if member.__module__ == module.__name__ and issubclass(member, torch.nn.Module)
    ]
    if len(classes) != 1:
        raise SystemExit(f"{model_file} defines {len(classes)} networks. TorchServe and this importer want exactly one.")
    network = classes[0]()
    if weights:
        network.load_state_dict(_weights(code / weights))
    return network.eval()


def _weights(path: Path) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        # A pickle can run code. The archive's code was allowed, and TorchServe reads it so.
        return torch.load(path, map_location="cpu", weights_only=False)


def _export(network: Any, task: str, target: Path) -> str:
    """Scripted, which keeps every branch; else traced with two pictures of the handler's size."""
    try:
        torch.jit.script(network).save(str(target))
        return "scripted"
    except Exception:
        if task == "detection":
            # The number of objects differs from picture to picture, and a trace would keep that of the example.
            raise
    example = torch.rand(2, 3, 224, 224)
    with torch.no_grad():
        torch.jit.trace(network, example, strict=False).save(str(target))
    return "traced"


def main() -> None:
    """What the child does."""
    code, model_file, weights, target, task = sys.argv[1:]
    # That TorchScript is deprecated is no news to somebody who leaves it.
    warnings.simplefilter("ignore")
    how = _export(_network(Path(code), model_file, weights), task, Path(target))
    Path(target).with_suffix(".how").write_text(how, encoding="utf-8")


if __name__ == "__main__":
    main()

"""Writes what people put where a TorchScript file should be (src/runtime/foreign): each is small, and made as its library
makes it.

    python tests/golden/foreign/make_files.py
"""

import pickle
import sys
import types
import zipfile
from pathlib import Path

import numpy as np
import torch
from torch import nn

FOLDER = Path(__file__).resolve().parent


class Net(nn.Module):
    """A network of one matrix."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(2, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.linear(x)


def of_ultralytics() -> nn.Module:
    """A network whose class bears the name of Ultralytics' own, which is what its checkpoints are told by."""
    module = types.ModuleType("ultralytics.nn.tasks")
    network = type("DetectionModel", (Net,), {"__module__": "ultralytics.nn.tasks", "__qualname__": "DetectionModel"})
    module.DetectionModel = network
    packages = {name: types.ModuleType(name) for name in ("ultralytics", "ultralytics.nn")}
    sys.modules.update(packages | {"ultralytics.nn.tasks": module})
    return network()


def without(archive: Path, parts: tuple[str, ...], target: Path) -> None:
    """A copy of an archive without the files whose names hold one of `parts`."""
    with zipfile.ZipFile(archive) as source, zipfile.ZipFile(target, "w") as out:
        for name in source.namelist():
            if not any(part in name for part in parts):
                out.writestr(name, source.read(name))


def main() -> None:
    """Writes all of them into this folder."""
    torch.manual_seed(0)
    net = Net().eval()
    state = net.state_dict()
    torch.save(state, FOLDER / "state_dict.pt")
    torch.save(state, FOLDER / "state_dict_protocol_4.pt", pickle_protocol=4)
    torch.save(state, FOLDER / "state_dict_legacy.pt", _use_new_zipfile_serialization=False)
    torch.save(dict(state), FOLDER / "dict_of_tensors.pt")
    torch.save(nn.Linear(2, 2), FOLDER / "module.pt")
    torch.save(nn.Linear(2, 2), FOLDER / "module_legacy.pt", _use_new_zipfile_serialization=False)
    torch.save({"epoch": 3, "model_state_dict": state, "optimizer_state_dict": {}}, FOLDER / "checkpoint.pt")
    torch.save({"epoch": 3, "model": nn.Linear(2, 2)}, FOLDER / "checkpoint_of_a_module.pt")
    torch.save({"epoch": 3, "pytorch-lightning_version": "2.5.0", "state_dict": state}, FOLDER / "lightning.ckpt")
    torch.save({"epoch": -1, "model": of_ultralytics()}, FOLDER / "ultralytics.pt")
    torch.save(torch.zeros(2), FOLDER / "tensor.pt")
    torch.export.save(torch.export.export(net, (torch.zeros(1, 2),)), FOLDER / "exported_program.pt")
    scripted = torch.jit.script(net)
    scripted.save(FOLDER / "scripted.pt")
    scripted._save_for_lite_interpreter(str(FOLDER / "lite.ptl"))
    without(FOLDER / "lite.ptl", ("/code/", "constants.pkl"), FOLDER / "bytecode_alone.ptl")
    with zipfile.ZipFile(FOLDER / "zipped.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(FOLDER / "scripted.pt", "mine/model.pt")
    np.savez(FOLDER / "arrays.npz", x=np.zeros(2))
    (FOLDER / "plain.pkl").write_bytes(pickle.dumps({"a": 1}))
    (FOLDER / "lite.ptl").unlink()


if __name__ == "__main__":
    main()

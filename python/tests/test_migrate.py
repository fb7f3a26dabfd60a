"""Archives of TorchServe, imported, served, and held against what its own handlers compute."""

import io
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tomllib
import torch
from migrate_samples import (
    CHELSEA,
    COFFEE,
    IMAGENET,
    assert_classified_alike,
    assert_detected_alike,
    detector,
    index_to_name,
    mar,
    resnet,
    resnet_file,
    segmenter,
    torchscript,
)
from PIL import Image

from lucarne_server import local
from lucarne_server.migrate import MigrationError, import_mar
from lucarne_server.migrate.command import run

EAGER_MODEL = """
from torchvision.models.resnet import BasicBlock, ResNet


class ImageClassifier(ResNet):
    def __init__(self):
        super().__init__(BasicBlock, [2, 2, 2, 2])
"""


def test_a_classifier_answers_as_in_torchserve(tmp_path: Path, capsys: Any) -> None:
    packed = mar(
        tmp_path / "resnet-18.mar",
        {
            "resnet18.pt": resnet_file(),
            "index_to_name.json": index_to_name(1000),
            "model-config.yaml": "minWorkers: 2\nmaxWorkers: 4\nbatchSize: 8  # rows\nmaxBatchDelay: 5\nresponseTimeout: 60\n"
            "deviceType: cpu\nhandler:\n  profile: true\n",
        },
        handler="image_classifier",
        serializedFile="resnet18.pt",
        configFile="model-config.yaml",
    )
    folder = import_mar(packed, tmp_path / "models")
    report = capsys.readouterr().out
    assert folder == tmp_path / "models" / "resnet-18"
    assert (folder / "model.pt").read_bytes() == resnet_file()
    settings = tomllib.loads((folder / "model.toml").read_text())
    assert settings["batching"] == {"max_batch_size": 8, "max_delay_ms": 5}
    assert settings["instances"] == {"count": 2, "device": "cpu"}
    mapped = "batchSize: 8 → [batching] max_batch_size = 8"
    for told in (mapped, "responseTimeout: 60: ", "maxWorkers: 4: ", "handler: It sets"):
        assert told in report
    with local(folder.parent) as client:
        assert_classified_alike(client, "resnet-18", resnet(), CHELSEA)
        assert_classified_alike(client, "resnet-18", resnet(), COFFEE)


def eager_mar(folder: Path) -> Path:
    buffer = io.BytesIO()
    torch.save(resnet().state_dict(), buffer)
    return mar(
        folder / "eager.mar",
        {"resnet18.pth": buffer.getvalue(), "model.py": EAGER_MODEL, "index_to_name.json": index_to_name(1000)},
        handler="image_classifier",
        serializedFile="resnet18.pth",
        modelFile="model.py",
    )


def test_an_eager_model_is_run_where_that_is_allowed(tmp_path: Path, capsys: Any) -> None:
    packed = eager_mar(tmp_path)
    arguments = ["import-mar", str(packed), "--models", str(tmp_path / "models"), "--name", "eager"]
    assert run(arguments) == 1
    refusal = capsys.readouterr().err
    assert "--run-code" in refusal and "model.py is Python" in refusal
    assert not (tmp_path / "models").exists()
    assert run([*arguments, "--run-code"]) == 0
    assert "scripted" in capsys.readouterr().out
    with local(tmp_path / "models") as client:
        assert_classified_alike(client, "eager", resnet(), CHELSEA)


class OnePicture(torch.nn.Module):
    """A batch of one is written into it."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = torch.nn.Conv2d(3, 4, 3, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.convolution(x).mean(dim=(2, 3)).view(1, 4)


def test_a_network_of_one_picture_shares_no_batch(tmp_path: Path, capsys: Any) -> None:
    network = torchscript(OnePicture().eval())
    packed = mar(tmp_path / "one.mar", {"x.pt": network}, handler="image_classifier", serializedFile="x.pt")
    folder = import_mar(packed, tmp_path / "models")
    assert tomllib.loads((folder / "model.toml").read_text())["batching"] == {"max_batch_size": 1}
    assert "takes one picture alone → [batching] max_batch_size = 1" in capsys.readouterr().out


def test_what_cannot_be_scripted_is_traced(tmp_path: Path, capsys: Any) -> None:
    source = """
import torch
import helper


class Segmenter(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.convolution = torch.nn.Conv2d(3, 4, 3, padding=1)

    def forward(self, x, **unscriptable):
        return {"out": helper.doubled(self.convolution(x))}
"""
    buffer = io.BytesIO()
    torch.save({f"convolution.{name}": p for name, p in torch.nn.Conv2d(3, 4, 3).named_parameters()}, buffer)
    members = {"x.pth": buffer.getvalue(), "net.py": source, "helper.py": "def doubled(x):\n    return 2 * x\n"}
    model = {"handler": "image_segmenter", "serializedFile": "x.pth", "modelFile": "net.py"}
    import_mar(mar(tmp_path / "traced.mar", members, **model), tmp_path / "models", run_code=True)
    assert "net.py with the weights of x.pth, traced." in capsys.readouterr().out
    members["net.py"] = "import nothing_that_is_there\n"
    with pytest.raises(MigrationError, match="(?s)nothing_that_is_there.*Install that package"):
        import_mar(mar(tmp_path / "poor.mar", members, **model), tmp_path / "models", run_code=True)


def test_a_segmenter_answers_as_in_torchserve(tmp_path: Path) -> None:
    packed = mar(
        tmp_path / "lraspp.mar", {"lraspp.pt": torchscript(segmenter())}, handler="image_segmenter", serializedFile="lraspp.pt"
    )
    models = import_mar(packed, tmp_path / "models").parent
    # The handler's own grid is the middle of a picture of 256 x 256.
    photo = Image.open(CHELSEA).convert("RGB").resize((256, 256))
    with torch.inference_mode():
        theirs = torch.softmax(segmenter()(IMAGENET(photo)[None])["out"], dim=1)[0].argmax(dim=0).numpy()
    with local(models) as client:
        ours = client.predict_array("lraspp", photo)
    assert ours.shape == (256, 256)
    assert len(np.unique(theirs)) > 1, "one class everywhere would prove nothing"
    assert (ours[16:240, 16:240] == theirs).mean() >= 0.995
    assert (ours[:16] == 255).all()


def test_a_detector_answers_as_in_torchserve(tmp_path: Path, capsys: Any) -> None:
    packed = mar(
        tmp_path / "fasterrcnn.mar",
        {"fasterrcnn.pt": torchscript(detector()), "index_to_name.json": index_to_name(91)},
        handler="object_detector",
        serializedFile="fasterrcnn.pt",
        modelVersion="3.0",
    )
    width, height = Image.open(COFFEE).size
    folder = import_mar(packed, tmp_path / "models", size=(height, width))
    assert (folder / "3" / "model.pt").is_file()
    assert f"here {height}x{width}" in capsys.readouterr().out
    other = import_mar(packed, tmp_path / "models", name="unsized")
    settings = tomllib.loads((other / "model.toml").read_text())
    assert settings["input"] == {"size": [320, 426], "resize": "letterbox"}
    assert settings["output"]["max_detections"] == 100
    with local(folder.parent) as client:
        assert_detected_alike(client, "fasterrcnn", detector(), COFFEE)


@pytest.mark.parametrize("as_folder", [False, True])
def test_other_formats_of_archives_are_read(tmp_path: Path, as_folder: bool) -> None:
    """--archive-format no-archive is a folder; tgz has one named like the model in it."""
    packed = mar(tmp_path / "plain.mar", {"resnet18.pt": resnet_file()}, handler="image_classifier", serializedFile="resnet18.pt")
    with zipfile.ZipFile(packed) as members:
        members.extractall(tmp_path / "plain")
    source = tmp_path / "plain"
    if not as_folder:
        source = tmp_path / "plain.tar.gz"
        with tarfile.open(source, "w:gz", compresslevel=1) as tar:
            tar.add(tmp_path / "plain", arcname="plain")
    folder = import_mar(source, tmp_path / "models")
    assert folder.name == "plain"
    assert sorted(path.name for path in folder.iterdir()) == ["model.pt", "model.toml"]

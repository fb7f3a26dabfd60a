"""Model folders of Triton: imported, served, and held against the network; and what is refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tomllib
import torch
from migrate_samples import COFFEE, assert_classified_alike, resnet, resnet_file, torchscript

from lucarne_server import local
from lucarne_server.migrate import MigrationError, import_triton, pbtxt
from lucarne_server.migrate.command import run


class Fusion(torch.nn.Module):
    """A picture and a vector, as a model of two inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = torch.nn.Conv2d(3, 4, 3)
        self.linear = torch.nn.Linear(6, 3)

    def forward(self, picture: torch.Tensor, vector: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        pooled = self.convolution(picture).mean(dim=(2, 3))
        return self.linear(torch.cat([pooled, vector], dim=1)), pooled


FUSION_CONFIG = """
# Triton reads this, too.
name: "fusion"
platform: "pytorch_libtorch"
max_batch_size: 8
input [
  { name: "INPUT__1" data_type: TYPE_FP32 dims: [ 2 ] },
  { name: "INPUT__0"; data_type: TYPE_FP32; format: FORMAT_NCHW; dims: 3; dims: 8; dims: 8 }
]
output [ { name: "OUTPUT__0" data_type: TYPE_FP32 dims: [ 3 ] }, { name: "OUTPUT__1" data_type: TYPE_FP32 dims: [ 4 ] } ]
dynamic_batching { preferred_batch_size: [ 4, 8 ] max_queue_delay_microseconds: 1500 default_queue_policy { max_queue_size: 64 } }
instance_group [ { count: 2 kind: KIND_CPU } ]
parameters: { key: "INTRA_OP_THREAD_COUNT" value: { string_value: "1" } }
parameters { key: "INFERENCE_MODE" value: { string_value: "tr" "ue" } }
optimization < graph: < level: 1 > >
"""


def triton_folder(folder: Path, config: str, *versions: int, network: bytes | None = None) -> Path:
    torch.manual_seed(0)
    content = network or torchscript(Fusion().eval())
    for version in versions or (1,):
        (folder / str(version)).mkdir(parents=True)
        (folder / str(version) / "model.pt").write_bytes(content)
    (folder / "config.pbtxt").write_text(config)
    return folder


def test_a_model_of_triton_answers_its_tensors(tmp_path: Path, capsys: Any) -> None:
    source = triton_folder(tmp_path / "fusion", FUSION_CONFIG, 1, 2)
    assert run(["import-triton", str(source), "--models", str(tmp_path / "models")]) == 0
    report = capsys.readouterr().out
    for told in ("preferred_batch_size: ", "parameter INFERENCE_MODE true: ", "optimization: ", "several versions: "):
        assert told in report
    folder = tmp_path / "models" / "fusion"
    settings = tomllib.loads((folder / "model.toml").read_text())
    assert [table["name"] for table in settings["inputs"]] == ["INPUT__0", "INPUT__1"]
    assert settings["inputs"][0] == {"name": "INPUT__0", "dtype": "f32", "shape": [-1, 3, 8, 8]}
    assert settings["batching"] == {"max_batch_size": 8, "max_delay_ms": 1.5, "queue_capacity": 64}
    assert settings["instances"] == {"count": 2, "device": "cpu", "threads": 1}
    torch.manual_seed(0)
    network = Fusion().eval()
    torch.manual_seed(1)
    picture, vector = torch.rand(2, 3, 8, 8), torch.rand(2, 2)
    with local(folder.parent) as client:
        assert client.model("fusion").version == "2"
        outputs = client.predict_tensors("fusion", {"INPUT__0": picture.numpy(), "INPUT__1": vector.numpy()})
    assert list(outputs) == ["OUTPUT__0", "OUTPUT__1"]
    with torch.inference_mode():
        for output, expected in zip(outputs.values(), network(picture, vector), strict=True):
            np.testing.assert_allclose(output, expected.numpy(), atol=1e-5)


def test_arguments_names_give_the_order(tmp_path: Path) -> None:
    config = FUSION_CONFIG.replace("INPUT__1", "vector").replace("INPUT__0", "picture")
    folder = import_triton(triton_folder(tmp_path / "named", config), tmp_path / "models", name="named")
    settings = tomllib.loads((folder / "model.toml").read_text())
    assert [table["name"] for table in settings["inputs"]] == ["picture", "vector"]


CLASSIFIER_CONFIG = """
backend: "pytorch"
max_batch_size: 4
input { name: "INPUT__0" data_type: TYPE_FP32 dims: [ 3, 224, 224 ] }
output { name: "OUTPUT__0" data_type: TYPE_FP32 dims: [ 1000 ] label_filename: "names.txt" }
"""


def test_a_comment_tells_how_to_serve_a_classifier(tmp_path: Path) -> None:
    source = triton_folder(tmp_path / "resnet", CLASSIFIER_CONFIG, network=resnet_file())
    (source / "names.txt").write_text("".join(f"class {index}\n" for index in range(1000)))
    folder = import_triton(source, tmp_path / "models")
    comment = [line[2:] for line in (folder / "model.toml").read_text().splitlines() if line.startswith("# ")]
    text = "\n".join(comment[1:]).replace('resize = "shorter_side"', 'resize = "shorter_side"\nresize_to = 256')
    (folder / "model.toml").write_text(text)
    with local(folder.parent) as client:
        assert_classified_alike(client, "resnet", resnet(), COFFEE)


def test_open_sizes_and_models_without_a_batch_are_imported(tmp_path: Path, capsys: Any) -> None:
    torch.manual_seed(0)
    network = torchscript(torch.nn.Sequential(torch.nn.Conv2d(3, 2, 3)).eval())
    config = """
    platform: "pytorch_libtorch"
    input { name: "x" data_type: TYPE_FP32 dims: [ -1, 3, -1, -1 ] }
    output { name: "y" data_type: TYPE_FP32 dims: [ -1, 2, -1, -1 ] }
    """
    folder = import_triton(triton_folder(tmp_path / "open", config, network=network), tmp_path / "models")
    settings = tomllib.loads((folder / "model.toml").read_text())
    assert settings["batching"] == {"max_batch_size": 1}
    assert "which is a guess" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("pytorch_libtorch", "onnxruntime_onnx", "onnxruntime_onnx"),
        ("pytorch_libtorch", "torch_aoti", "AOTInductor|compiled them"),
        ('platform: "pytorch_libtorch"', 'backend: "python"', "backend 'python'"),
        ("TYPE_FP32 dims: [ 2 ]", "TYPE_STRING dims: [ 2 ]", "serves no texts"),
        ("TYPE_FP32 dims: [ 2 ]", "TYPE_INT8 dims: [ 2 ]", "is of TYPE_INT8"),
        ("dims: [ 2 ]", "dims: [ 0 ]", "A size is"),
        ("dynamic_batching", "sequence_batching", "keeps no state"),
        ("optimization <", "ensemble_scheduling <", "ensemble of other models"),
        ("max_batch_size: 8", "max_batch_size: 8 model_transaction_policy { decoupled: true }", "decoupled"),
        ("max_batch_size: 8", 'max_batch_size: 8 default_model_filename: "../../x.pt"', "name of a file"),
        ("max_batch_size: 8", 'max_batch_size: 8 runtime: "model.py"', "which is Python"),
        ("dims: [ 4 ]", 'dims: [ 4 ] label_filename: "../../../etc/passwd"', "leads out"),
        ("INPUT__1", "INPUT__2", "without a gap"),
        ("INPUT__1", "IN PUT", "does not take"),
        ("dims: [ 4 ]", "dims: [ 5 ]", "lucarne check"),
        ('name: "fusion"', 'name: "../fusion"', "is refused"),
    ],
)
def test_what_triton_alone_can_is_refused(tmp_path: Path, old: str, new: str, words: str) -> None:
    assert old in FUSION_CONFIG
    source = triton_folder(tmp_path / "fusion", FUSION_CONFIG.replace(old, new))
    with pytest.raises(MigrationError, match=words):
        import_triton(source, tmp_path / "models")
    assert not list((tmp_path / "models").glob("*"))


def test_the_text_of_protocol_buffers_is_read() -> None:
    text = r"""a: 1 a: -2, b: "x\"y" 'z'; c { d: [ 1.5, 2e3, 0x10 ] } e [ { f: true }, { } ] g: [] h: KIND_CPU # end"""
    assert pbtxt.parse(text) == {
        "a": [1, -2],
        "b": ['x"yz'],
        "c": [{"d": [1.5, 2000.0, 16]}],
        "e": [{"f": [True]}, {}],
        "g": [],
        "h": ["KIND_CPU"],
    }


@pytest.mark.parametrize(
    "text",
    ["a {", "a: }", "a b", "a: 'x", "}", ": 1", "a: [1", "a {" * 5000, "a: [" * 5000, "a: 1" + "x" * (1 << 20), "a: \x00", "["],
)
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(MigrationError, match="config.pbtxt"):
        pbtxt.parse(text)

"""Archives of TorchServe that are refused, and what their texts may be."""

import random
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest
from migrate_samples import index_to_name, mar, resnet_file

from lucarne_server.migrate import MigrationError, archive, import_mar, torchserve, workers
from lucarne_server.migrate.command import run
from lucarne_server.migrate.labels import labels


def test_a_custom_handler_is_refused_with_what_to_do(tmp_path: Path) -> None:
    source = "from ts.torch_handler.image_classifier import ImageClassifier\nclass Mine(ImageClassifier):\n    topk = 3\n"
    members = {"resnet18.pt": resnet_file(), "mine.py": source}
    packed = mar(tmp_path / "mine.mar", members, handler="mine.py", serializedFile="resnet18.pt")
    with pytest.raises(MigrationError, match="It extends ImageClassifier.*--handler image_classifier"):
        import_mar(packed, tmp_path / "models")
    assert import_mar(packed, tmp_path / "models", handler="image_classifier").name == "mine"


def test_what_check_refuses_leaves_nothing(tmp_path: Path) -> None:
    members = {"resnet18.pt": resnet_file(), "index_to_name.json": index_to_name(7)}
    packed = mar(tmp_path / "seven.mar", members, handler="image_classifier", serializedFile="resnet18.pt")
    with pytest.raises(MigrationError, match="(?s)lucarne check.*labels.*This model.toml was tried.*classification"):
        import_mar(packed, tmp_path / "models")
    assert list((tmp_path / "models").iterdir()) == []


def test_a_model_that_is_there_is_not_overwritten(tmp_path: Path) -> None:
    packed = mar(tmp_path / "twice.mar", {"resnet18.pt": resnet_file()}, handler="image_classifier", serializedFile="resnet18.pt")
    (tmp_path / "models" / "twice").mkdir(parents=True)
    with pytest.raises(MigrationError, match="is there already"):
        import_mar(packed, tmp_path / "models")


@pytest.mark.parametrize(
    ("members", "model", "words"),
    [
        ({}, {"handler": "text_classifier"}, "serves no text"),
        ({}, {"handler": "densepose"}, "'densepose' is not mapped"),
        ({}, {"handler": "image_classifier"}, "there is no network"),
        ({}, {"handler": "image_classifier", "serializedFile": "x.pt"}, "has no member 'x.pt'"),
        ({"x.pth": b"no zip"}, {"handler": "image_classifier", "serializedFile": "x.pth"}, "weights without a network"),
        ({"x.onnx": b"onnx"}, {"handler": "image_classifier", "serializedFile": "x.onnx"}, "neither a file of TorchScript"),
        ({}, {"modelName": "../up", "handler": "image_classifier", "serializedFile": "x.pt"}, "has no member"),
    ],
)
def test_archives_that_cannot_be_served_say_why(tmp_path: Path, members: Any, model: Any, words: str) -> None:
    with pytest.raises(MigrationError, match=words):
        import_mar(mar(tmp_path / "bad.mar", members, **model), tmp_path / "models")
    assert not (tmp_path / "models").exists()


@pytest.mark.parametrize("name", ["../up", "a/b", "", ".hidden", "a b", "x" * 200])
def test_names_that_are_no_folder_s_are_refused(tmp_path: Path, name: str) -> None:
    packed = mar(
        tmp_path / "n.mar", {"r.pt": resnet_file()}, handler="image_classifier", serializedFile="r.pt", modelName=name
    )
    with pytest.raises(MigrationError, match="is refused"):
        import_mar(packed, tmp_path / "models")
    assert not (tmp_path / "models").exists() and not (tmp_path / "up").exists()


@pytest.mark.parametrize("name", ["../evil.py", "/tmp/evil.py", "a/../../evil.py", "a\\..\\evil.py", "C:evil.py"])
def test_members_that_lead_out_are_refused(tmp_path: Path, name: str) -> None:
    packed = mar(tmp_path / "evil.mar", {name: "boom"}, handler="image_classifier", serializedFile="x.pt")
    with pytest.raises(MigrationError, match="leads out of it"):
        import_mar(packed, tmp_path / "models", run_code=True)
    assert not (tmp_path / "evil.py").exists()


def test_links_are_refused(tmp_path: Path) -> None:
    packed = tmp_path / "link.tar.gz"
    with tarfile.open(packed, "w:gz") as tar:
        link = tarfile.TarInfo("link/x.pt")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    folder = tmp_path / "folder"
    (folder / "MAR-INF").mkdir(parents=True)
    (folder / "x.pt").symlink_to("/etc/passwd")
    for source in (packed, folder):
        with pytest.raises(MigrationError, match="link"):
            import_mar(source, tmp_path / "models")


def test_absurd_sizes_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    zeros = mar(tmp_path / "zeros.mar", {"x.pt": bytes(3 << 20)}, handler="image_classifier", serializedFile="x.pt")
    monkeypatch.setattr(archive, "_RATIO_FROM", 1 << 20)
    with pytest.raises(MigrationError, match="announces more than"):
        import_mar(zeros, tmp_path / "models")
    monkeypatch.setattr(archive, "MOST_MEMBERS", 3)
    many = mar(tmp_path / "many.mar", {f"{index}": "" for index in range(9)}, handler="image_classifier")
    with pytest.raises(MigrationError, match="more than 3 members"):
        import_mar(many, tmp_path / "models")


def test_a_member_is_not_larger_than_announced(tmp_path: Path) -> None:
    packed = mar(tmp_path / "lies.mar", {"x.pt": bytes(4096)}, handler="image_classifier", serializedFile="x.pt")
    with archive.opened(packed) as members:
        members.sizes["x.pt"] = 16
        with pytest.raises(MigrationError, match="larger than the 16 bytes"):
            members.copy("x.pt", tmp_path / "x.pt")


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04 cut"])
def test_what_is_no_archive_is_refused(tmp_path: Path, content: bytes, capsys: Any) -> None:
    (tmp_path / "x.mar").write_bytes(content)
    assert run(["import-mar", str(tmp_path / "x.mar"), "--models", str(tmp_path / "models")]) == 1
    assert "no model archive" in capsys.readouterr().err


def test_damaged_archives_are_refused_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torchserve, "install", lambda folder, name, write, amend: folder / name)
    monkeypatch.setattr(torchserve, "artifact_name", lambda path, shown: "model.pt")
    members = {"x.pt": b"weights" * 30, "index_to_name.json": '{"0": "a"}', "model-config.yaml": "batchSize: 4"}
    whole = mar(tmp_path / "a.mar", members, handler="image_classifier", serializedFile="x.pt").read_bytes()
    chance, refused = random.Random(0), 0
    for _ in range(400):
        damaged = bytearray(whole)
        for _ in range(chance.randint(1, 4)):
            damaged[chance.randrange(len(damaged))] = chance.choice([0, 255, chance.randrange(256)])
        (tmp_path / "b.mar").write_bytes(damaged[: chance.choice([len(damaged), chance.randrange(len(damaged))])])
        try:
            import_mar(tmp_path / "b.mar", tmp_path / "models")
        except MigrationError:
            refused += 1
    assert refused > 200


def test_code_is_not_run_unasked(tmp_path: Path) -> None:
    trap = f"open({str(tmp_path / 'ran')!r}, 'w')\n"
    members = {"model.py": trap, "mine.py": trap, "x.pth": b"weights"}
    for model in ({"handler": "image_classifier"}, {"handler": "mine"}):
        packed = mar(tmp_path / "trap.mar", members, modelFile="model.py", serializedFile="x.pth", **model)
        with pytest.raises(MigrationError):
            import_mar(packed, tmp_path / "models")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("text", "background", "expected"),
    [
        ('{"0": ["n01440764", "tench"], "1": ["n01443537", "goldfish"]}', False, ["tench", "goldfish"]),
        ('{"1": "b", "0": "a\\n c"}', False, ["a c", "b"]),
        ('{"object_type_names": ["__background__", "person"]}', True, ["__background__", "person"]),
        ('{"1": "person", "2": "car"}', True, ["__background__", "person", "car"]),
    ],
)
def test_labels_have_every_form_of_torchserve(text: str, background: bool, expected: list[str]) -> None:
    assert labels(text, background=background) == expected


@pytest.mark.parametrize(
    "text", ['{"0": "a", "2": "c"}', '{"a": "b"}', "[]", "{", '{"0": 1}', '{"0": "a", "00": "b"}', "[" * 99999]
)
def test_labels_with_gaps_or_other_content_are_refused(text: str) -> None:
    with pytest.raises(MigrationError, match="index_to_name.json"):
        labels(text, background=False)


def test_the_margin_of_yaml_is_read() -> None:
    text = "# top\nminWorkers: 1 # one\n'batchSize' : \"4\"\nhandler:\n  batchSize: 9\ndeviceIds: [0, 1]\nlist:\n- a: 1\n"
    found = workers.scalars(text)
    assert found == {"minWorkers": "1", "batchSize": "4", "handler": None, "deviceIds": None, "list": None}
    with pytest.raises(MigrationError, match="is not understood"):
        workers.scalars("{json: 1}")


def test_the_command_says_what_it_takes() -> None:
    for command in ("import-mar", "import-triton"):
        with pytest.raises(SystemExit) as ended:
            run([command, "--help"])
        assert ended.value.code == 0
    assert "lucarne_server.migrate.build" not in sys.modules, "what runs foreign code has a process of its own"

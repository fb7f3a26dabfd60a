"""Networks of torchvision, timm, transformers, segmentation-models-pytorch and ultralytics, exported as their users would.

`export` itself compares the server with Python on ten pictures that are not square and raises where they differ; that it
does so is tested too. Weights are random, and spread so that classes and objects stand out.
"""

from pathlib import Path

import pytest
import torch
import torchvision
from PIL import Image
from torch import nn

import lucarne_server as lucarne
from lucarne_server.exporting import ExportError
from lucarne_server.exporting.preprocess import read


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(7)


def spread(model: nn.Module) -> nn.Module:
    """Has the last layer with weights tell its classes apart."""
    last = [module for module in model.modules() if isinstance(module, (nn.Linear, nn.Conv2d))][-1]
    nn.init.normal_(last.weight, 0, 0.2)
    if last.bias is not None:
        nn.init.normal_(last.bias, 0, 1.0)
    return model


def written(folder: Path) -> str:
    return (folder / "model.toml").read_text()


def test_torchvision_by_its_weights(tmp_path: Path, ten_photos: list[Path], capsys: pytest.CaptureFixture) -> None:
    weights = torchvision.models.ResNet18_Weights.DEFAULT
    model = spread(torchvision.models.resnet18())
    folder = lucarne.export(
        model, tmp_path / "resnet", labels=weights, preprocess=weights.transforms(), pictures=ten_photos
    )
    assert (folder / "model.pt2").is_file()
    assert (folder / "labels.txt").read_text().splitlines()[285] == "Egyptian cat"
    assert "resize_to = 256" in written(folder)
    assert "answers as Python does for 10 pictures" in capsys.readouterr().out


def test_torchvision_segmentation(tmp_path: Path, ten_photos: list[Path]) -> None:
    model = torchvision.models.segmentation.lraspp_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=4)
    example = torch.rand(2, 3, 128, 160)
    weights = torchvision.models.segmentation.LRASPP_MobileNet_V3_Large_Weights.DEFAULT
    folder = lucarne.export(
        spread(model), tmp_path / "lraspp", example=example, preprocess=weights.transforms(), pictures=ten_photos
    )
    assert 'task = "segmentation"' in written(folder)


def test_torchvision_detection(tmp_path: Path, ten_photos: list[Path]) -> None:
    model = torchvision.models.detection.fasterrcnn_mobilenet_v3_large_320_fpn(
        weights=None, weights_backbone=None, num_classes=5, box_score_thresh=0.01
    )
    nn.init.normal_(model.roi_heads.box_predictor.cls_score.weight, 0, 0.5)
    folder = lucarne.export(model, tmp_path / "faster", example=torch.rand(1, 3, 240, 320), pictures=ten_photos[:4])
    assert (folder / "model.pt").is_file(), "torch.export cannot export it"
    assert 'format = "torchvision"' in written(folder)


def test_timm(tmp_path: Path, ten_photos: list[Path]) -> None:
    timm = pytest.importorskip("timm")
    folder = lucarne.export(
        spread(timm.create_model("mobilenetv3_small_100", num_classes=9)), tmp_path / "mobile", pictures=ten_photos
    )
    assert 'interpolation = "bicubic"' in written(folder)


def test_transformers_classification(tmp_path: Path, ten_photos: list[Path]) -> None:
    transformers = pytest.importorskip("transformers")
    config = transformers.ViTConfig(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64, num_labels=5,
        id2label={0: "a", 1: "b", 2: "c", 3: "d", 4: "e"},
    )  # fmt: skip
    model = spread(transformers.ViTForImageClassification(config))
    processor = transformers.ViTImageProcessor()
    folder = lucarne.export(model, tmp_path / "vit", preprocess=processor, pictures=ten_photos)
    assert (folder / "labels.txt").read_text().split() == ["a", "b", "c", "d", "e"]
    crop = transformers.ConvNextImageProcessor(size={"shortest_edge": 224})
    assert "resize_to = 256" in written(lucarne.export(model, tmp_path / "crop", preprocess=crop, pictures=ten_photos))


def test_transformers_segmentation_and_detection(tmp_path: Path, ten_photos: list[Path]) -> None:
    transformers = pytest.importorskip("transformers")
    config = transformers.SegformerConfig(
        num_labels=4, hidden_sizes=[8, 16, 20, 32], depths=[1, 1, 1, 1], num_attention_heads=[1, 1, 2, 2],
        decoder_hidden_size=16,
    )  # fmt: skip
    model = spread(transformers.SegformerForSemanticSegmentation(config))
    processor = transformers.SegformerImageProcessor(size={"height": 96, "width": 128})
    lucarne.export(model, tmp_path / "segformer", preprocess=processor, pictures=ten_photos)
    config = transformers.YolosConfig(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64, image_size=[96, 128],
        num_detection_tokens=12, num_labels=6,
    )  # fmt: skip
    model = transformers.YolosForObjectDetection(config)
    for parameter in model.class_labels_classifier.parameters():
        nn.init.normal_(parameter, 0, 0.7)
    keys = {"size": (96, 128), "mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
    folder = lucarne.export(model, tmp_path / "yolos", preprocess=keys, pictures=ten_photos)
    assert 'format = "detr"' in written(folder)


def test_smp(tmp_path: Path, ten_photos: list[Path]) -> None:
    smp = pytest.importorskip("segmentation_models_pytorch")
    model = spread(smp.Unet("resnet18", encoder_weights=None, classes=1))
    keys = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
    folder = lucarne.export(
        model, tmp_path / "unet", example=torch.rand(2, 3, 96, 128), preprocess=keys, pictures=ten_photos
    )
    assert 'activation = "sigmoid"' in written(folder)


def test_ultralytics(tmp_path: Path, ten_photos: list[Path]) -> None:
    ultralytics = pytest.importorskip("ultralytics")
    model = ultralytics.YOLO("yolo11n.yaml")
    for branch in list(model.model.model)[-1].cv3:
        nn.init.normal_(branch[-1].weight, 0, 0.5)
        nn.init.normal_(branch[-1].bias, -4, 1.0)
    folder = lucarne.export(model, tmp_path / "yolo", pictures=ten_photos[:4])
    assert 'resize = "letterbox"' in written(folder)
    assert len((folder / "labels.txt").read_text().splitlines()) == 80


def test_ultralytics_classifier(tmp_path: Path, ten_photos: list[Path]) -> None:
    ultralytics = pytest.importorskip("ultralytics")
    model = ultralytics.YOLO("yolo11n-cls.yaml")
    spread(list(model.model.model)[-1])
    folder = lucarne.export(model, tmp_path / "classes", pictures=ten_photos[:4])
    assert 'activation = "none"' in written(folder)


def test_steps_of_processors(ten_photos: list[Path]) -> None:
    """Each step that only some processors have is read, or named."""
    transformers = pytest.importorskip("transformers")
    size = {"height": 96, "width": 128}
    for processor in (
        transformers.EfficientNetImageProcessor(size=size, rescale_offset=True, resample=2),
        transformers.EfficientNetImageProcessor(size=size, include_top=False, resample=2),
        transformers.MobileViTImageProcessor(),
        transformers.LevitImageProcessor(),
        transformers.PoolFormerImageProcessor(),
    ):
        found = read(processor, None)
        assert not found.notes
        with Image.open(ten_photos[0]) as photo:
            ours, theirs = found.picture.tensor(photo), found.python(photo)
        # Theirs may resize by torchvision, which rounds otherwise than Pillow.
        assert ours.shape == theirs.shape
        assert float((ours - theirs).abs().mean() / theirs.std()) < 0.01, type(processor).__name__
    kept = read(transformers.DPTImageProcessor(keep_aspect_ratio=True, ensure_multiple_of=14), None)
    assert "keeps the aspect" in kept.notes[0]
    with pytest.raises(ExportError, match="do_thumbnail"):
        read(transformers.DonutImageProcessor(), None)


class Pair(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Conv2d(3, 8, 4, 4)
        self.mu, self.logvar = nn.Conv2d(8, 4, 1), nn.Conv2d(8, 4, 1)
        self.up = nn.ConvTranspose2d(4, 3, 4, 4)

    def encode(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        hidden = self.down(x).relu()
        return self.mu(hidden), self.logvar(hidden)

    def decode(self, z: torch.Tensor) -> torch.Tensor:
        return self.up(z).sigmoid()


def test_a_vae_by_its_methods(tmp_path: Path, ten_photos: list[Path], capsys: pytest.CaptureFixture) -> None:
    net = Pair()
    keys = {"size": (16, 16), "resize": "stretch"}
    folder = lucarne.export(lucarne.Vae(net.encode, net.decode), tmp_path / "vae", preprocess=keys)
    assert net.training, "the caller's network stays as it was"
    assert "the server answers as Python does for 2 pictures" in capsys.readouterr().out
    with lucarne.local(tmp_path) as client:
        assert client.reconstruct("vae", ten_photos[0]).size
    assert folder.joinpath("model.pt2").is_file()


class Say(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.look = nn.Conv2d(3, 6, 8, 8)
        self.words = nn.Embedding(5, 6)
        self.cell = nn.GRUCell(6, 6)
        self.out = nn.Linear(6, 5)

    def start(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        memory = self.look(x).flatten(2).transpose(1, 2)
        return memory, memory.mean(1)

    def step(self, token: torch.Tensor, memory: torch.Tensor, state: torch.Tensor) -> tuple[torch.Tensor, ...]:
        attention = (memory @ state[:, :, None]).squeeze(2).softmax(1)
        seen = (attention[:, :, None] * memory).sum(1)
        state = self.cell(self.words(token) + seen, state)
        return self.out(state), state, attention


class SayOfOne(Say):
    """Memory and first state are one tensor, and the state is of several."""

    def start(self, x: torch.Tensor) -> tuple[torch.Tensor, tuple[torch.Tensor, torch.Tensor]]:
        pooled = self.look(x).mean((2, 3))
        return pooled, (pooled, pooled)

    def step(
        self, token: torch.Tensor, memory: torch.Tensor, state: tuple[torch.Tensor, torch.Tensor]
    ) -> tuple[torch.Tensor, tuple[torch.Tensor, torch.Tensor]]:
        hidden = self.cell(self.words(token) + memory, state[0])
        return self.out(hidden + state[1]), (hidden, state[0])


@pytest.mark.parametrize("kind", [Say, SayOfOne])
def test_a_captioner_by_its_methods(
    kind: type[Say], tmp_path: Path, ten_photos: list[Path], capsys: pytest.CaptureFixture
) -> None:
    net = kind()
    captioner = lucarne.Captioner(net.start, net.step, start_token="<start>", end_token="<end>", max_length=6)
    keys = {"size": (32, 32), "resize": "stretch"}
    labels = ["<start>", "<end>", "a", "cat", "sits"]
    lucarne.export(captioner, tmp_path / "say", labels=labels, preprocess=keys, pictures=ten_photos)
    assert "the server answers as Python does for 10 pictures" in capsys.readouterr().out
    with lucarne.local(tmp_path) as client:
        assert client.predict("say", ten_photos[0]).text is not None


def test_a_picture_of_a_picture_in_half_precision(tmp_path: Path, ten_photos: list[Path], capsys: pytest.CaptureFixture) -> None:
    net = nn.Sequential(nn.Conv2d(3, 12, 3, padding=1), nn.PixelShuffle(2), nn.Sigmoid()).half()
    keys = {"size": (24, 32), "resize": "stretch"}
    output = {"range": [0, 1]}
    lucarne.export(net, tmp_path / "sharp", task="image_to_image", preprocess=keys, output=output, pictures=ten_photos)
    assert "the server answers as Python does for 10 pictures" in capsys.readouterr().out
    assert all(parameter.dtype == torch.float16 for parameter in net.parameters())


def test_a_network_that_cannot_be_exported_becomes_torchscript(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    class Counts(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(3, 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            means = x.mean((2, 3))
            if bool(means.sum() > 1e9):
                means = means * 2
            return self.fc(means)

    keys = {"size": (16, 16)}
    folder = lucarne.export(Counts(), tmp_path / "counts", task="classification", preprocess=keys)
    assert (folder / "model.pt").is_file()
    assert "torch.export cannot export the network" in capsys.readouterr().out


def test_what_differs_is_said(tmp_path: Path, ten_photos: list[Path]) -> None:
    model = spread(torchvision.models.resnet18(num_classes=4))
    transform = torchvision.models.ResNet18_Weights.DEFAULT.transforms()
    inverted = read(transform, None)

    class Inverts:
        def __call__(self, picture: object) -> torch.Tensor:
            return -inverted.python(picture)

    from lucarne_server.exporting import core

    original = core.read
    core.read = lambda *_: type(inverted)(inverted.picture, Inverts())
    try:
        with pytest.raises(ExportError, match="otherwise than Python for .* of 10 pictures"):
            lucarne.export(model, tmp_path / "wrong", preprocess=transform, pictures=ten_photos)
    finally:
        core.read = original


def test_what_cannot_be_read_is_named() -> None:
    from torchvision.transforms import v2

    for steps, words in [
        ([v2.RandomCrop(10)], "RandomCrop cannot be read"),
        ([v2.Resize(256), v2.ToImage()], "keeps the aspect"),
        ([v2.Resize(256, max_size=400)], "max_size"),
        ([v2.ToImage()], "no example"),
    ]:
        with pytest.raises(ExportError, match=words):
            read(v2.Compose(steps), None)
    with pytest.raises(ExportError, match="mode is no key"):
        read({"mode": 1}, None)
    with pytest.raises(ExportError, match="a str cannot be read"):
        read("imagenet", None)
    with pytest.raises(ExportError, match="expected an nn.Module"):
        lucarne.export(object(), "nowhere")


def test_a_task_that_is_not_known_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="task: the network does not say it; say one of classification"):
        lucarne.export(nn.Conv2d(3, 4, 1), tmp_path / "conv", preprocess={"size": (8, 8)})


class Vectors(nn.Module):
    """Two vectors, of which the second is meant."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, padding="same")
        self.fc = nn.Linear(8, 5)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        pooled = self.conv(x).clamp(-1, 1).mean((2, 3))
        return pooled, self.fc(pooled)


def test_vectors_under_a_key(tmp_path: Path, ten_photos: list[Path]) -> None:
    keys = {"size": (24, 32)}
    output = {"key": 1, "normalise": True}
    lucarne.export(Vectors(), tmp_path / "v", task="embedding", preprocess=keys, output=output, pictures=ten_photos)


def test_arguments_that_are_wrong_are_named(tmp_path: Path) -> None:
    net = torchvision.models.resnet18(num_classes=2)
    for words, arguments in [
        ("size is 64", {"preprocess": {"size": 64}}),
        ("expected auto, exported or torchscript", {"format": "onnx"}),
        ("labels: a text", {"labels": "labels.txt", "preprocess": {"size": (32, 32)}}),
        ("labels: the keys", {"labels": {"a": "b"}, "preprocess": {"size": (32, 32)}}),
        ("cannot be read", {"pictures": ["missing.png"], "preprocess": {"size": (32, 32)}}),
    ]:
        with pytest.raises(lucarne.ExportError, match=words):
            lucarne.export(net, tmp_path / "net", **arguments)
    with pytest.raises(lucarne.ExportError, match="no name of a model"):
        lucarne.export(net, tmp_path / "two words")

"""The client: how far an explanation can be trusted, how sure a model is, and which version answers."""

import shutil
from collections.abc import Iterator

import numpy as np
import pytest
from client_samples import ASTRONAUT, CHELSEA, COFFEE, GOLDEN, MODELS

from lucarne_server import Client, local
from lucarne_server.client import Evidence, LucarneError, MaskUncertainty, NotFound

SCENE = GOLDEN / "unet" / "scene_1.png"


# Evidence


def test_explanations_have_evidence(patient: Client) -> None:
    found = patient.explain("unet", SCENE, "grad_cam", "trousers", evidence=True, weights=True)
    told = found.evidence
    assert isinstance(told, Evidence) and told is found.maps[0].evidence
    for curve in (told.deletion, told.insertion):
        assert curve.scores.shape == (33,)
        assert curve.area == pytest.approx(np.trapezoid(curve.scores, dx=1 / 32), abs=1e-3)
    # The picture is whole before anything is deleted, and after all is inserted.
    assert told.deletion.scores[0] == pytest.approx(told.insertion.scores[-1], abs=1e-3)
    assert told.random.maps >= 2 and told.random.spread >= 0
    assert told.stability is not None and told.stability.copies == 3
    assert told.inside is None and told.summary
    weights = told.weights
    assert weights is not None and weights.unavailable is None and weights.summary
    assert [stage.randomised for stage in weights.stages] == ["above_the_layer"]
    assert weights.depends is (weights.stages[0].correlation < weights.threshold)
    assert found.heat().size == found.picture.size


def test_objects_have_their_share_of_the_map(patient: Client) -> None:
    found = patient.explain("nanodet", ASTRONAUT, "grad_cam", evidence=True, overlay=False)
    assert found.evidence is not None and found.evidence.inside is not None and 0 <= found.evidence.inside <= 1
    assert found.evidence.weights is None


def test_no_evidence_is_there_unasked(client: Client) -> None:
    assert client.explain("unet", SCENE, "grad_cam").evidence is None


# Uncertainty


def test_classes_have_uncertainty(client: Client) -> None:
    found = client.predict("mobilenet_v2", CHELSEA, top_k=1000, uncertainty=True)
    assert found.uncertainty is not None and found.uncertainty.tta is None
    scores = np.array([each.score for each in found.classes])
    entropy = -(scores[scores > 0] * np.log(scores[scores > 0])).sum()
    # Scores are told in few digits.
    assert found.uncertainty.entropy_nats == pytest.approx(entropy, abs=0.02)
    assert found.uncertainty.relative_entropy == pytest.approx(entropy / np.log(len(scores)), abs=0.005)
    assert found.uncertainty.margin == pytest.approx(scores[0] - scores[1], abs=2e-4)
    views = client.predict("mobilenet_v2", [CHELSEA, COFFEE], uncertainty=True, tta=True)
    for each in views:
        tta = each.uncertainty.tta
        assert tta.views == 6 and tta.same_class == (tta.agreeing == 6) and tta.score_std > 0
        assert tta.score_mean == pytest.approx(each.best.score, abs=0.2)
    assert client.predict("mobilenet_v2", CHELSEA).uncertainty is None


def test_masks_have_uncertainty(client: Client) -> None:
    found = client.predict("unet", SCENE, uncertainty=True)
    assert isinstance(found.uncertainty, MaskUncertainty)
    assert 0 < found.uncertainty.relative_entropy < 1 and found.uncertainty.mean_entropy_nats > 0
    assert client.predict("unet", SCENE).uncertainty is None


def test_other_tasks_have_no_uncertainty(client: Client) -> None:
    with pytest.raises(LucarneError) as caught:
        client.predict("nanodet", ASTRONAUT, uncertainty=True)
    assert caught.value.code == "unsupported_for_task"


# Versions


@pytest.fixture(scope="module")
def versions(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A model of two versions, of which the second serves."""
    models = tmp_path_factory.mktemp("versions")
    for number in ("1", "2"):
        folder = models / "gauge" / number
        folder.mkdir(parents=True)
        shutil.copy(MODELS / "gauge" / "model.pt", folder)
    manifest = (MODELS / "gauge" / "model.toml").read_text()
    (models / "gauge" / "model.toml").write_text(
        manifest + '\n[versions]\nload = "all"\naliases = { old = "1" }\n'
    )
    with local(models) as client:
        yield client


def test_versions_are_asked(versions: Client) -> None:
    picture = GOLDEN / "gauge" / "gauge_0.png"
    assert [versions.predict("gauge", picture, version=asked).version for asked in (None, 1, "2", "old")] == list("2121")
    assert versions.predict_array("gauge", picture, version="old").shape == (2,)
    assert versions.explain("gauge", picture, "grad_cam", "pressure", version=1).version == "1"
    methods = ["grad_cam", "hires_cam"]
    serving = versions.compare_methods("gauge", picture, methods, "pressure", version="2")
    assert serving.version == "2" and serving.show().image.width > 320
    old = versions.compare_methods("gauge", picture, methods, "pressure", version="old", resolution="original")
    assert old.version == "1" and old.show().image.width > 320
    with pytest.raises(NotFound):
        versions.predict("gauge", picture, version=3)


def test_versions_of_models_of_tensors(tensors: Client, row: dict[str, np.ndarray]) -> None:
    now = tensors.predict_tensors("fusion", row)
    assert np.array_equal(tensors.predict_tensors("fusion", row, version="1")["logits"], now["logits"])
    found = tensors.explain_tensors("fusion", row, "saliency", "logits[2]", input="signal", version="1")
    assert found.version == "1"
    with pytest.raises(NotFound):
        tensors.explain_tensors("fusion", row, "saliency", "logits[2]", input="signal", version="9")

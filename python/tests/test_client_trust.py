"""The client: how far an explanation can be trusted, and how sure a model is."""

import numpy as np
import pytest
from client_samples import ASTRONAUT, CHELSEA, COFFEE, GOLDEN

from lucarne_server import Client
from lucarne_server.client import Evidence, LucarneError, MaskUncertainty

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

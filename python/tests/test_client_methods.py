"""The client: several methods beside each other, and their heat on the picture."""

import asyncio
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from client_samples import ASTRONAUT, CHELSEA, COFFEE, GOLDEN, answering
from PIL import Image, ImageChops

from lucarne_server import AsyncClient, Client
from lucarne_server.client import LucarneError, MethodsCompared
from lucarne_server.client.heat import heat
from lucarne_server.client.placement import of_input, whole

SCENE = GOLDEN / "unet" / "scene_1.png"
METHODS = ["eigen_cam", "grad_cam", "guided_grad_cam"]


@pytest.fixture(scope="module")
def compared(patient: Client) -> MethodsCompared:
    return patient.compare_methods("unet", SCENE, METHODS, "trousers", seed=1)


# Methods beside each other


def test_methods_are_compared(patient: Client, compared: MethodsCompared) -> None:
    assert [each.method for each in compared.methods] == METHODS
    assert (compared.model, compared.target.label, compared.skipped) == ("unet", "trousers", [])
    for each in compared.methods:
        assert each.values is not None and each.values.ndim == 2 and each.layer
        assert (each.values.min(), each.values.max()) == pytest.approx((each.min, each.max), abs=1e-5)
        assert each.cost.passes > 300 and each.cost.ms > 0
    # As the same method says it alone.
    alone = patient.explain("unet", SCENE, "grad_cam", "trousers", overlay=False)
    assert compared["grad_cam"].values == pytest.approx(alone.map, abs=1e-4)
    with pytest.raises(KeyError):
        compared["rise"]


def test_places_are_by_gain(compared: MethodsCompared) -> None:
    for each in compared.methods:
        assert each.evidence is not None and each.gain is not None and each.noise is not None
        assert each.gain == pytest.approx(each.evidence.early - each.evidence.random.early, abs=1e-6)
        assert each.place is None or each.gain > each.noise
    ranking = compared.ranking
    assert sorted(each.method for each in ranking.methods) == METHODS
    gains = [each.gain for each in ranking.methods if each.place]
    assert gains == sorted(gains, reverse=True) and ranking.margin > 0
    assert compared.best == [each for each in ranking.methods if each.place == 1]
    assert all(each.method in ranking.summary for each in compared.best)


def test_maps_are_correlated(compared: MethodsCompared) -> None:
    agreement = compared.agreement
    found = agreement.correlations
    assert agreement.methods == METHODS and found.shape == (3, 3)
    assert np.array_equal(found, found.T) and np.diag(found) == pytest.approx(1)
    pairs = [(0, 1), (0, 2), (1, 2)]
    low = {(METHODS[i], METHODS[j]) for i, j in pairs if found[i, j] < agreement.threshold}
    assert low and {(pair.one, pair.other) for pair in agreement.disagreements} == low
    for pair in agreement.disagreements:
        at = METHODS.index(pair.one), METHODS.index(pair.other)
        assert pair.correlation == pytest.approx(found[at], abs=1e-3)


def test_maps_may_stay_with_the_server(patient: Client, compared: MethodsCompared) -> None:
    bare = patient.compare_methods("unet", SCENE, METHODS[1:], "trousers", seed=1, maps=False)
    assert [each.values for each in bare.methods] == [None, None]
    assert bare["grad_cam"].max == pytest.approx(compared["grad_cam"].max, abs=1e-4)
    with pytest.raises(ValueError, match="maps=True"):
        bare.show()


def test_maps_of_the_picture_itself(patient: Client, compared: MethodsCompared) -> None:
    whole_ones = patient.compare_methods(
        "unet", SCENE, METHODS[1:], "trousers", seed=1, resolution="original"
    )
    size = whole_ones.picture.size
    assert all(each.values is not None and each.values.shape[::-1] == size for each in whole_ones.methods)
    theirs, ours = (np.asarray(each.heat("grad_cam"), "i4") for each in (whole_ones, compared))
    # A map that is resized first has not quite the same extremes.
    assert np.abs(theirs - ours).mean() < 6


def test_compared_methods_are_shown(compared: MethodsCompared, tmp_path: Path) -> None:
    shown = compared.show()
    shown.save(tmp_path / "shown.png")
    picture, whole_one = compared.picture, shown.image
    cell = (whole_one.width - 2 * 6) // 3
    assert whole_one.height > cell * picture.height / picture.width
    # The first cell is the best method's heat at the picture's aspect.
    first = compared.heat(compared.ranking.methods[0].method).resize((cell, round(cell * picture.height / picture.width)))
    drawn = whole_one.crop((0, 0, *first.size))
    assert np.abs(np.asarray(drawn, "i4") - np.asarray(first, "i4")).mean() < 4
    assert ImageChops.difference(compared.heat("grad_cam"), picture).getbbox() is not None


def test_wrong_comparisons(client: Client) -> None:
    with pytest.raises(LucarneError, match="methods"):
        client.compare_methods("unet", SCENE, ["grad_cam"])
    with pytest.raises(LucarneError, match="overlay"):
        client.compare_methods("unet", SCENE, METHODS, overlay=True)
    with pytest.raises(TypeError, match="list"):
        client.compare_methods("unet", [SCENE], METHODS)  # type: ignore[arg-type]


def test_async_compares(patient: Client, compared: MethodsCompared) -> None:
    async def ask() -> MethodsCompared:
        async with AsyncClient(patient.url, timeout=300) as another:
            return await another.compare_methods("unet", SCENE, METHODS[:2], "trousers", seed=1)

    found = asyncio.run(ask())
    gains = [each.gain for each in compared.methods[:2]]
    assert [each.gain for each in found.methods] == pytest.approx(gains, abs=1e-3)
    assert found.show().image.width > 320


def a_method(name: str, place: int | None, gain: float | None) -> tuple[dict[str, Any], dict[str, Any]]:
    values = {"shape": [2, 2], "data": [0.0, 1.0, 0.5, None], "min": 0.0, "max": 1.0}
    shown = {"method": name, "map": values, "degenerate": False, "stopped_early": gain is None}
    ranked = {"method": name, "place": place, "gain": gain, "noise": None if gain is None else 0.05}
    return {**shown, "cost": {"passes": 330, "ms": 12.5}}, ranked


def answered(version: str, picture: Image.Image) -> MethodsCompared:
    """Four methods, of which one is random, one was not measured and one is skipped; its map is of version 1."""
    named = ["grad_cam", "integrated_gradients", "occlusion"]
    methods, places = zip(
        a_method(named[0], 1, 0.31), a_method(named[1], None, 0.01), a_method(named[2], None, None), strict=True
    )
    agreement = {"methods": named, "correlations": [[1, 0.1, None], [0.1, 1, None], [None, None, None]]}
    pair = {"one": named[0], "other": named[1], "correlation": 0.1}
    answer = {
        "model": "m", "version": version, "task": "classification", "timing_ms": {},
        "image": {"width": picture.width, "height": picture.height},
        "target": {"class_id": 3, "label": "cat", "score": 0.9},
        "methods": methods, "skipped": ["rise"],
        "ranking": {"rule": "by gain", "margin": 0.02, "places": places, "summary": "grad_cam says most."},
        "agreement": {**agreement, "threshold": 0.3, "disagreements": [pair], "summary": "Methods disagree."},
    }  # fmt: skip
    model = {"name": "m", "state": "ready", "version": "1", "input": {"size": [8, 8], "resize": "stretch"}}
    kind = {"content-type": "application/json"}
    said = [(200, kind, json.dumps(each).encode()) for each in (answer, model)]
    with answering(said) as (url, _), Client(url) as client:
        return client.compare_methods("m", picture, [*named, "rise"], version=version)


def test_what_was_not_measured_is_none_or_nan() -> None:
    found = answered("1", Image.new("RGB", (40, 300), "white"))
    assert np.isnan(found.agreement.correlations[2]).all() and found.skipped == ["rise"]
    assert [each.place for each in found.ranking.methods] == [1, None, None]
    late = found["occlusion"]
    assert (late.gain, late.noise, late.evidence) == (None, None, None) and late.stopped_early
    assert late.values is not None and np.isnan(late.values[1, 1])
    said = [str(each).split("\n") for each in found.ranking.methods]
    assert said == [
        ["1. grad_cam", "gain 0.310"],
        ["integrated_gradients", "gain 0.010, as random"],
        ["occlusion", "not measured"],
    ]
    # Pictures of 40 pixels leave their titles room, and have heat but for the cell that has no number.
    assert found.show().image.width > 320
    drawn = found.heat("grad_cam")
    assert drawn.getpixel((30, 20)) != (255, 255, 255) == drawn.getpixel((30, 280))


def test_maps_of_a_version_that_does_not_serve_are_not_laid_anywhere() -> None:
    found = answered("2", Image.new("RGB", (40, 30)))
    assert found["grad_cam"].values is not None
    with pytest.raises(ValueError, match='resolution="original"'):
        found.show()


# Heat


@pytest.mark.parametrize(
    ("model", "picture", "method", "target"),
    [
        ("mobilenet_v2", CHELSEA, "grad_cam", None),
        ("mobilenet_v2", 0, "grad_cam", None),
        ("mobilenet_v2", COFFEE, "input_x_gradient", None),
        ("nanodet", ASTRONAUT, "grad_cam", None),
        ("gauge", 1, "grad_cam", "pressure"),
        ("unet", SCENE, "saliency", "trousers"),
        ("super_resolution", CHELSEA, "saliency", "box=150,80,190,120"),
        ("super_resolution", 0, "input_x_gradient", "box=50,80,90,120"),
    ],
)
def test_heat_is_what_the_server_draws(
    client: Client, ten_photos: list[Path], model: str, picture: Path | int, method: str, target: str | None
) -> None:
    of = ten_photos[picture] if isinstance(picture, int) else picture
    found = client.explain(model, of, method, target)
    placement = of_input(client.model(model).input or {}, found.picture.size)
    ours, theirs = (np.asarray(each, "i4") for each in (heat(found.picture, found.map, placement), found.heat()))
    difference = np.abs(ours - theirs)
    # The server joins the colours of signed maps by a smoother curve.
    assert difference.max() <= (10 if found.map.min() < 0 else 2) and difference.mean() < 0.5


def test_maps_without_numbers_leave_the_picture() -> None:
    picture = Image.new("RGB", (8, 6), (10, 200, 30))
    nothing = heat(picture, np.full((3, 3), np.nan, "f4"), whole(picture.size))
    assert nothing.tobytes() == picture.tobytes()
    # What the model did not see keeps its colours, too.
    half = np.ones((6, 8), "f4")
    half[:, :4] = np.nan
    drawn = heat(picture, half, whole(picture.size))
    assert drawn.getpixel((1, 1)) == (10, 200, 30) != drawn.getpixel((6, 1))

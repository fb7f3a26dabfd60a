"""What a server says of its models."""

from dataclasses import dataclass, field
from typing import Any

from .result import Json, pick


@dataclass(frozen=True, kw_only=True)
class ModelInfo:
    """A model. What is none or empty is unknown until the model is `ready`; `error` says why it is `failed`.

    `raw` is the JSON, which also says how requests are batched.
    """

    name: str
    state: str
    error: str | None = None
    task: str | None = None
    description: str = ""
    version: str | None = None
    versions: list[str] = field(default_factory=list)
    input: Json | None = None
    inputs: list[Json] | None = None
    outputs: list[Json] | None = None
    labels: list[str] = field(default_factory=list, repr=False)
    device: str | None = None
    instances: int | None = None
    threads_per_instance: int | None = None
    parameters: int | None = None
    precision: str | None = None
    explain_methods: list[str] = field(default_factory=list, repr=False)
    raw: Json = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Layer:
    """A layer that a map can be asked for; `is_default` says whether it is the one that is taken without a name."""

    path: str
    kind: str
    shape: list[int]
    layout: str | None = None
    grid: list[int] | None = None
    calls: int
    is_default: bool


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """A parameter of a method."""

    name: str
    type: str
    default: Any = None
    description: str = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Method:
    """A method that explains a model.

    `needs` says what it works with. `forward` and `backward` count passes through the model, in pictures. Maps of a
    `signed` method have values below zero, which speak against the target.
    """

    method: str
    needs: str
    signed: bool
    parameters: list[Parameter]
    forward: int
    backward: int
    caution: str | None = None


def model(raw: Json) -> ModelInfo:
    """The model that `raw` describes."""
    return pick(ModelInfo, raw, raw=raw)


def layers(answer: Json) -> list[Layer]:
    """The layers of a model."""
    default = answer.get("default")
    return [pick(Layer, raw, is_default=raw["path"] == default) for raw in answer["layers"]]


def methods(answer: Json) -> list[Method]:
    """The methods that explain a model."""
    return [_method(raw) for raw in answer["explainers"]]


def _method(raw: Json) -> Method:
    passes = raw["passes"]
    parameters = [pick(Parameter, each) for each in raw["parameters"]]
    return pick(Method, raw, parameters=parameters, forward=passes["forward"], backward=passes["backward"])

"""`input` and `output` of config.pbtxt as [[inputs]] and [[outputs]]."""

import re
from pathlib import Path
from typing import Any, TypeVar

from .folder import loaded
from .pbtxt import Message
from .report import MigrationError, Report

_DTYPES = {
    "TYPE_BOOL": "bool",
    "TYPE_UINT8": "u8",
    "TYPE_INT32": "i32",
    "TYPE_INT64": "i64",
    "TYPE_FP16": "f16",
    "TYPE_FP32": "f32",
    "TYPE_FP64": "f64",
}
_NAME = re.compile(r"[A-Za-z_][\w.-]{0,63}", re.ASCII)
T = TypeVar("T")
_PLACE = re.compile(r".*__(\d{1,6})")
# What an open size is tried with: a side of a picture is larger than what a length may be.
_SIDE, _LENGTH = 224, 8


def tensor(field: Message, is_batched: bool, report: Report) -> dict[str, Any]:
    """One table of model.toml."""
    name = one(field, "name", str, "")
    if not _NAME.fullmatch(name):
        raise MigrationError(
            f"The tensor {name[:80]!r} has a name that Lucarne does not take. "
            "Names are at most 64 letters, digits, _, - and ., and begin with a letter or _."
        )
    given = one(field, "data_type", str, "")
    if given not in _DTYPES:
        cure = "Let the model take or answer a wider type."
        if given == "TYPE_STRING":
            cure = "Lucarne serves no texts."
        raise MigrationError(f"{name} is of {given[:80] or 'no type'}. Mapped are {', '.join(_DTYPES)}. {cure}")
    for key in ("is_shape_tensor", "allow_ragged_batch", "optional"):
        if True in field.get(key, []):
            raise MigrationError(f"{name} has {key}, which Lucarne has not.")
    shape = [-1] * is_batched + _dims(field, name, report)
    report.maps(f"{name} {given} {field.get('dims', [])}", f'dtype = "{_DTYPES[given]}", shape = {shape}')
    return {"name": name, "dtype": _DTYPES[given], "shape": shape}


def _dims(field: Message, name: str, report: Report) -> list[int]:
    """The sizes that the model itself sees."""
    dims = field.get("dims", [])
    reshape = field.get("reshape", [])
    if reshape:
        dims = reshape[0].get("shape", []) if isinstance(reshape[0], dict) else []
        report.leaves(f"reshape of {name}", f"Lucarne takes and answers the shape that the model sees: {dims} behind the batch.")
    if not all(type(size) is int and (size == -1 or 1 <= size < 1 << 31) for size in dims):
        raise MigrationError(f"{name} has the sizes {str(dims)[:80]}. A size is a whole number from 1, or -1.")
    return dims


def with_example(table: dict[str, Any], is_batched: bool, report: Report) -> dict[str, Any]:
    """Adds the shape that a model is tried with, where a size beside the batch is open."""
    shape: list[int] = table["shape"]
    if -1 not in shape[1 if is_batched else 0 :]:
        return table
    example = [1 if size == -1 and is_batched and at == 0 else size for at, size in enumerate(shape)]
    open_size = _SIDE if len(shape) - is_batched == 3 else _LENGTH
    example = [open_size if size == -1 else size for size in example]
    report.leaves(
        f"the open sizes of {table['name']}",
        f"The model is tried with {example}, which is a guess, and a row has at most 16 times as many values. "
        "Correct `example` and `max_elements` in model.toml.",
    )
    return {**table, "example": example}


def ordered(fields: list[Message], network: Path, report: Report) -> list[Message]:
    """In the order of forward's arguments, which Triton's PyTorch backend tells by NAME__0, or by the argument's own name."""
    names = [one(field, "name", str, "") for field in fields]
    by_name = dict(zip(names, fields, strict=True))
    if len(by_name) != len(fields):
        raise MigrationError("config.pbtxt names a tensor twice.")
    places = [_PLACE.fullmatch(name) for name in names]
    if all(places):
        numbers = [int(place[1]) for place in places if place]
        if sorted(numbers) != list(range(len(numbers))):
            raise MigrationError(f"The places of {', '.join(names)[:200]} are not 0, 1, 2 … without a gap.")
        return [field for _, field in sorted(zip(numbers, fields, strict=True), key=lambda pair: pair[0])]
    arguments = _arguments(network) if len(fields) > 1 else names
    if set(arguments) == set(names):
        return [by_name[name] for name in arguments]
    report.leaves(f"the order of {', '.join(names)[:200]}", "It is that of config.pbtxt. Compare it with that of forward.")
    return fields


def _arguments(network: Path) -> list[str]:
    """The names of forward's arguments; no method is called."""
    module = loaded(network)
    if module is None:
        return []
    return [argument.name for argument in module.forward.schema.arguments if argument.name != "self"]


def one(message: Message, key: str, of: type[T], otherwise: T) -> T:
    """The last value of a field, of the type that it should have."""
    values = message.get(key)
    if not values:
        return otherwise
    if type(values[-1]) is not of:
        raise MigrationError(f"config.pbtxt: {key} is {str(values[-1])[:80]!r}, expected {of.__name__}.")
    return values[-1]

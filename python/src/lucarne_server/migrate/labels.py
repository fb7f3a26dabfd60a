"""index_to_name.json of TorchServe as labels.txt."""

import json

from .report import MigrationError

FILE = "index_to_name.json"
BACKGROUND = "__background__"


def labels(text: str, *, background: bool) -> list[str]:
    """The labels in the order of their classes.

    With `background`, classes that count from 1 get a first label for the background, as torchvision's detectors count.
    """
    by_index = _by_index(text)
    if background and 0 not in by_index and 1 in by_index:
        by_index[0] = BACKGROUND
    missing = [index for index in range(len(by_index)) if index not in by_index]
    if missing:
        first = ", ".join(str(index) for index in missing[:5])
        raise MigrationError(
            f"{FILE} has {len(by_index)} labels up to {max(by_index)}, but none for {first}. "
            "Labels are numbered from 0 without a gap. Add the missing ones to the archive."
        )
    return [by_index[index] for index in range(len(by_index))]


def _by_index(text: str) -> dict[int, str]:
    try:
        mapping = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise MigrationError(f"{FILE} is no JSON: {error}") from error
    names = mapping.get("object_type_names") if isinstance(mapping, dict) else None
    if isinstance(names, list):
        mapping = {str(index): name for index, name in enumerate(names)}
    if not isinstance(mapping, dict) or not mapping:
        raise MigrationError(f'{FILE} is no object such as {{"0": "tench"}}.')
    by_index: dict[int, str] = {}
    for key, value in mapping.items():
        if not (key.isascii() and key.isdigit() and len(key) < 10) or int(key) in by_index:
            raise MigrationError(f"{FILE}: the key {key[:80]!r} is no class, or comes twice.")
        by_index[int(key)] = _label(key, value)
    return by_index


def _label(key: str, value: object) -> str:
    # TorchServe takes the last of several names: ["n01440764", "tench"].
    name = value[-1] if isinstance(value, list) and value else value
    if not isinstance(name, str):
        raise MigrationError(f"{FILE}: the label of {key} is neither a text nor a list of texts.")
    # A label is one line of labels.txt.
    return " ".join(name.split())

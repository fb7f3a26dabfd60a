"""A server with keys, for each scope one."""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tritonclient.utils import InferenceServerException

import own
import paths
from own import Own
from world import World, expect

SCOPES = ("predict", "explain", "admin", "metrics")
MODEL, OF_PICTURES = "scores", "gauge"
MANY = "many-scopes"
"""A key that predicts and explains."""
Call = Callable[[dict[str, str] | None], object]
"""A method of tritonclient with these headers."""


def key(scope: str) -> str:
    """One that has this scope alone."""
    return f"the-key-for-{scope}"


def bearer(secret: str) -> dict[str, str]:
    """The header, as clients write it."""
    return {"authorization": f"Bearer {secret}"}


def entry(name: str, secret: str, *scopes: str, **limits: Any) -> str:
    """A key in the file."""
    lines = [f'name = "{name}"', f'sha256 = "{hashlib.sha256(secret.encode()).hexdigest()}"']
    lines += [f"scopes = {list(scopes)}", *(f"{limit} = {value}" for limit, value in limits.items())]
    return "\n".join(["[[keys]]", *lines, ""])


@contextmanager
def guarded(world: World, *flags: str) -> Iterator[tuple[Own, Path]]:
    """A server of a model of tensors and one of pictures, and its file of keys."""
    with TemporaryDirectory(dir=world.scratch) as folder:
        models, file = Path(folder) / "models", Path(folder) / "keys.toml"
        own.put(models / MODEL, 1)
        (models / OF_PICTURES).symlink_to(paths.MODELS / OF_PICTURES)
        keys = [entry(scope, key(scope), scope) for scope in SCOPES]
        file.write_text("".join([*keys, entry("both", MANY, "predict", "explain")]), encoding="utf-8")
        with Own(world, models, "--keys-file", str(file), "--model-control", "explicit", *flags) as server:
            yield server, file


def with_each_key(what: str, call: Call, scopes: tuple[str, ...], statuses: tuple[str, str]) -> str:
    """Refused without a key, with a wrong one and with one that has not every scope; then answered with the right one.

    What needs no scope is answered with every key that is known.
    """
    unknown, forbidden = statuses
    refused: list[tuple[dict[str, str] | None, str]] = [(None, unknown), (bearer("wrong"), unknown)]
    refused += [(bearer(key(scope)), forbidden) for scope in SCOPES if scopes and (scope,) != scopes]
    said = ""
    for headers, status in refused:
        try:
            call(headers)
        except InferenceServerException as error:
            expect(error.status() == status, f"{what} with {headers}: {error.status()}, expected {status}: {error.message()}")
            said = str(error)
        else:
            expect(False, f"{what} is answered with {headers}")
    for right in [MANY] if len(scopes) > 1 else [key(scope) for scope in scopes or SCOPES]:
        call(bearer(right))
    return said

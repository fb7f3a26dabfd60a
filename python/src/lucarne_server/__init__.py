"""Lucarne in Python: export a network, serve it, ask it where it looked.

>>> import lucarne_server as lucarne
>>> lucarne.export(model, "models/cats", example=picture, task="classification", labels=names)
>>> with lucarne.local("models") as client:
...     seen = client.explain("cats", "cat.jpg")
>>> seen.show()

The server itself is a program of its own, which this package holds and starts; no Python runs in it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .client import AsyncClient, Client, LucarneError
    from .exporting import Captioner, Detector, ExportError, Vae, export
    from .migrate import import_mar, import_triton
    from .serving import local

_HOMES = {
    "export": ".exporting",
    "Captioner": ".exporting",
    "Detector": ".exporting",
    "ExportError": ".exporting",
    "LucarneError": ".client",
    "Vae": ".exporting",
    "Client": ".client",
    "AsyncClient": ".client",
    "local": ".serving",
    "import_mar": ".migrate",
    "import_triton": ".migrate",
}
__all__ = [
    "AsyncClient",
    "Captioner",
    "Client",
    "Detector",
    "ExportError",
    "LucarneError",
    "Vae",
    "export",
    "import_mar",
    "import_triton",
    "local",
]


def __getattr__(name: str) -> Any:
    # A client of a server far away needs no torch, so nothing is imported before it is asked for.
    if name in _HOMES:
        return getattr(import_module(_HOMES[name], __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

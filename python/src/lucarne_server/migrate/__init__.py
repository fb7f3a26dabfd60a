"""Models of other servers as Lucarne's model folders."""

from .report import MigrationError
from .torchserve import import_mar
from .triton import import_triton

__all__ = ["MigrationError", "import_mar", "import_triton"]

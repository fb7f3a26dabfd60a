"""What a comparison is: models to serve, and rows once they are served."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path

from .client import Client
from .table import Row


class System(ABC):
    """One server is started for one system: `export`, then `compare` while the server runs.

    Exporting keeps in `self` what the comparison needs of PyTorch; a system is used once and dropped.
    """

    name: str
    photos: Path | None = None
    """A folder of photos, where `--photos` names one."""

    @abstractmethod
    def export(self, models: Path) -> None:
        """Writes model folders into `models`, which exists and is empty."""

    @abstractmethod
    def compare(self, client: Client) -> Iterator[Row]:
        """The rows, each as soon as it is known."""

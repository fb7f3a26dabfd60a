"""What a server is asked."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Subject:
    """A folder of models with one model, and the operation that is asked of it."""

    name: str
    model: str
    kind: str
    """classification, tensors or grad_cam: which program of the peers serves it."""
    operation: str
    models: Path

    @property
    def folder(self) -> Path:
        """The model's folder."""
        return self.models / self.model

    @property
    def path(self) -> str:
        """Where Lucarne is asked."""
        return f"/v1/models/{self.model}/{self.operation}"

    @property
    def is_archivable(self) -> bool:
        """TorchServe has no Grad-CAM."""
        return self.kind != "grad_cam"

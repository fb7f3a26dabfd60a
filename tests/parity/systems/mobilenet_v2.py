"""The committed MobileNetV2 against torchvision's own module with the same weights."""

from collections.abc import Iterator
from pathlib import Path

import torch
from torchvision.models import mobilenet_v2

from harness.client import Client, map_of
from harness.comparisons import MAP_TOLERANCE, Subject, grad_cam_row, logits_rows
from harness.model_folder import classification_folder
from harness.pictures import Picture, random_picture
from harness.system import System
from harness.table import Row, relative_difference
from reference.libraries import LIBRARIES

MODEL_FILE = Path(__file__).resolve().parents[3] / "models" / "mobilenet_v2" / "model.pt"
LAYERS = ["features.18", "features.13", "features.6.conv.0"]


class MobileNetV2(System):
    """Logits, and Grad-CAM at three depths."""

    name = "mobilenet_v2"

    def export(self, models: Path) -> None:
        """The project's own TorchScript file, with logits for scores."""
        scripted = torch.jit.load(MODEL_FILE, map_location="cpu")
        classification_folder(224, 224).write(models, self.name, scripted)
        model = mobilenet_v2()
        model.load_state_dict(scripted.state_dict(), strict=True)
        self._subject = Subject("MobileNetV2", self.name, model.eval())

    def compare(self, client: Client) -> Iterator[Row]:
        """Against eager torchvision and its forward hooks."""
        pictures = [random_picture(224, 224, seed) for seed in range(4)]
        yield from logits_rows(client, self._subject, pictures)
        for layer in LAYERS:
            yield grad_cam_row(client, self._subject, pictures[0], layer)
        yield from self._library_rows(client, pictures[0])

    def _library_rows(self, client: Client, picture: Picture) -> Iterator[Row]:
        layer = LAYERS[0]
        explanation = client.explain(self.name, picture.png, method="grad_cam", layer=layer)
        # No target was asked for: the server explains its best class, and says which.
        class_id = explanation["target"]["class_id"]
        for library, reference in LIBRARIES.items():
            expected = reference(self._subject.model, picture.tensor(), layer, class_id)
            difference = relative_difference(map_of(explanation), expected)
            quantity = f"Grad-CAM at {layer} by {library}, relative"
            yield Row(self._subject.label, quantity, difference, MAP_TOLERANCE)


SYSTEMS = [MobileNetV2]

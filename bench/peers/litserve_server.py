"""LitServe serving one model. Settings and why: bench/README.md.

    python litserve_server.py classification MODEL_DIR --port 8000
"""

import argparse
from pathlib import Path
from typing import Annotated, Any

import litserve
import torch
from fastapi import Body
from torch import Tensor

import vision

# Annotated so, the body reaches decode_request as it came: no base64, no form.
RawBody = Annotated[bytes, Body(media_type="application/octet-stream")]


class Frozen(litserve.LitAPI):
    """A TorchScript file, in batches."""

    example = torch.zeros(3, 224, 224)

    def __init__(self, folder: Path, threads: int, **batching: Any) -> None:
        super().__init__(**batching)
        self._folder = folder
        self._threads = threads

    def setup(self, device: str) -> None:
        labels = self._folder / "labels.txt"
        self._labels = labels.read_text(encoding="utf-8").splitlines() if labels.exists() else []
        sizes = range(1, self.max_batch_size + 1)
        self._model = vision.load_frozen(str(self._folder / "model.pt"), self._threads, self.example, sizes)

    def batch(self, inputs: list[Tensor]) -> Tensor:
        return torch.stack(inputs)

    def predict(self, batch: Tensor) -> Tensor:
        return vision.predict(self._model, batch)

    def unbatch(self, output: Tensor) -> list[Tensor]:
        return list(output)


class Classification(Frozen):
    """A photo in, classes out."""

    def decode_request(self, request: RawBody) -> Tensor:
        return vision.preprocess(request)

    def encode_response(self, output: Tensor) -> dict[str, Any]:
        return vision.top_classes(output, self._labels)


class Tensors(Frozen):
    """A latent in, a picture out, both as JSON."""

    example = torch.zeros(20)

    def decode_request(self, request: dict) -> Tensor:  # type: ignore[type-arg]
        return vision.tensor_of(request)

    def encode_response(self, output: Tensor) -> dict[str, Any]:
        return vision.tensor_answer(output)


class GradCam(litserve.LitAPI):
    """pytorch-grad-cam on torchvision's eager module, a photo at a time: it keeps the state of one call in its hooks."""

    def __init__(self, folder: Path, threads: int) -> None:
        super().__init__()
        self._folder = folder
        self._threads = threads

    def setup(self, device: str) -> None:
        from pytorch_grad_cam import GradCAM
        from torchvision.models import mobilenet_v2

        torch.set_num_threads(self._threads)
        model = mobilenet_v2()
        model.load_state_dict(torch.jit.load(self._folder / "model.pt", map_location="cpu").state_dict())
        model = model.eval().to(memory_format=torch.channels_last)
        self._method = GradCAM(model=model, target_layers=[model.features[18]])
        self.predict(torch.zeros(1, 3, 224, 224))

    def decode_request(self, request: RawBody) -> Tensor:
        return vision.preprocess(request).unsqueeze(0)

    def predict(self, image: Tensor) -> list[list[float]]:
        # Without targets it explains the best class. Its map has the input's size; every 32nd value, one of each cell
        # of the layer, keeps the answer as short as Lucarne's.
        return self._method(input_tensor=image, targets=None)[0][16::32, 16::32].tolist()

    def encode_response(self, output: list[list[float]]) -> dict[str, Any]:
        data = [value for row in output for value in row]
        return {"explanations": [{"map": {"shape": [len(output), len(output[0])], "data": data}}]}


def main() -> None:
    """Serves until it is stopped."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("kind", choices=["classification", "tensors", "grad_cam"])
    arguments.add_argument("folder", type=Path, help="has model.pt and, where there are any, labels.txt")
    arguments.add_argument("--port", type=int, required=True)
    arguments.add_argument("--workers", type=int, default=1)
    arguments.add_argument("--threads", type=int, default=1, help="intra-op threads a worker")
    arguments.add_argument("--batch", type=int, default=8)
    arguments.add_argument("--batch-timeout", type=float, default=0.001, help="seconds")
    options = arguments.parse_args()

    batching = {"max_batch_size": options.batch, "batch_timeout": options.batch_timeout}
    apis = {
        "classification": lambda: Classification(options.folder, options.threads, **batching),
        "tensors": lambda: Tensors(options.folder, options.threads, **batching),
        "grad_cam": lambda: GradCam(options.folder, options.threads),
    }
    server = litserve.LitServer(
        apis[options.kind](),
        accelerator="cpu",
        workers_per_device=options.workers,
        # Requests wait as long as they must: nobody's answers are lost to a timeout.
        timeout=120,
    )
    server.run(host="127.0.0.1", port=options.port, log_level="warning", access_log=False, generate_client_file=False)


if __name__ == "__main__":
    main()

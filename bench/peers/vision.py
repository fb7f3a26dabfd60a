"""What both peers do with a model of pictures: the same pixels and the same answer as Lucarne's.

Imported by LitServe's server and, from its archive, by TorchServe's handler; so it depends on no other file.
"""

import io
from collections.abc import Sequence
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms import v2

TOP_K = 5
WARM_UP_PASSES = 3

_transform = v2.Compose(
    [
        v2.Resize(256, interpolation=v2.InterpolationMode.BILINEAR),
        v2.CenterCrop(224),
        v2.PILToTensor(),
        v2.ToDtype(torch.float32, scale=True),
        v2.Normalize(mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225]),
    ]
)


def preprocess(photo: bytes) -> Tensor:
    """An encoded photo → [3, 224, 224]. Resizing on the PIL image is both faster and exact."""
    with Image.open(io.BytesIO(photo)) as image:
        return _transform(image.convert("RGB"))


def load_frozen(path: str, threads: int, example: Tensor, batch_sizes: Sequence[int]) -> torch.jit.ScriptModule:
    """The TorchScript file, frozen, in channels-last, and warm at every batch size that will run.

    The profiling executor is off: it compiles anew at the first calls of each batch size, for seconds, and a frozen
    graph gains nothing from it. `example`: one input without its batch dimension.
    """
    torch.set_num_threads(threads)
    torch._C._jit_set_profiling_executor(False)
    model = torch.jit.load(path, map_location="cpu").eval()
    model = torch.jit.freeze(model.to(memory_format=torch.channels_last))
    for size in batch_sizes:
        for _ in range(WARM_UP_PASSES):
            predict(model, torch.stack([example] * size))
    return model


@torch.inference_mode()
def predict(model: torch.jit.ScriptModule, batch: Tensor) -> Tensor:
    """Pictures go in as channels-last; other tensors as they are."""
    return model(batch.contiguous(memory_format=torch.channels_last) if batch.dim() == 4 else batch)


def top_classes(logits: Tensor, labels: Sequence[str]) -> dict[str, Any]:
    """The best classes of one picture's logits [K], as Lucarne answers them."""
    scores, ids = logits.softmax(dim=0).topk(TOP_K)
    classes = [
        {"class_id": class_id, "label": labels[class_id] if labels else str(class_id), "score": score}
        for class_id, score in zip(ids.tolist(), scores.tolist(), strict=True)
    ]
    return {"predictions": [{"classes": classes}]}


def tensor_of(call: dict[str, Any]) -> Tensor:
    """The one input of a JSON call of the tensor task, without its batch dimension."""
    [given] = call["inputs"]
    return torch.tensor(given["data"], dtype=torch.float32).reshape(given["shape"][1:])


def tensor_answer(output: Tensor) -> dict[str, Any]:
    """One row of the output, as Lucarne answers it."""
    named = {"name": "x", "shape": [1, *output.shape], "data": output.flatten().tolist()}
    return {"predictions": [{"outputs": [named]}]}

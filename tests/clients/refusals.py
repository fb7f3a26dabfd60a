"""What tritonclient raises: for what is wrong, and for what this server has not."""

from collections.abc import Callable
from functools import partial

import numpy as np
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

from doors import TIMEOUT_S, triton_input
from world import Check, World, expect, files, photo

CLASSIFIER = "mobilenet_v2"
Client = triton.InferenceServerClient
Input = triton.InferInput


def _image() -> list[Input]:
    return [triton_input("image", files(photo("coffee.jpg")))]


def _zeros(*shape: int, dtype: type = np.float32) -> list[Input]:
    return [triton_input("image", np.zeros(shape, dtype=dtype))]


def _vector(name: str = "x", *shape: int, dtype: type = np.float32) -> Input:
    return triton_input(name, np.zeros(shape, dtype=dtype))


def _outputs(*names: str) -> list[triton.InferRequestedOutput]:
    return [triton.InferRequestedOutput(name) for name in names]


def _mapped(it: Client) -> None:
    (image,) = _image()
    image.set_shared_memory("region", 16)
    it.infer(CLASSIFIER, [image])


# What is done, the status that Triton answers too, and words that its text must have.
WRONG: dict[str, tuple[Callable[[Client], object], str, tuple[str, ...]]] = {
    "a model that there is not": (lambda it: it.infer("no-such-model", _image()), "404", ("no-such-model",)),
    "metadata of a model that there is not": (lambda it: it.get_model_metadata("no-such-model"), "404", ("no-such-model",)),
    "a configuration that there is not": (lambda it: it.get_model_config("no-such-model"), "404", ("no-such-model",)),
    "statistics that there are not": (lambda it: it.get_inference_statistics("no-such-model"), "404", ("no-such-model",)),
    "a version that there is not": (lambda it: it.infer(CLASSIFIER, _image(), model_version="7"), "404", ("7",)),
    "metadata of a version that there is not": (lambda it: it.get_model_metadata(CLASSIFIER, "7"), "404", ("7",)),
    "an input of another name": (
        lambda it: it.infer(CLASSIFIER, [triton_input("picture", files(photo("coffee.jpg")))]),
        "400",
        ("picture", "image"),
    ),
    "no input": (lambda it: it.infer(CLASSIFIER, []), "400", ("image",)),
    "an input too many": (lambda it: it.infer("linear", [_vector("x", 1, 3, 6, 8), _vector("y", 1)]), "400", ("y",)),
    "an input too few": (lambda it: it.infer("fusion", [_vector("vector", 1, 5)]), "400", ("signal",)),
    "an input twice": (lambda it: it.infer("linear", [_vector("x", 1, 3, 6, 8)] * 2), "400", ("x", "once")),
    "an output of another name": (
        lambda it: it.infer(CLASSIFIER, _image(), outputs=_outputs("probabilities")),
        "400",
        ("probabilities", "scores"),
    ),
    "a picture of another size": (lambda it: it.infer(CLASSIFIER, _zeros(1, 3, 225, 224)), "400", ("225", "224")),
    "a picture without a batch": (lambda it: it.infer(CLASSIFIER, _zeros(3, 224, 224)), "400", ("224",)),
    "a picture of bytes": (lambda it: it.infer(CLASSIFIER, _zeros(1, 3, 224, 224, dtype=np.uint8)), "400", ("UINT8", "FP32")),
    "a picture of doubles": (lambda it: it.infer(CLASSIFIER, _zeros(1, 3, 224, 224, dtype=np.float64)), "400", ("FP64", "FP32")),
    "a tensor of another size": (lambda it: it.infer("linear", [_vector("x", 1, 3, 6, 9)]), "400", ("x", "9")),
    "a tensor of another datatype": (
        lambda it: it.infer("linear", [_vector("x", 1, 3, 6, 8, dtype=np.int64)]),
        "400",
        ("x", "64", "32"),
    ),
    "tensors of different batches": (
        lambda it: it.infer("fusion", [_vector("signal", 2, 3, 16), _vector("vector", 1, 5), _vector("kind", 2, dtype=np.int64)]),
        "400",
        ("vector",),
    ),
    "texts for a model of numbers": (lambda it: it.infer("linear", [triton_input("x", files(b"a"))]), "400", ("x", "BYTES")),
    "a file that is no picture": (lambda it: it.infer(CLASSIFIER, [triton_input("image", files(b"no picture"))]), "415", ()),
    "a file that is cut off": (
        lambda it: it.infer(CLASSIFIER, [triton_input("image", files(photo("coffee.jpg")[:3000]))]),
        "422",
        (),
    ),
    "classes of a mask": (
        lambda it: it.infer("selfie", _image(), outputs=[triton.InferRequestedOutput("mask", class_count=2)]),
        "400",
        ("classification", "mask"),
    ),
    "shared memory as an input": (_mapped, "400", ("shared memory",)),
}

# Extensions that the metadata does not name. The status is that of a path that there is not.
NOT_THERE: dict[str, Callable[[Client], object]] = {
    "get_trace_settings": lambda it: it.get_trace_settings(),
    "get_trace_settings of a model": lambda it: it.get_trace_settings(CLASSIFIER),
    "update_trace_settings": lambda it: it.update_trace_settings(settings={"trace_level": ["TIMESTAMPS"]}),
    "get_log_settings": lambda it: it.get_log_settings(),
    "update_log_settings": lambda it: it.update_log_settings({"log_info": True}),
    "get_system_shared_memory_status": lambda it: it.get_system_shared_memory_status(),
    "register_system_shared_memory": lambda it: it.register_system_shared_memory("region", "/region", 16),
    "unregister_system_shared_memory": lambda it: it.unregister_system_shared_memory("region"),
    "unregister_system_shared_memory of all": lambda it: it.unregister_system_shared_memory(),
    "get_cuda_shared_memory_status": lambda it: it.get_cuda_shared_memory_status(),
    "register_cuda_shared_memory": lambda it: it.register_cuda_shared_memory("region", b"handle", 0, 16),
    "unregister_cuda_shared_memory": lambda it: it.unregister_cuda_shared_memory("region"),
}


def _refused(call: Callable[[Client], object], status: str, words: tuple[str, ...], world: World) -> str:
    with Client(world.address, network_timeout=TIMEOUT_S) as it:
        said = ""
        try:
            call(it)
        except InferenceServerException as error:
            said = str(error)
            expect(error.status() == status, f"status {error.status()}, expected {status}: {error.message()}")
            missing = [word for word in words if word not in error.message()]
            expect(not missing, f"without {missing}: {error.message()}")
        expect(bool(said), "nothing was raised")
        # The connection serves on.
        expect(it.is_server_live(), "the server is not live")
    return said


CHECKS = (
    *(Check("tritonclient", f"refused: {what}", partial(_refused, *case)) for what, case in WRONG.items()),
    *(Check("tritonclient", f"not there: {what}", partial(_refused, call, "404", ())) for what, call in NOT_THERE.items()),
)

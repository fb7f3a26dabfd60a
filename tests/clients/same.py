"""That answers are the same to the last bit."""

import numpy as np

from world import Tensors, expect


def close(found: Tensors, wanted: Tensors) -> None:
    """Raises unless both have the same names, and values as a batch of another size makes them."""
    expect(list(found) == list(wanted), f"outputs {list(found)}, expected {list(wanted)}")
    for name, tensor in wanted.items():
        expect(np.allclose(found[name], tensor, rtol=1e-5, atol=1e-6), f"{name}: {found[name]!r}, expected {tensor!r}"[:400])


def same(found: Tensors, wanted: Tensors) -> None:
    """Raises unless both have the same names in the same order, and the same bits."""
    expect(list(found) == list(wanted), f"outputs {list(found)}, expected {list(wanted)}")
    for name, tensor in wanted.items():
        kind = (found[name].shape, found[name].dtype)
        expect(kind == (tensor.shape, tensor.dtype), f"{name}: {kind}, expected {tensor.shape} {tensor.dtype}")
        if tensor.dtype == np.object_:
            expect(found[name].tolist() == tensor.tolist(), f"{name}: {found[name]!r}, expected {tensor!r}"[:400])
        else:
            expect(found[name].tobytes() == tensor.tobytes(), f"{name}: other bits")

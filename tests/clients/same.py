"""That answers are the same to the last bit."""

import numpy as np

from world import Tensors, expect


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

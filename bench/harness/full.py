"""Takes the memory of a GPU: `python3 full.py cuda:0` reads lines from its input, each the MiB that shall be left, and says
after each how many are. It gives all of it back when its input ends.
"""

import os
import sys
from collections.abc import Callable

LARGEST_MB = 1 << 14


def take(leave_mb: int, free_mb: Callable[[], int], grab: Callable[[int], bool]) -> int:
    """Grabs pieces, ever smaller ones, until no more than `leave_mb` are free or nothing can be grabbed; what is free then."""
    piece = LARGEST_MB
    while piece:
        if free_mb() - leave_mb < piece or not grab(piece):
            piece //= 2
    return free_mb()


def main(device: str) -> None:
    """See above."""
    # Without a cache each piece is memory of the driver's, and is given back when it is dropped.
    os.environ["PYTORCH_NO_CUDA_MEMORY_CACHING"] = "1"
    import torch

    held: list[torch.Tensor] = []

    def grab(piece_mb: int) -> bool:
        try:
            held.append(torch.empty(piece_mb << 20, dtype=torch.uint8, device=device))
        except RuntimeError:
            return False
        return True

    def free_mb() -> int:
        return torch.cuda.mem_get_info(device)[0] >> 20

    torch.zeros(1, device=device)
    print(f"ready {free_mb()}", flush=True)
    for line in sys.stdin:
        held.clear()
        print(take(int(line), free_mb, grab), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])

"""A bound on what a server may take, as a container has one."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

GROUPS = Path("/sys/fs/cgroup")
NAME = "lucarne-torture"


def _group(most: int) -> Path | None:
    """A new control group with this bound, where this machine lets us make one."""
    for root, bound in ((GROUPS, "memory.max"), (GROUPS / "memory", "memory.limit_in_bytes")):
        group = root / NAME
        with contextlib.suppress(OSError):
            group.mkdir(exist_ok=True)
            if (group / bound).exists():
                (group / bound).write_text(str(most))
                return group
            group.rmdir()
    return None


@contextlib.contextmanager
def bounded(most_mb: int) -> Iterator[list[str]]:
    """What to put before a command, so that it and its children take no more than this together."""
    if not most_mb:
        yield []
        return
    group = _group(most_mb << 20)
    if group is None:
        raise RuntimeError("no control group for memory can be made here; run it as root, or in a container of that size")
    try:
        yield ["sh", "-c", f'echo $$ > {group / "cgroup.procs"} && exec "$0" "$@"']
    finally:
        with contextlib.suppress(OSError):
            group.rmdir()

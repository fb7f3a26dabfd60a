"""Writes a TorchScript module to a file that is the same bytes wherever it is made.

`torch.jit.save` adds a `.debug_pkl` record beside each source record: the lines of the Python files, with the
absolute paths of the machine that exported them. libtorch reads a module without them; leaving them out keeps
private paths out of the repository. The constants of a class come in the order of a Python set, which changes with
every process; they are sorted here, so that two people who run a recipe can compare sha256 sums.
"""

import hashlib
import io
import re
from pathlib import Path

import torch

# Written by the archive writer itself when it closes the file.
_WRITTEN_BY_WRITER = {"version", ".data/serialization_id"}
_CONSTANTS = re.compile(rb"(?:^  \w+ : Final\[.*\n)+", re.MULTILINE)


def save(module: torch.jit.ScriptModule, path: Path) -> str:
    """Saves `module` at `path`, the same bytes every time, and returns the file's sha256 in hex."""
    buffer = io.BytesIO()
    torch.jit.save(module, buffer)
    buffer.seek(0)
    reader = torch._C.PyTorchFileReader(buffer)
    writer = torch._C.PyTorchFileWriter(str(path))
    for name in reader.get_all_records():
        if name in _WRITTEN_BY_WRITER or name.endswith(".debug_pkl"):
            continue
        record = reader.get_record(name)
        if name.endswith(".py"):
            record = _CONSTANTS.sub(_sort_lines, record)
        writer.write_record(name, record, len(record))
    writer.write_end_of_file()
    return sha256_of(path)


def sha256_of(path: Path) -> str:
    """The sha256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sort_lines(found: re.Match[bytes]) -> bytes:
    return b"".join(sorted(found.group().splitlines(keepends=True)))

"""Programs of other revisions, each built once."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from .paths import REPOSITORY

CACHE = REPOSITORY / ".cache"
BUILT = CACHE / "compare"
"""A folder a commit, and `target`, which the commits share, so that their dependencies are compiled once."""
TOOLS = {
    "LIBTORCH": CACHE / "libtorch",
    "CMAKE": CACHE / "tools" / "bin" / "cmake",
    "ASM_NASM": CACHE / "tools" / "bin" / "nasm",
}
"""As `.cargo/config.toml` has them. There the paths are relative, and another revision has no `.cache` of its own."""


def program_of(base: str) -> Path:
    """`base`: the path of a program, or a git revision of this repository."""
    path = Path(base)
    if path.is_file():
        return path.resolve()
    if path.is_dir():
        raise SystemExit(f"{base} is a folder: name the program in it, or a git revision")
    git = ["git", "-C", str(REPOSITORY), "rev-parse", "--verify", "--quiet", f"{base}^{{commit}}"]
    found = subprocess.run(git, stdout=subprocess.PIPE, text=True, check=False)
    if found.returncode != 0:
        raise SystemExit(f"{base} is neither a program nor a git revision of {REPOSITORY}")
    return _built(found.stdout.strip())


def _built(commit: str) -> Path:
    folder = BUILT / commit
    program = folder / "lucarne"
    if program.exists():
        return program
    print(f"building {commit} into {folder}", file=sys.stderr)
    # Always the same path for a commit: cargo tells the sources of two commits apart by their paths.
    source = folder / "source"
    _export(commit, source)
    target = BUILT / "target"
    environment = {**{name: str(path) for name, path in TOOLS.items()}, **os.environ, "CARGO_TARGET_DIR": str(target)}
    cargo = ["cargo", "build", "--release", "--locked", "--bin", "lucarne"]
    if subprocess.run(cargo, cwd=source, env=environment, check=False).returncode != 0:
        raise SystemExit(
            f"{commit} could not be built with the libtorch of this checkout: build it elsewhere, and name its program"
        )
    # Renamed into place when it is whole.
    unfinished = folder / "unfinished"
    shutil.copy2(target / "release" / "lucarne", unfinished)
    unfinished.replace(program)
    shutil.rmtree(source)
    return program


def _export(commit: str, source: Path) -> None:
    """The files of the commit, and no others."""
    shutil.rmtree(source, ignore_errors=True)
    source.mkdir(parents=True)
    with tempfile.NamedTemporaryFile(suffix=".tar") as archive:
        git = ["git", "-C", str(REPOSITORY), "archive", "--format", "tar", "--output", archive.name, commit]
        subprocess.run(git, check=True)
        shutil.unpack_archive(archive.name, source, "tar", filter="data")

"""The server's program, and the libtorch that it runs on."""

import os
import sys
from importlib.util import find_spec
from pathlib import Path

_BESIDE = Path(__file__).resolve().parent


def program() -> Path:
    """The program in this package; `LUCARNE_PROGRAM` names another, as one that was just built."""
    other = os.environ.get("LUCARNE_PROGRAM")
    found = Path(other) if other else _BESIDE / "bin" / "lucarne"
    if not found.is_file():
        raise FileNotFoundError(
            f"{found} is not there: install the wheel (pip install lucarne-server), or name a program by LUCARNE_PROGRAM"
        )
    return found


def environment() -> dict[str, str]:
    """The environment in which the program finds libtorch, which is that of the installed torch."""
    variables = dict(os.environ)
    spec = find_spec("torch")  # Found, and not imported: that would take seconds.
    folders = list(spec.submodule_search_locations or []) if spec else []
    if not folders:
        raise ModuleNotFoundError("torch is not installed: pip install 'torch==2.13.*'")
    torch = Path(folders[0]).resolve()
    if torch != (_BESIDE.parent / "torch").resolve() and "LUCARNE_PROGRAM" not in os.environ:
        # It lies in another folder of packages than this one, where the program does not look.
        before = [str(torch / "lib"), variables.get("LD_LIBRARY_PATH", "")]
        variables["LD_LIBRARY_PATH"] = os.pathsep.join(filter(None, before))
    return variables


def become(arguments: list[str]) -> None:
    """Runs the program in place of this process, so that signals and exit status are its own."""
    sys.stdout.flush()
    os.execve(program(), ["lucarne", *arguments], environment())

"""An eager model of an archive: its Python is run in a process of its own, which leaves TorchScript."""

import os
import subprocess
import sys
from pathlib import Path

from .report import MigrationError

# The child finds this package wherever it was imported from.
_PACKAGES = Path(__file__).resolve().parents[2]


def script(code: Path, model_file: str, weights: str | None, target: Path, task: str) -> str:
    """Builds the network of `model_file` in the folder `code`, writes it to `target`, and says how it was exported.

    This runs the archive's Python.
    """
    words = [str(code), model_file, weights or "", str(target), task]
    search = [str(_PACKAGES), *filter(None, [os.environ.get("PYTHONPATH")])]
    answer = subprocess.run(
        [sys.executable, "-m", "lucarne_server.migrate.build", *words],
        cwd=target.parent,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(search)},
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    told = target.with_suffix(".how")
    if answer.returncode != 0 or not told.is_file():
        last = "\n".join(answer.stderr.strip().splitlines()[-8:])
        cure = "\nInstall that package beside lucarne-server." if "ModuleNotFoundError" in last else ""
        raise MigrationError(f"{model_file} was run, and did not become TorchScript:\n{last}{cure}")
    return told.read_text(encoding="utf-8")

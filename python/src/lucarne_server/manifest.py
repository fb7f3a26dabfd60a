"""model.toml, and what the server's program says of a folder that has one."""

import subprocess
from pathlib import Path
from typing import Any

import tomlkit

from .program import environment, program


def toml_text(settings: dict[str, Any]) -> str:
    """The text of a model.toml, with each list on one line."""
    return tomlkit.dumps(settings)


def refusal(folder: Path) -> str | None:
    """What `lucarne check` finds wrong with the model; nothing where it is right."""
    command = [str(program()), "check", str(folder)]
    answer = subprocess.run(command, env=environment(), capture_output=True, text=True, errors="replace", check=False)
    if answer.returncode == 0:
        return None
    return answer.stdout.strip() or answer.stderr.strip()

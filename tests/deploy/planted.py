"""Whether the checks can fail: mistakes are made in copies of deploy/, and each must be found by its check."""

import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import yaml

import paths
from world import Check, World

Outcome = Callable[[Check, World], tuple[str, str, float]]


def find_all(deploy: Path, program: Path, checks: Sequence[Check], outcome: Outcome, words: Sequence[str]) -> int:
    """Prints a line a mistake, and answers how many were not found."""
    missed = found = 0
    for mistake in yaml.safe_load((paths.HERE / "planted.yaml").read_text()):
        if words and not any(word in f"{mistake['file']} {mistake['check']}" for word in words):
            continue
        with tempfile.TemporaryDirectory(prefix="lucarne-planted-") as folder:
            copy, scratch = Path(folder) / "deploy", Path(folder) / "scratch"
            shutil.copytree(deploy, copy)
            scratch.mkdir()
            file = copy / mistake["file"]
            text = file.read_text()
            [check] = [check for check in checks if mistake["check"] in check.what]
            if mistake["old"] not in text:
                verdict, seen = "gone", f"there is no {mistake['old']!r} any more"
            else:
                file.write_text(text.replace(mistake["old"], mistake["new"]))
                verdict, seen, _ = outcome(check, World(copy, program, scratch))
        is_found = verdict in {"FAIL", "skipped"}
        found, missed = found + is_found, missed + (not is_found)
        print(
            f"{'found' if verdict == 'FAIL' else verdict:8} {mistake['file']}, {mistake['new']!r}: {seen[:160]}",
            flush=True,
        )
    print(f"{found} passed, {missed} failed")
    return missed if found else 1

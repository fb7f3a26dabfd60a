"""The programs of docs/clients.md, each as it stands: what it prints, and the picture that it saves.

A block of the language `text` directly behind a program shows what it prints; there `…` stands for anything. In one of `json` the
labels are looked for. Programs run in a folder with links to those of the repository; one with a key asks a server that knows it.
"""

import io
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from PIL import Image

import paths
from keyed import entry
from own import Own
from world import Check, Skipped, World, expect

DOCUMENT = paths.REPOSITORY / "docs" / "clients.md"
ADDRESS, KEY, WATCHES = "127.0.0.1:8080", "secret", "watch"
MODEL, PHOTO = "mobilenet_v2", paths.PHOTOS / "coffee.jpg"
RUNS_WITHIN_S = 300.0
OLDEST_NODE = 18
NAMES = {"sh": "block.sh", "python": "predict.py", "javascript": "predict.mjs", "go": "predict.go"}
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```\n(?:\s*```(text|json)\n(.*?)^```\n)?", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Program:
    """A block that is run, and what the document shows of its answer."""

    line: int
    language: str
    text: str
    shows: str
    """`text`, `json` or nothing."""
    shown: str

    @property
    def has_key(self) -> bool:
        """Whether it asks with a key."""
        return "Bearer" in self.text

    @property
    def is_refused(self) -> bool:
        """Whether it asks faster than its key may, and must ask again."""
        return self.shown.count("\n") > 1 and self.has_key


def programs() -> Iterator[Program]:
    """Those of the document, in their order."""
    document = DOCUMENT.read_text(encoding="utf-8")
    for found in BLOCK.finditer(document):
        language, text, shows, shown = found.groups()
        if language in NAMES:
            line = document[: found.start()].count("\n") + 1
            yield Program(line, language, text, shows or "", shown or "")


def _command(language: str, file: Path) -> list[str]:
    match language:
        case "sh":
            head = 'curl() { command curl --silent --show-error --fail-with-body "$@"; }'
            return ["bash", "-euo", "pipefail", "-c", f"{head}\n{file.read_text(encoding='utf-8')}"]
        case "python":
            return [sys.executable, str(file)]
        case "javascript":
            return [_node(), str(file)]
        case "go":
            return [_found("go", "golang-go"), "run", str(file)]
    raise ValueError(language)


def _found(name: str, package: str) -> str:
    program = shutil.which(name)
    if program is None:
        raise Skipped(f"there is no {name} on this machine; Debian has it in {package}")
    return program


def _node() -> str:
    program = _found("node", "nodejs")
    version = subprocess.run([program, "--version"], check=True, capture_output=True, text=True).stdout.strip()
    if int(version.lstrip("v").split(".")[0]) < OLDEST_NODE:
        raise Skipped(f"node is {version}, which has no fetch; it came with {OLDEST_NODE}")
    return program


def _runs(program: Program, world: World) -> str:
    if not program.has_key:
        return _answered(program, world.address, world.scratch)
    with _guarded(world) as server:
        said = _answered(program, server.address, world.scratch)
        refused = _refused(server)
    expect(bool(refused) is program.is_refused, f"{refused} requests were beyond the limit of the key")
    return f"{said} ({refused} were asked again)" if refused else said


def _answered(program: Program, address: str, scratch: Path) -> str:
    with tempfile.TemporaryDirectory(dir=scratch) as name:
        folder = Path(name)
        for each in ("docs", "models", "tests"):
            (folder / each).symlink_to(paths.REPOSITORY / each)
        file = folder / NAMES[program.language]
        file.write_text(program.text.replace(ADDRESS, address), encoding="utf-8")
        expect(address in file.read_text(encoding="utf-8"), f"it names no {ADDRESS}")
        # What Go compiles once is kept; it needs no module here.
        env = {**os.environ, "GOCACHE": str(paths.CACHE / "go-build"), "GO111MODULE": "off"}
        command = _command(program.language, file)
        done = subprocess.run(command, capture_output=True, text=True, timeout=RUNS_WITHIN_S, cwd=folder, env=env)
        words = f"{done.stdout} {done.stderr}"
        expect(done.returncode == 0, f"status {done.returncode}: {words[-280:]}")
        _as_shown(program, done.stdout)
        if "overlay.png" in program.text:
            _is_overlay(folder / "overlay.png")
    return done.stdout


def _as_shown(program: Program, printed: str) -> None:
    if program.shows == "text":
        pattern = ".*".join(map(re.escape, program.shown.split("…")))
        expect(re.fullmatch(pattern, printed) is not None, f"printed {printed!r}, shown is {program.shown!r}")
    if program.shows == "json":
        labels = [re.findall(r'"label": ?"([^"]*)"', text) for text in (printed, program.shown)]
        expect(labels[0] == labels[1] != [], f"labels {labels[0]}, shown are {labels[1]}")
        json.loads(printed)


def _is_overlay(file: Path) -> None:
    """A picture of the photo's size that is another one."""
    overlay = Image.open(io.BytesIO(file.read_bytes()))
    photo = Image.open(PHOTO)
    expect((overlay.format, overlay.size) == ("PNG", photo.size), f"{overlay.format} of {overlay.size}")
    expect(overlay.convert("RGB").tobytes() != photo.convert("RGB").tobytes(), "nothing is drawn on it")


@contextmanager
def _guarded(world: World) -> Iterator[Own]:
    """A server that knows the document's key, and lets it ask once in two seconds."""
    with tempfile.TemporaryDirectory(dir=world.scratch) as folder:
        models, keys = Path(folder) / "models", Path(folder) / "keys.toml"
        models.mkdir()
        (models / MODEL).symlink_to(paths.MODELS / MODEL)
        document = entry("document", KEY, "predict", "explain", requests_per_s=0.5)
        keys.write_text(document + entry("watch", WATCHES, "metrics"), encoding="utf-8")
        with Own(world, models, "--keys-file", str(keys)) as server:
            yield server


def _refused(server: Own) -> int:
    """Requests that were beyond the limit of the key."""
    request = urllib.request.Request(f"{server.url}/metrics", headers={"X-API-Key": WATCHES})
    with urllib.request.urlopen(request, timeout=60) as answer:
        found = re.search(r'^lucarne_failures_total\{code="rate_limited"\} (\d+)', answer.read().decode(), re.MULTILINE)
    return int(found[1]) if found else 0


CHECKS = tuple(
    Check("docs/clients.md", f"{program.language}, line {program.line}", partial(_runs, program)) for program in programs()
)

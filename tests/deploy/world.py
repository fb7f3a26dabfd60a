"""What a check is, and what it is given."""

import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import yaml

import paths


class Failed(Exception):
    """What is looked at is wrong; the message says what."""


class Skipped(Exception):
    """A check cannot run here; the message says why."""


@dataclass
class World:
    """The folder that is checked, the server's program, and what is made of them once."""

    deploy: Path
    program: Path
    scratch: Path
    runbooks: Path = paths.REPOSITORY / "docs" / "runbooks.md"
    _rendered: dict[str, list[dict]] = field(default_factory=dict)

    @property
    def chart(self) -> Path:
        """The chart's folder."""
        return self.deploy / "helm" / "lucarne"

    @cached_property
    def value_sets(self) -> dict[str, Path | None]:
        """The chart's defaults, and each file of values, by name."""
        files = sorted((self.deploy / "helm" / "values").glob("*.yaml"))
        return {"defaults": None, **{file.stem: file for file in files}}

    def rendered(self, name: str) -> list[dict]:
        """The resources that helm makes of a set of values."""
        if name not in self._rendered:
            file = self.value_sets[name]
            text = self.template(*(["--values", str(file)] if file else []))
            self._rendered[name] = [document for document in yaml.safe_load_all(text) if document]
        return self._rendered[name]

    def template(self, *flags: str) -> str:
        """What `helm template` prints; Failed with its words where it refuses."""
        return run([paths.HELM, "template", "release", self.chart, "--namespace", "vision", *flags])


@dataclass(frozen=True)
class Check:
    """`run` answers what it saw, and raises Failed where that is wrong."""

    what: str
    run: Callable[[World], str]


def run(command: Sequence[str | Path], **options: object) -> str:
    """The standard output of a command; Failed with what it says where it fails."""
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False, **options)
    if done.returncode:
        raise Failed(f"{Path(command[0]).name} {command[1]}: {(done.stderr + done.stdout).strip()[-2000:]}")
    return done.stdout


def must(truth: object, what: str) -> None:
    """Failed unless it is so."""
    if not truth:
        raise Failed(what)


def of_kind(documents: list[dict], kind: str) -> list[dict]:
    """The resources of one kind."""
    return [document for document in documents if document["kind"] == kind]

"""Runs functions in a process of its own, since tritonclient.grpc and kserve both register `inference.*` and cannot be in one.

It is started when it is first asked for something, and ends with the process that asks.
"""

import importlib
import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from world import Check, Skipped, World, Wrong


class Apart:
    """The other process; it may import tritonclient.grpc, which this one must not."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def call(self, module: str, function: str, *arguments: object) -> Any:
        """What `function` of `module` gives there; raises what it raises, in words."""
        if self._process is None or self._process.poll() is not None:
            command = [sys.executable, str(Path(__file__).resolve())]
            self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        there, back = self._process.stdin, self._process.stdout
        assert there is not None and back is not None
        pickle.dump((module, function, arguments), there)
        there.flush()
        try:
            is_done, answer = pickle.load(back)
        except EOFError as error:
            raise Wrong(f"the other process ended with status {self._process.wait()}") from error
        if is_done:
            return answer
        raise answer


APART = Apart()


def checks(module: str) -> Iterator[Check]:
    """The `CHECKS` of a module that runs there."""
    for number, (client, what) in enumerate(APART.call("apart", "named", module)):

        def run(world: World, number: int = number) -> str | None:
            return APART.call("apart", "run", module, number, world)

        yield Check(client, what, run)


def named(module: str) -> list[tuple[str, str]]:
    """There: the checks of a module."""
    return [(check.client, check.what) for check in importlib.import_module(module).CHECKS]


def run(module: str, number: int, world: World) -> str | None:
    """There: one of them."""
    return importlib.import_module(module).CHECKS[number].run(world)


def _answered(asked: IO[bytes], answers: IO[bytes]) -> None:
    module, function, arguments = pickle.load(asked)
    try:
        answer = True, getattr(importlib.import_module(module), function)(*arguments)
    except (Wrong, Skipped) as why:
        answer = False, type(why)(*why.args)
    except Exception as error:  # noqa: BLE001  (not every exception can be sent)
        answer = False, Wrong(f"{type(error).__name__}: {error}")
    pickle.dump(answer, answers)
    answers.flush()


def main() -> None:
    """Answers until nothing more is asked."""
    # What a client prints must not come between the answers.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    while True:
        try:
            _answered(sys.stdin.buffer, answers)
        except EOFError:
            return


if __name__ == "__main__":
    main()

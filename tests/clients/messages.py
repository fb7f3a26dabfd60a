"""Reads answers as Triton's own messages; fields, enumerations and types that those have not raise.

    tests/clients/messages.py < answers.json      [["ModelConfig", {…}], …]

It is a program of its own, since tritonclient.grpc and kserve both register `inference.*` and cannot be in one process.
"""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

TIMEOUT_S = 60.0
Answer = tuple[str, object]


def check(answers: Sequence[Answer]) -> None:
    """Raises for the first that is no such message."""
    command = [sys.executable, str(Path(__file__).resolve())]
    done = subprocess.run(command, input=json.dumps(answers), capture_output=True, text=True, timeout=TIMEOUT_S)
    if done.returncode:
        raise AssertionError(done.stderr.strip().splitlines()[-1])


def main() -> None:
    """Reads standard input."""
    from google.protobuf.json_format import ParseDict
    from tritonclient.grpc import model_config_pb2, service_pb2

    for name, answer in json.load(sys.stdin):
        module = service_pb2 if hasattr(service_pb2, name) else model_config_pb2
        ParseDict(answer, getattr(module, name)())


if __name__ == "__main__":
    main()

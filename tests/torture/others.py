"""What other tools make up: requests from the OpenAPI document, bytes for each function that reads some, orders of threads."""

import os
import subprocess
import tempfile
from pathlib import Path

from harness import ALL_MODELS, REPOSITORY, Server


def fuzzed(seconds: int) -> list[str]:
    """Every fuzz target; what was found."""
    command = [str(REPOSITORY / "scripts/fuzz"), "--seconds", str(seconds)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    print(done.stdout, end="", flush=True)
    failed = [line.split("|")[2].strip() for line in done.stdout.splitlines() if "FAILED" in line]
    if not failed and done.returncode:
        failed = ["they did not run"]
    return [f"fuzz: {target}" for target in failed]


def interleaved(count: int) -> list[str]:
    """The engine's scenarios in so many orders each."""
    command = ["cargo", "test", "--release", "-p", "interleavings"]
    environment = {**os.environ, "INTERLEAVINGS": str(count)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=REPOSITORY, check=False)
    passed = sum(line.endswith(" ... ok") for line in done.stdout.splitlines())
    print(f"| orders of threads | {passed} scenarios | 2 × {count} orders each | |", flush=True)
    if done.returncode or not passed:
        print(done.stdout[-3000:], done.stderr[-1000:])
        return ["orders of threads: see above"]
    return []


def conforming(program: Path, seconds: int, seed: int | None) -> list[str]:
    """Schemathesis over the server's own document, with this seed or any; what it found."""
    python = REPOSITORY / ".cache/torture-venv"
    requirements = REPOSITORY / "tests/torture/requirements.txt"
    subprocess.run([str(REPOSITORY / "scripts/python-environment"), str(requirements), str(python)], check=True)
    with Server(program, ALL_MODELS, ["--log", "error"]) as server, tempfile.TemporaryDirectory() as scratch:
        server.until_ready()
        url = f"http://127.0.0.1:{server.port}"
        command = [
            str(python / "bin/schemathesis"),
            "--config-file",
            str(REPOSITORY / "tests/torture/schemathesis.toml"),
            "run",
            f"{url}/openapi.json",
            f"--url={url}",
            "--checks=all",
            f"--max-time={seconds}",
            "--workers=2",
            "--continue-on-failure",
            *([] if seed is None else [f"--seed={seed}"]),
        ]
        done = subprocess.run(command, capture_output=True, text=True, cwd=scratch, check=False)
        lives = server.lives()
    tail = done.stdout[done.stdout.rfind("SUMMARY") :] if "SUMMARY" in done.stdout else done.stdout
    cases = next((line.strip() for line in tail.splitlines() if "generated" in line), "")
    print(f"| requests from the document | {seconds} s | {cases} | |", flush=True)
    if done.returncode or not lives:
        print(done.stdout[-6000:], done.stderr[-1000:])
        return ["requests from the document: see above"] + ([] if lives else ["the server ended"])
    return []

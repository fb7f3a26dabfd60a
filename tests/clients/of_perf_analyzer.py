"""perf_analyzer, which measures Triton: that it can measure this server, not how fast it is.

Its wheel is for glibc 2.38. On an older Debian it runs with the libraries of trixie, which apt fetches into .cache.
"""

import csv
import json
import os
import platform
import shutil
import subprocess
import sys
import urllib.request
import zipfile
from functools import partial
from pathlib import Path

import paths
from world import Check, Skipped, World, Wrong, expect

VERSION = "2.60.0"
OLDEST = (2, 38)
LIBRARIES = ("libc6", "libstdc++6", "libgcc-s1", "zlib1g", "libssl3t64", "libzstd1")
SOURCE = "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian trixie main\n"
FOLDER = paths.CACHE / "perf-analyzer" / VERSION
RUNS_WITHIN_S = 120.0


def analyzer() -> list[str]:
    """How it is started; fetched where it is not there yet."""
    if platform.machine() != "x86_64" or sys.platform != "linux":
        raise Skipped("perf_analyzer is built for x86-64 Linux alone")
    program = FOLDER / "perf_analyzer" / "bin" / "perf_analyzer"
    if not program.is_file():
        _fetch_program()
    program.chmod(0o755)
    if tuple(map(int, platform.libc_ver()[1].split("."))) >= OLDEST:
        return [str(program)]
    libraries = FOLDER / "trixie" / "usr" / "lib" / "x86_64-linux-gnu"
    if not libraries.is_dir():
        _fetch_libraries()
    return [str(libraries / "ld-linux-x86-64.so.2"), "--library-path", str(libraries), str(program)]


def _run(*command: str | Path, within: Path | None = None) -> None:
    """Something that fetches; without it there is nothing to try."""
    try:
        subprocess.run([str(word) for word in command], check=True, capture_output=True, text=True, timeout=600, cwd=within)
    except (OSError, subprocess.SubprocessError) as error:
        words = (getattr(error, "stderr", None) or str(error)).strip().splitlines()
        raise Skipped(f"{Path(command[0]).name} did not fetch perf_analyzer or its libraries: {words[-1:]}") from error


def _fetch_program() -> None:
    wheels = FOLDER / "wheel"
    where = ("--platform", "manylinux_2_38_x86_64", "--only-binary", ":all:", "--no-deps", "--dest", wheels)
    python = shutil.which("python3", path=os.defpath) or "python3"
    _run(python, "-m", "pip", "download", "--disable-pip-version-check", "--quiet", *where, f"perf-analyzer=={VERSION}")
    (wheel,) = wheels.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(FOLDER)


def _fetch_libraries() -> None:
    """By apt, in a state of its own: nothing is installed."""
    state = FOLDER / "apt"
    for folder in ("lists/partial", "archives/partial", "debs"):
        (state / folder).mkdir(parents=True, exist_ok=True)
    (state / "status").touch()
    (state / "sources.list").write_text(SOURCE, encoding="utf-8")
    settings = {
        "Dir::State": state,
        "Dir::State::status": state / "status",
        "Dir::Cache": state,
        "Dir::Etc::SourceList": state / "sources.list",
        "Dir::Etc::SourceParts": "/dev/null",
        "Acquire::Languages": "none",
    }
    apt = ["apt-get", "-qq", *(word for key, value in settings.items() for word in ("-o", f"{key}={value}"))]
    _run(*apt, "update", within=state / "debs")
    _run(*apt, "download", *LIBRARIES, within=state / "debs")
    unpacked = FOLDER / "unpacked"
    for package in (state / "debs").glob("*.deb"):
        _run("dpkg", "-x", package, unpacked)
    # Last, so that an interrupted fetch is not taken for a whole one.
    unpacked.rename(FOLDER / "trixie")


def _measured(way: str, flags: tuple[str, ...], world: World) -> str:
    """What it measured; every request must have been answered, and none refused."""
    model = flags[0]
    table = world.scratch / "measured.csv"
    table.unlink(missing_ok=True)
    # Measurements may differ as they like: they are not what is tried.
    how = ("-i", way, "-s", "999", "--measurement-interval", "1000", "-f", str(table))
    command = [*analyzer(), "-u", world.address, *how, "-m", *flags]
    before = _counted(world, model)
    done = subprocess.run(command, capture_output=True, text=True, timeout=RUNS_WITHIN_S)
    words = " ".join((done.stderr or done.stdout).split())
    expect(done.returncode == 0 and table.is_file(), f"status {done.returncode}: {words[-250:]}")
    after = _counted(world, model)
    failed, answered = after["fail"] - before["fail"], after["success"] - before["success"]
    expect(failed == 0 and answered > 0, f"{failed} requests failed, {answered} were answered")
    with table.open(newline="", encoding="utf-8") as lines:
        (row,) = csv.DictReader(lines)
    rate = float(row["Inferences/Second"])
    expect(rate > 0, f"{row}")
    return f"{rate:.0f} inferences/s, of which the server computes {int(row['Server Compute Infer'] or 0)} µs each"


def _counted(world: World, model: str) -> dict[str, int]:
    """Requests that the server answered and refused."""
    with urllib.request.urlopen(f"{world.url}/v2/models/{model}/stats", timeout=RUNS_WITHIN_S) as answer:
        (stats,) = json.load(answer)["model_stats"]
    return {part: stats["inference_stats"][part]["count"] for part in ("success", "fail")}


def _random(way: str, world: World) -> str:
    """As it is started without a word on data: random bits, some of which are no numbers, and are refused as such."""
    try:
        _measured(way, ("gauge",), world)
    except Wrong as why:
        expect("expected finite numbers" in str(why), str(why))
        return "refused"
    raise Wrong("numbers that are none were measured")


ZERO = ("--input-data", "zero")
MEASURED: dict[str, tuple[str, ...]] = {
    "a model of pictures": ("gauge", *ZERO),
    "batches, in parallel": ("gauge", *ZERO, "-b", "2", "--async", "--concurrency-range", "3"),
    "a model of tensors": ("linear", *ZERO),
    "a model of tensors with open sizes": ("lengths", "--shape", "x:2,7", *ZERO),
}
OVER_GRPC = {
    "streams": ("gauge", *ZERO, "--streaming", "--async", "--concurrency-range", "4"),
    "streams of batches": ("linear", *ZERO, "-b", "2", "--streaming", "--async", "--concurrency-range", "2"),
    "compressed": ("gauge", *ZERO, "--grpc-compression-algorithm", "gzip"),
}

CHECKS = (
    *(Check("perf_analyzer", what, partial(_measured, "http", how)) for what, how in MEASURED.items()),
    Check("perf_analyzer", "random bits", partial(_random, "http")),
    *(Check("perf_analyzer, gRPC", what, partial(_measured, "grpc", how)) for what, how in (MEASURED | OVER_GRPC).items()),
    Check("perf_analyzer, gRPC", "random bits", partial(_random, "grpc")),
)

#!/usr/bin/env python3
"""Tries the container image as people run it: tests/image/run ENGINE IMAGE, by way of `make test-image`.

Each case is a function whose first line says what must hold. The table at the end is for docs/image.md.
"""

import argparse
import json
import re
import shutil
import tempfile
import time
import traceback
from pathlib import Path

from container import Engine

ROOT = Path(__file__).resolve().parents[2]
CASES = []


def case(function):
    """Takes a case up."""
    CASES.append(function)
    return function


def errors(lines: list[dict]) -> list[str]:
    """What a log says went wrong."""
    return [json.dumps(line) for line in lines if line["level"] == "ERROR"]


def models(*names: str) -> Path:
    """A folder with copies of some models, which everybody may read."""
    folder = Path(tempfile.mkdtemp(prefix="lucarne-image-"))
    folder.chmod(0o755)
    for name in names:
        shutil.copytree(ROOT / "models" / name, folder / name)
    return folder


def mounted(folder: Path, place: str = "/models") -> tuple[str, ...]:
    """The option that mounts it."""
    return (f"--volume={folder}:{place}:ro",)


@case
def serves_within_limits(engine: Engine) -> str:
    """The models of the image are ready, predict and explain, with 512 MB, half a core, no right and no file to write"""
    with engine.container() as container:
        seconds = container.wait()
        photo = photograph()
        for path in ("predict", "explain"):
            status, body = container.ask(f"/v1/models/mobilenet_v2/{path}", photo)
            assert status == 200, body[:500]
        assert container.healthy().returncode == 0
        lines = container.lines()
        assert not errors(lines), errors(lines)
        changed = engine.run("diff", container.name).stdout.splitlines()
        written = [line for line in changed if not re.search(" /(dev|proc|sys|etc|run)(/|$)", line)]
        assert not written, f"it has written {written}"
        peak = peak_memory(container)
    return f"ready after {seconds:.1f} s{peak}"


def photograph() -> bytes:
    """A picture."""
    return (ROOT / "tests/golden/photos/astronaut.jpg").read_bytes()


def peak_memory(container) -> str:
    """The most that the container's group has taken, where the system says so."""
    process = container.state()["Pid"]
    groups = Path(f"/proc/{process}/cgroup").read_text().splitlines()
    for group in groups:
        _, kinds, path = group.split(":", 2)
        for file in (f"/sys/fs/cgroup/memory{path}/memory.max_usage_in_bytes", f"/sys/fs/cgroup{path}/memory.peak"):
            if kinds in ("memory", "") and Path(file).exists():
                return f", {int(Path(file).read_text()) / 1e6:.0f} MB with its files at most"
    return ""


@case
def variables_of_kubernetes(engine: Engine) -> str:
    """Variables that Kubernetes sets for Services named lucarne and lucarne-web are warned of, and nothing more"""
    given = ("LUCARNE_SERVICE_HOST=10.0.0.1", "LUCARNE_PORT=tcp://10.0.0.1:80", "LUCARNE_WEB_SERVICE_HOST=10.0.0.2",
             "LUCARNE_PORT_80_TCP_PORT=80", "LUCARNE_WEB_PORT=udp://10.0.0.2:90")
    with engine.container(options=tuple(f"--env={variable}" for variable in given)) as container:
        container.wait()
        warned = {line.get("variable") for line in container.lines() if line["level"] == "WARN"}
        assert warned >= {variable.partition("=")[0] for variable in given}, warned
    return f"{len(given)} warnings"


@case
def signals_at_every_moment(engine: Engine) -> str:
    """SIGTERM at 20 moments from 0.02 s to a second after ready ends with 0 within the drain time, and no error in the log"""
    with engine.container() as container:
        ready = container.wait()
    worst = 0.0
    moments = [0.02 + (ready + 1 - 0.02) * (n / 19) ** 2 for n in range(20)]
    for moment in moments:
        with engine.container() as container:
            time.sleep(moment)
            begin = time.monotonic()
            container.signal("TERM")
            status = container.ended(31)
            worst = max(worst, time.monotonic() - begin)
            assert status == 0, f"after {moment:.2f} s: exit status {status}\n{container.log()[-2000:]}"
            assert not errors(container.lines()), (moment, errors(container.lines()))
    return f"20 of 20, the slowest {worst:.1f} s"


@case
def signals_behind_an_init(engine: Engine) -> str:
    """The same where another program is the first process, as --init has it"""
    for moment in (0.05, 0.3, 2):
        with engine.container(options=("--init",)) as container:
            time.sleep(moment)
            container.signal("TERM")
            assert container.ended(31) == 0, container.log()
    return "3 of 3"


@case
def empty_mount(engine: Engine) -> str:
    """A mount without models is said, and is not ready"""
    folder = models()
    with engine.container(options=mounted(folder)) as container:
        container.wait(path="/healthz")
        assert container.ask("/readyz")[0] == 503
        check = container.healthy()
        assert check.returncode != 0 and "no model is served" in check.stderr, check
        assert any("/models" in json.dumps(line) for line in container.lines() if line["level"] == "ERROR")
        assert not any(line.get("message") == "ready" for line in container.lines())
    return check.stderr.strip()


@case
def one_model_as_the_folder(engine: Engine) -> str:
    """One model folder mounted as /models ends with what to do instead"""
    folder = models("unet")
    with engine.container(options=mounted(folder / "unet")) as container:
        assert container.ended(30) == 1
        said = container.log()
        assert "/models is the folder of one model" in said and "/models/NAME" in said, said
    return "said, exit status 1"


@case
def unreadable_models(engine: Engine) -> str:
    """A model folder, a model.toml, a model or a whole mount that only its owner may read is said, and is not ready"""
    for spoil, mode in (("unet", 0o700), ("unet/model.toml", 0o600), ("unet/model.pt", 0o600)):
        folder = models("unet", "selfie")
        (folder / spoil).chmod(mode)
        with engine.container(options=mounted(folder)) as container:
            container.wait(path="/v1/models/selfie")
            deadline = time.monotonic() + 60
            while not errors(container.lines()) and time.monotonic() < deadline:
                time.sleep(0.2)
            status, body = container.ask("/readyz")
            assert status == 503 and b"unet" in body, (spoil, status, body)
            said = " ".join(errors(container.lines()))
            assert "unet" in said and "ermission denied" in said, (spoil, said)
    folder = models("unet")
    folder.chmod(0o700)
    with engine.container(options=mounted(folder)) as container:
        assert container.ended(30) == 1
        assert "let user 10001 read it" in container.log(), container.log()
    return "4 of 4"


@case
def a_file_wins_over_the_image(engine: Engine) -> str:
    """A mounted settings file wins over the image's settings, and the health check follows it"""
    folder = models()
    (folder / "lucarne.toml").write_text('port = 9001\nhost = "0.0.0.0"\nlog_format = "text"\n')
    options = (*mounted(folder, "/etc/lucarne"), "--env=LUCARNE_CONFIG=/etc/lucarne/lucarne.toml")
    with engine.container(options=options, port=9001) as container:
        container.wait()
        assert container.healthy().returncode == 0
        assert not container.log().startswith("{"), "log_format of the file"
    return "port and log format"


@case
def flags_win_over_all(engine: Engine) -> str:
    """`serve --port 9000` is healthy: the health check goes by the flags of the server"""
    with engine.container("serve", "--port", "9000", options=("--env=LUCARNE_PORT=9002",), port=9000) as container:
        container.wait()
        assert container.healthy().returncode == 0, container.healthy().stderr
    return "healthy"


@case
def other_commands(engine: Engine) -> str:
    """`check /models` passes, `--version` names the revision"""
    checked = engine.once("check", "/models")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    version = engine.once("--version").stdout.strip()
    assert re.fullmatch(r"lucarne \d+\.\d+\.\d+ \([0-9a-f]{12}(-dirty)?\)", version), version
    label = json.loads(engine.run("image", "inspect", engine.image).stdout)[0]["Config"]["Labels"]
    assert label["org.opencontainers.image.revision"] in version, label
    return version


@case
def what_is_in_it(engine: Engine) -> str:
    """No shell, no setuid file, no output of a build, all readable by anybody; licences and bill of materials of all parts"""
    name = engine.run("create", engine.image).stdout.strip()
    folder = Path(tempfile.mkdtemp(prefix="lucarne-image-"))
    try:
        engine.run("export", f"--output={folder}/all.tar", name)
    finally:
        engine.run("rm", name)
    shutil.unpack_archive(folder / "all.tar", folder / "root", filter="fully_trusted")
    root = folder / "root"
    files = [file for file in root.rglob("*") if file.is_file() and not file.is_symlink()]
    assert not [file for file in files if file.stat().st_mode & 0o6000], "a setuid file"
    assert not [file for file in files if file.name in ("sh", "bash", "busybox")], "a shell"
    ours = [file for place in ("opt/lucarne", "models") for file in (root / place).rglob("*")]
    wrong = [file for file in ours if file.name.startswith(".aoti-") or re.fullmatch(r"model\.b\d+\.pt2", file.name)]
    assert not wrong, wrong
    closed = [file for file in ours if not file.is_symlink() and file.stat().st_mode & (0o005 if file.is_dir() else 0o004) == 0]
    assert not closed, f"only their owner may read {closed[:3]}"
    bill = json.loads((root / "opt/lucarne/licenses/sbom.cdx.json").read_text())
    names = {part["name"] for part in bill["components"]}
    wanted = {"torch", "tokio", "axum", "libjpeg-turbo", "swagger-ui", "zstd", "nvidia-cuda-runtime"}
    if (root / "opt/lucarne/lib/libtorch_cuda.so").exists():
        wanted |= {"nvidia-cudnn-cu13", "nvidia-nccl-cu13"}
    assert names >= wanted, wanted - names
    notices = (root / "opt/lucarne/licenses/THIRD-PARTY.txt").read_text()
    for owner in ("Independent JPEG Group", "SmartBear", "Facebook", "NVIDIA"):
        assert owner in notices, owner
    size = sum(file.stat().st_size for file in ours if file.is_file()) / 1e6
    shutil.rmtree(folder)
    return f"{size:.0f} MB over the base, {len(names)} parts in the bill"


def main() -> None:
    """Runs the cases, and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("engine", help="docker, podman, or a program with their command line")
    parser.add_argument("image")
    parser.add_argument("--only", default="", help="cases with this word in their name")
    given = parser.parse_args()
    engine, rows, wrong = Engine(given.engine, given.image), [], 0
    for function in CASES:
        if given.only not in function.__name__:
            continue
        begin = time.monotonic()
        try:
            found = function(engine)
        except Exception as error:  # Whatever it is, the other cases go on.
            traceback.print_exc()
            found, wrong = f"FAILED: {str(error).splitlines()[0] if str(error) else type(error).__name__}", wrong + 1
        rows.append(f"| {function.__doc__} | {found} |")
        print(f"{function.__name__}: {found} ({time.monotonic() - begin:.0f} s)", flush=True)
    print("\n| what must hold | found |\n| --- | --- |\n" + "\n".join(rows))
    print(f"\n{len(rows)} cases, {wrong} failed")
    raise SystemExit(wrong > 0)


if __name__ == "__main__":
    main()

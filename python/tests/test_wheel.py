"""The wheel as it is installed: what is in it, that it needs no version of Python, and the README's lines as they stand."""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "python" / "README.md").read_text()
# What torchvision keeps the weights of IMAGENET1K_V1 under.
KEPT_AS = "mobilenet_v2-b0353104.pth"


def installed() -> Path:
    """The package's folder, where the wheel is installed."""
    try:
        found = Path(str(distribution("lucarne-server").locate_file("lucarne_server")))
    except PackageNotFoundError:
        pytest.skip("the wheel is not installed; make wheel installs it")
    if not (found / "bin" / "lucarne").is_file():
        pytest.skip("the package is not installed from a wheel")
    return found


def test_it_is_small_and_for_any_python() -> None:
    installed()
    (wheel,) = (ROOT / "dist").glob("lucarne_server-*.whl")
    assert "-py3-none-manylinux" in wheel.name
    assert wheel.stat().st_size < 12 << 20


def test_the_command_runs_where_torch_lies_elsewhere_and_beside() -> None:
    command = Path(sys.executable).with_name("lucarne")
    package = installed()
    assert Path(torch.__file__).parent.parent != package.parent, "torch lies in another folder of packages"
    said = subprocess.run([command, "--version"], capture_output=True, text=True, check=True, env=plain()).stdout
    assert said.startswith("lucarne ")
    beside = package.parent / "torch"
    beside.symlink_to(Path(torch.__file__).parent)
    try:
        # Nobody says where libtorch is: the program finds it.
        direct = [package / "bin" / "lucarne", "--version"]
        assert subprocess.run(direct, capture_output=True, text=True, check=True, env=plain()).stdout == said
    finally:
        beside.unlink()


def test_its_help_names_the_commands_of_both() -> None:
    installed()
    command = Path(sys.executable).with_name("lucarne")
    said = subprocess.run([command, "--help"], capture_output=True, text=True, check=True, env=plain()).stdout
    assert all(f"\n  {name} " in said for name in ["serve", "import-mar", "import-triton"]), said


def test_other_versions_of_python_start_it() -> None:
    package = installed()
    torch_home = Path(torch.__file__).parent.parent
    tried = set()
    for python in pythons():
        path = os.pathsep.join([str(package.parent), str(torch_home)])
        command = [python, "-c", "from lucarne_server.__main__ import main; main()", "--version"]
        done = subprocess.run(command, capture_output=True, text=True, env={**plain(), "PYTHONPATH": path})
        assert done.stdout.startswith("lucarne "), (python, done.stderr)
        tried.add(python)
    assert tried, "no Python was found"


def test_the_lines_of_the_readme(tmp_path: Path) -> None:
    installed()
    python, ask = re.findall(r"```python\n(.*?)```", README, re.S)
    (serve,) = re.findall(r"```sh\n(.*?)```", README, re.S)
    shutil.copy(ROOT / "tests" / "golden" / "photos" / "chelsea.png", tmp_path / "cat.jpg")
    trained = torch.jit.load(ROOT / "models" / "mobilenet_v2" / "model.pt").state_dict()
    kept = tmp_path / "home" / "hub" / "checkpoints"
    kept.mkdir(parents=True)
    torch.save(trained, kept / KEPT_AS)
    port = free_port()
    environment = {**plain(), "TORCH_HOME": str(tmp_path / "home"), "LUCARNE_PORT": str(port)}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    subprocess.run([sys.executable, "-c", python], cwd=tmp_path, env=environment, check=True, timeout=300)
    server = subprocess.Popen(["sh", "-c", f"exec {serve.strip()}"], cwd=tmp_path, env=environment)
    try:
        await_port(port)
        further = "\nprint(Client('http://127.0.0.1:8080').predict('mobilenet', 'cat.jpg').best.label)\n"
        ask = (ask + further).replace("8080", str(port))
        said = subprocess.run([sys.executable, "-c", ask], cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert said.stdout.strip().endswith("cat"), said.stderr
    finally:
        server.terminate()
        assert server.wait(40) == 0


def pythons() -> list[str]:
    """The Pythons from 3.10 that can be had here, on the path or where pyenv keeps them."""
    named = [shutil.which(f"python3.{minor}") for minor in range(10, 16)]
    kept = Path.home().glob(".pyenv/versions/3.*/bin/python")
    asks = "import sys; sys.exit(sys.version_info < (3, 10))"
    found = [str(python) for python in [*named, *sorted(kept)] if python]
    # A name on the path may stand for a version that is not chosen.
    return [python for python in found if subprocess.run([python, "-c", asks], capture_output=True).returncode == 0]


def plain() -> dict[str, str]:
    """An environment that says nothing of libtorch or of another program."""
    return {name: value for name, value in os.environ.items() if name not in ("LUCARNE_PROGRAM", "LD_LIBRARY_PATH")}


def free_port() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return held.getsockname()[1]


def await_port(port: int) -> None:
    end = time.monotonic() + 120
    while time.monotonic() < end:
        with socket.socket() as tried:
            if tried.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise TimeoutError("the server does not listen")

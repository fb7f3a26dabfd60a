"""Model folders that are wrong in every way: the others must serve, and `check` must say what is wrong."""

import os
import re
import subprocess
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

from harness import PHOTO, READY_WITHIN_S, Server

LOAD_TIMEOUT_S = 20


def _edit_toml(pattern: str, text: str) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        file = folder / "model.toml"
        changed, count = re.subn(pattern, text, file.read_text(), count=1, flags=re.MULTILINE)
        assert count == 1, pattern
        file.write_text(changed)

    return edit


def _set(section: str, key: str, value: str) -> Callable[[Path], None]:
    """A key of a section, whether it is there or not."""

    def edit(folder: Path) -> None:
        file = folder / "model.toml"
        text = re.sub(rf"(?m)^{key}\s*=.*\n", "", file.read_text())
        if f"[{section}]" not in text:
            text += f"\n[{section}]\n"
        file.write_text(text.replace(f"[{section}]\n", f"[{section}]\n{key} = {value}\n"))

    return edit


def edit_forward(lines: str) -> Callable[[Path], None]:
    """Puts lines at the beginning of the model's forward."""

    def edit(folder: Path) -> None:
        file = folder / "model.pt"
        with zipfile.ZipFile(file) as old:
            members = {info.filename: old.read(info) for info in old.infolist()}
        code = next(name for name in members if name.endswith("code/__torch__.py"))
        text = members[code].decode()
        head, count = re.subn(r"(    x: Tensor\) -> Tensor:\n)", rf"\1{lines}", text, count=1)
        assert count == 1
        members[code] = head.encode()
        with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as new:
            for name, content in members.items():
                new.writestr(name, content)

    return edit


def _pipe(name: str) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        (folder / name).unlink(missing_ok=True)
        os.mkfifo(folder / name)

    return make


def _link(name: str, target: str) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to(target)

    return make


def _bytes(content: bytes) -> Callable[[Path], None]:
    return lambda folder: (folder / "model.pt").write_bytes(content) and None


BAD: dict[str, Callable[[Path], None]] = {
    "forward computes for ever": edit_forward("    _l = True\n    while _l:\n      x = torch.add(torch.mul(x, 0.5), 1)\n"),
    "forward takes all memory": edit_forward(
        "    _m = torch.zeros([4000000000, 100])\n    x = torch.add(x, torch.sum(_m))\n"
    ),
    "forward raises": edit_forward('    ops.prim.RaiseException("no")\n'),
    "labels are a pipe": _pipe("labels.txt"),
    "labels are /dev/zero": _link("labels.txt", "/dev/zero"),
    "labels are a link to /etc/passwd": _link("labels.txt", "/etc/passwd"),
    "labels lie outside": _edit_toml(r'^labels\s*=.*$', 'labels = "../../../etc/passwd"'),
    "the model is a pipe": _pipe("model.pt"),
    "the model is no file of libtorch": _bytes(b"PK\x03\x04" + b"\0" * 5000),
    "the model is empty": _bytes(b""),
    "model.toml is gigantic": lambda folder: (folder / "model.toml").write_bytes(b"#" * (8 << 20)) and None,
    "size of 8192": _edit_toml(r"^size\s*=.*$", "size = [8192, 8192]"),
    "a million instances": _set("instances", "count", "1000000"),
    "a gigantic batch": _set("batching", "max_batch_size", "1000000000"),
}


def _folder(server: Server, name: str) -> Path:
    folder = server.copy_model("selfie", name)
    file = folder / "model.toml"
    file.write_text("required = false\n" + file.read_text())
    return folder


def _answering(server: Server) -> float:
    """Seconds from the start until the good models answer."""
    for path in ("/v1/models/selfie/predict", "/v1/models/mobilenet_v2/predict"):
        while server.post(path, PHOTO, 10) != "200":
            if time.monotonic() - server.started > READY_WITHIN_S:
                raise RuntimeError(f"the good models do not answer: {server.log()[-2000:]}")
            time.sleep(0.05)
    return time.monotonic() - server.started


def tried(program: Path) -> list[str]:
    """Each bad folder beside good ones; what went wrong."""
    faults = []
    flags = ["--load-timeout-s", str(LOAD_TIMEOUT_S), "--log", "error"]
    with Server(program, ["selfie", "mobilenet_v2"], flags) as server:
        alone = _answering(server)
        for kind, spoil in BAD.items():
            folder = _folder(server, "bad")
            spoil(folder)
            server.restart()
            ready = _answering(server)
            answers = {server.post("/v1/models/selfie/predict", PHOTO, 10) for _ in range(5)}
            if ready > alone + 2 or answers != {"200"}:
                faults.append(f"{kind}: ready after {ready:.1f} s (alone {alone:.1f}), others answered {answers}")
            started = time.monotonic()
            environment = {**os.environ, "LUCARNE_LOAD_TIMEOUT_S": str(LOAD_TIMEOUT_S)}
            command = [str(program), "check", str(folder)]
            try:
                checked = subprocess.run(command, capture_output=True, text=True, timeout=400, env=environment)
                said = checked.stdout.strip().splitlines()[-1][:160] if checked.stdout.strip() else ""
                code = checked.returncode
            except subprocess.TimeoutExpired:
                said, code = "it hangs", None
            took = time.monotonic() - started
            if code != 1 or not said:
                faults.append(f"{kind}: check ends with {code} and says {said!r}")
            print(f"| bad model | {kind} | others ready after {ready:.1f} s | check {took:.1f} s: {said} |", flush=True)
            subprocess.run(["rm", "-rf", str(folder)], check=True)
    return faults

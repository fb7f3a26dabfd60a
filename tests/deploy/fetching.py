"""The script that fetches models, as an init container runs it, against a registry and S3 on this machine."""

import hashlib
import http.server
import logging
import os
import re
import shutil
import socketserver
import subprocess
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import boto3
from moto.server import ThreadedMotoServer

import paths
from served import PHOTO, Server
from world import Check, World, must


@dataclass
class Registry:
    """Blobs by digest, as a registry of OCI has them, and what was asked. It can break off, and refuse ranges."""

    blobs: dict[str, bytes] = field(default_factory=dict)
    breaks_after: int = 0
    takes_ranges: bool = True
    wants_user: bool = False
    ranges: list[str] = field(default_factory=list)
    sent: int = 0
    url: str = ""

    @contextmanager
    def serving(self) -> Iterator["Registry"]:
        """Serves until the block ends."""
        handler = type("Handler", (_Handler,), {"registry": self})
        with socketserver.ThreadingTCPServer(("127.0.0.1", 0), handler) as server:
            self.url = f"http://127.0.0.1:{server.server_address[1]}"
            threading.Thread(target=server.serve_forever, daemon=True).start()
            yield self
            server.shutdown()


class _Handler(http.server.BaseHTTPRequestHandler):
    registry: Registry

    def do_GET(self) -> None:  # noqa: N802  (the name that http.server calls)
        """One blob, or the rest of it."""
        mine = self.registry
        blob = mine.blobs.get(self.path.removeprefix("/v2/models/blobs/sha256:"))
        if blob is None or (mine.wants_user and not self.headers.get("authorization", "").startswith("Basic ")):
            self.send_error(404 if blob is None else 401)
            return
        asked = self.headers.get("range", "")
        start = int(match[1]) if (match := re.fullmatch(r"bytes=(\d+)-", asked)) and mine.takes_ranges else 0
        mine.ranges.append(asked)
        if start >= len(blob):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        if start:
            self.send_header("content-range", f"bytes {start}-{len(blob) - 1}/{len(blob)}")
        self.send_header("content-length", str(len(blob) - start))
        self.end_headers()
        part = blob[start : start + mine.breaks_after] if mine.breaks_after else blob[start:]
        mine.sent += len(part)
        self.wfile.write(part)

    def log_message(self, *_: object) -> None:
        """Nothing is logged."""


def archive(world: World, model: str = "gauge") -> bytes:
    """A model's folder as an archive whose top is the inside of the folder."""
    file = world.scratch / f"{model}.tar.gz"
    if not file.exists():
        with tarfile.open(file, "w:gz") as tar:
            tar.add(paths.MODELS / model, arcname=".")
    return file.read_bytes()


def fetch(world: World, folder: Path, lines: list[str], **variables: str) -> subprocess.CompletedProcess[str]:
    """Runs the script of the chart, by the shell and the tools that small images have."""
    search = f"{paths.BUSYBOX}:{os.environ['PATH']}"
    return run_by(search, world, folder, lines, variables)


def run_by(
    search: str, world: World, folder: Path, lines: list[str], variables: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    """Runs the script of the chart with the programs of a search path."""
    listed = world.scratch / "models.txt"
    listed.write_text("\n".join(lines) + "\n")
    environment = {**os.environ, "RETRIES": "5", "PAUSE_S": "0", **variables, "PATH": search}
    script = world.chart / "files" / "fetch-models"
    shell = shutil.which("sh", path=search) or "sh"
    command = [shell, str(script), str(listed), str(folder)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)


def _folder(world: World, name: str) -> Path:
    folder = world.scratch / f"fetched-{name}"
    shutil.rmtree(folder, ignore_errors=True)
    return folder


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _whole(world: World) -> str:
    data, folder = archive(world), _folder(world, "whole")
    with Registry({_digest(data): data}).serving() as registry:
        line = f"dial {_digest(data)} {registry.url}/v2/models/blobs/sha256:{_digest(data)}"
        done = fetch(world, folder, [line])
        must(done.returncode == 0, done.stderr)
        again = fetch(world, folder, [line])
        must(again.returncode == 0 and len(registry.ranges) == 1, "it fetches what is there")
        other = run_by(os.environ["PATH"], world, _folder(world, "own"), [line], {})
        must(other.returncode == 0, f"by the tools of this machine: {other.stderr}")
    must(not (folder / "archives" / _digest(data)).exists(), "the archive takes room beside the model")
    with Server(world.program, folder / "models") as server:
        must(server.ask("POST", "/v1/models/dial/predict", PHOTO)[0] == 200, "the model does not answer")
    return "served, and not fetched again"


def _broken_off(world: World) -> str:
    data, folder = archive(world), _folder(world, "broken")
    part = len(data) // 4 + 1
    with Registry({_digest(data): data}, breaks_after=part).serving() as registry:
        line = f"dial {_digest(data)} {registry.url}/v2/models/blobs/sha256:{_digest(data)}"
        # The container ends with the first break, and its next start goes on from there.
        first = fetch(world, folder, [line], RETRIES="0")
        must(first.returncode != 0 and not (folder / "models" / "dial").exists(), "half a model counts as one")
        second = fetch(world, folder, [line], RETRIES="5")
        must(second.returncode == 0, second.stderr)
        must(
            registry.ranges == ["", f"bytes={part}-", f"bytes={2 * part}-", f"bytes={3 * part}-"], f"{registry.ranges}"
        )
        must(registry.sent == len(data), f"{registry.sent} of {len(data)} bytes were sent")
    return f"taken up 3 times, {len(data)} bytes sent in all"


def _no_ranges(world: World) -> str:
    data, folder = archive(world), _folder(world, "ranges")
    with Registry({_digest(data): data}, breaks_after=len(data) // 2, takes_ranges=False).serving() as registry:
        line = f"dial {_digest(data)} {registry.url}/v2/models/blobs/sha256:{_digest(data)}"
        must(fetch(world, folder, [line], RETRIES="0").returncode != 0, "half an archive is enough")
        registry.breaks_after = 0
        done = fetch(world, folder, [line])
        must(done.returncode == 0, done.stderr)
    return "begun anew where a host takes no ranges"


def _wrong(world: World) -> str:
    data, folder = archive(world), _folder(world, "wrong")
    other = _digest(b"another archive")
    with Registry({other: data}).serving() as registry:
        url = f"{registry.url}/v2/models/blobs/sha256:{other}"
        done = fetch(world, folder, [f"dial {other} {url}"])
        must(done.returncode != 0 and "another SHA-256" in done.stderr, f"a wrong digest: {done.stderr}")
        must(not list((folder / "models").iterdir()), "it is unpacked all the same")
        # What was left in the volume by somebody else is not trusted either, and neither is more than a whole archive.
        registry.blobs = {_digest(data): data}
        for left in (b"x" * (len(data) // 2), b"x" * (2 * len(data))):
            folder = _folder(world, "left")
            (folder / "archives").mkdir(parents=True)
            (folder / "archives" / _digest(data)).write_bytes(left)
            line = f"dial {_digest(data)} {registry.url}/v2/models/blobs/sha256:{_digest(data)}"
            done = fetch(world, folder, [line], RETRIES="0")
            must(done.returncode == 0, f"it does not begin anew: {done.stderr}")
        nobody = fetch(
            world,
            _folder(world, "nobody"),
            [f"dial {other} {registry.url}/v2/models/blobs/sha256:{other}"],
            RETRIES="1",
        )
        must(nobody.returncode != 0 and "cannot be fetched" in nobody.stderr, nobody.stderr)
    empty = b"no archive at all"
    with Registry({_digest(empty): empty}).serving() as registry:
        url = f"{registry.url}/v2/models/blobs/sha256:{_digest(empty)}"
        must(fetch(world, folder, [f"none {_digest(empty)} {url}"]).returncode != 0, "no archive is unpacked")
    return "refused, not unpacked"


def _credentials(world: World) -> str:
    data, folder = archive(world), _folder(world, "user")
    netrc = world.scratch / "netrc"
    netrc.write_text("machine 127.0.0.1 login reader password secret\n")
    with Registry({_digest(data): data}, wants_user=True).serving() as registry:
        line = f"dial {_digest(data)} {registry.url}/v2/models/blobs/sha256:{_digest(data)}"
        must(
            fetch(world, folder, [line], RETRIES="0").returncode != 0, "a registry that wants a user lets everybody in"
        )
        done = fetch(world, folder, [line], NETRC=str(netrc))
        must(done.returncode == 0, done.stderr)
    return "a user of .netrc"


def _s3(world: World) -> str:
    data, folder = archive(world), _folder(world, "s3")
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    # Its lines of access would stand between those of the checks.
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server.start()
    try:
        host, port = server.get_host_and_port()
        url = f"http://{host}:{port}"
        keys = {"aws_access_key_id": "reader", "aws_secret_access_key": "secret", "region_name": "eu-central-1"}
        s3 = boto3.client("s3", endpoint_url=url, **keys)
        s3.create_bucket(Bucket="models", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
        s3.put_object(Bucket="models", Key="dial.tar.gz", Body=data)
        half = folder / "archives" / _digest(data)
        half.parent.mkdir(parents=True)
        half.write_bytes(data[: len(data) // 2])
        line = f"dial {_digest(data)} {url}/models/dial.tar.gz"
        secrets = {"AWS_ACCESS_KEY_ID": "reader", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_SESSION_TOKEN": "token"}
        must(
            fetch(world, folder, [line], RETRIES="0").returncode != 0,
            "an object that is not public is read by everybody",
        )
        must(half.stat().st_size == len(data) // 2, "a refusal loses what was there")
        done = fetch(world, folder, [line], S3_REGION="eu-central-1", **secrets)
        must(done.returncode == 0 and "anew" not in done.stderr, done.stderr)
    finally:
        server.stop()
    return "signed requests, taken up in the middle"


CHECKS = [
    Check("a model is fetched by digest, and served", _whole),
    Check("fetching goes on where it broke off", _broken_off),
    Check("fetching without ranges begins anew", _no_ranges),
    Check("fetching refuses another digest", _wrong),
    Check("fetching with a user", _credentials),
    Check("fetching from S3", _s3),
]

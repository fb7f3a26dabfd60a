"""The client against a server that runs the models of this repository, and against one that refuses on purpose."""

import json
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lucarne_server import Client, local

ROOT = Path(__file__).resolve().parents[2]
MODELS, GOLDEN = ROOT / "models", ROOT / "tests" / "golden"
CHELSEA, COFFEE = GOLDEN / "photos" / "chelsea.png", GOLDEN / "photos" / "coffee.jpg"
ASTRONAUT = GOLDEN / "photos" / "astronaut.jpg"
BAG, PULLOVER = GOLDEN / "vae" / "bag.png", GOLDEN / "vae" / "pullover.png"
FUSION = """task = "tensor"
inputs = [
  {name = "signal", dtype = "f32", shape = [-1, 3, 16]},
  {name = "vector", dtype = "f32", shape = [-1, 5]},
  {name = "kind", dtype = "i64", shape = [-1]},
]
outputs = [{name = "logits", dtype = "f32", shape = [-1, 4]}, {name = "value", dtype = "f32", shape = [-1, 1]}]
"""


@pytest.fixture(scope="session")
def client() -> Iterator[Client]:
    with local(MODELS) as client:
        yield client


@pytest.fixture(scope="session")
def patient(client: Client) -> Iterator[Client]:
    """One that waits longer: evidence takes some hundred passes a map."""
    with Client(client.url, timeout=300) as patient:
        yield patient


@pytest.fixture(scope="session")
def tensors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    models = tmp_path_factory.mktemp("tensors")
    (models / "fusion").mkdir()
    shutil.copy(GOLDEN / "tensors" / "fusion.pt", models / "fusion" / "model.pt")
    (models / "fusion" / "model.toml").write_text(FUSION)
    with local(models) as client:
        yield client


@pytest.fixture(scope="session")
def expected() -> dict[str, Any]:
    return json.loads((GOLDEN / "tensors" / "expected.json").read_text())


@pytest.fixture(scope="session")
def row(expected: dict[str, Any]) -> dict[str, np.ndarray]:
    given = expected["inputs"]
    return {
        "signal": np.array(given["signal"], "f4").reshape(1, 3, 16),
        "vector": np.array(given["vector"], "f4").reshape(1, 5),
        "kind": np.array(given["kind"], "i8"),
    }


Answer = tuple[int, dict[str, str], bytes]


@contextmanager
def answering(answers: list[Answer]) -> Iterator[tuple[str, list[dict[str, str]]]]:
    """A server that gives `answers` one after another, the last for ever, and notes the headers that it was sent."""
    seen: list[dict[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("content-length", 0)))
            status, headers, body = answers[min(len(seen), len(answers) - 1)]
            seen.append({name.lower(): value for name, value in self.headers.items()})
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = answer

        def log_message(self, *_: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", seen
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def problem(status: int, code: str, **headers: str) -> Answer:
    said = {"type": f"urn:lucarne:problem:{code}", "status": status, "code": code, "detail": "so", "request_id": "r1"}
    head = {"content-type": "application/problem+json", **{k.replace("_", "-"): v for k, v in headers.items()}}
    return status, head, json.dumps(said).encode()


NO_MODELS: Answer = (200, {"content-type": "application/json"}, b'{"models": []}')
FULL = problem(429, "queue_full", retry_after="0")


def rgb(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB"))


# Models

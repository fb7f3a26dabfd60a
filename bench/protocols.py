"""What a protocol costs a lone client: the same picture to the same model by `/v1`, by `/v2` in binary and by gRPC, in turn.

    make protocols                                   the default model
    make protocols PROTOCOLS='--model gauge --requests 2000'

The three are asked one after the other, one request at a time, over connections that stay open, and each round begins with
another. Prints the median of each and its ratio to `/v1`. The client's own work is in all three: that of grpcio is larger.
So `/v1` and `/v2` are asked by the load program as well, which sends prepared bytes and reads none of the answers.
"""

import argparse
import http.client
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# Before the folder of this file, which has a harness of its own.
sys.path.insert(0, str(ROOT / "tests" / "parity"))

import grpc  # noqa: E402
from harness.server import Server  # noqa: E402
from tritonclient.grpc import service_pb2 as messages  # noqa: E402

Ask = Callable[[], None]


def main() -> int:
    """Measures, and prints a table."""
    options = _options()
    picture = options.picture.read_bytes()
    with Server(options.program, options.models) as client:
        asks = {
            "/v1, raw": _v1(client.host, client.port, options.model, picture),
            "/v2, binary": _v2(client.host, client.port, options.model, picture),
            "gRPC": _grpc(f"{client.host}:{client.port}", options.model, picture),
        }
        took = _measured(asks, options.requests)
        pairs = _by_load(options, f"http://{client.host}:{client.port}", picture)
    base = statistics.median(took["/v1, raw"])
    print(f"\n{options.model}, one client, {options.requests} requests each, {options.picture.name}\n")
    print("| protocol | median, ms | to /v1 |\n| --- | --- | --- |")
    for name, times in took.items():
        middle = statistics.median(times)
        print(f"| {name} | {1e3 * middle:.3f} | {middle / base:.3f} |")
    v1, v2 = (statistics.median(pair[side] for pair in pairs) for side in (0, 1))
    ratios = sorted(pair[1] / pair[0] for pair in pairs)
    print(f"| /v1, raw, by the load program | {v1:.3f} | 1 |")
    print(f"| /v2, binary, by the load program | {v2:.3f} | {statistics.median(ratios):.3f} ({ratios[0]:.3f} to {ratios[-1]:.3f}) |")
    return 0


def _by_load(options: argparse.Namespace, url: str, picture: bytes) -> list[tuple[float, float]]:
    """The median milliseconds of `/v1` and of `/v2` in each round."""
    rounds = 8
    head, element = _binary(picture)
    with tempfile.TemporaryDirectory() as folder:
        bodies = Path(folder) / "picture", Path(folder) / "tensors"
        for body, content in zip(bodies, (picture, head + element), strict=True):
            body.write_bytes(content)
        paths = f"/v1/models/{options.model}/predict", f"/v2/models/{options.model}/infer"
        lengths: tuple[list[str], list[str]] = [], ["--header", f"Inference-Header-Content-Length: {len(head)}"]
        commands = [
            [str(options.load), "--json", "--url", url, "--path", path, "--clients", "1", *length]
            + ["--requests", str(options.requests // 4), "--seconds", "60", str(body)]
            for path, length, body in zip(paths, lengths, bodies, strict=True)
        ]
        pairs = []
        for turn in range(rounds):
            order = (0, 1) if turn % 2 else (1, 0)
            took = {side: _median_of(commands[side]) for side in order}
            pairs.append((took[0], took[1]))
    return pairs


def _median_of(command: list[str]) -> float:
    said = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
    if set(said["statuses"]) != {"200"} or said["broken"]:
        raise RuntimeError(f"{command}: {said}")
    return float(said["p50_ms"])


def _measured(asks: dict[str, Ask], requests: int) -> dict[str, list[float]]:
    """The seconds of each request, without those that warm up."""
    warm_up = 20
    names = list(asks)
    took: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(requests + warm_up):
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            started = time.perf_counter()
            asks[name]()
            if turn >= warm_up:
                took[name].append(time.perf_counter() - started)
    return took


def _v1(host: str, port: int, model: str, picture: bytes) -> Ask:
    headers = {"Content-Type": "application/octet-stream"}
    return _posting(host, port, f"/v1/models/{model}/predict", picture, headers)


def _binary(picture: bytes) -> tuple[bytes, bytes]:
    """The JSON of a request, and the picture behind it."""
    element = len(picture).to_bytes(4, "little") + picture
    image = {"name": "image", "shape": [1], "datatype": "BYTES", "parameters": {"binary_data_size": len(element)}}
    return json.dumps({"inputs": [image], "parameters": {"binary_data_output": True}}).encode(), element


def _v2(host: str, port: int, model: str, picture: bytes) -> Ask:
    head, element = _binary(picture)
    headers = {"Inference-Header-Content-Length": str(len(head)), "Content-Type": "application/octet-stream"}
    return _posting(host, port, f"/v2/models/{model}/infer", head + element, headers)


def _posting(host: str, port: int, path: str, body: bytes, headers: dict[str, str]) -> Ask:
    connection = http.client.HTTPConnection(host, port)

    def ask() -> None:
        connection.request("POST", path, body, headers)
        answer = connection.getresponse()
        said = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{path}: {answer.status} {said[:200]!r}")

    return ask


def _grpc(address: str, model: str, picture: bytes) -> Ask:
    channel = grpc.insecure_channel(address)
    call = channel.unary_unary(
        "/inference.GRPCInferenceService/ModelInfer",
        request_serializer=messages.ModelInferRequest.SerializeToString,
        response_deserializer=messages.ModelInferResponse.FromString,
    )
    image = messages.ModelInferRequest.InferInputTensor(name="image", datatype="BYTES", shape=[1])
    element = len(picture).to_bytes(4, "little") + picture
    request = messages.ModelInferRequest(model_name=model, inputs=[image], raw_input_contents=[element])

    def ask() -> None:
        call(request)

    return ask


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", type=Path, default=ROOT / "target" / "release" / "lucarne")
    parser.add_argument("--load", type=Path, default=ROOT / "target" / "release" / "examples" / "load", help="the load program")
    parser.add_argument("--models", type=Path, default=ROOT / "models", help="the folder of models (default: %(default)s)")
    parser.add_argument("--model", default="mobilenet_v2", help="which of them (default: %(default)s)")
    parser.add_argument("--picture", type=Path, default=ROOT / "tests" / "golden" / "photos" / "coffee.jpg")
    parser.add_argument("--requests", type=int, default=500, help="of each protocol (default: %(default)s)")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())

"""Clients that go on while pods are replaced: REST over connections that are kept, gRPC calls, gRPC streams.

A pod that goes closes its connections, and a request may be on its way just then. No byte of an answer comes, and
the client sends it once more on another connection, as docs/kubernetes.md says. Such requests are counted apart.
"""

import queue
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator

import grpc
import urllib3
from tritonclient.grpc import service_pb2, service_pb2_grpc

from balancer import Balancer
from served import PHOTO

MODEL = "gauge"
PAUSE_S = 0.01
ANSWERS_WITHIN_S = 30.0


class Load:
    """Counts what was answered and what failed, by kind of client."""

    def __init__(self, balancer: Balancer) -> None:
        self._balancer = balancer
        self._going = threading.Event()
        self._going.set()
        self.answered: Counter[str] = Counter()
        self.sent_again: Counter[str] = Counter()
        self.connections: Counter[str] = Counter()
        self.failures: list[str] = []
        self.slowest_s = 0.0
        self._threads: list[threading.Thread] = []

    def start(self, clients: dict[str, int]) -> None:
        """So many clients of each kind."""
        kinds: dict[str, Callable[[], Iterator[None]]] = {
            "REST": self._rest,
            "gRPC": self._calls,
            "gRPC streams": self._streams,
        }
        for kind, count in clients.items():
            for _ in range(count):
                thread = threading.Thread(target=self._go, args=(kind, kinds[kind]), daemon=True)
                thread.start()
                self._threads.append(thread)

    def stop(self) -> None:
        """Ends them after the request that each is at."""
        self._going.clear()
        for thread in self._threads:
            thread.join(ANSWERS_WITHIN_S)

    def _go(self, kind: str, client: Callable[[], Iterator[None]]) -> None:
        while self._going.is_set():
            started = time.monotonic()
            try:
                for _ in client():
                    self.slowest_s = max(self.slowest_s, time.monotonic() - started)
                    self.answered[kind] += 1
                    if not self._going.is_set():
                        return
                    time.sleep(PAUSE_S)
                    started = time.monotonic()
            except Exception as error:  # noqa: BLE001  (whatever a client raises is a request that failed)
                self.failures.append(f"{kind}: {type(error).__name__}: {str(error)[:200]}")

    def _rest(self) -> Iterator[None]:
        """Keeps its connection. As every pool does, it looks whether the connection is closed before it sends."""
        balancer, count = self._balancer, self.connections

        class Connection(urllib3.connection.HTTPConnection):
            """Each time that it connects, to a pod that is ready then."""

            def connect(self) -> None:
                count["REST"] += 1
                self.port = balancer.pick()
                super().connect()

        pool = urllib3.HTTPConnectionPool("127.0.0.1", 1, maxsize=1, retries=False, timeout=ANSWERS_WITHIN_S)
        pool.ConnectionCls = Connection
        while True:
            path = f"/v1/models/{MODEL}/predict"
            try:
                answer = pool.request("POST", path, body=PHOTO)
            except urllib3.exceptions.ProtocolError:
                self.sent_again["REST"] += 1
                answer = pool.request("POST", path, body=PHOTO)
            if answer.status != 200:
                raise RuntimeError(f"{answer.status} {answer.data[:100]!r}")
            yield

    def _stub(self) -> tuple[grpc.Channel, service_pb2_grpc.GRPCInferenceServiceStub]:
        # A subchannel of its own for each client: else all share one connection.
        channel = grpc.insecure_channel(
            f"127.0.0.1:{self._balancer.port}", options=[("grpc.use_local_subchannel_pool", 1)]
        )
        return channel, service_pb2_grpc.GRPCInferenceServiceStub(channel)

    def _calls(self) -> Iterator[None]:
        channel, stub = self._stub()
        with channel:
            while True:
                stub.ModelInfer(_request(), timeout=ANSWERS_WITHIN_S)
                yield

    def _streams(self) -> Iterator[None]:
        """A stream that ends while no answer is awaited was ended by a pod that goes: the next one is opened."""
        channel, stub = self._stub()
        with channel:
            again = False
            while True:
                again = yield from self._stream(stub, again)

    def _stream(self, stub: service_pb2_grpc.GRPCInferenceServiceStub, again: bool) -> Generator[None, None, bool]:
        """One stream to its end. Answers whether a message was lost with it; `again`: the first one was lost before."""
        requests: queue.SimpleQueue[service_pb2.ModelInferRequest | None] = queue.SimpleQueue()
        answers = stub.ModelStreamInfer(iter(requests.get, None))
        self.connections["gRPC streams"] += 1
        try:
            # Whether the stream ended meanwhile: the next message would be lost with it.
            while answers.is_active():
                requests.put(_request())
                try:
                    answer = next(answers)
                except grpc.RpcError as error:
                    if again or error.code() != grpc.StatusCode.UNAVAILABLE:
                        raise
                    self.sent_again["gRPC streams"] += 1
                    return True
                again = False
                if answer.error_message:
                    raise RuntimeError(answer.error_message)
                yield
            return False
        finally:
            requests.put(None)
            answers.cancel()


def _request() -> service_pb2.ModelInferRequest:
    request = service_pb2.ModelInferRequest(model_name=MODEL)
    tensor = request.inputs.add()
    tensor.name, tensor.datatype = "image", "BYTES"
    tensor.shape.extend([1])
    request.raw_input_contents.append(struct.pack("<I", len(PHOTO)) + PHOTO)
    return request

"""A balancer of connections as kube-proxy is one: a new connection goes to a ready pod and stays with it to its end.

kube-proxy rewrites addresses and has no process between client and pod. So a client that can asks for a port (`pick`)
and connects to the pod itself. One that connects again by itself, as a channel of gRPC does, needs one address, and
gets a process that copies bytes.
"""

import itertools
import socket
import threading

BYTES = 1 << 16


class Balancer:
    """Listens on a port of its own. Ports of pods come and go; what is connected is left alone."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = self._listener.getsockname()[1]
        self._ports: list[int] = []
        self._turn = itertools.count()
        self._lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    def add(self, port: int) -> None:
        """A pod that is ready."""
        with self._lock:
            self._ports.append(port)

    def remove(self, port: int) -> None:
        """A pod that is about to end."""
        with self._lock:
            self._ports.remove(port)

    def pick(self) -> int:
        """The port of a ready pod, each in turn."""
        with self._lock:
            return self._ports[next(self._turn) % len(self._ports)]

    def close(self) -> None:
        """Nobody connects any more."""
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                pod = socket.create_connection(("127.0.0.1", self.pick()))
            except OSError:
                # As kube-proxy, which tries no other pod: the client sees a connection that is refused.
                client.close()
                continue
            for pair in ((client, pod), (pod, client)):
                for end in pair:
                    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                threading.Thread(target=_copy, args=pair, daemon=True).start()


def _copy(source: socket.socket, target: socket.socket) -> None:
    """Every byte, and the end behind the last."""
    try:
        while data := source.recv(BYTES):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        for end in (source, target):
            end.close()

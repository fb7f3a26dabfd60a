"""Containers of the image under test, by docker or a program with docker's command line."""

import json
import os
import subprocess
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass

# As a careful operator runs it: no right, no file to write, half a core, 512 MB.
CAREFUL = (
    "--read-only",
    "--cap-drop=ALL",
    "--security-opt=no-new-privileges",
    "--memory=512m",
    "--memory-swap=512m",
    "--cpus=0.5",
)


@dataclass
class Engine:
    """The program that runs containers, and what it needs on this machine beside."""

    program: str
    image: str

    def run(self, *words: str, check: bool = True, timeout: float = 120) -> subprocess.CompletedProcess:
        """A command of the engine, to its end."""
        return subprocess.run(
            [self.program, *words], check=check, timeout=timeout, capture_output=True, text=True, stdin=subprocess.DEVNULL
        )

    def options(self) -> list[str]:
        """What `run` needs on this machine."""
        return os.environ.get("RUN_ARGS", "").split()

    def once(self, *words: str, options: tuple[str, ...] = ()) -> subprocess.CompletedProcess:
        """What a container says that ends by itself, without network."""
        return self.run("run", "--rm", "--network=none", *self.options(), *options, self.image, *words, check=False)

    @contextmanager
    def container(self, *words: str, options: tuple[str, ...] = (), port: int = 8080):
        """A careful container with a port to it; it is gone afterwards."""
        given = [*self.options(), *CAREFUL, f"--publish=127.0.0.1::{port}", *options]
        name = self.run("run", "--detach", *given, self.image, *words).stdout.strip()
        try:
            yield Container(self, name, port)
        finally:
            self.run("rm", "--force", "--time=0", name, check=False)


@dataclass
class Container:
    """One that runs, or has run."""

    engine: Engine
    name: str
    port: int

    def state(self) -> dict:
        """As the engine sees it."""
        return json.loads(self.engine.run("inspect", self.name).stdout)[0]["State"]

    def log(self) -> str:
        """What it has written."""
        done = self.engine.run("logs", self.name)
        return done.stdout + done.stderr

    def lines(self) -> list[dict]:
        """The log, which is one JSON object a line."""
        return [json.loads(line) for line in self.log().splitlines()]

    def url(self, path: str) -> str:
        """Where a path of it is found from here."""
        return f"http://{self.engine.run('port', self.name, f'{self.port}/tcp').stdout.split()[0]}{path}"

    def ask(self, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        """Status and body; 0 where nobody answers."""
        try:
            with urllib.request.urlopen(urllib.request.Request(self.url(path), data=body), timeout=60) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()
        except OSError:
            return 0, b""

    def wait(self, path: str = "/readyz", status: int = 200, within: float = 120) -> float:
        """Until the path answers so; the seconds it took."""
        begin = time.monotonic()
        while (found := self.ask(path)[0]) != status:
            if time.monotonic() - begin > within:
                raise AssertionError(f"{path} answers {found}, not {status}, after {within} s:\n{self.log()[-2000:]}")
            if self.state()["Status"] not in ("running", "created"):
                raise AssertionError(f"it has ended:\n{self.log()[-2000:]}")
            time.sleep(0.1)
        return time.monotonic() - begin

    def healthy(self) -> subprocess.CompletedProcess:
        """What the image's own health check says."""
        health = json.loads(self.engine.run("image", "inspect", self.engine.image).stdout)[0]
        check = (health.get("Healthcheck") or health["Config"]["Healthcheck"])["Test"]
        assert check[0] == "CMD", f"the health check wants a shell: {check}"
        return self.engine.run("exec", self.name, *check[1:], check=False)

    def signal(self, name: str) -> None:
        """Sends it a signal."""
        self.engine.run("kill", f"--signal={name}", self.name)

    def ended(self, within: float) -> int:
        """Its exit status."""
        return int(self.engine.run("wait", self.name, timeout=within).stdout.split()[0])

"""The three servers, each with the settings that served it best: see bench/README.md."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from .process import Launch, free_ports
from .subjects import Subject

PEERS = Path(__file__).resolve().parents[1] / "peers"
SCRIPTS = Path(sys.executable).parent
JAVA_VERSION = 17
TORCHSERVE_PORTS = 6

LOG4J = """<Configuration>
  <Appenders><Console name="console"/></Appenders>
  <Loggers><Root level="warn"><AppenderRef ref="console"/></Root></Loggers>
</Configuration>
"""


@dataclass(frozen=True)
class Settings:
    """A peer's settings. `threads`: intra-op threads of each worker."""

    workers: int
    threads: int
    batch: int
    batch_delay_s: float


@dataclass(frozen=True)
class Server:
    """A name for the table, and how a subject is launched in a scratch folder."""

    name: str
    launch: Callable[[Subject, Path], Launch]
    serves: Callable[[Subject], bool] = lambda subject: True


def lucarne(binary: Path, name: str = "Lucarne") -> Server:
    """With its defaults, but as quiet as the peers."""

    def launch(subject: Subject, scratch: Path) -> Launch:
        [port] = free_ports(1)
        command = [str(binary), "serve", "--models", str(subject.models), "--host", "127.0.0.1", "--port", str(port)]
        command += ["--log", "warn"]
        return Launch(command, port, subject.path, scratch)

    return Server(name, launch)


def litserve(settings_of: Mapping[str, Settings]) -> Server:
    """bench/peers/litserve_server.py, with settings for each kind of subject."""

    def launch(subject: Subject, scratch: Path) -> Launch:
        settings = settings_of[subject.kind]
        [port] = free_ports(1)
        command = [sys.executable, str(PEERS / "litserve_server.py"), subject.kind, str(subject.folder)]
        command += ["--port", str(port), "--workers", str(settings.workers), "--threads", str(settings.threads)]
        command += ["--batch", str(settings.batch), "--batch-timeout", str(settings.batch_delay_s)]
        return Launch(command, port, "/predict", scratch)

    return Server("LitServe", launch)


def torchserve(settings_of: Mapping[str, Settings]) -> Server:
    """An archive with bench/peers/torchserve_handler.py, with settings for each kind of subject."""

    def launch(subject: Subject, scratch: Path) -> Launch:
        _archive(subject, settings_of[subject.kind], scratch)
        ports = free_ports(TORCHSERVE_PORTS)
        (scratch / "log4j2.xml").write_text(LOG4J)
        (scratch / "config.properties").write_text(_torchserve_config(scratch, ports))
        # Foreground, so that stopping the process stops the server.
        command = [str(SCRIPTS / "torchserve"), "--start", "--foreground", "--model-store", str(scratch / "store")]
        command += ["--ts-config", str(scratch / "config.properties"), "--log-config", str(scratch / "log4j2.xml")]
        # Its workers are whatever `python` is on the path; TMPDIR holds its process id file.
        environment = {"PATH": f"{SCRIPTS}{os.pathsep}{os.environ['PATH']}", "TMPDIR": str(scratch)}
        return Launch(command, ports[0], f"/predictions/{subject.model}", scratch, environment)

    return Server("TorchServe", launch, lambda subject: subject.is_archivable)


def java_problem() -> str | None:
    """Why TorchServe cannot run here, if it cannot."""
    home = os.environ.get("JAVA_HOME")
    java = str(Path(home) / "bin" / "java") if home else shutil.which("java")
    if java is None or not Path(java).exists():
        return f"no `java`: TorchServe needs Java {JAVA_VERSION} or newer"
    text = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
    found = re.search(r'version "(\d+)', text)
    if found is None or int(found[1]) < JAVA_VERSION:
        return f"{java} is too old: TorchServe needs Java {JAVA_VERSION} or newer"
    return None


def _archive(subject: Subject, settings: Settings, scratch: Path) -> None:
    store = scratch / "store"
    store.mkdir()
    config = {
        "minWorkers": settings.workers,
        "maxWorkers": settings.workers,
        "batchSize": settings.batch,
        "maxBatchDelay": round(settings.batch_delay_s * 1000),
        "responseTimeout": 120,
        "handler": {"kind": subject.kind, "threads": settings.threads},
    }
    # JSON is YAML too.
    (scratch / "model-config.yaml").write_text(json.dumps(config))
    labels = subject.folder / "labels.txt"
    extra = [PEERS / "vision.py", *([labels] if labels.exists() else [])]
    command = [str(SCRIPTS / "torch-model-archiver"), "--model-name", subject.model, "--version", "1.0"]
    command += ["--serialized-file", str(subject.folder / "model.pt"), "--handler", str(PEERS / "torchserve_handler.py")]
    command += ["--extra-files", ",".join(map(str, extra)), "--config-file", str(scratch / "model-config.yaml")]
    subprocess.run([*command, "--export-path", str(store)], check=True, capture_output=True)


def _torchserve_config(scratch: Path, ports: list[int]) -> str:
    inference, management, metrics, grpc_inference, grpc_management, first_worker = ports
    return "\n".join(
        [
            f"inference_address=http://127.0.0.1:{inference}",
            f"management_address=http://127.0.0.1:{management}",
            f"metrics_address=http://127.0.0.1:{metrics}",
            f"grpc_inference_port={grpc_inference}",
            f"grpc_management_port={grpc_management}",
            f"initial_worker_port={first_worker}",
            "load_models=all",
            "disable_token_authorization=true",
            "disable_system_metrics=true",
            "enable_metrics_api=false",
            "async_logging=true",
            "job_queue_size=1000",
            "default_response_timeout=120",
            f"vmargs=-Djava.io.tmpdir={scratch}",
            "",
        ]
    )

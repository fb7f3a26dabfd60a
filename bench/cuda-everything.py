#!/usr/bin/env python3
"""On a machine with a GPU: does every operation of every task answer there what it answers on the CPU, and does the server
hold out where the GPU is full or lost?

    python3 bench/cuda-everything.py --program target/release/lucarne --device cuda

Needs a Python whose torch sees the GPU, for models that are made on the spot and for filling the memory. Every part has a
bound of time. `--device cpu` tries the script itself. Prints a table, also into $OUT/cuda-everything.log where OUT is set, and
ends with 1 where anything is not right.
"""

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from harness.answers import Answer, Request, apart, npy, png
from harness.asked import explanations, image, operations, pictures
from harness.gpu_server import Server, copied
from harness.paths import MODELS, REPOSITORY

HARNESS = REPOSITORY / "bench/harness"

# Sums in another order. Of an explanation, whose map is a small difference of large numbers, more. A gradient down to the
# input jumps where rounding takes a unit over the bend of its ReLU; two servers on one CPU differ by 0.004 in one pixel.
ANSWER, MAP, GRADIENT = 1e-3, 1e-2, 5e-2
GRADIENTS = ("saliency", "input_x_gradient", "smooth_grad", "integrated_gradients", "guided_backprop", "guided_grad_cam")

# What the parts behind the first need.
RESERVE_S = 100.0

METHODS = 18

# Numbers of a request whose pass takes 4 GiB, which no size that was computed before has left in the server's cache.
MANY = 1 << 15

# Three quarters of a machine's memory are what a model's trial gets: here those of one with 16 GiB.
SMALL_TRIAL_MB = 12 << 10


class Run:
    """What is asked of, what was found, and how much time is left."""

    def __init__(self, program: Path, device: str, seconds: float, scratch: Path) -> None:
        self.program, self.device, self.scratch = program.resolve(), device, scratch
        self.end = time.monotonic() + seconds
        self.is_cuda = device.startswith("cuda")
        self.rows: list[tuple[str, str, str]] = []
        self.servers: list[Server] = []
        # What was tried once is remembered among the servers of this run, and of no other.
        os.environ["XDG_CACHE_HOME"] = str(scratch.resolve() / "cache")
        out = os.environ.get("OUT")
        self.log = (Path(out) / "cuda-everything.log").open("w", encoding="utf-8") if out else None

    def say(self, text: str) -> None:
        """To both."""
        print(text, flush=True)
        if self.log:
            print(text, file=self.log, flush=True)

    def row(self, what: str, found: str, right: bool | None) -> None:
        """A line of the table; `right` is nothing where it is only told."""
        self.rows.append((what, found, {True: "right", False: "FAILED", None: "—"}[right]))
        self.say(" · ".join(self.rows[-1]))

    def compared(self, what: str, most: float, one: Answer, other: Answer) -> None:
        """A line about two answers."""
        worst, where = apart(one, other)
        far = worst > most
        self.row(what, f"{worst:.1e}" + (f" at {where}" if far or not math.isfinite(worst) else ""), not far)

    def expect(self, what: str, answer: Answer, status: int, said: str = "", within_s: float = math.inf) -> bool:
        """A line about an answer that shall have this status and say this, so soon."""
        right = answer.status == status and said in answer.body.decode(errors="replace") and answer.seconds <= within_s
        self.row(what, f"{answer.brief if answer.status != 200 or not right else 200} in {answer.seconds:.2f} s", right)
        return right

    def server(self, models: Path) -> Server:
        """One that is stopped in the end, whatever happens."""
        self.servers.append(Server(self.program, models, self.scratch))
        return self.servers[-1]

    def left(self) -> float:
        """Seconds."""
        return self.end - time.monotonic()


def both(one: Server, other: Server, request: Request) -> tuple[Answer, Answer]:
    """The answers of two servers, at once."""
    with ThreadPoolExecutor(2) as pool:
        found = [pool.submit(server.ask, request) for server in (one, other)]
        return found[0].result(), found[1].result()


def folders(run: Run) -> tuple[Path, Path]:
    """Every model on the CPU, and on the device with a classifier of two instances besides."""
    made = run.scratch / "made"
    found = subprocess.run([sys.executable, HARNESS / "made.py", made, MODELS], capture_output=True, text=True, timeout=90)
    run.say((found.stdout + found.stderr)[-3000:].strip() or "every model was made")
    here, there = run.scratch / "on-the-cpu", run.scratch / "on-the-device"
    # Of a model that was rewritten for an older torch, that copy comes later and stays.
    ready = {path.parent.name: path.parent for folder in (MODELS, made) for path in sorted(folder.glob("*/model.toml"))}
    for model in ready.values():
        if model.name in ("fatal", "tokens"):
            continue
        copied(model, here / model.name, "cpu")
        copied(model, there / model.name, run.device)
    copied(MODELS / "mobilenet_v2", there / "two", run.device, count=2)
    return here, there


def agreement(run: Run) -> None:
    """Every task and method on the device beside the CPU, other pictures, and two instances."""
    here, there = folders(run)
    cpu, device = run.server(here), run.server(there)
    on_cpu = cpu.wait(time.monotonic() + min(100, run.left()))
    on_device = device.wait(time.monotonic() + min(100, run.left()))
    run.row("start of all models on the device", f"{time.monotonic() - device.started:.1f} s", None)
    served = set()
    for model, of_device in on_device.items():
        of_cpu = on_cpu.get(model, on_cpu["mobilenet_v2"])
        if of_device["state"] == "ready" == of_cpu["state"]:
            served.add(model)
            is_there = of_device["device"].startswith(run.device)
            run.row(f"{model} loads", of_device["device"], is_there)
        else:
            why = json.dumps(of_cpu if of_cpu["state"] != "ready" else of_device)[:600]
            run.row(f"{model} is left out", why, None if of_cpu["state"] != "ready" else False)
    methods = on_cpu["mobilenet_v2"].get("explain_methods", [])
    known = {method for model in served for method in on_device[model].get("explain_methods", [])}
    run.row("methods of the models that are served", f"{len(known)} of {METHODS}", len(known) == METHODS)
    for what, request in operations() + pictures() + explanations(methods):
        if request.path.partition("/")[0] not in served:
            continue
        if run.left() < (RESERVE_S if run.is_cuda else 0):
            run.row(what, "no time is left for it", False)
            continue
        run.compared(what, limit(request), *both(cpu, device, request))
    ascent(run, cpu, device)
    together(run, cpu, device)
    run.row("address space of the server", f"{device.addresses_gib():.0f} GiB", None)


def ascent(run: Run, cpu: Server, device: Server) -> None:
    """Of a visualisation where it begins is compared, and that it rises: each step is divided by its own size, so that where
    a gradient is nearly zero rounding decides its direction, and two servers on one CPU end at 2.9 and 3.6."""
    request = Request("mobilenet_v2/visualize?target=285&n_steps=6", b"{}", "application/json")
    found = [(answer.json() or {}).get("visualization", {}) for answer in both(cpu, device, request)]
    before, after = ([one.get(key, math.nan) for one in found] for key in ("score_before", "score"))
    right = abs(before[0] - before[1]) <= ANSWER * abs(before[0]) and all(b > a for a, b in zip(before, after, strict=True))
    run.row("mobilenet_v2/visualize", f"from {before} to {after}", right)


def limit(request: Request) -> float:
    """How far two answers to it may be apart."""
    if "/explain?" not in request.path:
        return ANSWER
    return GRADIENT if any(f"method={method}" in request.path for method in GRADIENTS) else MAP


def together(run: Run, cpu: Server, device: Server) -> None:
    """Many clients at once, of one instance and of two."""
    photos = [image(f"photos/{photo}") for photo in ("astronaut.jpg", "chelsea.png", "coffee.jpg", "rocket.jpg")]
    expected = [cpu.ask(Request("mobilenet_v2/predict?top_k=50", photo)) for photo in photos]
    for model in ("mobilenet_v2", "two"):
        with ThreadPoolExecutor(16) as pool:
            asked = [Request(f"{model}/predict?top_k=50", photos[index % 4]) for index in range(64)]
            found = list(pool.map(device.ask, asked))
        worst = max(apart(answer, expected[index % 4]) for index, answer in enumerate(found))
        run.row(f"64 requests of 16 clients to {model}", f"{worst[0]:.1e} {worst[1]}", worst[0] <= ANSWER)


def full(run: Run) -> None:
    """A GPU whose memory another process has taken."""
    models = run.scratch / "full"
    copied(run.scratch / "made/square", models / "square", run.device, largest=1)
    copied(MODELS / "mobilenet_v2", models / "mobilenet_v2", run.device)
    server = run.server(models)
    # While the server starts, so does the other process.
    hog = subprocess.Popen(
        [sys.executable, HARNESS / "full.py", run.device + ("" if ":" in run.device else ":0")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    watch = threading.Timer(min(90, run.left()), hog.kill)
    watch.start()
    try:
        server.wait(time.monotonic() + min(60, run.left()))
        run.say(f"the process that takes the memory: {hog.stdout.readline().strip()} MiB are free")
        while_full(run, server, lambda mb: left_free(hog, mb))
    finally:
        watch.cancel()
        hog.kill()
        hog.wait()
    again(run, server)
    server.stop()


def left_free(hog: subprocess.Popen[str], leave_mb: int) -> str:
    """Has so much left free; how much it then is."""
    hog.stdin.write(f"{leave_mb}\n")
    hog.stdin.flush()
    return hog.stdout.readline().strip()


def of_ones(count: int, path: str) -> Request:
    """A request whose answer is 1."""
    return Request(f"square/{path}", npy([1.0] * count, (1, count)), "application/x-npy")


GRAD_CAM = "mobilenet_v2/explain?method=grad_cam"


def while_full(run: Run, server: Server, leave: Callable[[int], str]) -> None:
    """What is answered meanwhile."""
    run.say(f"{leave(64)} MiB are left free")
    run.expect("full: a prediction of 4 GiB", server.ask(of_ones(MANY, "predict")), 503, "out_of_memory")
    run.expect("full: /readyz", server.ask("/readyz"), 503, "out of memory")
    run.expect("full: /healthz", server.ask("/healthz"), 200)
    run.expect("full: an explanation of 4 GiB", server.ask(of_ones(MANY, "explain?method=saliency")), 503, "out_of_memory")
    run.expect("full: a small prediction", server.ask(of_ones(64, "predict")), 200)
    run.expect("full: /readyz once a batch got through", server.ask("/readyz"), 200)
    # A first explanation loads the weights once more and makes handles of libraries: where the memory ends in that is
    # tried at several places, and each must be told as what it is.
    photo = image("photos/chelsea.png")
    for mb in (0, 4, 16, 24, 32, 48, 64, 96, 160):
        free = leave(mb)
        for what, request in (("explanation", Request(GRAD_CAM, photo)), ("prediction", Request("mobilenet_v2/predict", photo))):
            answer = server.ask(request)
            right = answer.status == 200 or answer.code == "out_of_memory"
            run.row(f"full: {free} MiB free, {what} by mobilenet_v2", f"{answer.status} {answer.code}", right)


def again(run: Run, server: Server) -> None:
    """When the memory is free again."""
    run.expect("free again: the prediction of 4 GiB", server.ask(of_ones(MANY, "predict")), 200)
    run.expect("free again: the explanation of 4 GiB", server.ask(of_ones(MANY, "explain?method=saliency")), 200)
    run.expect("free again: Grad-CAM", server.ask(Request(GRAD_CAM, image("photos/chelsea.png"))), 200)
    run.expect("free again: /readyz", server.ask("/readyz"), 200)
    complaints(run, server)


def complaints(run: Run, server: Server) -> None:
    """What the log says of failures, which clients are not told."""
    log = server.log.read_text(encoding="utf-8", errors="replace").splitlines()
    shortened = (line if len(line) < 500 else f"{line[:250]} … {line[-250:]}" for line in log)
    grave = [line for line in shortened if "ERROR" in line or "WARN" in line]
    run.say("its log:\n" + "\n".join(grave[:60]))


def lost(run: Run) -> None:
    """A GPU on which a model's kernel ends with an assertion."""
    models = run.scratch / "lost"
    copied(run.scratch / "made/fatal", models / "fatal", run.device)
    copied(MODELS / "mobilenet_v2", models / "mobilenet_v2", run.device)
    checked = subprocess.run([run.program, "check", models / "fatal"], capture_output=True, text=True, timeout=min(60, run.left()))
    run.row("lost: lucarne check of the model", checked.stdout.strip()[-300:], checked.returncode == 0)
    server = run.server(models)
    server.wait(time.monotonic() + min(60, run.left()))
    dark, medium = (Request("fatal/predict", png(8, 2, [bytes([value] * 24)] * 8)) for value in (10, 128))
    photo = image("photos/chelsea.png")
    run.expect("lost: before", server.ask(dark), 200)
    run.expect("lost: the other model before", server.ask(Request("mobilenet_v2/predict", photo)), 200)
    with ThreadPoolExecutor(9) as pool:
        found = list(pool.map(server.ask, [dark] * 4 + [medium] + [dark] * 4))
    run.expect("lost: the request that loses it", found[4], 503, "device_lost")
    others = sorted({f"{answer.status} {answer.code}".strip() for answer in found[:4] + found[5:]})
    run.row("lost: eight others at once", ", ".join(others), set(others) <= {"200", "503 device_lost"})
    run.expect("lost: /readyz", server.ask("/readyz"), 503, "restart")
    run.expect("lost: /healthz", server.ask("/healthz"), 200, within_s=1)
    run.expect("lost: the same model later", server.ask(dark), 503, "restarted", within_s=1)
    for path in ("fatal/explain", "mobilenet_v2/predict", "mobilenet_v2/explain"):
        for turn in ("first", "second"):
            answer = server.ask(Request(path, photo))
            run.expect(f"lost: {path}, the {turn} time", answer, 503, "device_lost", within_s=5)
    run.expect("lost: /readyz in the end", server.ask("/readyz"), 503, "mobilenet_v2 (")
    run.expect("lost: /v1/models", server.ask("/v1/models"), 200, within_s=1)
    complaints(run, server)
    status, seconds = server.stop()
    run.row("lost: SIGTERM ends it", f"status {status} in {seconds:.1f} s", status == 0 and seconds < 10)
    if status != 0:
        run.say(server.tail())
    if run.left() > 25:
        server = run.server(models)
        server.wait(time.monotonic() + min(60, run.left()))
        run.expect("lost: restarted", server.ask(dark), 200)
        server.stop()


def whole_numbers(run: Run) -> None:
    """A model whose trial asks for words that its table has not must take no other model's device along."""
    models = run.scratch / "numbers"
    for largest in (1, 2):
        copied(run.scratch / "made/tokens", models / f"tokens{largest}", run.device, largest=largest)
    copied(MODELS / "mobilenet_v2", models / "mobilenet_v2", run.device)
    server = run.server(models)
    found = server.wait(time.monotonic() + min(60, run.left()))
    for model in ("tokens1", "tokens2"):
        error = found[model].get("error") or "it is served"
        run.row(f"whole numbers: {model}", error[:300], "range" in error)
    photo = Request("mobilenet_v2/predict", image("photos/chelsea.png"))
    run.row("whole numbers: mobilenet_v2", found["mobilenet_v2"]["state"], found["mobilenet_v2"]["state"] == "ready")
    run.expect("whole numbers: mobilenet_v2 answers", server.ask(photo), 200)
    complaints(run, server)
    server.stop()


def small_trial(run: Run) -> None:
    """A trial bounds its address space, of which a GPU takes much: whether a machine of 16 GiB would let the model in."""
    copied(MODELS / "gauge", run.scratch / "small/gauge", run.device)
    command = [run.program, "check", run.scratch / "small", "--max-model-mb", str(SMALL_TRIAL_MB)]
    found = subprocess.run(command, capture_output=True, text=True, timeout=max(5, min(60, run.left())))
    run.row(f"a trial of {SMALL_TRIAL_MB >> 10} GiB", (found.stdout + found.stderr).strip()[-500:], found.returncode == 0)


def part(run: Run, what: str, body: Callable[[Run], None]) -> None:
    """Times it, and goes on whatever comes of it."""
    started = time.monotonic()
    try:
        if run.left() < 10:
            raise TimeoutError("no time is left for it")
        body(run)
    except Exception as error:
        run.row(what, f"{error!r}"[:1500], False)
        run.say(traceback.format_exc())
        run.say(run.servers[-1].tail() if run.servers else "no server was started")
    for server in run.servers:
        if server.process.poll() is None:
            server.stop(5)
    run.row(f"{what}: time", f"{time.monotonic() - started:.1f} s", None)


def conclude(run: Run) -> int:
    """The table; the exit status."""
    run.say("\n| what | largest difference, or answer | |\n| --- | --- | --- |")
    for row in run.rows:
        run.say("| " + " | ".join(cell.replace("\n", " ").replace("|", "¦")[:300] for cell in row) + " |")
    failed = [what for what, _, verdict in run.rows if verdict == "FAILED"]
    run.say(f"{len(failed)} of {len(run.rows)} FAILED: {'; '.join(failed)}" if failed else "everything is right")
    return int(bool(failed))


def give_up(run: Run) -> None:
    """Where the time of all parts is over and one goes on."""
    for server in run.servers:
        server.process.kill()
    run.row("the whole run", "it took too long and was ended", False)
    os._exit(conclude(run))


def main() -> int:
    """Runs every part; 1 where a row is wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", type=Path, required=True, help="lucarne")
    parser.add_argument("--device", default="cuda", help="as model.toml names it")
    parser.add_argument("--seconds", type=float, default=190.0, help="for all parts")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        run = Run(asked.program, asked.device, asked.seconds, Path(scratch))
        watch = threading.Timer(asked.seconds + 8, give_up, [run])
        watch.daemon = True
        watch.start()
        part(run, "agreement", agreement)
        if run.is_cuda:
            part(run, "full", full)
            part(run, "lost", lost)
            part(run, "whole numbers", whole_numbers)
            part(run, "small trial", small_trial)
        else:
            run.say("a full and a lost device need a GPU: these parts are skipped")
        return conclude(run)


if __name__ == "__main__":
    sys.exit(main())

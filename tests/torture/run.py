"""Attacks a server, and says what others had to bear meanwhile; `make torture`.

    tests/torture/run.py --program target/release/lucarne [--short] [--only WORD…]

Each attack has a server of its own. While it goes on, `/healthz` and predictions of another model are asked again and again.
Fails where the server ends, where one of them waits too long, where memory grows by more than the budgets, or where
it does not come back.
"""

import argparse
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from attacks import ATTACKS, Attack
from endings import ended, logged
from harness import ALL_MODELS, PHOTO, Server, Watch
from limits import bounded
from neighbours import tried
from others import conforming, fuzzed, interleaved
from soak import soaked

HEALTHY_WITHIN_S = 0.1
"""On a machine that has nothing else to do; a factor for its load comes on top."""
PREDICTED_WITHIN_S = 2.0
MOST_MB = 512.0
LEFT_MB = 64.0
WATCHED = "mobilenet_v2"


@dataclass(frozen=True)
class Outcome:
    """What an attack did."""

    attack: Attack
    answers: Counter[str]
    healthz_s: float
    predict_s: float
    wrong: Counter[str]
    peak_mb: float
    left_mb: float
    threads: int
    descriptors: int
    lives: bool

    def faults(self, load: float) -> list[str]:
        """What it should not have done."""
        found = [] if self.lives else ["the server ended"]
        if self.healthz_s > HEALTHY_WITHIN_S * load:
            found.append(f"/healthz took {self.healthz_s * 1e3:.0f} ms")
        if self.predict_s > PREDICTED_WITHIN_S * load:
            found.append(f"a prediction took {self.predict_s:.1f} s")
        if self.wrong:
            found.append(f"others were answered {dict(self.wrong)}")
        if self.peak_mb > MOST_MB:
            found.append(f"{self.peak_mb:.0f} MB above idle")
        if self.left_mb > LEFT_MB:
            found.append(f"{self.left_mb:.0f} MB above idle afterwards")
        if self.descriptors > 4:
            found.append(f"{self.descriptors} descriptors more")
        return found


def attacked(program: Path, attack: Attack, pause: float, prefix: list[str]) -> Outcome:
    """Runs one attack; on a server of every model where there is a prefix, which bounds it."""
    models = sorted(ALL_MODELS) if prefix else [WATCHED, "selfie", *attack.models]
    with Server(program, models, ["--log", "warn"], prefix) as server:
        server.until_ready()
        for _ in range(3):
            server.post(f"/v1/models/{WATCHED}/predict", PHOTO)
            server.post(f"/v1/models/{WATCHED}/explain", PHOTO)
            server.post("/v1/models/selfie/predict", PHOTO)
        idle = server.weight()
        server.forget_peak()
        health = Watch(server, "/healthz", None, 0.02)
        predictions = Watch(server, f"/v1/models/{WATCHED}/predict", PHOTO, 0.1)
        with health, predictions:
            time.sleep(0.5)
            answers = attack.run(server)
            time.sleep(1.0)
        peak = server.weight() if server.lives() else idle
        end = time.monotonic() + pause
        while server.lives() and time.monotonic() < end and server.weight().mb > idle.mb + LEFT_MB:
            time.sleep(0.5)
        left = server.weight() if server.lives() else idle
        wrong = health.answers + predictions.answers
        del wrong["200"]
        return Outcome(
            attack,
            answers,
            health.longest,
            predictions.longest,
            wrong,
            peak.peak_mb - idle.mb,
            left.mb - idle.mb,
            left.threads - idle.threads,
            left.descriptors - idle.descriptors,
            server.lives(),
        )


def row(outcome: Outcome) -> str:
    """A line of the table."""
    answers = ", ".join(f"{count} × {answer}" for answer, count in sorted(outcome.answers.items()))
    cells = [
        outcome.attack.kind,
        outcome.attack.member,
        answers,
        f"{outcome.healthz_s * 1e3:.0f}",
        f"{outcome.predict_s:.2f}",
        f"{outcome.peak_mb:.0f}",
        f"{outcome.left_mb:.0f}",
    ]
    return "| " + " | ".join(cells) + " |"


def _attacks(
    program: Path, chosen: list[Attack], options: argparse.Namespace, prefix: list[str]
) -> list[str]:
    """Each on a server of its own; what went wrong."""
    print("| kind | member | answers | /healthz, longest ms | other predictions, longest s | MB above idle | MB left |")
    print("| --- | --- | --- | --- | --- | --- | --- |", flush=True)
    faults: list[str] = []
    for attack in chosen:
        outcome = attacked(program, attack, 20 if options.short else 60, prefix)
        print(row(outcome), flush=True)
        faults += [f"{attack.kind}, {attack.member}: {fault}" for fault in outcome.faults(options.load)]
    return faults


def _further(program: Path, options: argparse.Namespace, prefix: list[str]) -> dict[str, Callable[[], list[str]]]:
    """What else was asked for, by its kind; each says what went wrong."""
    short = options.short
    kinds: dict[str, Callable[[], list[str]]] = {
        "ending": lambda: ended(program, 2 if short else 20),
        "log": lambda: logged(program),
        "neighbours": lambda: tried(program),
        "soak": lambda: soaked(program, 60 if short else 600, options.load, prefix),
        "schema": lambda: conforming(program, *((30, 1) if short else (300, None))),
        "orders": lambda: interleaved(1000 if short else 100_000),
        "fuzz": lambda: fuzzed(600),
    }
    if short:
        # Building the targets takes minutes; their seeds are among the tests.
        del kinds["fuzz"]
    return {name: run for name, run in kinds.items() if not options.only or name in options.only}


def main() -> None:
    """Runs what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", type=Path, default=Path("target/release/lucarne"))
    parser.add_argument("--short", action="store_true", help="fewer attacks, and shorter pauses")
    parser.add_argument("--only", nargs="+", default=[], help="attacks whose kind or member has one of these words")
    parser.add_argument("--load", type=float, default=1.0, help="how many times longer others may wait on this machine")
    parser.add_argument("--limit-mb", type=int, default=0, help="attack and soak servers of every model that may take no more memory")
    options = parser.parse_args()
    chosen = [attack for attack in ATTACKS if attack.short or not options.short]
    if options.only:
        chosen = [one for one in chosen if any(word in f"{one.kind} {one.member}" for word in options.only)]
    program = options.program.resolve()
    with bounded(options.limit_mb) as prefix:
        faults = _attacks(program, chosen, options, prefix)
        further = _further(program, options, prefix)
        if further:
            print("\n| kind | member | | |\n| --- | --- | --- | --- |", flush=True)
        for run in further.values():
            faults += run()
    for fault in faults:
        print(f"FAILED {fault}")
    print(f"{len(chosen)} attacks, {len(further)} further trials, {len(faults)} faults")
    sys.exit(bool(faults) or not (chosen or further))


if __name__ == "__main__":
    main()

"""Reads folders of picture files, such as the test suites of picture libraries, and holds the pixels against Pillow's.

Each file that Pillow opens is decoded at its own size by `pixels`, an example of this repository that goes the server's
way. It counts as read where no sample differs by more than 2 of 255; as refused where the answer is a code and a reason
that does not blame the file; as wrong in any other case, a panic that was caught among them. What is known of single files
stands in `KNOWN`. The exit status is 1 if a file is wrong.

    python tests/parity/pictures.py [--program target/release/examples/pixels] FOLDER …
"""

import argparse
import json
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from harness.table import aligned
from PIL import Image
from reference.picture_files import Opened, opened

PROGRAM = Path(__file__).resolve().parents[2] / "target" / "release" / "examples" / "pixels"
TOLERANCE = 2
# Where Pillow reads a file, this code is no reason to refuse it.
BLAMES_THE_FILE = "invalid_image"
# Of files by name: where Pillow reads what is broken.
KNOWN = {
    "badcrc.png": "the checksum of its pixels is wrong, on purpose; Pillow does not look",
    "huge_IDAT.png": "a chunk claims more bytes than the file has",
    "clusterfuzz-testcase-minimized-fuzzer_script_tiff-5026894169374720.tif": "its JPEG ends within the picture; libtiff fills it up",
}


@dataclass(frozen=True)
class Answer:
    """What `pixels` said of a file."""

    head: dict
    pixels: np.ndarray | None


@dataclass(frozen=True)
class Verdict:
    """`outcome`: read, refused, known or wrong; `why` says more of all but the first."""

    kind: str
    outcome: str
    why: str = ""


def main() -> int:
    """Compares, and prints the tables."""
    options = _options()
    # Pillow refuses twice as many, which is what the server takes.
    Image.MAX_IMAGE_PIXELS = 32_000_000
    files = sorted(file for folder in options.folders for file in folder.rglob("*") if file.is_file())
    verdicts: dict[Path, Verdict] = {}
    only_here, panics = 0, []
    for file, answer in _answers(options.program, files):
        theirs = opened(file)
        if theirs is not None:
            verdict, known = _verdict(theirs, answer), theirs.fault or KNOWN.get(file.name)
            if verdict.outcome == "wrong" and not answer.head["panicked"] and known:
                verdict = Verdict(verdict.kind, "known", f"{known} (here: {verdict.why})")
            verdicts[file] = verdict
        elif answer.head["panicked"]:
            panics.append(file)
        elif answer.pixels is not None:
            only_here += 1
    _report(verdicts, panics)
    print(f"{len(files) - len(verdicts)} further files are nothing that Pillow reads; {only_here} of them are read here")
    return 1 if panics or not verdicts or any(each.outcome == "wrong" for each in verdicts.values()) else 0


def _answers(program: Path, files: list[Path]) -> Iterator[tuple[Path, Answer]]:
    with subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as running:
        for file in files:
            running.stdin.write(f"{file}\n".encode())
            running.stdin.flush()
            head = json.loads(running.stdout.readline())
            pixels = None
            if "width" in head:
                shape = (head["height"], head["width"], 3)
                pixels = np.frombuffer(running.stdout.read(int(np.prod(shape))), np.uint8).reshape(shape)
            yield file, Answer(head, pixels)
        running.stdin.close()


def _verdict(theirs: Opened, answer: Answer) -> Verdict:
    kind = theirs.kind
    if answer.head["panicked"]:
        return Verdict(kind, "wrong", f"a panic was caught: {answer.head.get('reason', '')}")
    if answer.pixels is None:
        outcome = "wrong" if answer.head["code"] == BLAMES_THE_FILE else "refused"
        return Verdict(kind, outcome, f"{answer.head['code']}: {answer.head['reason']}")
    if theirs.pixels is None:
        return Verdict(kind, "wrong", "it was read, though its samples have no agreed white")
    if theirs.pixels.shape != answer.pixels.shape:
        return Verdict(kind, "wrong", f"{answer.pixels.shape}, not {theirs.pixels.shape}")
    difference = np.abs(theirs.pixels.astype(np.int16) - answer.pixels)
    if difference.max() <= TOLERANCE:
        return Verdict(kind, "read")
    share = (difference.max(axis=2) > TOLERANCE).mean()
    return Verdict(kind, "wrong", f"differs by {difference.max()}, in {share:.1%} of the pixels by more than {TOLERANCE}")


def _report(verdicts: dict[Path, Verdict], panics: list[Path]) -> None:
    outcomes = ("read", "refused", "known", "wrong")
    kinds: dict[str, Counter] = defaultdict(Counter)
    reasons: dict[str, list[Path]] = defaultdict(list)
    for file, verdict in verdicts.items():
        kinds[verdict.kind][verdict.outcome] += 1
        if verdict.outcome == "refused":
            reasons[verdict.why].append(file)
    rows = [(kind, *(str(count[outcome] or "") for outcome in outcomes)) for kind, count in sorted(kinds.items())]
    total = Counter(verdict.outcome for verdict in verdicts.values())
    print(aligned([("kind", *outcomes), *rows, ("all", *(str(total[outcome]) for outcome in outcomes))]))
    print("\nrefused:")
    for reason, files in sorted(reasons.items()):
        print(f"- {reason} ({', '.join(file.name for file in files)})")
    for outcome in ("known", "wrong"):
        print(f"\n{outcome}:")
        for file, verdict in verdicts.items():
            if verdict.outcome == outcome:
                print(f"- {file}: {verdict.kind}: {verdict.why}")
    for file in panics:
        print(f"- {file}: a panic was caught")
    good = total["read"] + total["refused"]
    share = good / max(len(verdicts) - total["known"], 1)
    print(
        f"\n{good} of {len(verdicts) - total['known']} files ({share:.1%}) are read within {TOLERANCE} of 255"
        f" ({total['read']}) or refused with a reason ({total['refused']}); {total['known']} more are known"
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER", help="looked through at any depth")
    parser.add_argument("--program", type=Path, default=PROGRAM, help="(default: %(default)s)")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())

"""`lucarne import-mar` and `lucarne import-triton`."""

import argparse
import sys

from .handlers import HANDLERS
from .report import MigrationError
from .torchserve import import_mar
from .triton import import_triton


def _size(text: str) -> tuple[int, int]:
    sides = text.lower().split("x")
    if len(sides) != 2 or not all(side.isascii() and side.isdigit() and len(side) < 5 for side in sides):
        raise argparse.ArgumentTypeError(f"{text!r} is no HEIGHTxWIDTH, such as 480x640")
    return int(sides[0]), int(sides[1])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="lucarne")
    commands = parser.add_subparsers(dest="command", required=True)
    mar = commands.add_parser("import-mar", help="make a model folder of a model archive of TorchServe")
    mar.add_argument("source", metavar="ARCHIVE", help="a .mar, a .tar.gz, or the folder of --archive-format no-archive")
    mar.add_argument("--run-code", action="store_true", help="run the archive's Python, which an eager model needs")
    mar.add_argument("--handler", choices=sorted(HANDLERS), help="take this handler in place of the archive's own")
    mar.add_argument("--size", type=_size, metavar="HEIGHTxWIDTH", help="the size of a detector's pictures")
    triton = commands.add_parser("import-triton", help="make a model folder of a model of Triton's PyTorch backend")
    triton.add_argument("source", metavar="DIR", help="the folder that holds config.pbtxt")
    for command in (mar, triton):
        command.add_argument("--models", default="models", metavar="DIR", help="the folder of models (default: models)")
        command.add_argument("--name", help="the model's name (default: the one that it has)")
    return parser


def run(arguments: list[str]) -> int:
    """Runs a command, and returns its exit status."""
    given = _parser().parse_args(arguments)
    try:
        if given.command == "import-mar":
            import_mar(
                given.source, given.models, name=given.name, run_code=given.run_code, handler=given.handler, size=given.size
            )
        else:
            import_triton(given.source, given.models, name=given.name)
    except (MigrationError, OSError) as error:
        print(f"lucarne: {error}", file=sys.stderr)
        return 1
    return 0

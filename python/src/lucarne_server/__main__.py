"""The command `lucarne`: the server's own program, and what needs Python beside it."""

import sys

from .program import become

# Reading what others packed runs their Python.
_IN_PYTHON = ("import-mar", "import-triton")


def main() -> None:
    """Runs a command."""
    arguments = sys.argv[1:]
    if arguments and arguments[0] in _IN_PYTHON:
        from .migrate.command import run

        sys.exit(run(arguments))
    become(arguments)


if __name__ == "__main__":
    main()

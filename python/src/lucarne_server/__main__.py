"""The command `lucarne`: the server's own program, and what needs Python beside it."""

import sys

from .program import become

# Reading what others packed runs their Python.
_IN_PYTHON = {
    "import-mar": "Make a model folder of a model archive of TorchServe",
    "import-triton": "Make a model folder of a model of Triton's PyTorch backend",
}


def main() -> None:
    """Runs a command."""
    arguments = sys.argv[1:]
    if arguments and arguments[0] in _IN_PYTHON:
        from .migrate.command import run

        sys.exit(run(arguments))
    if arguments in (["--help"], ["-h"], ["help"]):
        print("Commands of the Python package:")
        for name, does in _IN_PYTHON.items():
            print(f"  {name:<13}  {does}")
        print()
    become(arguments)


if __name__ == "__main__":
    main()

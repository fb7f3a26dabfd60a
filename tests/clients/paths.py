"""Where things are. Importing this lets the checks import `harness` of tests/parity: the server's process and `/v1`."""

import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
MODELS = REPOSITORY / "models"
GOLDEN = REPOSITORY / "tests" / "golden"
PHOTOS = GOLDEN / "photos"
PROGRAM = REPOSITORY / "target" / "release" / "lucarne"
CACHE = REPOSITORY / ".cache"

sys.path.append(str(REPOSITORY / "tests" / "parity"))

"""Where things are. Importing this lets experiments import `harness` of tests/parity and the recipes of the models."""

import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
MODELS = REPOSITORY / "models"
GOLDEN = REPOSITORY / "tests" / "golden"
BINARY = REPOSITORY / "target" / "release" / "lucarne"

sys.path += [str(REPOSITORY / "tests" / "parity"), str(MODELS / "recipes")]

"""Where things are."""

from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
MODELS = REPOSITORY / "models"
PHOTOS = REPOSITORY / "tests" / "golden" / "photos"
PROGRAM = REPOSITORY / "target" / "release" / "lucarne"
CACHE = REPOSITORY / ".cache" / "deploy"
HELM = CACHE / "tools" / "bin" / "helm"
PROMTOOL = CACHE / "tools" / "bin" / "promtool"
BUSYBOX = CACHE / "tools" / "busybox"

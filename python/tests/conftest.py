"""What the tests have in common: photos that are not square, and where the package lies."""

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
if (ROOT / "python" / "src" / "lucarne_server").is_dir() and "lucarne_server" not in sys.modules:
    try:
        import lucarne_server  # noqa: F401 (the wheel, where it is installed)
    except ModuleNotFoundError:
        sys.path.insert(0, str(ROOT / "python" / "src"))


@pytest.fixture(scope="session")
def photos() -> list[Path]:
    """Ten pictures of different aspects: the repository's, and cuts of them."""
    found = sorted((ROOT / "tests" / "golden" / "photos").glob("*.[jp][pn]g"))
    assert found
    return found


@pytest.fixture(scope="session")
def ten_photos(photos: list[Path], tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Ten pictures that are not square."""
    from PIL import Image

    folder = tmp_path_factory.mktemp("photos")
    made = []
    for at in range(10):
        picture = Image.open(photos[at % len(photos)]).convert("RGB")
        width, height = picture.size
        # Another part of it each time, wide and tall in turn.
        part = 0.9 - 0.05 * at
        size = (int(width * part), int(height * part * 0.7)) if at % 2 else (int(width * part * 0.6), int(height * part))
        picture = picture.crop((at, at, at + size[0], at + size[1]))
        path = folder / f"{at}.png"
        picture.save(path)
        made.append(path)
    return made


from client_samples import client, expected, patient, row, tensors  # noqa: E402, F401 (fixtures, after the path is set)

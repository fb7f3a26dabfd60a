"""Takes chosen files out of a wheel, which is a zip archive, without installing it.

    unpack_wheel.py WHEEL FROM TO [FROM TO …]

FROM is a file in the wheel, a folder if it ends in a slash, or LICENCES, the licences and notices of its dist-info; TO is
the file or folder to write. It is an error if FROM is not in the wheel, and zipfile checks each file's CRC.
"""

import re
import shutil
import sys
import zipfile
from pathlib import Path


def main() -> None:
    """Unpacks each pair of the command line."""
    wheel, *pairs = sys.argv[1:]
    with zipfile.ZipFile(wheel) as archive:
        for source, target in zip(pairs[::2], pairs[1::2]):
            unpack(archive, source, Path(target))


def unpack(archive: zipfile.ZipFile, source: str, target: Path) -> None:
    """Writes the file or folder `source` of the archive to `target`."""
    members = [info for info in archive.infolist() if not info.is_dir() and matches(info.filename, source)]
    if not members:
        sys.exit(f"{archive.filename}: there is no {source} in it")
    for info in members:
        file = target
        if source == "LICENCES":
            file = target / Path(info.filename).name
        elif source.endswith("/"):
            file = target / info.filename[len(source) :]
        file.parent.mkdir(parents=True, exist_ok=True)
        with archive.open(info) as packed, file.open("wb") as unpacked:
            shutil.copyfileobj(packed, unpacked, 1 << 20)
        if info.external_attr >> 16 & 0o111:
            file.chmod(0o755)


def matches(name: str, source: str) -> bool:
    """Whether `name` is the file `source`, or inside the folder `source`."""
    if source == "LICENCES":
        return re.search(r"\.dist-info/(.*/)?(licen[sc]e|notice|copying)[^/]*$", name, re.IGNORECASE) is not None
    return name.startswith(source) if source.endswith("/") else name == source


if __name__ == "__main__":
    main()

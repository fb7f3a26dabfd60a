"""Reading a model archive of TorchServe: a zip, a tar.gz or a folder, of which nothing is trusted."""

import lzma
import shutil
import tarfile
import tempfile
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from gzip import BadGzipFile
from pathlib import Path, PurePosixPath
from typing import BinaryIO
from zipfile import BadZipFile, ZipFile, is_zipfile

from .report import MigrationError

MANIFEST = "MAR-INF/MANIFEST.json"
MOST_MEMBERS = 10_000
MOST_BYTES = 64 << 30
MOST_TEXT = 16 << 20
# Weights hardly shrink when they are packed, and zeros shrink a thousandfold.
_MOST_RATIO, _RATIO_FROM = 100, 1 << 30
_CHUNK = 1 << 20
# What Python's readers raise of a file that is damaged, encrypted, or packed by a method of others.
_DAMAGES = (BadZipFile, BadGzipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, NotImplementedError, RuntimeError)


class Archive(ABC):
    """The members of an archive by their names, relative to the folder that the manifest describes."""

    def __init__(self, path: Path, sizes: dict[str, int]) -> None:
        self.path = path
        self._root = _root(sizes, path)
        self.sizes = {name[len(self._root) :]: size for name, size in sizes.items() if name.startswith(self._root)}

    @abstractmethod
    def _open(self, name: str) -> BinaryIO:
        """The bytes of a member."""

    def text(self, name: str) -> str:
        """A member that is a text."""
        size = self._size(name)
        if size > MOST_TEXT:
            raise MigrationError(f"{name} has {size} bytes. A text of an archive has {MOST_TEXT} at most.")
        with self._open(self._root + name) as source:
            content = source.read(MOST_TEXT + 1)
        try:
            return content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise MigrationError(f"{name} is no text in UTF-8.") from error

    def copy(self, name: str, target: Path) -> None:
        """Writes a member to `target`, and no byte more than the archive announces."""
        size = self._size(name)
        target.parent.mkdir(parents=True, exist_ok=True)
        if size > shutil.disk_usage(target.parent).free:
            raise MigrationError(f"{name} has {size} bytes, and {target.parent} has no room for them.")
        written = 0
        with self._open(self._root + name) as source, target.open("xb") as sink:
            while chunk := source.read(_CHUNK):
                written += len(chunk)
                if written > size:
                    raise MigrationError(f"{name} is larger than the {size} bytes that the archive announces.")
                sink.write(chunk)

    def copy_all(self, folder: Path) -> None:
        """Writes every member below `folder`."""
        for name in self.sizes:
            self.copy(name, folder / name)

    def _size(self, name: str) -> int:
        if name not in self.sizes:
            raise MigrationError(f"{self.path.name} has no member {name[:200]!r}, which its manifest names.")
        return self.sizes[name]


class _Zip(Archive):
    def __init__(self, path: Path, archive: ZipFile) -> None:
        self._archive = archive
        bounds = _Bounds(path)
        # A link in a zip is a file that holds a path, and is written as one.
        files = [member for member in archive.infolist() if not member.orig_filename.endswith("/")]
        self._members = {bounds.add(member.orig_filename, member.file_size): member for member in files}
        super().__init__(path, bounds.sizes)

    def _open(self, name: str) -> BinaryIO:
        try:
            return self._archive.open(self._members[name])  # type: ignore[return-value]
        except OSError as error:
            raise BadZipFile(f"{name[:200]!r} is not where the archive says: {error}") from error


class _Tar(Archive):
    def __init__(self, path: Path, archive: tarfile.TarFile) -> None:
        self._archive = archive
        self._members: dict[str, tarfile.TarInfo] = {}
        bounds = _Bounds(path)
        for member in archive:
            if member.isfile():
                self._members[bounds.add(member.name, member.size)] = member
            elif not member.isdir():
                raise MigrationError(f"{path.name} has {member.name[:200]!r}, which is a link or a device. It is refused.")
        super().__init__(path, bounds.sizes)

    def _open(self, name: str) -> BinaryIO:
        source = self._archive.extractfile(self._members[name])
        assert source is not None
        return source  # type: ignore[return-value]


class _Folder(Archive):
    def __init__(self, path: Path) -> None:
        bounds = _Bounds(path)
        for member in sorted(path.rglob("*")):
            name = member.relative_to(path).as_posix()
            if member.is_symlink():
                raise MigrationError(f"{path.name} has {name[:200]!r}, which is a link. It is refused.")
            if member.is_file():
                bounds.add(name, member.stat().st_size)
        super().__init__(path, bounds.sizes)

    def _open(self, name: str) -> BinaryIO:
        return (self.path / name).open("rb")


class _Bounds:
    """What an archive may hold, held against each member before anything is unpacked."""

    def __init__(self, path: Path) -> None:
        self.sizes: dict[str, int] = {}
        self._path = path
        self._total = 0
        self._packed = path.stat().st_size if path.is_file() else None

    def add(self, name: str, size: int) -> str:
        """Takes a member under its plain name, which is returned, or refuses the archive for it."""
        shown = self._path.name
        if not _stays_inside(name):
            raise MigrationError(f"{shown} has the member {name[:200]!r}, which leads out of it. The archive is refused.")
        name = PurePosixPath(name).as_posix()
        if name in self.sizes:
            raise MigrationError(f"{shown} has the member {name[:200]!r} twice. The archive is refused.")
        self.sizes[name] = size
        self._total += size
        if len(self.sizes) > MOST_MEMBERS:
            raise MigrationError(f"{shown} has more than {MOST_MEMBERS} members. The archive is refused.")
        most = MOST_BYTES
        if self._packed is not None:
            most = min(most, max(_RATIO_FROM, _MOST_RATIO * self._packed))
        if self._total > most:
            raise MigrationError(f"{shown} announces more than {most} bytes. The archive is refused.")
        return name


def _stays_inside(name: str) -> bool:
    parts = PurePosixPath(name).parts
    is_plain = bool(parts) and not any(character in name for character in "\\\0:")
    return is_plain and not name.startswith("/") and ".." not in parts and len(name) <= 1024


def _root(sizes: dict[str, int], path: Path) -> str:
    """The folder around MAR-INF: a tar.gz has one named like the model, a zip has none."""
    depths = [name for name in sizes if name == MANIFEST or name.endswith(f"/{MANIFEST}")]
    if not depths:
        raise MigrationError(f"{path} has no {MANIFEST}. It is no model archive of TorchServe.")
    return min(depths, key=len).removesuffix(MANIFEST)


@contextmanager
def opened(path: Path) -> Iterator[Archive]:
    """The archive at `path`, whichever of TorchServe's three formats it has."""
    try:
        if path.is_dir():
            yield _Folder(path)
        elif is_zipfile(path):
            with ZipFile(path) as archive:
                yield _Zip(path, archive)
        elif path.is_file() and tarfile.is_tarfile(path):
            with tarfile.open(path) as tar:
                yield _Tar(path, tar)
        else:
            raise MigrationError(f"{path} is no zip, no tar.gz and no folder. It is no model archive of TorchServe.")
    except _DAMAGES as error:
        raise MigrationError(f"{path} cannot be unpacked: {error}") from error


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A temporary folder, the only one that members are written to."""
    with tempfile.TemporaryDirectory(prefix="lucarne-import-") as folder:
        yield Path(folder)

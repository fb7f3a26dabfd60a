"""What an import says: what was written, mapped and not mapped, and why it was refused."""

from dataclasses import dataclass, field
from pathlib import Path


class MigrationError(ValueError):
    """A model that cannot be imported; its message says why, and what to do."""


@dataclass
class Report:
    """Collects the facts of one import in the order in which they are found."""

    written: list[str] = field(default_factory=list)
    mapped: list[tuple[str, str]] = field(default_factory=list)
    unmapped: list[tuple[str, str]] = field(default_factory=list)

    def wrote(self, file: str, what: str) -> None:
        """A file of the model's folder."""
        self.written.append(f"{file}: {what}")

    def maps(self, theirs: str, ours: str) -> None:
        """What became of a setting."""
        self.mapped.append((theirs, ours))

    def leaves(self, theirs: str, cure: str) -> None:
        """A setting without a counterpart, and what to do about it."""
        self.unmapped.append((theirs, cure))

    def text(self, folder: Path) -> str:
        """The whole report."""
        lines = [f"{folder} is written, and `lucarne check` finds it right."]
        lines += [f"  {line}" for line in self.written]
        if self.mapped:
            lines += ["Mapped:", *(f"  {theirs} → {ours}" for theirs, ours in self.mapped)]
        if self.unmapped:
            lines += ["Not mapped:", *(f"  {theirs}: {cure}" for theirs, cure in self.unmapped)]
        lines.append(f"Serve it: lucarne serve --models {folder.parent}")
        return "\n".join(lines)

"""What keeps a network from being exported."""


class ExportError(ValueError):
    """What was wrong, and how to mend it."""

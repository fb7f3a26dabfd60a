"""Settings of copied models."""

from pathlib import Path


def set_key(model: Path, table: str, key: str, value: str) -> None:
    """Writes `key = value` into [table] of the model's model.toml, in place of what the table says of it. `value` is TOML."""
    manifest = model / "model.toml"
    header, lines, inside, written = f"[{table}]", [], False, False
    for line in manifest.read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            inside = line.strip() == header
        if inside and line.partition("=")[0].strip() == key:
            continue
        lines.append(line)
        if inside and not written:
            lines.append(f"{key} = {value}")
            written = True
    if not written:
        raise SystemExit(f"{manifest}: no {header}, where {key} belongs")
    manifest.write_text("\n".join([*lines, ""]), encoding="utf-8")

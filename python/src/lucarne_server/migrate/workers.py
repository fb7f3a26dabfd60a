"""model-config.yaml of TorchServe as [batching] and [instances]."""

import re

from .report import MigrationError, Report

FILE = "model-config.yaml"
_LINE = re.compile(r"""["']?([\w.-]+)["']?\s*:(?:\s+(.*))?$""")
_SERVER_WIDE = {
    "responseTimeout": "Lucarne has one deadline for all models. "
    "Set `--request-timeout-ms`, or `X-Request-Timeout-Ms` in a request.",
    "clientTimeoutInMills": "A client sets `X-Request-Timeout-Ms` in its request.",
    "startupTimeout": "Lucarne has one for all models. Set `--load-timeout-s`.",
    "handler": "It sets the handler's Python, which Lucarne does not run.",
    "pt2": "It sets torch.compile. Lucarne compiles what it serves by itself, see `[instances] specialise`.",
    "parallelType": "A model that is spread over devices cannot be served.",
    "sequenceBatching": "Requests that belong together cannot be served.",
    "continuousBatching": "It is for generated text, which Lucarne does not serve.",
    "deviceIds": 'Say one GPU by `[instances] device = "cuda:1"`, or all of them by "cuda".',
}
_ELSE = "Lucarne has no such setting."


def scalars(text: str) -> dict[str, str | None]:
    """The keys at the left margin of a YAML file; None for what has lines of its own. Nothing here needs more of YAML."""
    found: dict[str, str | None] = {}
    for line in text.splitlines():
        line = re.sub(r"(^|\s)#.*$", "", line).rstrip()
        if not line or line[0] in " \t-":
            continue
        match = _LINE.match(line)
        if match is None:
            raise MigrationError(f"{FILE}: the line {line[:80]!r} is not understood. Correct it, or leave the file out.")
        value = (match[2] or "").strip().strip("\"'")
        found[match[1]] = None if not value or value[0] in "[{|>&*!" else value
    return found


def settings(text: str, report: Report) -> dict[str, dict[str, object]]:
    """[batching] and [instances] of model.toml."""
    given = scalars(text)
    batching: dict[str, object] = {}
    instances: dict[str, object] = {}
    for key, low, high, table, ours in (
        ("batchSize", 1, 1024, batching, "max_batch_size"),
        ("maxBatchDelay", 0, 10_000, batching, "max_delay_ms"),
        ("jobQueueSize", 1, 65_536, batching, "queue_capacity"),
        ("minWorkers", 1, 64, instances, "count"),
    ):
        value = given.pop(key, None)
        if value is not None:
            table[ours] = _number(key, value, low, high)
            name = "batching" if table is batching else "instances"
            report.maps(f"{key}: {value}", f"[{name}] {ours} = {table[ours]}")
    _device(given, instances, report)
    _most_workers(given, instances, report)
    for key, value in given.items():
        report.leaves(key if value is None else f"{key}: {value}", _SERVER_WIDE.get(key, _ELSE))
    return {name: table for name, table in (("batching", batching), ("instances", instances)) if table}


def _number(key: str, value: str, low: int, high: int) -> int:
    if not re.fullmatch(r"-?\d{1,12}", value):
        raise MigrationError(f"{FILE}: {key} is {value[:80]!r}, and should be a whole number.")
    return min(max(int(value), low), high)


def _device(given: dict[str, str | None], instances: dict[str, object], report: Report) -> None:
    device = {"cpu": "cpu", "gpu": "cuda"}.get(given.get("deviceType") or "")
    if device is not None:
        value = given.pop("deviceType")
        instances["device"] = device
        report.maps(f"deviceType: {value}", f'[instances] device = "{device}"')


def _most_workers(given: dict[str, str | None], instances: dict[str, object], report: Report) -> None:
    most = given.pop("maxWorkers", None)
    if most is not None and most != str(instances.get("count", 1)):
        report.leaves(
            f"maxWorkers: {most}",
            "The number of instances does not change while Lucarne runs. `lucarne tune` measures the best one.",
        )

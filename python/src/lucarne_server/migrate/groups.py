"""Batching, instances and the other settings of config.pbtxt."""

from .pbtxt import Message
from .report import Report
from .tensors import one

_MOST_BATCH, _MOST_DELAY_MS, _MOST_QUEUE, _MOST_INSTANCES, _MOST_THREADS = 1024, 10_000.0, 65_536, 64, 1024
_THREADS = {"INTRA_OP_THREAD_COUNT", "NUM_THREADS"}
_KNOWN = {
    "name",
    "platform",
    "backend",
    "max_batch_size",
    "input",
    "output",
    "dynamic_batching",
    "instance_group",
    "parameters",
    "default_model_filename",
    "version_policy",
}
_ELSE = "Lucarne has no such setting."
_CURES = {
    "optimization": "Lucarne compiles what it serves by itself, see `[instances] specialise` and `precision`.",
    "model_warmup": "Lucarne warms up by itself.",
    "response_cache": "Put a cache in front of the server.",
    "cc_model_filenames": "There is one file of each version.",
    "metric_tags": "Metrics of Lucarne have the label `model`.",
}


def batching(config: Message, size: int, report: Report) -> dict[str, object]:
    """[batching]."""
    if size <= 0:
        # Without Triton's batch dimension no two requests share a batch.
        report.maps(f"max_batch_size: {size}", "[batching] max_batch_size = 1")
        return {"max_batch_size": 1}
    table: dict[str, object] = {"max_batch_size": min(size, _MOST_BATCH)}
    ours = f"[batching] max_batch_size = {table['max_batch_size']}; -1 before the dims of each tensor"
    report.maps(f"max_batch_size: {size}", ours)
    dynamic = _first(config, "dynamic_batching")
    if dynamic is None:
        cure = "Lucarne always lets requests share batches. `[batching] max_batch_size = 1` keeps them apart."
        report.leaves("no dynamic_batching", cure)
        return table
    delay = one(dynamic, "max_queue_delay_microseconds", int, 0)
    table["max_delay_ms"] = min(max(delay, 0) / 1000, _MOST_DELAY_MS)
    report.maps(f"max_queue_delay_microseconds: {delay}", f"[batching] max_delay_ms = {table['max_delay_ms']}")
    policy = _first(dynamic, "default_queue_policy") or {}
    queue = one(policy, "max_queue_size", int, 0)
    if queue > 0:
        table["queue_capacity"] = min(queue, _MOST_QUEUE)
        report.maps(f"max_queue_size: {queue}", f"[batching] queue_capacity = {table['queue_capacity']}")
    if "default_timeout_microseconds" in policy:
        report.leaves("default_timeout_microseconds", "Set `--request-timeout-ms`, or `X-Request-Timeout-Ms` in a request.")
    for key in dynamic:
        if key == "preferred_batch_size":
            report.leaves(key, "A free worker takes what waits, up to max_batch_size.")
        elif key not in {"max_queue_delay_microseconds", "default_queue_policy"}:
            report.leaves(f"dynamic_batching {key}", _ELSE)
    return table


def instances(config: Message, report: Report) -> dict[str, object]:
    """[instances]."""
    table: dict[str, object] = {}
    groups = [group for group in config.get("instance_group", []) if isinstance(group, dict)]
    if groups:
        counts = [one(group, "count", int, 1) for group in groups]
        table["count"] = min(max(sum(counts), 1), _MOST_INSTANCES)
        kinds = {one(group, "kind", str, "KIND_AUTO") for group in groups}
        gpus = sorted({gpu for group in groups for gpu in group.get("gpus", []) if type(gpu) is int})
        table["device"] = _device(kinds, gpus)
        report.maps("instance_group", f'[instances] count = {table["count"]}, device = "{table["device"]}"')
        if len(groups) > 1 or len(gpus) > 1:
            report.leaves("several groups or GPUs", "Lucarne has one group. Compare count and device with what you want.")
        for group in groups:
            for key in sorted(group.keys() - {"name", "count", "kind", "gpus"}):
                report.leaves(f"instance_group {key}", _ELSE)
    threads = _threads(config, report)
    if threads:
        table["threads"] = threads
    return table


def _device(kinds: set[str], gpus: list[int]) -> str:
    if kinds == {"KIND_CPU"}:
        return "cpu"
    if kinds == {"KIND_GPU"}:
        return f"cuda:{gpus[0]}" if len(gpus) == 1 else "cuda"
    return "auto"


def _threads(config: Message, report: Report) -> int:
    """Of `parameters`, the one that has a counterpart; the others are told."""
    threads = 0
    for parameter in config.get("parameters", []):
        if not isinstance(parameter, dict):
            continue
        key = one(parameter, "key", str, "")
        value = (_first(parameter, "value") or {}).get("string_value", [""])[-1]
        if key in _THREADS and str(value).isdigit() and 0 < len(str(value)) < 6:
            threads = min(int(str(value)), _MOST_THREADS)
            report.maps(f"{key} {value}", f"[instances] threads = {threads}")
        else:
            report.leaves(f"parameter {key[:80]} {str(value)[:80]}", "It sets Triton's backend, which Lucarne does not use.")
    return threads


def tell_the_rest(config: Message, report: Report) -> None:
    """Names every field that nothing was made of."""
    for key in config:
        if key not in _KNOWN:
            report.leaves(key, _CURES.get(key, _ELSE))


def _first(message: Message, key: str) -> Message | None:
    values = message.get(key, [])
    return values[-1] if values and isinstance(values[-1], dict) else None

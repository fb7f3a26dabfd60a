"""Rules, dashboard and autoscalers name only metrics, and labels of them, that a running server has."""

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field

import yaml

import paths
from served import Server, exercise
from world import Check, World, must, of_kind

# Of Prometheus itself, and of the kubelet (cAdvisor).
ELSEWHERE = {
    "up": {"job", "instance"},
    "container_memory_working_set_bytes": {"container"},
    "container_spec_memory_limit_bytes": {"container"},
    # Of models with a shadow alone.
    "lucarne_shadow_inputs_total": {"model", "version", "outcome"},
    "lucarne_shadow_agreement_total": {"model", "version"},
    "lucarne_shadow_largest_difference": {"model", "version"},
}
# What Prometheus, or the Prometheus operator, puts beside each.
OF_TARGETS = {"job", "instance", "namespace", "pod", "service", "endpoint", "container", "le"}
WORDS = {
    "and",
    "or",
    "unless",
    "on",
    "ignoring",
    "by",
    "without",
    "group_left",
    "group_right",
    "offset",
    "bool",
    "sum",
    "min",
    "max",
    "avg",
    "count",
    "group",
    "topk",
    "rate",
    "irate",
    "increase",
    "delta",
    "histogram_quantile",
    "vector",
    "scalar",
    "absent",
    "clamp_min",
    "clamp_max",
    "min_over_time",
    "max_over_time",
    "last_over_time",
    "label_values",
}


@dataclass
class Found:
    """What a server says: the labels of each metric."""

    labels: dict[str, set[str]] = field(default_factory=dict)

    @classmethod
    def read(cls, text: str) -> "Found":
        """Of what /metrics answers."""
        found = cls()
        for line in text.splitlines():
            if match := re.match(r"([a-zA-Z_:][\w:]*)(?:\{(.*)\})? ", line):
                labels = re.findall(r'(\w+)="', match[2] or "")
                found.labels.setdefault(match[1], set()).update(labels)
        return found


def queries(world: World) -> Iterator[tuple[str, str]]:
    """Each query with where it stands."""
    rules = yaml.safe_load((world.chart / "files" / "rules.yaml").read_text())
    for group in rules["groups"]:
        yield from ((rule.get("alert", rule.get("record")), rule["expr"]) for rule in group["rules"])
    dashboard = json.loads((world.chart / "files" / "dashboard.json").read_text())
    for panel in dashboard["panels"]:
        yield from ((f"panel «{panel['title']}»", target["expr"]) for target in panel.get("targets", []))
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            yield f"variable {variable['name']}", variable["query"]["query"]
    adapter = yaml.safe_load((world.deploy / "prometheus" / "adapter.yaml").read_text())
    for rule in adapter["rules"]["custom"]:
        query = rule["metricsQuery"].replace("<<.LabelMatchers>>", 'pod="p"').replace("<<.GroupBy>>", "pod")
        yield "the adapter", query
        yield "the adapter's series", rule["seriesQuery"]
    for name in world.value_sets:
        for scaler in of_kind(world.rendered(name), "ScaledObject"):
            yield f"{name}, ScaledObject", scaler["spec"]["triggers"][0]["metadata"]["query"]


def _names(query: str) -> Iterator[tuple[str, set[str]]]:
    """The metrics of a query, each with the labels that its selector names."""
    text = re.sub(r'"(?:[^"\\]|\\.)*"', '""', query)
    # Variables of Grafana stand within strings and ranges alone.
    text = re.sub(r"\[[^\]]*\]", "", text)
    text = re.sub(r"\b(by|on|without|ignoring|group_left|group_right)\s*\([^)]*\)", "", text)
    for match in re.finditer(r"\b([a-zA-Z_:][\w:]*)\b(?:\s*\{([^}]*)\})?", re.sub(r"offset \w+", "", text)):
        inside = text[: match.start()].rfind("{") > text[: match.start()].rfind("}")
        if not inside and match[1] not in WORDS:
            yield match[1], set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", match[2] or ""))


def _grouped(query: str) -> set[str]:
    """The labels that a query keeps or matches by."""
    groups = re.findall(r"\b(?:by|on)\s*\(([^)]*)\)", query)
    return {label.strip() for group in groups for label in group.split(",")} - {""}


def _named(world: World) -> str:
    models = world.scratch / "models"
    shutil.copytree(paths.MODELS / "gauge", models / "gauge")
    with Server(world.program, models) as server:
        exercise(server)
        found = Found.read(server.get("/metrics")[1].decode())
    known = {**found.labels, **ELSEWHERE}
    seen = set()
    for where, query in queries(world):
        of_query = set()
        for name, labels in _names(query):
            if where.startswith("variable") and name not in known and name in {"job", "model", "namespace"}:
                continue
            must(name in known, f"{where}: the server has no metric {name}")
            strange = labels - known[name] - OF_TARGETS
            must(not strange, f"{where}: {name} has no label {', '.join(strange)}")
            of_query |= known[name]
            seen.add(name)
        strange = _grouped(query) - of_query - OF_TARGETS
        must(not strange, f"{where}: none of its metrics has a label {', '.join(strange)}")
    return f"{len(seen)} metrics in {len(list(queries(world)))} queries"


def _useful(world: World) -> str:
    """What operate.md lists is looked at somewhere, but for the names of other servers."""
    text = (paths.REPOSITORY / "docs" / "operate.md").read_text()
    listed = set(re.findall(r"`(lucarne_\w+?)(?:_total)?(?:\{[^`]*\})?`", text))
    used = {re.sub(r"_(total|sum|count|bucket)$", "", name) for _, query in queries(world) for name, _ in _names(query)}
    missing = {name for name in listed if name not in used}
    must(not missing, f"no rule or panel shows {', '.join(sorted(missing))}")
    return f"{len(listed)} metrics of operate.md"


CHECKS = [
    Check("queries name metrics and labels that a running server has", _named),
    Check("every metric of operate.md is shown", _useful),
]

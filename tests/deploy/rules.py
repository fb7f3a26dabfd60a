"""The alerts: promtool reads them, each has unit tests for firing and for silence, and a section in the runbooks."""

import json
import re

import yaml

import paths
from world import Check, World, must, run


def _alerts(world: World) -> dict[str, dict]:
    groups = yaml.safe_load((world.chart / "files" / "rules.yaml").read_text())["groups"]
    return {rule["alert"]: rule for group in groups for rule in group["rules"] if "alert" in rule}


def _read(world: World) -> str:
    run([paths.PROMTOOL, "check", "rules", "--lint=all", "--lint-fatal", world.chart / "files" / "rules.yaml"])
    return f"{len(_alerts(world))} alerts"


def _tests(world: World) -> str:
    tests = yaml.safe_load((paths.HERE / "rules.test.yaml").read_text())
    tests["rule_files"] = [str(world.chart / "files" / "rules.yaml")]
    file = world.scratch / "rules.test.json"
    file.write_text(json.dumps(tests))
    run([paths.PROMTOOL, "test", "rules", file])
    rows = [row for test in tests["tests"] for row in test["alert_rule_test"]]
    for alert in _alerts(world):
        mine = [bool(row.get("exp_alerts")) for row in rows if row["alertname"] == alert]
        must(True in mine, f"{alert} has no unit test in which it fires")
        must(False in mine, f"{alert} has no unit test in which it is silent")
    return f"{len(rows)} moments"


def _runbooks(world: World) -> str:
    """Where each alert sends people, and that no section is left of one that is gone."""
    headings = re.findall(r"^## (.+)$", world.runbooks.read_text(), re.MULTILINE)
    alerts = _alerts(world)
    for name, alert in alerts.items():
        must(alert["annotations"]["runbook_url"] == f"docs/runbooks.md#{name.lower()}", f"{name}: its runbook_url")
        must(name in headings, f"docs/runbooks.md has no section {name}")
        must(alert["labels"]["severity"] in {"critical", "warning", "info"}, f"{name}: its severity")
    gone = [heading for heading in headings if heading.startswith("Lucarne") and heading not in alerts]
    must(not gone, f"docs/runbooks.md has sections of no alert: {gone}")
    for rule in (document for document in world.rendered("cpu") if document["kind"] == "PrometheusRule"):
        for group in rule["spec"]["groups"]:
            for rendered in group["rules"]:
                url = rendered["annotations"]["runbook_url"]
                must(url.startswith("https://example.org/lucarne/docs/runbooks.md#"), f"runbookBase is lost: {url}")
    return f"{len(alerts)} sections"


def _dashboard(world: World) -> str:
    board = json.loads((world.chart / "files" / "dashboard.json").read_text())
    ids = [panel["id"] for panel in board["panels"]]
    must(len(set(ids)) == len(ids), "two panels have one id")
    cells = set()
    for panel in board["panels"]:
        must(panel["type"] == "row" or panel.get("description"), f"«{panel['title']}» does not say what it shows")
        place = panel["gridPos"]
        mine = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        must(not mine & cells and place["x"] + place["w"] <= 24, f"«{panel['title']}» lies over another panel")
        cells |= mine
    # promtool reads the queries as it reads those of rules.
    rules = [
        {"record": f"panel:{panel['id']}:{index}", "expr": re.sub(r"\$__rate_interval", "1m", target["expr"])}
        for panel in board["panels"]
        for index, target in enumerate(panel.get("targets", []))
    ]
    file = world.scratch / "panels.json"
    file.write_text(json.dumps({"groups": [{"name": "panels", "rules": rules}]}))
    run([paths.PROMTOOL, "check", "rules", file])
    return f"{len(board['panels'])} panels, {len(rules)} queries"


CHECKS = [
    Check("promtool reads the alerts", _read),
    Check("every alert has unit tests, and they pass", _tests),
    Check("every alert has a runbook", _runbooks),
    Check("the dashboard's queries are PromQL", _dashboard),
]

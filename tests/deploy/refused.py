"""Wrong values are refused by a message that names what is wrong; the schema knows every value and no other."""

import json

import yaml

import paths
from world import Check, Failed, World, must


def _refused(world: World) -> str:
    table = yaml.safe_load((paths.HERE / "refused.yaml").read_text())
    file = world.scratch / "values.json"
    accepted = []
    for row in table:
        file.write_text(json.dumps(row["values"]))
        try:
            world.template("--values", str(file))
        except Failed as refusal:
            must(row["says"] in str(refusal), f"{row['values']} is refused otherwise: {refusal}")
        else:
            accepted.append(str(row["values"]))
    must(not accepted, f"accepted: {'; '.join(accepted)}")
    return f"{len(table)} rows"


def _strict(world: World) -> str:
    """Each mapping of the values has its keys listed, but for those that Kubernetes or people name."""
    schema = json.loads((world.chart / "values.schema.json").read_text())
    values = yaml.safe_load((world.chart / "values.yaml").read_text())
    free = {"podAnnotations", "podLabels", "nodeSelector", "affinity", "labels", "annotations", "requests", "limits"}

    def walk(value: object, part: dict, path: str) -> int:
        if not isinstance(value, dict) or path.rsplit(".", 1)[-1] in free:
            return 0
        must(part.get("additionalProperties") is False, f"{path or 'the top'} takes any key")
        known = part.get("properties", {})
        must(value.keys() <= known.keys(), f"{path}: the schema does not know {value.keys() - known.keys()}")
        if path not in ("", "config"):
            must(known.keys() <= value.keys(), f"{path}: values.yaml has no {known.keys() - value.keys()}")
        return 1 + sum(walk(item, known[key], f"{path}.{key}".lstrip(".")) for key, item in value.items())

    readme = (world.chart / "README.md").read_text()
    unnamed = [key for key in values if f"`{key}`" not in readme]
    must(not unnamed, f"the chart's README does not name {', '.join(unnamed)}")
    return f"{walk(values, schema, '')} mappings"


CHECKS = [Check("values.schema.json is strict", _strict), Check("wrong values are refused", _refused)]

"""Resources of KServe against the types of its Python package, which are generated from the definitions in Go.

The package is read and not imported: that would want a hundred others. A type is two literals: what each attribute is,
and its key. Types of Kubernetes within are compared with Kubernetes' schemas.
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import jsonschema
import kubernetes_validate.utils as kubernetes
import referencing
import referencing.jsonschema

PLAIN = {"str": str, "int": int, "bool": bool, "float": (int, float)}
GROUPS = ("core.v1", "apps.v1", "autoscaling.v2")
# Quantities and times are text or numbers.
FREE = {"object", "datetime", "ResourceQuantity", "ResourceQuantityInterface", "IntstrIntOrString", "KnativeURL"}


@dataclass(frozen=True)
class Type:
    """The type of each key."""

    keys: dict[str, str]


def read(folder: Path) -> dict[str, Type]:
    """Every type of the package, by name."""
    types = {}
    for file in folder.glob("*.py"):
        for node in ast.parse(file.read_text()).body:
            if not isinstance(node, ast.ClassDef):
                continue
            literals = {
                statement.targets[0].id: ast.literal_eval(statement.value)
                for statement in node.body
                if isinstance(statement, ast.Assign)
                and isinstance(statement.targets[0], ast.Name)
                and isinstance(statement.value, ast.Dict)
            }
            if {"openapi_types", "attribute_map"} <= literals.keys():
                names = literals["attribute_map"]
                types[node.name] = Type({names[a]: kind for a, kind in literals["openapi_types"].items()})
    return types


def problems(types: dict[str, Type], document: dict, version: str) -> Iterator[str]:
    """What is wrong with one resource."""
    group, kind = document["apiVersion"].split("/")[1], document["kind"]
    name = f"V{group.removeprefix('v')}{kind}"
    if name not in types:
        yield f"KServe has no {document['apiVersion']} {kind}"
        return
    yield from _Comparison(types, version).of(document, name, kind)


class _Comparison:
    def __init__(self, types: dict[str, Type], version: str) -> None:
        self._types = types
        # One file has every definition of the version.
        self._definitions = kubernetes.schema_contents(
            f"kubernetes-json-schema/v{version}.0-local-strict/_definitions.json", version
        )
        resource = referencing.Resource.from_contents(
            self._definitions, default_specification=referencing.jsonschema.DRAFT202012
        )
        self._registry = referencing.Registry().with_resource("_definitions.json", resource)

    def of(self, value: object, kind: str, path: str) -> Iterator[str]:
        """What is wrong with a value that should be of a type."""
        if inner := re.fullmatch(r"list\[(.+)\]", kind):
            if not isinstance(value, list):
                yield f"{path}: expected a list"
                return
            for index, item in enumerate(value):
                yield from self.of(item, inner[1], f"{path}[{index}]")
        elif inner := re.fullmatch(r"dict\(str, (.+)\)", kind):
            if not isinstance(value, dict):
                yield f"{path}: expected a mapping"
                return
            for key, item in value.items():
                yield from self.of(item, inner[1], f"{path}.{key}")
        elif kind in PLAIN:
            if not isinstance(value, PLAIN[kind]) or isinstance(value, bool) and kind != "bool":
                yield f"{path}: found {value!r}, expected {kind}"
        elif kind in self._types:
            yield from self._of_keys(value, self._types[kind], path)
        elif kind not in FREE:
            yield from self._of_kubernetes(value, kind, path)

    def _of_keys(self, value: object, kind: Type, path: str) -> Iterator[str]:
        if not isinstance(value, dict):
            yield f"{path}: expected a mapping"
            return
        for key, item in value.items():
            if key in kind.keys:
                yield from self.of(item, kind.keys[key], f"{path}.{key}")
            else:
                yield f"{path}: there is no key {key}"

    def _of_kubernetes(self, value: object, kind: str, path: str) -> Iterator[str]:
        short = re.sub(r"^(K8sIoApi[A-Z][a-z]+)?V\d+", "", kind)
        names = [f"io.k8s.api.{group}.{short}" for group in GROUPS]
        names.append(f"io.k8s.apimachinery.pkg.apis.meta.v1.{short}")
        known = [name for name in names if name in self._definitions["$defs"]]
        if not known:
            yield f"{path}: no schema is known for {kind}"
            return
        schema = {"$ref": f"_definitions.json#/$defs/{known[0]}"}
        for error in jsonschema.Draft202012Validator(schema, registry=self._registry).iter_errors(value):
            yield f"{path}{''.join(f'.{step}' for step in error.path)}: {error.message[:300]}"

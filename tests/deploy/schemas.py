"""Every resource against the schema of its kind, unknown keys refused: two versions of Kubernetes, custom resources."""

import json
import shutil
import subprocess

import kubernetes_validate
import yaml

import kserve_types
import paths
from world import Check, Failed, Skipped, World, run

VERSIONS = ("1.32", "1.37")
CUSTOM = ("monitoring.coreos.com", "keda.sh", "gateway.networking.k8s.io")
KSERVE = "serving.kserve.io"


def _is_of(document: dict, *groups: str) -> bool:
    return document["apiVersion"].split("/")[0] in groups


def _rendered(world: World) -> list[tuple[str, dict]]:
    return [(name, document) for name in world.value_sets for document in world.rendered(name)]


def _manifests(world: World) -> list[tuple[str, dict]]:
    """What is written by hand for kubectl."""
    found = []
    for file in sorted((world.deploy / "kserve").rglob("*.yaml")):
        found += [(file.name, document) for document in yaml.safe_load_all(file.read_text()) if document]
    return found


def _kubernetes(version: str) -> Check:
    def run_it(world: World) -> str:
        seen = 0
        for name, document in [*_rendered(world), *_manifests(world)]:
            if _is_of(document, *CUSTOM, KSERVE):
                continue
            try:
                kubernetes_validate.validate(document, version, strict=True)
            except kubernetes_validate.ValidationError as error:
                path = ".".join(str(step) for step in error.path)
                raise Failed(f"{name}, {document['kind']} {path}: {error.message[:300]}") from error
            seen += 1
        return f"{seen} resources"

    return Check(f"resources are of Kubernetes {version}", run_it)


def _custom(world: World) -> str:
    node = shutil.which("node")
    crds = paths.CACHE / "crds"
    if node is None or not crds.is_dir():
        raise Skipped("Node and npm are not here")
    documents = [document for _, document in _rendered(world) if _is_of(document, *CUSTOM)]
    # The modules are found from where the script lies.
    script = crds / "validate.mjs"
    shutil.copyfile(paths.HERE / "crds" / "validate.mjs", script)
    answer = subprocess.run([node, script], input=json.dumps(documents), capture_output=True, text=True, check=False)
    if answer.returncode:
        raise Failed(answer.stderr.strip()[-2000:])
    return answer.stdout.strip()


def _kserve(world: World) -> str:
    types = kserve_types.read(paths.CACHE / "kserve")
    documents = [(name, document) for name, document in _manifests(world) if _is_of(document, KSERVE)]
    if not documents:
        raise Failed("there is no resource of KServe")
    for name, document in documents:
        for problem in kserve_types.problems(types, document, VERSIONS[-1]):
            raise Failed(f"{name}: {problem}")
    return f"{len(documents)} resources"


def _lint(world: World) -> str:
    for file in world.value_sets.values():
        run([paths.HELM, "lint", "--strict", "--quiet", world.chart, *(["--values", str(file)] if file else [])])
    return f"{len(world.value_sets)} sets of values"


CHECKS = [
    Check("helm lint --strict", _lint),
    *[_kubernetes(version) for version in VERSIONS],
    Check("resources of the Prometheus operator, KEDA, Gateway API", _custom),
    Check("resources of KServe", _kserve),
]

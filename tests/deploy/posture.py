"""What must hold of every set of values: what a pod may do, how it starts and ends, and what belongs together."""

import re
import tomllib

import paths
import yaml
from world import Check, World, must, of_kind

DRAINS_FOR_S = 30


def _pods(world: World) -> list[tuple[str, dict]]:
    """The specification of each pod, the test's too."""
    pods = []
    for name in world.value_sets:
        documents = world.rendered(name)
        pods += [(name, document["spec"]["template"]["spec"]) for document in of_kind(documents, "Deployment")]
        pods += [(f"{name}, test", document["spec"]) for document in of_kind(documents, "Pod")]
    return pods


def _privileges(world: World) -> str:
    containers = 0
    for name, pod in _pods(world):
        security = pod["securityContext"]
        must(security["runAsNonRoot"] and security["runAsUser"] > 0, f"{name}: it may run as root")
        must(security["seccompProfile"] == {"type": "RuntimeDefault"}, f"{name}: seccomp")
        must(pod["automountServiceAccountToken"] is False, f"{name}: a token of Kubernetes is mounted")
        must(pod["enableServiceLinks"] is False, f"{name}: Services become variables LUCARNE_…")
        for container in [*pod.get("initContainers", []), *pod["containers"]]:
            where = f"{name}, {container['name']}"
            mine = container["securityContext"]
            must(mine["readOnlyRootFilesystem"] is True, f"{where}: its root can be written")
            must(mine["allowPrivilegeEscalation"] is False, f"{where}: privileges can grow")
            must(mine["capabilities"] == {"drop": ["ALL"]}, f"{where}: capabilities")
            must(container["resources"]["limits"]["memory"], f"{where}: its memory has no limit")
            must(container["resources"]["requests"]["cpu"], f"{where}: it asks for no cpu")
            containers += 1
    return f"{containers} containers"


def _endings(world: World) -> str:
    seen = []
    for name in world.value_sets:
        documents = world.rendered(name)
        pod = of_kind(documents, "Deployment")[0]["spec"]["template"]["spec"]
        settings = settings_of(documents)
        drain = next((int(line.split("=")[1]) for line in settings if line.startswith("drain_timeout_s")), DRAINS_FOR_S)
        before = pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
        grace = pod["terminationGracePeriodSeconds"]
        must(grace > before + drain, f"{name}: {grace} s of grace for {before} s of waiting and {drain} s of draining")
        seen.append(f"{name} {grace} s")
    return ", ".join(seen)


def settings_of(documents: list[dict]) -> list[str]:
    """The lines of the server's settings."""
    files = [document["data"] for document in of_kind(documents, "ConfigMap") if "lucarne.toml" in document["data"]]
    return files[0]["lucarne.toml"].splitlines()


def _rollouts(world: World) -> str:
    scaled = 0
    for name in world.value_sets:
        documents = world.rendered(name)
        deployment = of_kind(documents, "Deployment")[0]["spec"]
        must(deployment["strategy"]["rollingUpdate"]["maxUnavailable"] == 0, f"{name}: pods go before others are there")
        scalers = of_kind(documents, "HorizontalPodAutoscaler") + of_kind(documents, "ScaledObject")
        must(len(scalers) <= 1, f"{name}: two autoscalers")
        must(("replicas" in deployment) != bool(scalers), f"{name}: an upgrade sets back what the autoscaler chose")
        for scaler in scalers:
            target = scaler["spec"]["scaleTargetRef"]["name"]
            must(target == of_kind(documents, "Deployment")[0]["metadata"]["name"], f"{name}: scales {target}")
        scaled += len(scalers)
        budget = of_kind(documents, "PodDisruptionBudget")
        must(len(budget) == 1, f"{name}: no budget for disruptions")
        labels = deployment["template"]["metadata"]["labels"].items()
        for selector in (deployment["selector"], budget[0]["spec"]["selector"]):
            must(selector["matchLabels"].items() <= labels, f"{name}: a selector finds no pod")
    return f"{scaled} autoscalers"


def _ports(world: World) -> str:
    """A name that leads nowhere is a mistake that no schema sees."""
    for name in world.value_sets:
        documents = world.rendered(name)
        pod = of_kind(documents, "Deployment")[0]["spec"]["template"]
        container = pod["spec"]["containers"][0]
        ports = {port["name"] for port in container["ports"]}
        for service in of_kind(documents, "Service"):
            found = {port["targetPort"] for port in service["spec"]["ports"]}
            must(found <= ports, f"{name}, {service['metadata']['name']}: {found - ports} is no port of the pod")
            labels = pod["metadata"]["labels"].items()
            must(service["spec"]["selector"].items() <= labels, f"{name}: a Service selects no pod")
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            must(container[probe]["httpGet"]["port"] in ports, f"{name}: {probe} asks at no port")
        mounts = {mount["name"] for mount in container["volumeMounts"]}
        volumes = {volume["name"] for volume in pod["spec"]["volumes"]}
        must(mounts <= volumes, f"{name}: {mounts - volumes} is no volume")
        for monitor in of_kind(documents, "ServiceMonitor"):
            wanted = monitor["spec"]["selector"]["matchLabels"].items()
            matching = [s for s in of_kind(documents, "Service") if wanted <= s["metadata"]["labels"].items()]
            must(len(matching) == 1, f"{name}: the ServiceMonitor finds {len(matching)} Services")
            named = {port["name"] for port in matching[0]["spec"]["ports"]}
            must(monitor["spec"]["endpoints"][0]["port"] in named, f"{name}: the ServiceMonitor's port")
        _test_is_let_in(name, documents)
    return f"{len(world.value_sets)} sets of values"


def _test_is_let_in(name: str, documents: list[dict]) -> None:
    """Where a NetworkPolicy names clients, the pod of `helm test` is one, and it is no pod of the Service."""
    for test in of_kind(documents, "Pod"):
        labels = test["metadata"]["labels"].items()
        selectors = [service["spec"]["selector"].items() for service in of_kind(documents, "Service")]
        must(not any(selector <= labels for selector in selectors), f"{name}: the test is a pod of the Service")
        for policy in of_kind(documents, "NetworkPolicy"):
            peers = [peer for rule in policy["spec"]["ingress"] for peer in rule["from"]]
            wanted = [peer["podSelector"]["matchLabels"].items() for peer in peers if "podSelector" in peer]
            is_in = any(selector <= labels for selector in wanted) or {"namespaceSelector": {}} in peers
            must(is_in, f"{name}: the NetworkPolicy keeps the test out")


def _kinds(world: World) -> str:
    """What the sets leave out is compared with nothing."""
    found = {document["kind"] for name in world.value_sets for document in world.rendered(name)}
    wanted = {
        "ConfigMap",
        "Deployment",
        "GRPCRoute",
        "HTTPRoute",
        "HorizontalPodAutoscaler",
        "Ingress",
        "NetworkPolicy",
        "Pod",
        "PodDisruptionBudget",
        "PrometheusRule",
        "ScaledObject",
        "Service",
        "ServiceAccount",
        "ServiceMonitor",
    }
    must(found == wanted, f"missing {wanted - found}, unexpected {found - wanted}")
    maps = {
        document["metadata"]["name"]
        for name in world.value_sets
        for document in of_kind(world.rendered(name), "ConfigMap")
    }
    must(any(name.endswith("-dashboard") for name in maps), "there is no dashboard")
    sources = set()
    for name in world.value_sets:
        pod = of_kind(world.rendered(name), "Deployment")[0]["spec"]["template"]["spec"]
        models = [volume for volume in pod["volumes"] if volume["name"] == "models"]
        sources.add(next((key for key in models[0] if key != "name"), "") if models else "the server's image")
    must(len(sources) >= 4, f"models come from {sources} alone")
    return ", ".join(sorted(found))


def _versions(world: World) -> str:
    """The program's version is the chart's, and that of the images that KServe is told of."""
    version = tomllib.loads((paths.REPOSITORY / "Cargo.toml").read_text())["workspace"]["package"]["version"]
    chart = yaml.safe_load((world.chart / "Chart.yaml").read_text())
    must(chart["appVersion"] == version, f"Chart.yaml: appVersion {chart['appVersion']}, the program is {version}")
    images = 0
    for file in (world.deploy / "kserve").rglob("*.yaml"):
        for image in re.findall(r"image: lucarne:(\S+)", file.read_text()):
            must(image == version, f"{file.name}: lucarne:{image}, the program is {version}")
            images += 1
    return f"{version}, {images} images of KServe"


CHECKS = [
    Check("versions agree", _versions),
    Check("the sets of values have every kind of resource", _kinds),
    Check("pods have no privileges", _privileges),
    Check("grace periods are longer than waiting and draining", _endings),
    Check("rollouts and autoscalers do not fight", _rollouts),
    Check("ports, selectors and volumes lead somewhere", _ports),
]

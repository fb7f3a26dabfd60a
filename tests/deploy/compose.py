"""The composition for one machine: what it mounts is there, and Prometheus scrapes where the server listens."""

import yaml

import paths
from world import Check, World, must, run


def _composition(world: World) -> str:
    folder = world.deploy / "compose"
    services = yaml.safe_load((folder / "compose.yaml").read_text())
    named = set(services["volumes"])
    mounts = 0
    for name, service in services["services"].items():
        must(service["cap_drop"] == ["ALL"], f"{name} keeps capabilities")
        must(all(port.startswith("127.0.0.1:") for port in service["ports"]), f"{name} is open to the network")
        for volume in service["volumes"]:
            source = volume.split(":")[0]
            if source.startswith("."):
                must((folder / source).is_file(), f"{name} mounts {source}, which is not there")
                mounts += 1
            else:
                must(source in named, f"{name} mounts {source}, which is no volume")
    settings = yaml.safe_load((folder / "prometheus.yml").read_text())
    targets = settings["scrape_configs"][0]["static_configs"][0]["targets"]
    port = services["services"]["lucarne"]["environment"]["LUCARNE_OPERATIONS"].split(":")[1]
    must(targets == [f"lucarne:{port}"], f"Prometheus scrapes {targets}")
    settings["rule_files"] = [str(world.chart / "files" / "rules.yaml")]
    file = world.scratch / "prometheus.yml"
    file.write_text(yaml.safe_dump(settings))
    run([paths.PROMTOOL, "check", "config", file])
    return f"{len(services['services'])} services, {mounts} files"


CHECKS = [Check("the composition for one machine", _composition)]

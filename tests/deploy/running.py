"""What the chart and the runtime of KServe hand to the server, handed to it: settings, probes, tests, models."""

import base64
import os
import re
import shutil
import subprocess
from pathlib import Path

import yaml

import paths
import posture
from served import PHOTO, Server
from world import Check, World, must, of_kind


def _models(world: World, *names: str) -> Path:
    folder = world.scratch / "-".join(["models", *names])
    if not folder.is_dir():
        for name in names:
            shutil.copytree(paths.MODELS / name, folder / name)
    return folder


def _certificate(world: World) -> list[str]:
    """Flags for a certificate that the server makes nobody believe."""
    key, certificate = world.scratch / "tls.key", world.scratch / "tls.crt"
    if not key.exists():
        command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=lucarne"]
        subprocess.run([*command, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    return ["--tls-certificate", str(certificate), "--tls-key", str(key)]


def _settings(world: World) -> str:
    """Each rendered file of settings starts a server. Flags win, and say other paths and ports than the pod's."""
    for name in world.value_sets:
        lines = posture.settings_of(world.rendered(name))
        file = world.scratch / f"{name}.toml"
        # The files of Secrets are not here; keys and clients' authorities have no flag that says none.
        lines = [line for line in lines if not line.startswith(("keys_file", "tls_client_authorities"))]
        file.write_text("\n".join(lines))
        flags = ["--config", str(file), "--operations", "127.0.0.1:0"]
        if any(line.startswith("tls_key") for line in lines):
            # Over TLS /readyz is asked at no port that is known here, so that it starts is what is tried.
            server = Server(world.program, _models(world, "gauge"), [*flags, *_certificate(world)])
            server.start()
            must(server.stop()[0] == 0, f"{name}: it did not end with 0")
            continue
        with Server(world.program, _models(world, "gauge"), flags):
            pass
    return f"{len(world.value_sets)} files"


def _services(world: World) -> str:
    """The variables that Kubernetes would set for the chart's own Services are no settings, and end no start."""
    addresses = {
        "LUCARNE_PORT": "tcp://10.0.0.1:80",
        "LUCARNE_SERVICE_HOST": "10.0.0.1",
        "LUCARNE_SERVICE_PORT_HTTP": "80",
    }
    with Server(world.program, _models(world, "gauge"), environment=addresses) as server:
        return f"{server.log().count('LUCARNE_')} mentions in the log"


def _probes(world: World) -> str:
    """The paths of probes answer, at the operations' address, to whom has no key."""
    seen = set()
    keys = world.scratch / "keys.toml"
    keys.write_text(f'[[keys]]\nname = "a"\nsha256 = "{"0" * 64}"\nscopes = ["predict"]\n')
    with Server(world.program, _models(world, "gauge"), ["--keys-file", str(keys)]) as server:
        for name in world.value_sets:
            container = of_kind(world.rendered(name), "Deployment")[0]["spec"]["template"]["spec"]["containers"][0]
            for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
                path = container[probe]["httpGet"]["path"]
                must(server.get(path)[0] == 200, f"{name}: {probe} asks {path}, which answers {server.get(path)[0]}")
                seen.add(path)
    return ", ".join(sorted(seen))


def _release_test(world: World) -> str:
    """The script that `helm test` runs, as it is rendered: it ends with 0 for the right label alone."""
    documents = world.rendered("defaults")
    data = [d for d in of_kind(documents, "ConfigMap") if d["metadata"]["name"].endswith("-test")][0]
    pod = of_kind(documents, "Pod")[0]["spec"]["containers"][0]
    variables = {variable["name"]: variable.get("value", "") for variable in pod["env"]}
    script, picture = world.scratch / "ask", world.scratch / "coffee.jpg"
    script.write_text(data["data"]["ask"])
    picture.write_bytes(PHOTO)
    must(
        variables["PICTURE"] in {f"/test/{name}" for name in data["binaryData"]}, "the picture is not in the ConfigMap"
    )
    keys = world.scratch / "test-keys.toml"
    # printf %s secret | sha256sum
    digest = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b"
    keys.write_text(f'[[keys]]\nname = "test"\nsha256 = "{digest}"\nscopes = ["predict"]\n')

    def ask(**changed: str) -> int:
        environment = {**os.environ, **variables, "PICTURE": str(picture), **changed}
        return subprocess.run(["sh", script], env=environment, capture_output=True, check=False).returncode

    with Server(world.program, _models(world, variables["MODEL"]), ["--keys-file", str(keys)]) as server:
        url = f"http://127.0.0.1:{server.port}"
        must(ask(URL=url, KEY="secret") == 0, "it fails where all is right")
        for wrong in ({"LABEL": "teapot"}, {"MODEL": "nobody"}, {"KEY": "another"}, {"KEY": ""}):
            must(ask(**{"URL": url, "KEY": "secret", **wrong}) != 0, f"it passes with {wrong}")
    return f"{variables['MODEL']} says {variables['LABEL']}; 4 wrong ones fail"


def _kserve(world: World) -> str:
    """The runtime's arguments, and each sample's model where it mounts it: KServe's paths answer."""
    runtime = yaml.safe_load((world.deploy / "kserve" / "runtime.yaml").read_text())
    arguments = runtime["spec"]["containers"][0]["args"]
    must(arguments[0] == "serve", "the arguments are no command of the server")
    # A flag of Server, said twice, would be refused.
    own = ("--models", "--host", "--port", "--cache-dir")
    flags = [argument for argument in arguments[1:] if not argument.startswith(own)]
    must("--models=/mnt/models" in arguments, "KServe mounts models at /mnt/models")
    names = []
    for file in sorted((world.deploy / "kserve" / "samples").glob("*.yaml")):
        service = yaml.safe_load(file.read_text())
        for uri in service["spec"]["predictor"].get("storageUris", []):
            mounted = re.fullmatch(r"/mnt/models/([^/]+)", uri["mountPath"])
            must(mounted and mounted[1] == service["metadata"]["name"], f"{file.name}: KServe asks for another model")
            names.append(mounted[1])
    models = world.scratch / "mnt"
    for name in set(names):
        shutil.copytree(paths.MODELS / "selfie", models / name)
    body = b'{"instances": [{"b64": "%s"}]}' % base64.b64encode(PHOTO)
    with Server(world.program, models, flags) as server:
        for name in names:
            for path in (f"/v1/models/{name}:predict", f"/v1/models/{name}:explain"):
                status, answer = server.ask("POST", path, body, {"content-type": "application/json"})
                must(status == 200, f"{path}: {status} {answer[:200]!r}")
            must(server.get(f"/v2/models/{name}/ready")[0] == 200, f"{name} is not ready")
    return f"{len(names)} samples"


CHECKS = [
    Check("the server takes the rendered settings", _settings),
    Check("variables of Services end no start", _services),
    Check("probes need no key", _probes),
    Check("the release's test tells right from wrong", _release_test),
    Check("KServe's paths answer for the samples", _kserve),
]

"""Measures, on a running server, what beam search gains over greedy captions, and whether captions share batches.

    target/release/lucarne serve --models models --port 8080
    python models/recipes/beams.py fashion/usr/share/datasets/fashion-mnist --url http://127.0.0.1:8080

Every held-out scene is captioned with one beam and with several, with a length penalty of 0, so that both searches ask
for the largest log-probability. Beam search may lose: it can drop the beginning of the greedy caption for others that
look better at first. The bar: it is below greedy on at most 1 % of the scenes, and above it on average.

The scenes bear noise that the captioner never saw, because on clear ones it is so sure that both searches find the same
caption nearly always. Then the same scenes are posted again by many clients at once; the mean number of images in a
batch says whether they were computed together. The exit status is 1 if a bar is not met.
"""

import argparse
import http.client
import io
import json
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import captioned_scenes
import captioner
import pictures

LARGEST_LOSING_PART = 0.01
ROUNDING = 1e-4
"""Log-probabilities of one caption differ by less, when it is computed in batches of other sizes."""


@dataclass(frozen=True)
class Server:
    """Where a server listens."""

    address: str

    def ask(self, method: str, path: str, body: bytes | None = None) -> bytes:
        """The body of the answer; everything but 200 ends the program."""
        connection = http.client.HTTPConnection(self.address, timeout=120)
        try:
            connection.request(method, path, body)
            response = connection.getresponse()
            answer = response.read()
        finally:
            connection.close()
        if response.status != 200:
            raise SystemExit(f"{method} {path}: {response.status} {answer.decode(errors='replace')}")
        return answer

    def caption(self, picture: bytes, beams: int) -> dict:
        """The best caption: its text and its log-probability."""
        path = f"/v1/models/captioner/predict?beams={beams}&length_penalty=0"
        return json.loads(self.ask("POST", path, picture))["predictions"][0]["captions"][0]

    def batches(self) -> tuple[float, float]:
        """How many images the captioner has computed since the server began, and in how many batches."""
        metrics = self.ask("GET", "/metrics").decode()
        return tuple(sample(metrics, f"lucarne_batch_size_{part}") for part in ("sum", "count"))


def sample(metrics: str, name: str) -> float:
    """The value of one series of the captioner's predictions; its labels may stand in any order."""
    for labels, value in re.findall(rf"^{name}\{{(.*)\}} (\S+)", metrics, re.MULTILINE):
        if 'model="captioner"' in labels and 'queue="predict"' in labels:
            return float(value)
    raise SystemExit(f"/metrics has no {name} of the captioner")


def compose(data: Path, count: int, noise: float) -> list[tuple[bytes, str]]:
    """Held-out scenes as PNG, and their true captions; with the captioner's own held-out seed."""
    composer = captioner.held_out(data)
    scenes = [composer.compose(noise) for _ in range(count)]
    return [(png(scene), " ".join(scene.words)) for scene in scenes]


def png(scene: captioned_scenes.CaptionedScene) -> bytes:
    """The picture as a client sends it."""
    buffer = io.BytesIO()
    pictures.rgb(scene.picture).save(buffer, "PNG")
    return buffer.getvalue()


def compare(server: Server, scenes: list[tuple[bytes, str]], beams: int) -> bool:
    """Prints what beams gain; whether the bar is met. One request at a time."""
    greedy = [server.caption(picture, 1) for picture, _ in scenes]
    searched = [server.caption(picture, beams) for picture, _ in scenes]
    gains = [found["log_prob"] - base["log_prob"] for found, base in zip(searched, greedy)]
    below, above = sum(gain < -ROUNDING for gain in gains), sum(gain > ROUNDING for gain in gains)
    mean = sum(gains) / len(gains)
    print(f"held-out scenes: {len(scenes)}")
    print(f"{beams} beams below greedy: {below}, above: {above}, the same: {len(scenes) - below - above}")
    print(f"mean gain in log-probability: {mean:.5f} (largest loss {max(0.0, -min(gains)):.5f})")
    for name, answers in (("greedy", greedy), (f"{beams} beams", searched)):
        exact = sum(answer["text"] == truth for answer, (_, truth) in zip(answers, scenes))
        print(f"exact captions, {name}: {exact / len(scenes):.1%}")
    return below <= LARGEST_LOSING_PART * len(scenes) and mean > 0


def share(server: Server, scenes: list[tuple[bytes, str]], clients: int) -> bool:
    """Prints how many images a batch had while that many clients asked at once; whether it was more than one."""
    images_before, batches_before = server.batches()
    with ThreadPoolExecutor(clients) as pool:
        list(pool.map(lambda scene: server.caption(scene[0], 1), scenes))
    images, batches = server.batches()
    mean = (images - images_before) / (batches - batches_before)
    print(f"{clients} clients at once: {images - images_before:.0f} captions, {mean:.1f} a batch on average")
    return mean > 1


def main() -> None:
    """Both measurements; exit status 1 if a bar is not met."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("data", type=Path, help="folder of the four Fashion-MNIST files (see fashion_mnist.py)")
    arguments.add_argument("--url", default="http://127.0.0.1:8080", help="the server (default: %(default)s)")
    arguments.add_argument("--count", type=int, default=200, help="scenes (default: %(default)s)")
    arguments.add_argument("--noise", type=float, default=0.2, help="standard deviation (default: %(default)s)")
    arguments.add_argument("--beams", type=int, default=3, help="default: %(default)s")
    arguments.add_argument("--clients", type=int, default=32, help="at once (default: %(default)s)")
    options = arguments.parse_args()
    server = Server(urlsplit(options.url).netloc)
    scenes = compose(options.data, options.count, options.noise)
    met = [compare(server, scenes, options.beams), share(server, scenes, options.clients)]
    sys.exit(0 if all(met) else 1)


if __name__ == "__main__":
    main()

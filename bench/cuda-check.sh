#!/usr/bin/env bash
# On a machine with a GPU: does the server compute there, does it agree with the CPU, and how fast is it?
#
#   bench/cuda-check.sh [PHOTO…]
#
# Builds with the CUDA libraries, answers every photo by every model on the CPU and on the GPU in f32, f16 and bf16,
# prints the largest difference of a score, and a table of images a second. Fails where f32 differs by more than 0.001,
# f16 by more than 0.02, bf16 (8 bits of mantissa) by more than 0.1, or where another class wins in f32.
#
#   DEVICES        instead of cuda: "cuda:0 cuda:1", or "cpu" to try the script itself
#   SECONDS_EACH   of load for a row of the table, 10 by default
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

photos=("$@")
if [[ ${#photos[@]} == 0 ]]; then photos=(tests/golden/photos/*.jpg tests/golden/photos/*.png); fi

CUDA=1 scripts/setup
cargo build --release
cargo build --release --example load
release=${CARGO_TARGET_DIR:-target}/release
work=$(mktemp --directory)
server=
stop() { [[ -z $server ]] || { kill "$server" && wait "$server" || true; server=; }; }
trap 'stop; rm -r "$work"' EXIT

nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv || echo 'nvidia-smi is not there'

# A folder with classifier and detector on one device and in one precision.
variant() {
    local device=$1 precision=$2 name
    for name in mobilenet_v2 nanodet; do
        mkdir -p "$work/$device-$precision/$name"
        cp models/$name/*.pt models/$name/*.txt models/$name/model.toml "$work/$device-$precision/$name/"
        sed -i "/^device *=/d; /^precision *=/d; s/^\[instances\]/&\ndevice = \"$device\"\nprecision = \"$precision\"/" \
            "$work/$device-$precision/$name/model.toml"
        grep -q '^\[instances\]' "$work/$device-$precision/$name/model.toml" ||
            printf '\n[instances]\ndevice = "%s"\nprecision = "%s"\n' "$device" "$precision" \
                >>"$work/$device-$precision/$name/model.toml"
    done
}

serve() {
    "$release/lucarne" serve --models "$work/$1" --port 8089 --log warn &
    server=$!
    for _ in $(seq 600); do
        if "$release/lucarne" healthcheck --url http://127.0.0.1:8089/readyz >/dev/null 2>&1; then return; fi
        kill -0 "$server" 2>/dev/null || break
        sleep 0.5
    done
    echo "the server for $1 is not ready; lucarne check says:"
    "$release/lucarne" check "$work/$1"
    exit 1
}

ask() {
    local photo
    for photo in "${photos[@]}"; do
        curl --silent --show-error --fail --data-binary "@$photo" -H 'content-type: application/octet-stream' \
            "http://127.0.0.1:8089/v1/models/mobilenet_v2/predict?top_k=1000"
        echo
        curl --silent --show-error --fail --data-binary "@$photo" -H 'content-type: application/octet-stream' \
            "http://127.0.0.1:8089/v1/models/mobilenet_v2/explain?method=grad_cam"
        echo
    done >"$work/$1.answers"
}

variants=(cpu-f32)
for device in ${DEVICES:-cuda}; do variants+=("$device-f32" "$device-f16" "$device-bf16"); done
for each in "${variants[@]}"; do
    variant "${each%-*}" "${each#*-}"
    serve "$each"
    ask "$each"
    echo "== $each"
    for model in mobilenet_v2 nanodet; do
        for clients in 1 32 128; do
            printf '%s, %s clients: ' "$model" "$clients"
            "$release/examples/load" --url http://127.0.0.1:8089 --path "/v1/models/$model/predict" --clients "$clients" \
                --warmup 2 --seconds "${SECONDS_EACH:-10}" "${photos[@]}" | grep 'answers a second'
        done
    done
    stop
done

python3 - "$work" "${variants[@]}" <<'END'
import json
import sys
from pathlib import Path

work, reference, *others = sys.argv[1:]


def answers(name):
    lines = (Path(work) / f"{name}.answers").read_text(encoding="utf-8").splitlines()
    predictions = [json.loads(line)["predictions"][0]["classes"] for line in lines[::2]]
    maps = [json.loads(line)["explanations"][0]["map"] for line in lines[1::2]]
    return predictions, maps


expected, expected_maps = answers(reference)
failed = False
for name in others:
    found, maps = answers(name)
    worst, same = 0.0, 0
    for ours, theirs in zip(found, expected):
        scores = {c["class_id"]: c["score"] for c in theirs}
        worst = max(worst, max(abs(c["score"] - scores[c["class_id"]]) for c in ours))
        same += ours[0]["class_id"] == theirs[0]["class_id"]
    # Explanations run on the exported module, which is f32 in every variant.
    largest = max(max(m["max"] for m in expected_maps), 1e-12)
    map_worst = max(abs(a - b) for m, n in zip(maps, expected_maps) for a, b in zip(m["data"], n["data"])) / largest
    tolerance = {"f32": 0.001, "f16": 0.02, "bf16": 0.1}[name.rpartition("-")[2]]
    is_full = name.endswith("-f32")
    bad = worst > tolerance or (is_full and same < len(found)) or map_worst > 0.01
    failed |= bad
    print(
        f"{name} beside {reference}: largest difference of a score {worst:.1e}, same best class {same} of {len(found)}, "
        f"Grad-CAM {map_worst:.1e} of its maximum: {'FAILED' if bad else 'right'}"
    )
sys.exit(failed)
END

#!/usr/bin/env bash
# Asks every model of models/ at once, for so many seconds, and prints what each answered and what memory the server
# takes before, half-way and after.
#
#   bench/mixed.sh [URL [SECONDS]]     a server on this machine; 60 seconds by default
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

url=${1:-http://127.0.0.1:8080}
seconds=${2:-60}
golden=tests/golden
pid=$(pgrep --full --newest "lucarne serve.*${url##*:}" || pgrep --exact --newest lucarne)

memory() { awk '/^VmRSS:/ {printf "resident memory %s: %d MB\n", when, $2 / 1024}' when="$1" "/proc/$pid/status"; }

ask() {
    local model=$1 clients=$2 image=$3
    "${CARGO_TARGET_DIR:-target}/release/examples/load" --url "$url" --model "$model" --clients "$clients" \
        --seconds "$seconds" "$image" | sed "s/^/$model: /"
}

cargo build --release --quiet --example load
memory before
ask mobilenet_v2 4 "$golden/photos/chelsea.png" &
ask nanodet 2 "$golden/photos/astronaut.jpg" &
ask selfie 2 "$golden/photos/astronaut.jpg" &
ask unet 4 "$golden/unet/scene_0.png" &
ask captioner 4 "$golden/captioner/scene_0.png" &
ask vae 4 "$golden/vae/bag.png" &
sleep "$((seconds / 2))"
memory half-way
wait
memory after

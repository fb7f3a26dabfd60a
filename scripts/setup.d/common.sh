# shellcheck shell=bash
# What every part of the set-up uses. Sourced by scripts/setup, which defines $cache.

say() { printf '[setup] %s\n' "$*" >&2; }

die() {
    printf '[setup] %s\n' "$@" >&2
    exit 1
}

# One set-up at a time, with an empty folder $scratch of its own in the cache, so that renaming out of it is atomic.
# What an interrupted one left behind goes away here, under the lock.
open_scratch() {
    mkdir -p "$cache"
    exec 9>"$cache/lock"
    if ! flock --nonblock 9; then
        say "another set-up is at work here; waiting for it"
        flock 9
    fi
    rm -rf "$cache"/tmp.*
    scratch=$(mktemp -d "$cache/tmp.XXXXXX")
    trap 'rm -rf "$scratch"' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
}

# install_tree NEW PLACE: puts the folder NEW at PLACE, instead of what is there.
install_tree() {
    mkdir -p "$(dirname "$2")"
    if [[ -e $2 ]]; then mv "$2" "$scratch/replaced.$(basename "$2")"; fi
    mv "$1" "$2"
}

# link_tool NAME PROGRAM: PROGRAM under the name that .cargo/config.toml knows.
link_tool() {
    mkdir -p "$cache/tools/bin"
    ln -sfn "$2" "$cache/tools/bin/$1"
}

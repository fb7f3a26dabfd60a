# shellcheck shell=bash
# What a machine must have before set-up starts; all that is missing is named at once.

require_programs() {
    local missing=()
    command -v cargo >/dev/null || missing+=("cargo")
    command -v c++ >/dev/null || missing+=("c++")
    command -v cc >/dev/null || missing+=("cc")
    command -v make >/dev/null || missing+=("make")
    command -v python3 >/dev/null || missing+=("python3")
    if ((${#missing[@]})); then refuse_machine "${missing[@]}"; fi
}

# What takes longer to ask, and is asked only if there is something to do.
require_versions() {
    python3 -m pip --version >/dev/null 2>&1 || refuse_machine "pip (python3 -m pip)"

    local wanted found
    wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' "$root/Cargo.toml" 2>/dev/null || true)
    found=$(cargo --version | cut -d' ' -f2)
    if [[ -n $wanted && $(printf '%s\n' "$wanted" "$found" | sort --version-sort | head -n 1) != "$wanted" ]]; then
        refuse_machine "cargo $wanted or newer (this one is $found)"
    fi
}

refuse_machine() {
    local missing
    printf -v missing '%s, ' "$@"
    die "this machine lacks: ${missing%, }" \
        "  Debian, Ubuntu:  sudo apt install g++ make python3 python3-pip" \
        "  Rust:            https://rustup.rs (Debian's own is too old)"
}

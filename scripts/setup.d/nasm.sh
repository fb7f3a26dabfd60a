# shellcheck shell=bash
# nasm, which assembles libjpeg-turbo's SIMD: the system's own, else Debian's package, unpacked and not installed.

nasm_ready() { [[ -x $cache/tools/bin/nasm ]]; }

make_nasm() {
    local found
    if found=$(command -v nasm) && "$found" -v >/dev/null 2>&1; then
        link_tool nasm "$found"
        return
    fi
    say "fetching Debian's package nasm"
    mkdir -p "$scratch/deb" "$scratch/nasm"
    if ! { fetch_nasm_package && dpkg-deb --extract "$scratch"/deb/nasm_*.deb "$scratch/nasm" &&
        "$scratch/nasm/usr/bin/nasm" -v; } >"$scratch/nasm.log" 2>&1; then
        tail -n 5 "$scratch/nasm.log" >&2
        die "nasm is missing, and its Debian package cannot be unpacked here. This helps:  sudo apt install nasm"
    fi
    install_tree "$scratch/nasm" "$cache/tools/nasm"
    link_tool nasm ../nasm/usr/bin/nasm
}

# Leaves the package in $scratch/deb. Where the system has no package lists (as in a container), or old ones, apt gets
# folders of its own, which needs no root.
fetch_nasm_package() {
    command -v apt-get && command -v dpkg-deb || return
    local own=$scratch/apt
    mkdir -p "$own/state/lists/partial" "$own/cache/archives/partial"
    local options=(-o "Dir::State=$own/state" -o "Dir::Cache=$own/cache" -o "APT::Sandbox::User=$(id --user --name)"
        -o Acquire::Languages=none)
    (cd "$scratch/deb" && apt-get download nasm) ||
        { apt-get "${options[@]}" update && (cd "$scratch/deb" && apt-get "${options[@]}" download nasm); }
}

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
    mkdir -p "$scratch/nasm"
    if ! { fetch_debian_package nasm && dpkg-deb --extract "$scratch"/deb/nasm_*.deb "$scratch/nasm" &&
        "$scratch/nasm/usr/bin/nasm" -v; } >"$scratch/nasm.log" 2>&1; then
        tail -n 5 "$scratch/nasm.log" >&2
        die "nasm is missing, and its Debian package cannot be unpacked here. This helps:  sudo apt install nasm"
    fi
    install_tree "$scratch/nasm" "$cache/tools/nasm"
    link_tool nasm ../nasm/usr/bin/nasm
}

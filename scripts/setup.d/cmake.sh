# shellcheck shell=bash
# cmake, which builds libjpeg-turbo: the system's own, else the one of the wheel.

cmake_ready() { [[ -x $cache/tools/bin/cmake ]]; }

make_cmake() {
    local found
    # A program of that name that does not run (a shim of some version manager) is no cmake.
    if found=$(command -v cmake) && "$found" --version >/dev/null 2>&1; then
        link_tool cmake "$found"
        return
    fi
    local requirements=$parts/cmake.requirements.txt wheel
    wheel=$(fetch_wheel "$requirements" cmake)
    unpack_wheel "$wheel" cmake/data/bin/cmake "$scratch/cmake/bin/cmake" cmake/data/share/ "$scratch/cmake/share/"
    install_tree "$scratch/cmake" "$cache/tools/cmake"
    link_tool cmake ../cmake/bin/cmake
}

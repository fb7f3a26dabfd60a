# shellcheck shell=bash
# shellcheck disable=SC2154  # scratch is of common.sh
# Debian's packages as a source of files: fetched and unpacked, never installed.

# fetch_debian_package NAME: leaves the package in $scratch/deb. Where the system has no package lists (as in a
# container), or old ones, apt gets folders of its own, which needs no root.
fetch_debian_package() {
    command -v apt-get && command -v dpkg-deb || return
    local own=$scratch/apt
    mkdir -p "$scratch/deb" "$own/state/lists/partial" "$own/cache/archives/partial"
    local options=(-o "Dir::State=$own/state" -o "Dir::Cache=$own/cache" -o "APT::Sandbox::User=$(id --user --name)"
        -o Acquire::Languages=none)
    (cd "$scratch/deb" && apt-get download "$1") ||
        { apt-get "${options[@]}" update && (cd "$scratch/deb" && apt-get "${options[@]}" download "$1"); }
}

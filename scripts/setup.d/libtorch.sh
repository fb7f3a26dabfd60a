# shellcheck shell=bash
# libtorch, cut from PyTorch's wheel: headers, and of the libraries only those that inference on the CPU loads, which
# is 443 MB of 1.1 GB. With CUDA=1 the CUDA libraries of the same wheel come too, with NVIDIA's; the program is the
# same, because it links libtorch.so alone and that names the rest.

readonly torch_version=2.13.0
# Goes up when what make_libtorch makes changes, so that older caches are made again.
readonly libtorch_cut=1
libtorch=$cache/libtorch

# A libtorch of the user's own is accepted or refused here; ours is ready if it was made from today's pins. One with
# CUDA serves the CPU as well.
libtorch_ready() {
    if [[ -n ${LIBTORCH:-} && $LIBTORCH != "$libtorch" ]]; then
        check_own_libtorch
        return
    fi
    local stamp
    stamp=$(cat "$libtorch/.stamp" 2>/dev/null) || return
    [[ $stamp == "$(libtorch_stamp cuda)" || -z ${CUDA:-} && $stamp == "$(libtorch_stamp cpu)" ]]
}

libtorch_stamp() {
    local pins=("$parts/libtorch.requirements.txt")
    if [[ $1 == cuda ]]; then pins+=("$parts/cuda.requirements.txt"); fi
    printf '%s %s %s' "$1" "$libtorch_cut" "$(cat "${pins[@]}" | sha256sum)"
}

check_own_libtorch() {
    local cure="unset LIBTORCH and set-up gets the right one, or point it at a libtorch $torch_version"
    [[ $LIBTORCH == /* ]] || die "LIBTORCH=$LIBTORCH is not an absolute path" "  $cure"
    local header=$LIBTORCH/include/torch/headeronly/version.h found
    [[ -f $header && -e $LIBTORCH/lib/libtorch_cpu.so ]] ||
        die "LIBTORCH=$LIBTORCH has no include/ and lib/ of libtorch $torch_version" "  $cure"
    found=$(sed -n 's/^#define TORCH_VERSION_\(MAJOR\|MINOR\|PATCH\) //p' "$header" | paste -sd.)
    [[ $found == "$torch_version" ]] || die "LIBTORCH=$LIBTORCH is libtorch $found, not $torch_version" "  $cure"
}

make_libtorch() {
    [[ $(uname -s)-$(uname -m) == Linux-x86_64 ]] ||
        die "set-up has a libtorch for Linux on x86_64 only; set LIBTORCH to a libtorch $torch_version of this machine"
    local kind=cpu
    if [[ -n ${CUDA:-} ]]; then kind=cuda; fi
    say "libtorch $torch_version ($kind) is missing or out of date"
    unpack_cpu_libraries
    if [[ $kind == cuda ]]; then unpack_cuda_libraries; fi
    link_libtorch_so "$kind"
    # torch-sys compares the part before the plus sign with the version that it wants.
    printf '%s+%s\n' "$torch_version" "$kind" >"$scratch/libtorch/build-version"
    libtorch_stamp "$kind" >"$scratch/libtorch/.stamp"

    local unresolved
    unresolved=$(ldd "$scratch/libtorch/lib/libtorch.so" | grep 'not found' || true)
    [[ -z $unresolved ]] || die "libtorch does not load here; it misses:" "$unresolved"
    install_tree "$scratch/libtorch" "$libtorch"
}

unpack_cpu_libraries() {
    local pins=$parts/libtorch.requirements.txt to=$scratch/libtorch wheel
    wheel=$(fetch_wheel "$pins" torch)
    unpack_wheel "$wheel" \
        torch/include/ "$to/include/" \
        torch/lib/libtorch_cpu.so "$to/lib/libtorch_cpu.so" \
        torch/lib/libc10.so "$to/lib/libc10.so" \
        torch/lib/libgomp.so.1 "$to/lib/libgomp.so.1" \
        "torch-$torch_version.dist-info/licenses/" "$to/licenses/torch/"
    wheel=$(fetch_wheel "$pins" nvidia-cuda-runtime)
    unpack_wheel "$wheel" nvidia/cu13/lib/libcudart.so.13 "$to/lib/libcudart.so.13" \
        nvidia_cuda_runtime-13.0.96.dist-info/licenses/ "$to/licenses/nvidia/"
    wheel=$(fetch_wheel "$pins" nvidia-cuda-cupti)
    unpack_wheel "$wheel" nvidia/cu13/lib/libcupti.so.13 "$to/lib/libcupti.so.13"
}

# All in one folder: torch's libraries look for NVIDIA's beside themselves too, and so do NVIDIA's for each other.
unpack_cuda_libraries() {
    local pins=$parts/cuda.requirements.txt lib=$scratch/libtorch/lib wheel name files file pairs
    wheel=$(fetch_wheel "$parts/libtorch.requirements.txt" torch)
    pairs=()
    for name in torch_cuda torch_cuda_linalg c10_cuda torch_nvshmem caffe2_nvrtc; do
        pairs+=("torch/lib/lib$name.so" "$lib/lib$name.so")
    done
    unpack_wheel "$wheel" "${pairs[@]}"
    while read -r name files; do
        wheel=$(fetch_wheel "$pins" "$name")
        pairs=()
        for file in $files; do pairs+=("nvidia/$file" "$lib/${file##*/}"); done
        pairs+=(LICENCES "$scratch/libtorch/licenses/$name/")
        unpack_wheel "$wheel" "${pairs[@]}"
    done < <(cuda_libraries)
}

# Wheel, and what of it the CUDA libraries of torch load.
cuda_libraries() {
    cat <<'END'
nvidia-cublas cu13/lib/libcublas.so.13 cu13/lib/libcublasLt.so.13
nvidia-cuda-nvrtc cu13/lib/libnvrtc.so.13 cu13/lib/libnvrtc-builtins.so.13.0
nvidia-cudnn-cu13 cudnn/lib/
nvidia-cufft cu13/lib/libcufft.so.12
nvidia-cufile cu13/lib/libcufile.so.0
nvidia-curand cu13/lib/libcurand.so.10
nvidia-cusolver cu13/lib/libcusolver.so.12
nvidia-cusparse cu13/lib/libcusparse.so.12
nvidia-cusparselt-cu13 cusparselt/lib/libcusparseLt.so.0
nvidia-nccl-cu13 nccl/lib/libnccl.so.2
nvidia-nvjitlink cu13/lib/libnvJitLink.so.13
nvidia-nvshmem-cu13 nvshmem/lib/libnvshmem_host.so.3
END
}

# The wheel's libtorch.so names the CUDA libraries, so the CPU needs one of its own. It must be a real library, not a
# linker script: AOTInductor packages load it by name.
link_libtorch_so() {
    local lib=$scratch/libtorch/lib names=(-ltorch_cpu -lc10)
    if [[ $1 == cuda ]]; then names=(-ltorch_cuda "${names[@]}"); fi
    # shellcheck disable=SC2016  # $ORIGIN is for the loader, not for the shell.
    c++ -shared -nostdlib -o "$lib/libtorch.so" -L "$lib" -Wl,-soname,libtorch.so -Wl,-rpath,'$ORIGIN' \
        -Wl,--enable-new-dtags -Wl,--no-as-needed "${names[@]}"
}

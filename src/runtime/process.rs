//! Settings of libtorch for the process and for each thread.

use lucarne_entrypoint::signals;
use tch::Device;

use crate::error::{Error, Result};

/// Settings that hold for the whole process; call it before anything is loaded and any thread is started.
pub fn configure_process() {
    torch_bridge::share_heaps();
    torch_bridge::keep_large_blocks();
    torch_bridge::share_blocks();
    // The profiling executor re-optimises at the first calls of every shape: seconds at a new batch size. A
    // frozen graph gains nothing from it. These only fail when libtorch itself is broken; loading then says so.
    drop(tch::jit::f_set_profiling_mode(false));
    drop(tch::jit::f_set_tensor_expr_fuser_enabled(false));
    // f32 means f32: with TF32, which libtorch would use for convolutions, scores move by up to 0.007.
    drop(torch_bridge::allow_tf32(false));
}

/// Lets the signals in that `lucarne-entrypoint` holds back; call it once they have handlers.
///
/// # Errors
/// [`Error::Internal`] when the system refuses.
pub fn admit_signals() -> Result<()> {
    signals::admit().map_err(|e| Error::Internal(format!("signals: {e}")))
}

/// Gives memory back to the system that large bodies, pictures and answers have left free, if that is much.
pub fn release_free_memory() {
    const MUCH: usize = 32 << 20;
    torch_bridge::release_heap(MUCH);
}

/// Ends the process at once, whatever its threads compute.
pub fn exit_now(code: u8) -> ! {
    torch_bridge::exit_now(code)
}

/// Settings of libtorch that are kept by each thread; call it first on every thread that computes on the CPU.
pub fn configure_thread(threads: usize) {
    tch::set_num_threads(i32::try_from(threads).unwrap_or(1));
}

/// [`configure_thread`] for a thread that computes on `device`; on CUDA it gets a stream of its own.
///
/// # Errors
/// [`Error::InferenceFailed`] when there is no such device.
pub fn configure_thread_on(device: Device, threads: usize) -> Result<()> {
    configure_thread(threads);
    if let Device::Cuda(index) = device {
        torch_bridge::use_own_stream(index)?;
    }
    Ok(())
}

/// Gives memory back to the system that was freed since: loading takes more than serving, and so does an explanation of
/// many passes.
pub fn release_unused_memory() {
    torch_bridge::release_unused();
}

/// Whether the processor computes in bfloat16: without such instructions it is slower than f32.
#[must_use]
pub fn has_bf16() -> bool {
    const NAMES: [&str; 3] = ["avx512_bf16", "amx_bf16", "bf16"];
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let of_first = info.lines().find_map(|line| {
        let (key, flags) = line.split_once(':')?;
        matches!(key.trim(), "flags" | "Features").then_some(flags)
    });
    of_first.is_some_and(|flags| flags.split_whitespace().any(|flag| NAMES.contains(&flag)))
}

/// Bytes of memory that this process may take: the machine's, or its container's where that has less.
#[must_use]
pub fn machine_memory() -> u64 {
    let read = |file: &str| std::fs::read_to_string(file).unwrap_or_default();
    let machine = read("/proc/meminfo");
    let total = machine.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let total = total.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
    let container = [
        "/sys/fs/cgroup/memory.max",
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
    ];
    let container = container
        .iter()
        .find_map(|file| read(file).trim().parse::<u64>().ok());
    let total = total.map_or(u64::MAX, |kb| kb << 10);
    container.map_or(total, |limit| limit.min(total))
}

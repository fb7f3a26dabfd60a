//! How much memory a process keeps that computes on many threads, and where its tensors lie.
#![expect(unsafe_code, reason = "the allocator's settings are C functions")]

/// Gives back what the allocators keep and nobody uses; call it after work that took much more than usual.
///
/// Elsewhere than on glibc this does nothing.
pub fn release_unused() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        crate::region::release_unused();
        // SAFETY: malloc_trim may be called at any time, from any thread; it moves nothing that is in use.
        unsafe {
            libc::malloc_trim(0);
        }
    }
}

/// Gives back what glibc's heaps keep free, where that is more than so many bytes.
///
/// Elsewhere than on glibc this does nothing.
pub fn release_heap(more_than: usize) {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: both may be called at any time, from any thread; they move nothing that is in use.
    unsafe {
        if libc::mallinfo2().fordblks > more_than {
            libc::malloc_trim(0);
        }
    }
}

/// Keeps glibc to two heaps; call it before the first thread.
///
/// By default each thread gets a heap of its own, and each keeps what its largest batch once took: with five models
/// that is hundreds of megabytes that nobody uses. Elsewhere than on glibc this does nothing.
pub fn share_heaps() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: mallopt only stores a number, and this one is documented as good at any time.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 2);
    }
}

/// Lets glibc keep and reuse large blocks; call it before the first thread.
///
/// By default a block of more than 32 MB is mapped afresh each time and given back at once. The activations of a batch
/// are such blocks, so that every forward pass would fault all of its pages in again, which costs more than a quarter
/// of MobileNetV2's time at a batch of 16. Elsewhere than on glibc this does nothing.
pub fn keep_large_blocks() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: mallopt only stores numbers; glibc takes any threshold.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, 1 << 30);
        libc::mallopt(libc::M_TRIM_THRESHOLD, 512 << 20);
    }
}

/// Puts the large tensors of all threads on the CPU close together, those of a pass where those of the last one were:
/// see `blocks.rs`. Call it before the first tensor is made.
///
/// Where the address space is limited to less than the machine's memory, and elsewhere than on glibc, libtorch's own
/// allocator stays.
pub fn share_blocks() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    crate::region::share();
}

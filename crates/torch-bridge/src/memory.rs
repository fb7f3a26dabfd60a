//! How much memory a process keeps that computes on many threads, and where its tensors lie.
#![expect(unsafe_code, reason = "the allocator's settings and mappings are C functions")]

/// Gives back what the allocators keep and nobody uses; call it after work that took much more than usual.
///
/// Elsewhere than on glibc this does nothing.
pub fn release_unused() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        region::release_unused();
        // SAFETY: malloc_trim may be called at any time, from any thread; it moves nothing that is in use.
        unsafe {
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
    region::share();
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod region {
    use std::ffi::c_void;
    use std::ptr;
    use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

    use crate::blocks::Blocks;
    use crate::ffi;

    /// Bytes of the smallest tensor that is put here; smaller ones come by without a lock.
    const LEAST: usize = 64 << 10;

    /// Pages of the mapping, which nobody but the blocks' owners touches.
    struct Region {
        begin: usize,
        length: usize,
        blocks: Mutex<Blocks>,
    }

    static REGION: OnceLock<Option<Region>> = OnceLock::new();

    impl Region {
        /// Addresses for as much as the machine has; pages are there only once they are written to.
        fn map() -> Option<Self> {
            // SAFETY: sysconf reads two numbers of the system.
            let (pages, page) = unsafe {
                (
                    libc::sysconf(libc::_SC_PHYS_PAGES),
                    libc::sysconf(libc::_SC_PAGESIZE),
                )
            };
            let length = usize::try_from(pages)
                .ok()?
                .checked_mul(usize::try_from(page).ok()?)?;
            let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
            let rights = libc::PROT_READ | libc::PROT_WRITE;
            // SAFETY: a new mapping, of no file and at no given address, touches no other memory.
            let begin = unsafe { libc::mmap(ptr::null_mut(), length, rights, flags, -1, 0) };
            (begin != libc::MAP_FAILED).then(|| Self {
                begin: begin as usize,
                length,
                blocks: Mutex::new(Blocks::new(length)),
            })
        }

        fn blocks(&self) -> MutexGuard<'_, Blocks> {
            // No method of the blocks can panic half-way.
            self.blocks.lock().unwrap_or_else(PoisonError::into_inner)
        }
    }

    fn region() -> Option<&'static Region> {
        REGION.get()?.as_ref()
    }

    /// Null where the block is small or there is no room.
    extern "C" fn take(bytes: usize) -> *mut c_void {
        let offset = region()
            .filter(|_| bytes >= LEAST)
            .and_then(|region| Some(region.begin + region.blocks().take(bytes)?));
        offset.map_or(ptr::null_mut(), |address| address as *mut c_void)
    }

    /// False where the block is not of the region.
    extern "C" fn give(block: *mut c_void) -> bool {
        region().is_some_and(|region| {
            let offset = (block as usize).wrapping_sub(region.begin);
            offset < region.length && region.blocks().give(offset)
        })
    }

    pub(super) fn share() {
        let mut is_new = false;
        let region = REGION.get_or_init(|| {
            is_new = true;
            Region::map()
        });
        if is_new && region.is_some() {
            // SAFETY: both functions are as the C++ side declares them, and live as long as the process.
            let refused = ffi::check(unsafe { ffi::bridge_set_blocks(take, give) });
            // It fails only when libtorch itself is broken; its own allocator then stays.
            drop(refused);
        }
    }

    pub(super) fn release_unused() {
        let Some(region) = region() else { return };
        let mut blocks = region.blocks();
        // Whole pages, inside of what is free. The least page there is: the kernel refuses what is no multiple of its own.
        const PAGE: usize = 4 << 10;
        for (begin, length) in blocks.stale() {
            let first = (region.begin + begin).next_multiple_of(PAGE);
            let end = (region.begin + begin + length) / PAGE * PAGE;
            if first < end {
                // SAFETY: these pages are of the region, and the lock keeps them free meanwhile.
                unsafe {
                    libc::madvise(first as *mut c_void, end - first, libc::MADV_DONTNEED);
                }
            }
        }
        blocks.forget_stale();
    }
}

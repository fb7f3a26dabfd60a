//! The memory of large tensors on the CPU: one mapping, in which `blocks.rs` finds the places. glibc alone: elsewhere
//! `memory.rs` does without.
#![expect(unsafe_code, reason = "mappings are C functions")]

use std::ffi::c_void;
use std::ptr;
use std::sync::{Mutex, MutexGuard, Once, OnceLock, PoisonError};

use crate::blocks::Blocks;
use crate::ffi;

/// Bytes of the smallest tensor that is put here; smaller ones come by without a lock.
const LEAST: usize = 64 << 10;

/// Pages of the mapping, which nobody but the blocks' owners touches.
struct Region {
    begin: usize,
    length: usize,
    /// Bytes of a page.
    page: usize,
    blocks: Mutex<Blocks>,
}

static REGION: OnceLock<Region> = OnceLock::new();

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
        let page = usize::try_from(page).ok()?;
        let length = usize::try_from(pages).ok()?.checked_mul(page)?;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        let rights = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping, of no file and at no given address, touches no other memory.
        let begin = unsafe { libc::mmap(ptr::null_mut(), length, rights, flags, -1, 0) };
        (begin != libc::MAP_FAILED).then(|| Self {
            begin: begin as usize,
            length,
            page,
            blocks: Mutex::new(Blocks::new(length)),
        })
    }

    fn blocks(&self) -> MutexGuard<'_, Blocks> {
        // No method of the blocks can panic half-way.
        self.blocks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Null where the block is small or there is no room.
extern "C" fn take(bytes: usize) -> *mut c_void {
    let offset = REGION
        .get()
        .filter(|_| bytes >= LEAST)
        .and_then(|region| Some(region.begin + region.blocks().take(bytes)?));
    offset.map_or(ptr::null_mut(), |address| address as *mut c_void)
}

/// False where the block is not of the region.
extern "C" fn give(block: *mut c_void) -> bool {
    REGION.get().is_some_and(|region| {
        let offset = (block as usize).wrapping_sub(region.begin);
        offset < region.length && region.blocks().give(offset)
    })
}

/// See [`crate::share_blocks`].
pub(crate) fn share() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let Some(region) = Region::map() else { return };
        REGION.get_or_init(|| region);
        // SAFETY: both functions are as the C++ side declares them, and live as long as the process.
        let refused = ffi::check(unsafe { ffi::bridge_set_blocks(take, give) });
        // It fails only when libtorch itself is broken; its own allocator then stays.
        drop(refused);
    });
}

/// Gives the pages back that lie in gaps.
pub(crate) fn release_unused() {
    let Some(region) = REGION.get() else { return };
    let mut blocks = region.blocks();
    for (begin, length) in blocks.take_stale() {
        // Whole pages, inside of what is free.
        let first = (region.begin + begin).next_multiple_of(region.page);
        let end = (region.begin + begin + length) / region.page * region.page;
        if first < end {
            // SAFETY: these pages are of the region, and the lock keeps them free meanwhile.
            unsafe {
                libc::madvise(first as *mut c_void, end - first, libc::MADV_DONTNEED);
            }
        }
    }
}

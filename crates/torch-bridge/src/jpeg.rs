//! libjpeg-turbo, of which the safe wrapper does not decode a part of a picture. Nothing here names torch; it is here
//! because `unsafe` is.
#![expect(unsafe_code, reason = "libjpeg-turbo is a C library")]

use std::ffi::{CStr, c_int};
use std::fmt;
use std::ptr::NonNull;

use turbojpeg_sys as raw;

/// Why a file could not be decoded, or what is odd about it, in libjpeg's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault(pub String);

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How the samples of a pixel are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Samples {
    /// Red, green, blue; grey is repeated.
    Rgb,
    /// Four inks, as the file has them.
    Cmyk,
}

impl Samples {
    /// How many there are a pixel, of one byte each.
    #[must_use]
    pub fn count(self) -> usize {
        match self {
            Self::Rgb => 3,
            Self::Cmyk => 4,
        }
    }

    fn format(self) -> c_int {
        match self {
            Self::Rgb => raw::TJPF_TJPF_RGB,
            Self::Cmyk => raw::TJPF_TJPF_CMYK,
        }
    }
}

/// A rectangle of pixels; both sides at least 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Region {
    /// Its first column.
    pub left: u32,
    /// Its first row.
    pub top: u32,
    /// How many columns it has.
    pub width: u32,
    /// How many rows it has.
    pub height: u32,
}

impl Region {
    fn whole((width, height): (u32, u32)) -> Self {
        Self {
            left: 0,
            top: 0,
            width,
            height,
        }
    }
}

/// What was decoded.
pub struct Pixels {
    /// The samples, row by row.
    pub samples: Vec<u8>,
    /// What libjpeg warned of last: it goes on where others refuse, and fills up with grey.
    pub warning: Option<Fault>,
}

/// A JPEG whose header was read, with the decoder that read it.
pub struct Jpeg<'a> {
    handle: Handle,
    bytes: &'a [u8],
    /// Width and height as stored.
    size: (u32, u32),
    /// By how much a picture is decoded smaller: 1, 2, 4 or 8.
    reduction: u32,
}

impl<'a> Jpeg<'a> {
    /// Reads the header of `bytes`. A progressive file may have `max_scans` scans.
    ///
    /// # Errors
    /// What libjpeg refuses or warns of.
    pub fn open(bytes: &'a [u8], max_scans: u32) -> Result<Self, Fault> {
        let handle = Handle::new()?;
        handle.set(raw::TJPARAM_TJPARAM_SCANLIMIT, max_scans)?;
        // SAFETY: the handle is one for decompression; the pointer and length are those of a slice, and nothing of it is
        // kept beyond the call.
        handle.checked(unsafe {
            raw::tj3DecompressHeader(handle.0.as_ptr(), bytes.as_ptr(), bytes.len() as raw::size_t)
        })?;
        let side = |parameter| u32::try_from(handle.get(parameter)).unwrap_or(0);
        let size = (
            side(raw::TJPARAM_TJPARAM_JPEGWIDTH),
            side(raw::TJPARAM_TJPARAM_JPEGHEIGHT),
        );
        Ok(Self {
            handle,
            bytes,
            size,
            reduction: 1,
        })
    }

    /// The same file, decoded to pixels of 8, 4 or 2 pixels' side: `reduction` is one of 1, 2, 4 and 8.
    ///
    /// # Errors
    /// What libjpeg cannot reduce: another number, a lossless file.
    pub fn reduced(mut self, reduction: u32) -> Result<Self, Fault> {
        let factor = raw::tjscalingfactor {
            num: 1,
            denom: c_int::try_from(reduction).unwrap_or(0),
        };
        // SAFETY: the handle is one for decompression; the factor is a value, and an unknown one is refused.
        self.handle
            .checked(unsafe { raw::tj3SetScalingFactor(self.handle.0.as_ptr(), factor) })?;
        self.reduction = reduction;
        Ok(self)
    }

    /// Width and height of the picture as it would be decoded.
    #[must_use]
    pub fn size(&self) -> (u32, u32) {
        (
            self.size.0.div_ceil(self.reduction),
            self.size.1.div_ceil(self.reduction),
        )
    }

    /// The region to decode for the sake of `wanted`: it begins where a block does, and has a block more on each side,
    /// since smooth upsampling of chroma looks at the neighbours and there are none beyond the region. The whole
    /// picture, where no part can be decoded by itself.
    #[must_use]
    pub fn region_around(&self, wanted: Region) -> Region {
        let (width, height) = self.size();
        let Some((across, down)) = self.block() else {
            return Region::whole((width, height));
        };
        let from = |first: u32, block: u32| (first / block * block).saturating_sub(block);
        let to = |end: u32, block: u32, most: u32| end.saturating_add(block).min(most);
        let (left, top) = (from(wanted.left, across), from(wanted.top, down));
        Region {
            left,
            top,
            width: to(wanted.left.saturating_add(wanted.width), across, width).saturating_sub(left),
            height: to(wanted.top.saturating_add(wanted.height), down, height).saturating_sub(top),
        }
    }

    /// Width and height of the blocks that are coded together, in decoded pixels. A progressive file has none: it is
    /// decoded as a whole at any rate, and smoothed across blocks where scans are missing.
    fn block(&self) -> Option<(u32, u32)> {
        if self.handle.get(raw::TJPARAM_TJPARAM_PROGRESSIVE) != 0
            || self.handle.get(raw::TJPARAM_TJPARAM_LOSSLESS) != 0
        {
            return None;
        }
        let (across, down): (u32, u32) = match self.handle.get(raw::TJPARAM_TJPARAM_SUBSAMP) {
            raw::TJSAMP_TJSAMP_444 | raw::TJSAMP_TJSAMP_GRAY => (8, 8),
            raw::TJSAMP_TJSAMP_422 => (16, 8),
            raw::TJSAMP_TJSAMP_420 => (16, 16),
            raw::TJSAMP_TJSAMP_440 => (8, 16),
            raw::TJSAMP_TJSAMP_411 => (32, 8),
            raw::TJSAMP_TJSAMP_441 => (8, 32),
            _ => return None,
        };
        Some((across.div_ceil(self.reduction), down.div_ceil(self.reduction)))
    }

    /// Decodes `region`, with the accurate DCT and smooth upsampling.
    ///
    /// # Errors
    /// What libjpeg refuses: a corrupt file, a region that does not lie in the picture or does not begin with a block.
    pub fn decode(self, region: Region, samples: Samples) -> Result<Pixels, Fault> {
        if region == Region::whole(self.size()) {
            return self.write(region, samples);
        }
        let side = |length: u32| c_int::try_from(length).unwrap_or(-1);
        let part = raw::tjregion {
            x: side(region.left),
            y: side(region.top),
            // 0 would mean «to the end».
            w: side(region.width.max(1)),
            h: side(region.height.max(1)),
        };
        // SAFETY: the handle is one for decompression whose header was read; the region is a value, and held against the
        // picture's size.
        self.handle
            .checked(unsafe { raw::tj3SetCroppingRegion(self.handle.0.as_ptr(), part) })?;
        self.write(region, samples)
    }

    /// `region` is what the handle was told, or the whole picture.
    fn write(&self, region: Region, samples: Samples) -> Result<Pixels, Fault> {
        let pitch = region.width as usize * samples.count();
        let length = pitch * region.height as usize;
        let mut written: Vec<u8> = Vec::with_capacity(length);
        // SAFETY: `length` bytes are reserved, and libjpeg writes no more: `region.height` rows of `pitch` bytes each of
        // the same bytes whose header gave the size. They count as written only where it says that it wrote them all.
        unsafe {
            if self.decompress_into(written.as_mut_ptr(), pitch, samples) == 0 {
                written.set_len(length);
                return Ok(Pixels {
                    samples: written,
                    warning: None,
                });
            }
        }
        // With a warning, rows may be missing: once more, over zeros.
        written.resize(length, 0);
        // SAFETY: as above, and all of it is initialised.
        let done = unsafe { self.decompress_into(written.as_mut_ptr(), pitch, samples) };
        let warning = match self.handle.checked(done) {
            Err(fault) if !self.handle.only_warned() => return Err(fault),
            said => said.err(),
        };
        Ok(Pixels {
            samples: written,
            warning,
        })
    }

    /// # Safety
    /// `into` may be written to for as many rows of `pitch` bytes as the region has that is decoded.
    unsafe fn decompress_into(&self, into: *mut u8, pitch: usize, samples: Samples) -> c_int {
        let Ok(pitch) = c_int::try_from(pitch) else {
            return -1;
        };
        let (bytes, length) = (self.bytes.as_ptr(), self.bytes.len() as raw::size_t);
        // SAFETY: the caller answers for `into`; the input is a slice, and the handle one for decompression.
        unsafe {
            raw::tj3Decompress8(
                self.handle.0.as_ptr(),
                bytes,
                length,
                into,
                pitch,
                samples.format(),
            )
        }
    }
}

/// A decompressor of TurboJPEG; not shared between threads.
struct Handle(NonNull<std::ffi::c_void>);

impl Handle {
    fn new() -> Result<Self, Fault> {
        // SAFETY: it takes no pointer.
        let made = unsafe { raw::tj3Init(raw::TJINIT_TJINIT_DECOMPRESS as c_int) };
        NonNull::new(made)
            .map(Self)
            .ok_or_else(|| Fault("no memory for a decoder".into()))
    }

    fn set(&self, parameter: raw::TJPARAM, value: u32) -> Result<(), Fault> {
        let value = c_int::try_from(value).unwrap_or(c_int::MAX);
        // SAFETY: the handle is alive; parameters that do not exist or fit are refused.
        self.checked(unsafe { raw::tj3Set(self.0.as_ptr(), parameter as c_int, value) })
    }

    fn get(&self, parameter: raw::TJPARAM) -> c_int {
        // SAFETY: the handle is alive; of a parameter that does not exist the answer is -1.
        unsafe { raw::tj3Get(self.0.as_ptr(), parameter as c_int) }
    }

    /// Whether what went wrong last was no more than a warning.
    fn only_warned(&self) -> bool {
        // SAFETY: the handle is alive.
        let code = unsafe { raw::tj3GetErrorCode(self.0.as_ptr()) };
        code == raw::TJERR_TJERR_WARNING as c_int
    }

    /// The message of a call that did not answer 0.
    fn checked(&self, answer: c_int) -> Result<(), Fault> {
        if answer == 0 {
            return Ok(());
        }
        // SAFETY: the handle is alive, and its message is a C string that stays until the next call; it is copied.
        let message = unsafe { CStr::from_ptr(raw::tj3GetErrorStr(self.0.as_ptr())) };
        Err(Fault(message.to_string_lossy().into_owned()))
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: it was made by tj3Init, and nobody uses it any more.
        unsafe { raw::tj3Destroy(self.0.as_ptr()) }
    }
}

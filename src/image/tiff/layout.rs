//! What the first directory of a TIFF says of its pixels, held against what is read and against the limits. A file that is
//! refused here is named for what it is, with the way out.

use super::directory::Directory;
use super::fax::Coding;
use super::refusal::{invalid, unread};
use super::tag;
use crate::error::Result;
use crate::image::limits::Limits;
use crate::image::picture::CHANNELS;

/// Samples a pixel at most: more are measurements, not a picture.
const MOST_SAMPLES: u64 = 16;

/// Numbers of bits at most: some writers give more of them than there are samples.
const MOST_NUMBERS: u64 = 64;

/// How the data of a strip or tile is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compression {
    None,
    PackBits,
    Lzw,
    Deflate,
    Zstd,
    Fax(Coding),
    Jpeg,
}

/// What the samples mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Photometric {
    WhiteIsZero,
    BlackIsZero,
    Rgb,
    Palette,
    Cmyk,
    YCbCr,
}

/// Which sample says how opaque a pixel is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Alpha {
    None,
    Straight,
    /// The colours are multiplied by it already.
    Premultiplied,
}

/// How samples are stored in a file that is within the limits and can be read here.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) photometric: Photometric,
    pub(super) alpha: Alpha,
    /// 1, 2, 4, 8 or 16.
    pub(super) bits: u32,
    /// Samples a pixel, those that mean nothing among them where they cannot be told apart.
    pub(super) samples: usize,
    /// Whether each sample has strips or tiles of its own.
    pub(super) is_planar: bool,
    pub(super) compression: Compression,
    /// Whether each sample is the difference to the one before.
    pub(super) is_predicted: bool,
    /// Whether the first pixel is in the lowest bit of a byte.
    pub(super) is_reversed: bool,
    /// Width and height that share the chroma of a YCbCr picture.
    pub(super) subsampling: (usize, usize),
    pub(super) is_tiled: bool,
    /// (width, height) of a strip or tile.
    pub(super) chunk: (u32, u32),
}

impl Layout {
    /// Reads the tags.
    ///
    /// # Errors
    /// [`crate::error::Error::UnsupportedMediaType`] for a kind that is not read,
    /// [`crate::error::Error::ImageTooLarge`] for a size that is not allowed,
    /// [`crate::error::Error::InvalidImage`] where tags are missing or contradict each other.
    pub(super) fn read(directory: &Directory<'_>, limits: &Limits) -> Result<Self> {
        let (width, height) = (side(directory, tag::WIDTH)?, side(directory, tag::HEIGHT)?);
        limits.check(width, height, CHANNELS as u64)?;
        let compression = compression(directory)?;
        let photometric = photometric(directory)?;
        let samples = samples(directory, photometric)?;
        let bits = bits(directory, samples)?;
        let alpha = alpha(directory, photometric, samples)?;
        let is_planar = directory.number(tag::PLANAR) == Some(2) && samples > 1;
        // Planes that mean nothing are left alone.
        let samples = if is_planar {
            photometric.colors() + usize::from(alpha != Alpha::None)
        } else {
            samples
        };
        let is_tiled = directory.has(tag::TILE_OFFSETS);
        let layout = Self {
            width,
            height,
            photometric,
            alpha,
            bits,
            samples,
            is_planar,
            compression,
            is_predicted: is_predicted(directory, compression)?,
            is_reversed: directory.number(tag::FILL_ORDER) == Some(2),
            subsampling: subsampling(directory, photometric, compression)?,
            is_tiled,
            chunk: if is_tiled {
                (
                    side(directory, tag::TILE_WIDTH)?,
                    side(directory, tag::TILE_HEIGHT)?,
                )
            } else {
                let rows = directory.number(tag::ROWS_PER_STRIP).unwrap_or(u64::MAX);
                (width, rows.clamp(1, u64::from(height)) as u32)
            },
        };
        layout.consistent()?;
        Ok(layout)
    }

    /// What each part may be by itself, but not together.
    fn consistent(&self) -> Result<()> {
        let colors = self.photometric.colors();
        let is_jpeg = self.is_jpeg();
        if self.bits < 8 && (self.samples > 1 || !matches!(colors, 1)) {
            return Err(unread(format!("of {} bits a sample in colour", self.bits)));
        }
        if self.bits == 16 && matches!(self.photometric, Photometric::Palette | Photometric::YCbCr) {
            return Err(unread("of 16 bits a sample with a palette, or in YCbCr,"));
        }
        if self.bits == 16 && self.photometric == Photometric::WhiteIsZero {
            return Err(unread(
                "of 16 bits a sample whose white is 0 (readers disagree on it)",
            ));
        }
        if is_jpeg && !matches!(self.together(), 1 | 3 | 4) {
            return Err(unread(format!("of JPEGs with {} components", self.together())));
        }
        if is_jpeg && self.bits != 8 {
            return Err(unread(format!("of JPEGs with {} bits a sample", self.bits)));
        }
        if matches!(self.compression, Compression::Fax(_)) && (self.bits, self.samples) != (1, 1) {
            return Err(invalid("CCITT compression is for one bit a pixel"));
        }
        if self.is_predicted && (self.bits < 8 || self.subsampling != (1, 1)) {
            return Err(unread(
                "with a predictor for less than 8 bits, or subsampled chroma,",
            ));
        }
        if self.is_planar && self.photometric == Photometric::YCbCr && (is_jpeg || self.subsampling != (1, 1))
        {
            return Err(unread("in YCbCr with each component on a plane of its own"));
        }
        if self.photometric == Photometric::YCbCr && self.samples != colors {
            return Err(unread("in YCbCr with further samples"));
        }
        if self.photometric == Photometric::Palette && self.alpha == Alpha::Premultiplied {
            return Err(unread("with a palette and premultiplied alpha"));
        }
        Ok(())
    }

    /// Whether libjpeg unpacks it.
    pub(super) fn is_jpeg(&self) -> bool {
        self.compression == Compression::Jpeg
    }

    /// How many strips or tiles lie beside and below each other.
    pub(super) fn grid(&self) -> (u32, u32) {
        (
            self.width.div_ceil(self.chunk.0),
            self.height.div_ceil(self.chunk.1),
        )
    }

    /// Planes that are packed by themselves.
    pub(super) fn planes(&self) -> usize {
        if self.is_planar { self.samples } else { 1 }
    }

    /// Samples that are packed together.
    pub(super) fn together(&self) -> usize {
        self.samples / self.planes()
    }

    /// Bytes of `rows` rows of a strip or tile, unpacked; none where there is no such number.
    pub(super) fn unpacked_bytes(&self, rows: u32) -> Option<usize> {
        let (width, rows) = (self.chunk.0 as usize, rows as usize);
        if self.subsampling != (1, 1) {
            let (across, down) = self.subsampling;
            let blocks = width.div_ceil(across).checked_mul(rows.div_ceil(down))?;
            return blocks.checked_mul(across * down + 2);
        }
        self.row_bytes()?.checked_mul(rows)
    }

    /// Bytes of a row of a strip or tile, unpacked and with its chroma in full.
    pub(super) fn row_bytes(&self) -> Option<usize> {
        let bits = (self.chunk.0 as usize).checked_mul(self.together() * self.bits as usize)?;
        Some(bits.div_ceil(8))
    }
}

impl Photometric {
    /// Samples that it takes to make a colour.
    pub(super) fn colors(self) -> usize {
        match self {
            Self::WhiteIsZero | Self::BlackIsZero | Self::Palette => 1,
            Self::Rgb | Self::YCbCr => 3,
            Self::Cmyk => 4,
        }
    }
}

fn side(directory: &Directory<'_>, tag: u16) -> Result<u32> {
    let side = directory.number(tag).unwrap_or(0);
    match u32::try_from(side) {
        Ok(side) if side > 0 => Ok(side),
        _ => Err(invalid(format!(
            "a side of it, or of its tiles, is {side} pixels (tag {tag})"
        ))),
    }
}

fn compression(directory: &Directory<'_>) -> Result<Compression> {
    Ok(match directory.number(tag::COMPRESSION).unwrap_or(1) {
        1 => Compression::None,
        2 => Compression::Fax(Coding::Aligned(8)),
        3 => Compression::Fax(Coding::Group3 {
            two_dimensional: directory.number(tag::GROUP_3_OPTIONS).unwrap_or(0) & 1 == 1,
        }),
        4 => Compression::Fax(Coding::Group4),
        5 => Compression::Lzw,
        7 => Compression::Jpeg,
        8 | 32946 => Compression::Deflate,
        32771 => Compression::Fax(Coding::Aligned(16)),
        32773 => Compression::PackBits,
        50000 => Compression::Zstd,
        other => return Err(unread(format!("with {} compression", compression_name(other)))),
    })
}

fn compression_name(number: u64) -> String {
    let name = match number {
        6 => "old-style JPEG",
        32809 => "ThunderScan",
        34676 | 34677 => "SGI LogLuv",
        34712 => "JPEG 2000",
        34887 => "LERC",
        34925 => "LZMA",
        50001 => "WebP",
        50002 => "JPEG XL",
        _ => return format!("the unknown kind {number} of"),
    };
    name.to_owned()
}

fn photometric(directory: &Directory<'_>) -> Result<Photometric> {
    Ok(match directory.number(tag::PHOTOMETRIC).unwrap_or(0) {
        0 => Photometric::WhiteIsZero,
        1 => Photometric::BlackIsZero,
        2 => Photometric::Rgb,
        3 => Photometric::Palette,
        5 => Photometric::Cmyk,
        // A grey picture, as some writers name the first of its three components.
        6 if directory.number(tag::SAMPLES).unwrap_or(1) == 1 => Photometric::BlackIsZero,
        6 => Photometric::YCbCr,
        other => return Err(unread(format!("of {}", photometric_name(other)))),
    })
}

fn photometric_name(number: u64) -> String {
    let name = match number {
        4 => "a transparency mask alone",
        8..=10 => "L*a*b* colours",
        32803 | 34892 => "a camera's raw samples",
        32844 | 32845 => "logarithmic luminance (LogLuv)",
        _ => return format!("an unknown kind of colours ({number})"),
    };
    name.to_owned()
}

fn samples(directory: &Directory<'_>, photometric: Photometric) -> Result<usize> {
    let samples = directory.number(tag::SAMPLES).unwrap_or(1);
    if samples > MOST_SAMPLES {
        return Err(unread(format!("of {samples} samples a pixel")));
    }
    let samples = samples as usize;
    if samples < photometric.colors() {
        return Err(invalid(format!("{samples} samples a pixel make no colour")));
    }
    Ok(samples)
}

fn bits(directory: &Directory<'_>, samples: usize) -> Result<u32> {
    let all = directory.numbers(tag::BITS, MOST_NUMBERS)?;
    let bits = all.first().copied().unwrap_or(1);
    // Of more numbers than samples, the rest mean nothing.
    if all.iter().take(samples).any(|other| *other != bits) {
        return Err(unread("whose samples have different numbers of bits"));
    }
    let format = directory.number(tag::SAMPLE_FORMAT).unwrap_or(1);
    match (bits, format) {
        // Of 8 bits, a sign is written by mistake.
        (1 | 2 | 4 | 8 | 16, 1 | 4) | (8, 2) => Ok(bits as u32),
        (_, 2 | 5) => Err(unread(format!(
            "with a sign, or complex, of {bits} bits a sample"
        ))),
        (_, 3 | 6) => Err(unread(format!(
            "of floating-point samples ({bits} bits), which have no agreed white,"
        ))),
        _ => Err(unread(format!("of {bits} bits a sample"))),
    }
}

fn alpha(directory: &Directory<'_>, photometric: Photometric, samples: usize) -> Result<Alpha> {
    if samples == photometric.colors() || photometric == Photometric::Cmyk {
        return Ok(Alpha::None);
    }
    let extra = directory.numbers(tag::EXTRA_SAMPLES, MOST_SAMPLES)?;
    Ok(match extra.first() {
        Some(0) => Alpha::None,
        Some(1) => Alpha::Premultiplied,
        // A fourth sample of RGB that nothing is said of is taken for its alpha, as Pillow does.
        None if photometric != Photometric::Rgb => Alpha::None,
        _ => Alpha::Straight,
    })
}

fn is_predicted(directory: &Directory<'_>, compression: Compression) -> Result<bool> {
    // The others know no predictor, whatever the tag says.
    if !matches!(
        compression,
        Compression::Lzw | Compression::Deflate | Compression::Zstd
    ) {
        return Ok(false);
    }
    match directory.number(tag::PREDICTOR).unwrap_or(1) {
        1 => Ok(false),
        2 => Ok(true),
        other => Err(unread(format!("with predictor {other}"))),
    }
}

fn subsampling(
    directory: &Directory<'_>,
    photometric: Photometric,
    compression: Compression,
) -> Result<(usize, usize)> {
    // A JPEG says by itself how its chroma is subsampled.
    let is_jpeg = compression == Compression::Jpeg;
    if photometric != Photometric::YCbCr || is_jpeg {
        return Ok((1, 1));
    }
    match directory.numbers(tag::YCBCR_SUBSAMPLING, 2)?[..] {
        [] => Ok((2, 2)),
        [across @ (1 | 2 | 4), down @ (1 | 2 | 4)] => Ok((across as usize, down as usize)),
        _ => Err(invalid(
            "its YCbCrSubSampling is not one of 1, 2 and 4 in each direction",
        )),
    }
}

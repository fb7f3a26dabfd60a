//! Bitmaps of Windows and OS/2, as Pillow reads them, and the masks, depths and headers that it does not know.
//!
//! Headers are told apart by their length. Masks, where there are some, and the palette follow a header of 40 bytes; longer
//! ones have the masks within. Pixels that a run-length code leaves out have the first colour of the palette.

use super::bmp_runs;
use super::decoded::Decoded;
use super::limits::Limits;
use super::orientation::Orientation;
use super::picture::{CHANNELS, Picture};
use super::samples::over_white;
use super::span::Part;
use crate::error::{Error, Result};

/// Bytes before the header: signature, lengths, where the pixels are.
const FILE_HEADER: usize = 14;
/// Where masks are, behind the shortest header that has some or within a longer one.
const MASKS: usize = FILE_HEADER + 40;

/// The masks of a byte for each colour.
const WHOLE_BYTES: [u32; 4] = [0x00FF_0000, 0xFF00, 0xFF, 0];

/// How the pixels are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Packing {
    Rows,
    /// Run lengths of indices of 8 bits, or of 4.
    Runs {
        of_four_bits: bool,
    },
}

/// What the header says.
struct Header {
    width: u32,
    height: u32,
    /// Whether the first row is the upper one.
    is_top_down: bool,
    bits: u32,
    packing: Packing,
    /// Of red, green, blue and opacity, where a pixel is no index.
    masks: [u32; 4],
    /// Bytes of a colour of the palette, how many there are, and where.
    entry: usize,
    colors: usize,
    palette_at: usize,
    pixels_at: usize,
}

/// Decodes a bitmap.
pub(super) fn decode(bytes: &[u8], limits: &Limits) -> Result<Decoded> {
    let header = Header::read(bytes, limits)?;
    let (width, height) = (header.width, header.height);
    let of_runs = if header.packing == Packing::Rows { 0 } else { 1 };
    let taken = limits.admit(width, height, CHANNELS as u64 + of_runs)?;
    let stored = bytes.get(header.pixels_at..).unwrap_or_default();
    let rgb = match header.packing {
        Packing::Rows => header.rows(bytes, stored)?,
        Packing::Runs { of_four_bits } => {
            let indices = bmp_runs::unpack(stored, of_four_bits, width as usize, height as usize);
            let indices = indices.ok_or_else(|| invalid("its runs end before its last pixel"))?;
            let palette = header.palette(bytes);
            let mut rgb = vec![0; indices.len() * CHANNELS];
            for (row, into) in indices
                .chunks_exact(width as usize)
                .zip(header.in_order(&mut rgb))
            {
                paint(row.iter().copied(), &palette, into);
            }
            rgb
        }
    };
    Ok(Decoded {
        stored: Picture::new(width, height, rgb)?,
        part: Part::whole((width, height)),
        orientation: Orientation::Upright,
        original: (width, height),
        reducible: false,
        taken,
    })
}

impl Header {
    fn read(bytes: &[u8], limits: &Limits) -> Result<Self> {
        let field = |at| field(bytes, at).ok_or_else(|| invalid("it is truncated within its header"));
        let length = field(FILE_HEADER)?;
        // The first header of OS/2 has sides of 16 bits.
        let is_first = length == 12;
        let (sides, height, bits) = if is_first {
            let sides = field(18)?;
            (sides & 0xFFFF, (sides >> 16) as i32, field(22)? >> 16)
        } else {
            (field(18)?, field(22)? as i32, field(26)? >> 16)
        };
        let (width, rows) = (sides, height.unsigned_abs());
        // A negative width is more than any limit.
        limits.check(width, rows, CHANNELS as u64)?;
        if width == 0 || rows == 0 {
            return Err(invalid(format!("a picture of {width}×{rows} has no pixels")));
        }
        let (compression, colors) = if length >= 40 {
            (field(30)?, field(46)?)
        } else {
            (0, 0)
        };
        let (packing, has_masks) = packing(length, compression, bits)?;
        let masks = if has_masks {
            let opacity = if length >= 56 { field(MASKS + 12)? } else { 0 };
            [field(MASKS)?, field(MASKS + 4)?, field(MASKS + 8)?, opacity]
        } else {
            [0; 4]
        };
        let colors = if colors == 0 {
            1 << bits.min(8)
        } else {
            colors as usize
        };
        let (entry, palette_at) = (if is_first { 3 } else { 4 }, FILE_HEADER + length as usize);
        let stated = field(10)? as usize;
        // Some files say that the pixels are where their palette is.
        let pixels_at = if stated == 0 || (stated == palette_at && bits <= 8) {
            palette_at.saturating_add(colors.saturating_mul(if bits <= 8 { entry } else { 0 }))
        } else {
            stated
        };
        Ok(Self {
            width,
            height: rows,
            is_top_down: height < 0,
            bits,
            packing,
            masks: with_defaults(masks, bits, has_masks),
            entry,
            colors,
            palette_at,
            pixels_at,
        })
    }

    /// RGB of rows that are not packed, each on whole words of 32 bits.
    fn rows(&self, bytes: &[u8], stored: &[u8]) -> Result<Vec<u8>> {
        let of_row = (self.width as usize * self.bits as usize).div_ceil(32) * 4;
        // The last row may end with its last pixel.
        let last = (self.width as usize * self.bits as usize).div_ceil(8);
        let needed = of_row * (self.height as usize - 1) + last;
        let stored = stored.get(..needed).ok_or_else(|| invalid("it is truncated"))?;
        let palette = self.palette(bytes);
        let mut rgb = vec![0; self.width as usize * self.height as usize * CHANNELS];
        for (row, into) in stored.chunks(of_row).zip(self.in_order(&mut rgb)) {
            if self.bits <= 8 {
                let (bits, most) = (self.bits, ((1_u16 << self.bits) - 1) as u8);
                let shifts = (0..8 / bits).rev();
                let indices = row
                    .iter()
                    .flat_map(|byte| shifts.clone().map(move |shift| (byte >> (shift * bits)) & most));
                paint(indices, &palette, into);
            } else {
                self.paint_masked(row, into);
            }
        }
        Ok(rgb)
    }

    fn paint_masked(&self, row: &[u8], into: &mut [u8]) {
        let (pixels, _) = into.as_chunks_mut::<CHANNELS>();
        if (self.bits, self.masks) == (24, WHOLE_BYTES) {
            for ([blue, green, red], pixel) in row.as_chunks().0.iter().zip(pixels) {
                *pixel = [*red, *green, *blue];
            }
            return;
        }
        for (stored, pixel) in row.chunks_exact(self.bits as usize / 8).zip(pixels) {
            let value = stored
                .iter()
                .rev()
                .fold(0, |value, byte| (value << 8) | u32::from(*byte));
            let [red, green, blue, opacity] = self.masks;
            let color = [red, green, blue].map(|mask| sample(value, mask));
            // One bit of opacity is left unset by many writers.
            *pixel = if opacity.count_ones() > 1 {
                over_white(color, sample(value, opacity))
            } else {
                color
            };
        }
    }

    /// The rows of a picture, in the order in which the file has them.
    fn in_order<'a>(&self, rgb: &'a mut [u8]) -> Box<dyn Iterator<Item = &'a mut [u8]> + 'a> {
        let rows = rgb.chunks_exact_mut(self.width as usize * CHANNELS);
        if self.is_top_down {
            Box::new(rows)
        } else {
            Box::new(rows.rev())
        }
    }

    /// 256 colours, those that are not given black.
    fn palette(&self, bytes: &[u8]) -> [[u8; CHANNELS]; 256] {
        let mut palette = [[0; CHANNELS]; 256];
        let given = bytes.get(self.palette_at..).unwrap_or_default();
        for (color, given) in palette
            .iter_mut()
            .zip(given.chunks_exact(self.entry))
            .take(self.colors)
        {
            *color = [given[2], given[1], given[0]];
        }
        palette
    }
}

/// How pixels are written, and whether masks say what their bits mean.
fn packing(header: u32, compression: u32, bits: u32) -> Result<(Packing, bool)> {
    let unread = |what: String| {
        Err(Error::UnsupportedMediaType(format!(
            "a BMP {what} is not read; convert it to PNG"
        )))
    };
    // OS/2 has a header of its own length, and other meanings of 3 and 4.
    match (compression, bits) {
        (0, 1 | 2 | 4 | 8 | 16 | 24 | 32) => Ok((Packing::Rows, false)),
        (1, 8) => Ok((Packing::Runs { of_four_bits: false }, false)),
        (2, 4) => Ok((Packing::Runs { of_four_bits: true }, false)),
        (3, 16 | 24 | 32) if header != 64 => Ok((Packing::Rows, true)),
        (0..=3, _) => unread(format!("of {bits} bits a pixel with compression {compression}")),
        (4, _) if header != 64 => unread("with a JPEG inside".to_owned()),
        (5, _) => unread("with a PNG inside".to_owned()),
        _ => unread(format!("with compression {compression}")),
    }
}

/// The usual masks where the file has none. Masks of nothing stand for those with opacity.
fn with_defaults(masks: [u32; 4], bits: u32, has_masks: bool) -> [u32; 4] {
    match (masks, bits) {
        ([0, 0, 0, 0], 16) => [0x7C00, 0x03E0, 0x001F, 0],
        ([0, 0, 0, 0], 32) if has_masks => [0x00FF_0000, 0xFF00, 0xFF, 0xFF00_0000],
        ([0, 0, 0, 0], _) => WHOLE_BYTES,
        _ => masks,
    }
}

/// The bits of a mask, widened to 8.
fn sample(value: u32, mask: u32) -> u8 {
    let shift = mask.trailing_zeros().min(31);
    let most = u64::from(mask >> shift).max(1);
    (u64::from((value & mask) >> shift) * 255 / most) as u8
}

fn paint(indices: impl Iterator<Item = u8>, palette: &[[u8; CHANNELS]; 256], into: &mut [u8]) {
    let (pixels, _) = into.as_chunks_mut::<CHANNELS>();
    for (index, pixel) in indices.zip(pixels) {
        *pixel = palette[usize::from(index)];
    }
}

/// A number of 32 bits.
fn field(bytes: &[u8], at: usize) -> Option<u32> {
    let field = bytes.get(at..at + 4)?;
    Some(u32::from_le_bytes(field.try_into().ok()?))
}

fn invalid(what: impl std::fmt::Display) -> Error {
    Error::InvalidImage(format!("the BMP cannot be decoded: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A bitmap with a header of 40 bytes.
    fn bmp(size: (i32, i32), bits: u16, compression: u32, behind: &[u8], pixels: &[u8]) -> Vec<u8> {
        let mut file = b"BM\0\0\0\0\0\0\0\0".to_vec();
        file.extend((MASKS as u32 + behind.len() as u32).to_le_bytes());
        file.extend(40_u32.to_le_bytes());
        file.extend(size.0.to_le_bytes());
        file.extend(size.1.to_le_bytes());
        file.extend([1, 0]);
        file.extend(bits.to_le_bytes());
        file.extend(compression.to_le_bytes());
        file.extend([0; 12]);
        // Colours of the palette.
        file.extend(((behind.len() / 4) as u32).to_le_bytes());
        file.extend([0; 4]);
        [&file[..], behind, pixels].concat()
    }

    fn rgb(file: &[u8]) -> Vec<u8> {
        let decoded = decode(file, &Limits::default()).expect("a picture");
        decoded.stored.into_data()
    }

    #[test]
    fn rows_run_upwards_or_downwards() {
        let pixels = [1, 2, 3, 0, 4, 5, 6, 0];
        assert_eq!(rgb(&bmp((1, 2), 24, 0, &[], &pixels)), [6, 5, 4, 3, 2, 1]);
        assert_eq!(rgb(&bmp((1, -2), 24, 0, &[], &pixels)), [3, 2, 1, 6, 5, 4]);
    }

    #[test]
    fn any_mask_is_read() {
        let masks = [0x7800_u32, 0x0780, 0x0078].map(u32::to_le_bytes).concat();
        let file = bmp((1, 1), 16, 3, &masks, &[0x38, 0x7C, 0, 0]);
        // 0x7C38 is 15, 8 and 7 of 15.
        assert_eq!(rgb(&file), [255, 136, 119]);
    }

    #[test]
    fn what_runs_leave_out_is_the_first_colour() {
        let palette = [3, 2, 1, 0, 6, 5, 4, 0];
        // One pixel of colour 1, then two to the right, one of colour 1, the end.
        let runs = [1, 1, 0, 2, 2, 0, 1, 1, 0, 1];
        let expected = [[4, 5, 6], [1, 2, 3], [1, 2, 3], [4, 5, 6]].concat();
        assert_eq!(rgb(&bmp((4, 1), 8, 1, &palette, &runs)), expected);
        assert_eq!(rgb(&bmp((4, -1), 8, 1, &palette, &runs)), expected);
    }

    #[test]
    fn each_refusal_says_why() {
        let cases = [
            (bmp((1, 1), 24, 5, &[], &[0; 4]), "PNG inside"),
            (bmp((1, 1), 7, 0, &[], &[0; 4]), "7 bits"),
            (bmp((1, 1), 24, 0, &[], &[0; 2]), "truncated"),
            (bmp((0, 1), 24, 0, &[], &[0; 2]), "no pixels"),
            (bmp((3, 1), 8, 1, &[0; 8], &[1, 1]), "runs end"),
            (bmp((-1, 1), 24, 0, &[], &[0; 4]), "longest side"),
            (bmp((1, i32::MIN), 24, 0, &[], &[0; 4]), "longest side"),
        ];
        for (file, named) in cases {
            let text = decode(&file, &Limits::default())
                .err()
                .expect("a refusal")
                .to_string();
            assert!(text.contains(named), "{named}: {text}");
        }
    }
}

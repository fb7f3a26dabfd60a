//! A mask as a PNG whose pixels are class ids: the indices of a palette, or grey of 1, 2, 4 or 8 bits, as they stand in the file.

use std::io::BufReader;
use std::path::Path;

use png::{BitDepth, ColorType, Decoder, Limits, Transformations};

use crate::error::{Error, Result};
use crate::evaluation::IGNORED;
use crate::manifest;

/// Bytes that a mask may take: one a pixel of the largest picture.
const MOST_BYTES: usize = 512 << 20;

/// The class of each pixel of a picture.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Ids {
    /// `[height, width]`
    pub(super) size: [usize; 2],
    /// Row-major; [`IGNORED`] where the class is not known.
    pub(super) ids: Vec<u8>,
}

/// The mask in `file`, of a model of so many classes.
///
/// # Errors
/// [`Error::InvalidImage`], which names the file, where it is no such PNG, or has an id that is no class.
pub(super) fn read(file: &Path, classes: usize) -> Result<Ids> {
    let wrong = |why: String| Error::InvalidImage(format!("{}: {why}", file.display()));
    let opened = manifest::open(file).map_err(|e| wrong(e.to_string()))?;
    let ids = decoded(BufReader::new(opened)).map_err(wrong)?;
    let strange = ids
        .ids
        .iter()
        .find(|id| **id != IGNORED && usize::from(**id) >= classes);
    match strange {
        None => Ok(ids),
        Some(id) => Err(wrong(format!(
            "it has the id {id}, expected 0 to {} or {IGNORED}",
            classes - 1
        ))),
    }
}

fn decoded(bytes: impl std::io::BufRead + std::io::Seek) -> Result<Ids, String> {
    let mut decoder = Decoder::new_with_limits(bytes, Limits { bytes: MOST_BYTES });
    decoder.set_transformations(Transformations::IDENTITY);
    let mut reader = decoder.read_info().map_err(|e| e.to_string())?;
    let info = reader.info();
    let (width, height) = (info.width as usize, info.height as usize);
    let bits = match (info.color_type, info.bit_depth) {
        (ColorType::Indexed | ColorType::Grayscale, BitDepth::One) => 1,
        (ColorType::Indexed | ColorType::Grayscale, BitDepth::Two) => 2,
        (ColorType::Indexed | ColorType::Grayscale, BitDepth::Four) => 4,
        (ColorType::Indexed | ColorType::Grayscale, BitDepth::Eight) => 8,
        (color, depth) => {
            return Err(format!(
                "it has {} bits of {color:?}; a mask is indexed or grey, of at most 8",
                depth as u8
            ));
        }
    };
    let size = reader.output_buffer_size().filter(|size| *size <= MOST_BYTES);
    let mut packed = vec![0; size.ok_or("it is too large")?];
    let frame = reader.next_frame(&mut packed).map_err(|e| e.to_string())?;
    let rows = packed.chunks_exact(frame.line_size.max(1)).take(height);
    let ids = rows.flat_map(|row| (0..width).map(move |x| unpacked(row, x, bits)));
    Ok(Ids {
        size: [height, width],
        ids: ids.collect(),
    })
}

/// The sample of so many bits at `x`; the first is in the highest bits.
fn unpacked(row: &[u8], x: usize, bits: usize) -> u8 {
    let first = x * bits;
    let byte = row.get(first / 8).copied().unwrap_or(IGNORED);
    let mask = (1u16 << bits) - 1;
    ((u16::from(byte) >> (8 - bits - first % 8)) & mask) as u8
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn file(color: ColorType, depth: BitDepth, packed: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, 3, 2);
        encoder.set_color(color);
        encoder.set_depth(depth);
        if color == ColorType::Indexed {
            encoder.set_palette(vec![9u8; 3 * 4]);
        }
        let mut writer = encoder.write_header().expect("a header");
        writer.write_image_data(packed).expect("pixels");
        drop(writer);
        bytes
    }

    #[test]
    fn indices_and_grey_are_ids_as_they_stand() {
        let of = |color, depth, packed: &[u8]| decoded(Cursor::new(file(color, depth, packed)));
        let ids = |ids: [u8; 6]| {
            Ok(Ids {
                size: [2, 3],
                ids: ids.to_vec(),
            })
        };
        assert_eq!(
            of(ColorType::Grayscale, BitDepth::Eight, &[0, 1, 255, 2, 3, 4]),
            ids([0, 1, 255, 2, 3, 4])
        );
        // A row of three indices of two bits each: 3, 0, 1 and 2, 2, 0.
        assert_eq!(
            of(ColorType::Indexed, BitDepth::Two, &[0b1100_0100, 0b1010_0000]),
            ids([3, 0, 1, 2, 2, 0])
        );
        assert!(
            of(ColorType::Rgb, BitDepth::Eight, &[0; 18]).is_err_and(|why| why.contains("indexed or grey"))
        );
        assert!(of(ColorType::Grayscale, BitDepth::Sixteen, &[0; 12]).is_err());
        assert!(decoded(Cursor::new(b"no PNG".to_vec())).is_err());
    }
}

//! The samples of a strip or tile, unpacked.

use std::borrow::Cow;
use std::io::Read;

use super::directory::Directory;
use super::layout::{Compression, Layout, Photometric};
use super::refusal::invalid;
use super::{fax, tag};
use crate::error::Result;
use crate::image::jpeg_inside::JpegInside;

/// Strips or tiles at most: one a row of the highest picture, in each of four planes.
const MOST_CHUNKS: u64 = 4 * 32_768;

/// Bytes of JPEG tables at most: they are put before each strip or tile anew. All that a JPEG can have are less.
const MOST_TABLE_BYTES: usize = 1 << 13;

/// Where the strips or tiles of a file are, plane by plane, row by row.
pub(super) struct Chunks<'a> {
    data: Vec<&'a [u8]>,
    /// Segments that each JPEG lacks.
    tables: &'a [u8],
}

impl<'a> Chunks<'a> {
    /// # Errors
    /// [`crate::error::Error::InvalidImage`] where there are fewer than the picture needs, or they overlap without end.
    pub(super) fn find(directory: &Directory<'a>, layout: &Layout) -> Result<Self> {
        let tables = directory.bytes(tag::JPEG_TABLES).unwrap_or_default();
        if tables.len() > MOST_TABLE_BYTES {
            return Err(invalid(format!("its JPEG tables have {} bytes", tables.len())));
        }
        let data = chunks(directory, layout)?;
        // Unpacking reads all of it; where it lies in the file but once, that is no more than the file.
        let all: u64 = data.iter().map(|chunk| chunk.len() as u64).sum();
        if layout.compression != Compression::None && all > 2 * directory.file_length() {
            return Err(invalid("its strips or tiles overlap"));
        }
        Ok(Self { data, tables })
    }

    /// Fills `unpacked`, the first `rows` rows of a strip or tile.
    pub(super) fn unpack(
        &self,
        layout: &Layout,
        index: usize,
        rows: u32,
        unpacked: &mut Vec<u8>,
    ) -> Result<()> {
        let data = self.data.get(index).copied().unwrap_or_default();
        if layout.is_jpeg() {
            *unpacked = self.jpeg(layout, data, rows)?;
            return Ok(());
        }
        let data = if layout.is_reversed {
            Cow::Owned(data.iter().map(|byte| byte.reverse_bits()).collect())
        } else {
            Cow::Borrowed(data)
        };
        let rows = match layout.compression {
            // Its decoder stops at the end alone.
            Compression::Zstd if layout.is_tiled => layout.chunk.1,
            _ => rows,
        };
        let length = layout.unpacked_bytes(rows).unwrap_or(0);
        unpacked.resize(length, 0);
        match layout.compression {
            Compression::None => data.get(..length).map(|stored| unpacked.copy_from_slice(stored)),
            Compression::PackBits => pack_bits(&data, unpacked),
            Compression::Lzw => lzw(&data, unpacked),
            Compression::Zstd => zstd(&data, unpacked),
            Compression::Deflate => flate2::read::ZlibDecoder::new(&data[..])
                .read_exact(unpacked)
                .ok(),
            Compression::Fax(coding) => fax::decode(&data, coding, layout.chunk.0, unpacked),
            Compression::Jpeg => None,
        }
        .ok_or_else(|| invalid(format!("strip or tile {index} is truncated or corrupt")))
    }

    fn jpeg(&self, layout: &Layout, data: &[u8], rows: u32) -> Result<Vec<u8>> {
        JpegInside {
            tables: self.tables,
            data,
            components: layout.together(),
            is_ycc: layout.photometric == Photometric::YCbCr,
            size: (layout.chunk.0, rows),
            most_rows: layout.chunk.1,
        }
        .decode()
    }
}

fn chunks<'a>(directory: &Directory<'a>, layout: &Layout) -> Result<Vec<&'a [u8]>> {
    let (offsets, lengths) = if layout.is_tiled {
        (tag::TILE_OFFSETS, tag::TILE_LENGTHS)
    } else {
        (tag::STRIP_OFFSETS, tag::STRIP_LENGTHS)
    };
    let grid = layout.grid();
    let count = u64::from(grid.0) * u64::from(grid.1) * layout.planes() as u64;
    let offsets = directory.numbers(offsets, MOST_CHUNKS)?;
    let lengths = directory.numbers(lengths, MOST_CHUNKS)?;
    if (offsets.len() as u64) < count {
        return Err(invalid(format!(
            "it has {} strips or tiles, not {count}",
            offsets.len()
        )));
    }
    // One piece may end with the file.
    if layout.compression != Compression::None && count > 1 && (lengths.len() as u64) < count {
        return Err(invalid(format!(
            "it says the lengths of {} strips or tiles, not of {count}",
            lengths.len()
        )));
    }
    let data = offsets
        .iter()
        .take(count as usize)
        .enumerate()
        .map(|(index, offset)| {
            // Some writers leave the lengths out, or wrong, where nothing is packed.
            let stated = lengths
                .get(index)
                .copied()
                .filter(|_| layout.compression != Compression::None);
            directory.data(*offset, stated.unwrap_or(u64::MAX))
        });
    Ok(data.collect())
}

/// A byte that says how many follow as they are (0 to 127), or how often the next one comes (129 to 255); TIFF 6.0,
/// section 9.
fn pack_bits(mut data: &[u8], unpacked: &mut [u8]) -> Option<()> {
    let mut at = 0;
    while at < unpacked.len() {
        let (&head, rest) = data.split_first()?;
        let (taken, length) = match head {
            0..=127 => (usize::from(head) + 1, usize::from(head) + 1),
            128 => (0, 0),
            129..=255 => (1, 257 - usize::from(head)),
        };
        let stored = rest.get(..taken)?;
        let into = &mut unpacked[at..];
        let length = length.min(into.len());
        match stored {
            [repeated] if head > 128 => into[..length].fill(*repeated),
            _ => into[..length].copy_from_slice(&stored[..length]),
        }
        at += length;
        data = &rest[taken..];
    }
    Some(())
}

/// Adobe's LZW, or the one of before TIFF 5.0: its first code, which clears the table, has its bits in the other order.
fn lzw(data: &[u8], unpacked: &mut [u8]) -> Option<()> {
    use weezl::{BitOrder, LzwStatus, decode::Decoder};
    let mut decoder = match data {
        [0, second, ..] if second & 1 == 1 => Decoder::new(BitOrder::Lsb, 8),
        _ => Decoder::with_tiff_size_switch(BitOrder::Msb, 8),
    };
    let (mut read, mut written) = (0, 0);
    while written < unpacked.len() {
        let step = decoder.decode_bytes(&data[read..], &mut unpacked[written..]);
        read += step.consumed_in;
        written += step.consumed_out;
        if !matches!(step.status, Ok(LzwStatus::Ok)) || (step.consumed_in, step.consumed_out) == (0, 0) {
            break;
        }
    }
    (written == unpacked.len()).then_some(())
}

/// Straight into place, so that no window is held.
fn zstd(data: &[u8], unpacked: &mut [u8]) -> Option<()> {
    let length = unpacked.len();
    let written = zstd::bulk::decompress_to_buffer(data, unpacked).ok()?;
    (written == length).then_some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packed_bits_are_tiff_s_example() {
        // TIFF 6.0, section 9 (from Apple's technical note 1023).
        let packed = b"\xFE\xAA\x02\x80\0\x2A\xFD\xAA\x03\x80\0\x2A\x22\xF7\xAA";
        let expected =
            b"\xAA\xAA\xAA\x80\0\x2A\xAA\xAA\xAA\xAA\x80\0\x2A\x22\xAA\xAA\xAA\xAA\xAA\xAA\xAA\xAA\xAA\xAA";
        let mut unpacked = [0; 24];
        assert_eq!(pack_bits(packed, &mut unpacked), Some(()));
        assert_eq!(&unpacked, expected);
        assert_eq!(pack_bits(&packed[..6], &mut unpacked), None);
        assert_eq!(pack_bits(&[128; 5], &mut unpacked), None);
    }
}

//! The first frame of a GIF, on its screen, as Pillow shows it: where no pixel of the frame lies, the colour that is
//! transparent, or the first of the palette.

use std::io::{Cursor, Read};

use gif::{ColorOutput, DecodeOptions, DecodingError, MemoryLimit};

use super::decoded::Decoded;
use super::limits::Limits;
use super::orientation::Orientation;
use super::picture::{CHANNELS, Picture};
use super::span::Part;
use crate::error::{Error, Result};

/// Signature, size of the screen, flags, background, aspect.
const HEADER: usize = 13;
/// The flag of a palette for all frames, and of 256 colours in it.
const HAS_PALETTE: u8 = 0x80;
const LARGEST_PALETTE: u8 = 0x07;
const COLORS: usize = 256;

/// Where the frame lies, and what its indices mean.
struct Frame {
    left: usize,
    top: usize,
    width: usize,
    height: usize,
    colors: [[u8; CHANNELS]; COLORS],
    /// The index of where there is no pixel.
    blank: u8,
}

/// Decodes the first frame.
pub(super) fn decode(bytes: &[u8], limits: &Limits) -> Result<Decoded> {
    let header = bytes
        .first_chunk::<HEADER>()
        .ok_or_else(|| invalid("it is truncated within its header"))?;
    let mut options = DecodeOptions::new();
    options.set_color_output(ColorOutput::Indexed);
    options.set_memory_limit(MemoryLimit::Bytes(
        limits
            .memory
            .most()
            .try_into()
            .unwrap_or(std::num::NonZeroU64::MIN),
    ));
    let mut decoder = options
        .read_info(with_palette(header, &bytes[HEADER..]))
        .map_err(refusal)?;
    let screen = (decoder.width(), decoder.height());
    let global = decoder.global_palette().map(<[u8]>::to_vec);
    let info = decoder.next_frame_info().map_err(refusal)?;
    let info = info.ok_or_else(|| invalid("it has no picture"))?;
    let frame = Frame::new(info, global.as_deref().unwrap_or_default());
    // A frame that reaches beyond the screen widens it.
    let width = frame.left.saturating_add(frame.width).max(usize::from(screen.0)) as u32;
    let height = frame.top.saturating_add(frame.height).max(usize::from(screen.1)) as u32;
    let indices = frame.width * frame.height;
    let taken = limits.admit_beside(width, height, CHANNELS as u64, indices as u64)?;
    if indices == 0 {
        return Err(invalid("its first frame has no pixels"));
    }
    let mut pixels = vec![0; indices];
    decoder.read_into_buffer(&mut pixels).map_err(refusal)?;
    Ok(Decoded {
        stored: Picture::new(
            width,
            height,
            frame.on_screen(&pixels, width as usize, height as usize),
        )?,
        part: Part::whole((width, height)),
        orientation: Orientation::Upright,
        original: (width, height),
        reducible: false,
        taken,
    })
}

/// The file with a palette for all frames: grey, where it has none.
fn with_palette<'a>(header: &[u8; HEADER], rest: &'a [u8]) -> impl Read + use<'a> {
    let mut header = *header;
    let mut grey = Vec::new();
    if header[10] & HAS_PALETTE == 0 {
        header[10] |= HAS_PALETTE | LARGEST_PALETTE;
        grey.extend((0..=255_u8).flat_map(|level| [level; CHANNELS]));
    }
    Cursor::new(header).chain(Cursor::new(grey)).chain(rest)
}

impl Frame {
    fn new(info: &gif::Frame<'_>, global: &[u8]) -> Self {
        let palette = info.palette.as_deref().unwrap_or(global);
        let mut colors = [[0; CHANNELS]; COLORS];
        let (given, _) = palette.as_chunks::<CHANNELS>();
        colors
            .iter_mut()
            .zip(given)
            .for_each(|(color, given)| *color = *given);
        if let Some(clear) = info.transparent {
            colors[usize::from(clear)] = [255; CHANNELS];
        }
        Self {
            left: usize::from(info.left),
            top: usize::from(info.top),
            width: usize::from(info.width),
            height: usize::from(info.height),
            colors,
            blank: info.transparent.unwrap_or(0),
        }
    }

    /// RGB of a screen of `width`×`height`, in which the frame lies.
    fn on_screen(&self, indices: &[u8], width: usize, height: usize) -> Vec<u8> {
        let blank = self.colors[usize::from(self.blank)];
        let mut screen = blank.repeat(width * height);
        let rows = screen.chunks_exact_mut(width * CHANNELS).skip(self.top);
        for (row, indices) in rows.zip(indices.chunks_exact(self.width)) {
            let (pixels, _) = row[self.left * CHANNELS..].as_chunks_mut::<CHANNELS>();
            for (pixel, index) in pixels.iter_mut().zip(indices) {
                *pixel = self.colors[usize::from(*index)];
            }
        }
        screen
    }
}

fn invalid(what: impl std::fmt::Display) -> Error {
    Error::InvalidImage(format!("the GIF cannot be decoded: {what}"))
}

fn refusal(error: DecodingError) -> Error {
    match error {
        DecodingError::MemoryLimit | DecodingError::OutOfMemory => {
            Error::ImageTooLarge(format!("the GIF exceeds the limits: {error}"))
        }
        _ => invalid(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A pixel of index 1, and how the frame and the screen around it are told.
    fn gif(screen: [u8; 2], palette: &[u8], frame: &[u8], local: &[u8]) -> Vec<u8> {
        let flags = if palette.is_empty() { 0 } else { 0x80 };
        let code = [2, 2, 0x4C, 0x01, 0, b';'];
        let head = [screen[0], 0, screen[1], 0, flags, 0, 0];
        [b"GIF89a", &head[..], palette, frame, local, &code].concat()
    }

    fn pixels(file: &[u8]) -> Picture {
        decode(file, &Limits::default())
            .and_then(Decoded::upright)
            .expect("a picture")
    }

    const RED_AND_BLUE: [u8; 6] = [255, 0, 0, 0, 0, 255];

    #[test]
    fn around_the_frame_is_the_first_colour() {
        let at_1_1 = [b',', 1, 0, 1, 0, 1, 0, 1, 0, 0];
        let picture = pixels(&gif([2, 2], &RED_AND_BLUE, &at_1_1, &[]));
        let expected = [[255, 0, 0], [255, 0, 0], [255, 0, 0], [0, 0, 255]];
        assert_eq!(picture.data(), expected.concat());
    }

    #[test]
    fn around_the_frame_is_nothing_where_a_colour_is_transparent() {
        let clear_0 = [
            &[b'!', 0xF9, 4, 1, 0, 0, 0, 0][..],
            &[b',', 1, 0, 1, 0, 1, 0, 1, 0, 0],
        ]
        .concat();
        let picture = pixels(&gif([2, 2], &RED_AND_BLUE, &clear_0, &[]));
        assert_eq!(picture.data(), [[255; 9].as_slice(), &[0, 0, 255]].concat());
    }

    #[test]
    fn a_frame_beyond_the_screen_widens_it() {
        let beyond = [b',', 3, 0, 0, 0, 1, 0, 1, 0, 0x80];
        let picture = pixels(&gif([1, 1], &[], &beyond, &RED_AND_BLUE));
        assert_eq!((picture.width(), picture.height()), (4, 1));
        assert_eq!(picture.data()[9..], [0, 0, 255]);
    }

    #[test]
    fn without_a_palette_indices_are_grey() {
        let picture = pixels(&gif([1, 1], &[], &[b',', 0, 0, 0, 0, 1, 0, 1, 0, 0], &[]));
        assert_eq!(picture.data(), [1, 1, 1]);
    }

    #[test]
    fn what_is_no_picture_is_refused() {
        let none = [&b"GIF89a\x01\0\x01\0\0\0\0"[..], b";"].concat();
        let empty = gif([1, 1], &RED_AND_BLUE, &[b',', 0, 0, 0, 0, 0, 0, 1, 0, 0], &[]);
        let cut = &gif([1, 1], &RED_AND_BLUE, &[b',', 0, 0, 0, 0, 9, 0, 9, 0, 0], &[])[..];
        for file in [&none[..], &empty, &cut[..cut.len() - 4], b"GIF89a"] {
            let refused = decode(file, &Limits::default()).err();
            assert!(matches!(refused, Some(Error::InvalidImage(_))), "{refused:?}");
        }
    }
}

//! From unpacked rows to RGB: bits are widened, samples told what they mean, and transparency is laid over white.

use super::directory::Directory;
use super::layout::{Alpha, Layout, Photometric};
use super::refusal::invalid;
use super::tag;
use crate::error::Result;
use crate::image::picture::CHANNELS;
use crate::image::samples::{cmyk_to_rgb, over_white};

/// How samples become colours.
pub(super) struct Colors {
    meaning: Meaning,
    alpha: Alpha,
    bits: u32,
    is_predicted: bool,
    is_little: bool,
}

enum Meaning {
    Grey { is_inverted: bool },
    Rgb,
    Palette(Vec<[u8; CHANNELS]>),
    Cmyk,
    YCbCr(YCbCr),
}

/// Red, green and blue of luma and chroma (TIFF 6.0, section 21).
struct YCbCr {
    /// Luma of red, green, blue.
    luma: [f32; 3],
    /// The codes of black and white, of luma and of both chromas.
    reference: [f32; 6],
}

impl Colors {
    /// # Errors
    /// [`crate::error::Error::InvalidImage`] where the palette is missing or short.
    pub(super) fn read(directory: &Directory<'_>, layout: &Layout) -> Result<Self> {
        let meaning = match layout.photometric {
            Photometric::WhiteIsZero => Meaning::Grey { is_inverted: true },
            Photometric::BlackIsZero => Meaning::Grey { is_inverted: false },
            Photometric::Rgb => Meaning::Rgb,
            Photometric::Cmyk => Meaning::Cmyk,
            Photometric::Palette => Meaning::Palette(palette(directory, layout.bits)?),
            // libjpeg has made RGB of it already.
            Photometric::YCbCr if layout.is_jpeg() => Meaning::Rgb,
            Photometric::YCbCr => Meaning::YCbCr(YCbCr {
                luma: directory
                    .fractions(tag::YCBCR_COEFFICIENTS)
                    .unwrap_or([0.299, 0.587, 0.114]),
                reference: directory
                    .fractions(tag::REFERENCE_BLACK_WHITE)
                    .unwrap_or([0.0, 255.0, 128.0, 255.0, 128.0, 255.0]),
            }),
        };
        Ok(Self {
            meaning,
            alpha: layout.alpha,
            bits: layout.bits,
            is_predicted: layout.is_predicted,
            is_little: directory.is_little(),
        })
    }

    /// Makes samples of 8 bits of a row as it was unpacked, of `together` samples a pixel.
    pub(super) fn samples(&self, row: &mut [u8], together: usize, samples: &mut Vec<u8>) {
        samples.clear();
        match (self.bits, self.is_predicted) {
            (16, predicted) => {
                if predicted {
                    self.add_up_wide(row, together);
                }
                let high = usize::from(self.is_little);
                samples.extend(row.as_chunks::<2>().0.iter().map(|sample| sample[high]));
            }
            (8, predicted) => {
                if predicted {
                    for at in together..row.len() {
                        row[at] = row[at].wrapping_add(row[at - together]);
                    }
                }
                samples.extend_from_slice(row);
            }
            (bits, _) => {
                // An index stays as it is, grey spans the whole range.
                let most = (1_u8 << bits) - 1;
                let by = if matches!(self.meaning, Meaning::Palette(_)) {
                    1
                } else {
                    255 / most
                };
                let parts = (0..8 / bits).rev();
                samples.extend(row.iter().flat_map(|byte| {
                    parts
                        .clone()
                        .map(move |part| ((byte >> (part * bits)) & most) * by)
                }));
            }
        }
    }

    fn add_up_wide(&self, row: &mut [u8], together: usize) {
        let (samples, _) = row.as_chunks_mut::<2>();
        for at in together..samples.len() {
            let (before, difference) = (samples[at - together], samples[at]);
            samples[at] = if self.is_little {
                u16::from_le_bytes(before)
                    .wrapping_add(u16::from_le_bytes(difference))
                    .to_le_bytes()
            } else {
                u16::from_be_bytes(before)
                    .wrapping_add(u16::from_be_bytes(difference))
                    .to_be_bytes()
            };
        }
    }

    /// Writes a row of pixels, of `of_pixel` samples each.
    pub(super) fn paint(&self, samples: &[u8], of_pixel: usize, rgb: &mut [u8]) {
        if matches!(self.meaning, Meaning::Rgb) && of_pixel == CHANNELS {
            rgb.copy_from_slice(&samples[..rgb.len()]);
            return;
        }
        let (rgb, _) = rgb.as_chunks_mut::<CHANNELS>();
        for (pixel, rgb) in samples.chunks_exact(of_pixel).zip(rgb) {
            *rgb = self.pixel(pixel);
        }
    }

    fn pixel(&self, samples: &[u8]) -> [u8; CHANNELS] {
        let (color, rest) = match (&self.meaning, samples) {
            (Meaning::Grey { is_inverted: false }, [grey, rest @ ..]) => ([*grey; CHANNELS], rest),
            (Meaning::Grey { is_inverted: true }, [grey, rest @ ..]) => ([255 - grey; CHANNELS], rest),
            (Meaning::Rgb, [r, g, b, rest @ ..]) => ([*r, *g, *b], rest),
            (Meaning::Palette(colors), [index, rest @ ..]) => (colors[usize::from(*index)], rest),
            (Meaning::Cmyk, [c, m, y, k, ..]) => {
                return cmyk_to_rgb([*c, *m, *y].map(|ink| 255 - ink), 255 - k);
            }
            (Meaning::YCbCr(conversion), [y, cb, cr, rest @ ..]) => (conversion.rgb([*y, *cb, *cr]), rest),
            // No layout has fewer samples than a colour takes.
            _ => return [0; CHANNELS],
        };
        match (self.alpha, rest) {
            (Alpha::Straight, [alpha, ..]) => over_white(color, *alpha),
            (Alpha::Premultiplied, [alpha, ..]) => color.map(|share| share.saturating_add(255 - alpha)),
            _ => color,
        }
    }
}

impl YCbCr {
    fn rgb(&self, codes: [u8; 3]) -> [u8; 3] {
        let [y, cb, cr] = codes.map(f32::from);
        let [red, green, blue] = self.luma;
        let [black, white, ..] = self.reference;
        let chroma = |code: f32, at: usize| {
            (code - self.reference[at]) * 127.0 / (self.reference[at + 1] - self.reference[at])
        };
        let (y, cb, cr) = (
            (y - black) * 255.0 / (white - black),
            chroma(cb, 2),
            chroma(cr, 4),
        );
        let (r, b) = (y + cr * (2.0 - 2.0 * red), y + cb * (2.0 - 2.0 * blue));
        let g = (y - red * r - blue * b) / green;
        // What is no number becomes 0.
        [r, g, b].map(|sample| sample.round() as u8)
    }
}

/// 256 colours at least, those that are not given black. A palette has 16 bits a sample, of which the high ones count.
fn palette(directory: &Directory<'_>, bits: u32) -> Result<Vec<[u8; CHANNELS]>> {
    let count = 1_usize << bits;
    let codes = directory.numbers(tag::COLOR_MAP, 3 << 16)?;
    if codes.len() < CHANNELS * count {
        return Err(invalid(format!(
            "its palette has {} numbers, not {}",
            codes.len(),
            CHANNELS * count
        )));
    }
    let mut colors = vec![[0; CHANNELS]; 256];
    for (index, color) in colors.iter_mut().take(count).enumerate() {
        *color = [0, 1, 2].map(|channel| (codes[channel * count + index] >> 8) as u8);
    }
    Ok(colors)
}

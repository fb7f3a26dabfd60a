//! JPEG through libjpeg-turbo, set as Pillow sets it: accurate integer DCT (ISLOW), smooth chroma upsampling.
//! Baseline files give Pillow's pixels exactly, unless they are decoded at 1/2, 1/4 or 1/8 of their size: then each
//! block of 8×8 pixels becomes 4×4, 2×2 or 1×1 by an inverse DCT of its low frequencies alone.
//!
//! libjpeg warns where it should refuse: a file that was cut is filled up with grey. Here every warning is an error
//! but those of [`HARMLESS`]; what was asked is answered about the whole picture or not at all.

use torch_bridge::jpeg::{Fault, Jpeg, Region, Samples};

use super::decoded::Decoded;
use super::jpeg_header::{Header, invalid};
use super::limits::Limits;
use super::picture::{CHANNELS, Picture};
use super::samples::cmyk_to_rgb;
use super::span::Part;
use super::wanted::Wanted;
use crate::error::Result;

/// Warnings of libjpeg about files whose pixels are all there.
const HARMLESS: [&str; 5] = [
    "extraneous bytes before marker",
    "unknown JFIF revision number",
    "Unknown Adobe color transform code",
    "bad ICC marker",
    "Invalid SOS parameters for sequential JPEG",
];

/// Decodes a JPEG of one (grey), three (YCbCr, RGB) or four (CMYK, YCCK) components, as many times smaller (1, 2, 4 or
/// 8) as it is `wanted`, and no more of it.
pub(super) fn decode(bytes: &[u8], limits: &Limits, wanted: Wanted<'_>) -> Result<Decoded> {
    let header = Header::read(bytes)?;
    let orientation = header.orientation();
    let turned = matches!(wanted, Wanted::Picture) && orientation.moves_pixels();
    let cost = bytes_per_pixel(&header, turned);
    limits.check(header.frame.width, header.frame.height, cost)?;
    if !header.is_ended() {
        return Err(invalid("it is truncated: its end-of-image marker is missing"));
    }
    let original = orientation.upright(header.frame.width, header.frame.height);
    let taken = limits.admit(header.frame.width, header.frame.height, cost)?;
    let tidied;
    let jpeg = match Jpeg::open(bytes, max_scans(&header)) {
        // A warning in the header would hide whether the pixels are good, so such a header is tidied first.
        Err(warning) if is_harmless(&warning) => {
            tidied = header.tidied();
            Jpeg::open(&tidied, max_scans(&header))
        }
        opened => opened,
    };
    let jpeg = jpeg.and_then(|jpeg| jpeg.reduced(wanted.reduction(original)));
    let jpeg = jpeg.map_err(invalid)?;
    let part = around(wanted.part(jpeg.size(), orientation, original), &jpeg);
    let stored = match header.frame.components {
        1 | 3 => decompress(jpeg, &part, Samples::Rgb)?,
        4 => inverted_to_rgb(&decompress(jpeg, &part, Samples::Cmyk)?),
        other => return Err(invalid(format!("it has {other} components, not 1, 3 or 4"))),
    };
    Ok(Decoded {
        stored: Picture::new(part.width, part.height, stored)?,
        part,
        orientation,
        original,
        reducible: true,
        taken,
    })
}

/// How many scans a progressive file may have. Encoders write ten or so; each costs a pass over all coefficients, so
/// that a small file of thousands would keep a core busy for minutes. The larger the picture, the fewer.
fn max_scans(header: &Header<'_>) -> u32 {
    const PIXELS_OF_ALL_SCANS: u32 = 1 << 28;
    let pixels = header.frame.width.saturating_mul(header.frame.height).max(1);
    (PIXELS_OF_ALL_SCANS / pixels).clamp(20, 64)
}

/// What decoding holds at once, a pixel: the output, and 16-bit coefficients where a file has several scans (chroma
/// counted as if it were not subsampled).
fn bytes_per_pixel(header: &Header<'_>, turned: bool) -> u64 {
    let components = u64::from(header.frame.components);
    let coefficients = if header.keeps_coefficients() {
        2 * components
    } else {
        0
    };
    let cmyk = if components == 4 { 4 } else { 0 };
    let turned = if turned { CHANNELS as u64 } else { 0 };
    CHANNELS as u64 + coefficients + cmyk + turned
}

/// What has to be decoded for the sake of `part`.
fn around(part: Part, jpeg: &Jpeg<'_>) -> Part {
    let Region {
        left,
        top,
        width,
        height,
    } = jpeg.region_around(region(&part));
    Part {
        of: part.of,
        left,
        top,
        width,
        height,
    }
}

fn region(part: &Part) -> Region {
    Region {
        left: part.left,
        top: part.top,
        width: part.width,
        height: part.height,
    }
}

/// The samples of `part`, where libjpeg had nothing to say but what is harmless.
fn decompress(jpeg: Jpeg<'_>, part: &Part, samples: Samples) -> Result<Vec<u8>> {
    // Down to the last row: libjpeg does not look at what lies below a region, and so not at whether it is corrupt.
    let down = Region {
        height: jpeg.size().1 - part.top,
        ..region(part)
    };
    let mut pixels = jpeg.decode(down, samples).map_err(invalid)?;
    match pixels.warning {
        Some(warning) if !is_harmless(&warning) => Err(invalid(warning)),
        // A harmless warning comes after all rows are written.
        _ => {
            let of_row = pixels.samples.len() / down.height.max(1) as usize;
            pixels.samples.truncate(of_row * part.height as usize);
            Ok(pixels.samples)
        }
    }
}

/// Whether the pixels are all there nevertheless.
pub(super) fn is_harmless(fault: &Fault) -> bool {
    HARMLESS.iter().any(|harmless| fault.0.contains(harmless))
}

/// Every CMYK JPEG counts as inverted («Adobe»), as in Pillow: its samples are what the inks let through.
fn inverted_to_rgb(inverted: &[u8]) -> Vec<u8> {
    let (pixels, _) = inverted.as_chunks::<4>();
    pixels
        .iter()
        .flat_map(|&[c, m, y, k]| cmyk_to_rgb([c, m, y], k))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};

    use super::super::spec::{Color, Decoding, Fit, Interpolation, ResizeMode};
    use super::*;

    /// All JPEGs of the golden tests.
    fn files() -> Vec<PathBuf> {
        let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
        let folders = [golden.join("photos"), golden.join("pixels/decode")];
        let files = folders
            .iter()
            .flat_map(|folder| fs::read_dir(folder).expect("a folder"));
        let files = files.map(|entry| entry.expect("an entry").path());
        files
            .filter(|path| path.extension().is_some_and(|extension| extension == "jpg"))
            .collect()
    }

    #[test]
    fn a_part_has_the_pixels_of_the_whole() {
        let (mut parts, limits) = (0, Limits::default());
        for path in files() {
            let bytes = fs::read(&path).expect("a file");
            for (resize_to, side) in [(400, 224), (160, 60), (96, 31), (40, 24), (16, 5)] {
                for decoding in [Decoding::Exact, Decoding::Scaled] {
                    let cropped = Fit {
                        size: (side, side),
                        mode: ResizeMode::ShorterSide,
                        resize_to: Some(resize_to),
                        interpolation: Interpolation::Bicubic,
                        color: Color::Rgb,
                        letterbox_fill: Fit::LETTERBOX_FILL,
                        decoding,
                    };
                    let all = Fit {
                        size: (4 * resize_to, 4 * resize_to),
                        ..cropped.clone()
                    };
                    let whole = decode(&bytes, &limits, Wanted::Input(&all)).expect("a picture");
                    assert_eq!(whole.part, Part::whole(whole.part.of));
                    let part = decode(&bytes, &limits, Wanted::Input(&cropped)).expect("a part");
                    parts += u32::from(part.part != whole.part);
                    assert_eq!(part.fit(&cropped), whole.fit(&cropped), "{path:?} {cropped:?}");
                }
            }
        }
        assert!(parts > 50, "{parts} pictures were decoded in part");
    }
}

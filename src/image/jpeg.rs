//! JPEG through libjpeg-turbo, set as Pillow sets it: accurate integer DCT (ISLOW), smooth chroma upsampling.
//! Baseline files give Pillow's pixels exactly, unless they are decoded at 1/2, 1/4 or 1/8 of their size: then each
//! block of 8×8 pixels becomes 4×4, 2×2 or 1×1 by an inverse DCT of its low frequencies alone.
//!
//! libjpeg warns where it should refuse: a file that was cut is filled up with grey. Here every warning is an error
//! but those of [`HARMLESS`]; what was asked is answered about the whole picture or not at all.

use std::borrow::Cow;

use turbojpeg::{Decompressor, Image, PixelFormat, ScalingFactor};

use super::decoded::Decoded;
use super::jpeg_header::{Header, invalid};
use super::limits::Limits;
use super::orientation::Orientation;
use super::picture::{CHANNELS, Picture};
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
/// 8) as `reduction` says of its upright width and height.
pub(super) fn decode(
    bytes: &[u8],
    limits: &Limits,
    reduction: &dyn Fn((u32, u32)) -> u32,
) -> Result<Decoded> {
    let header = Header::read(bytes)?;
    let orientation = header.orientation();
    let cost = bytes_per_pixel(&header, orientation);
    limits.check(header.frame.width, header.frame.height, cost)?;
    if !header.is_ended() {
        return Err(invalid("it is truncated: its end-of-image marker is missing"));
    }
    let mut decompressor = Decompressor::new().map_err(invalid)?;
    decompressor.set_scan_limit(max_scans(&header)).map_err(invalid)?;
    let bytes = without_header_warnings(&mut decompressor, bytes, &header)?;
    let original = orientation.upright(header.frame.width, header.frame.height);
    let by = ScalingFactor::new(1, reduction(original) as usize);
    decompressor.set_scaling_factor(by).map_err(invalid)?;
    let size = [header.frame.width, header.frame.height].map(|side| by.scale(side as usize));
    let stored = match header.frame.components {
        1 | 3 => decompress(&mut decompressor, &bytes, size, PixelFormat::RGB)?,
        4 => cmyk_to_rgb(&decompress(&mut decompressor, &bytes, size, PixelFormat::CMYK)?),
        other => return Err(invalid(format!("it has {other} components, not 1, 3 or 4"))),
    };
    let [width, height] = size.map(|side| side as u32);
    Ok(Decoded {
        stored: Picture::new(width, height, stored)?,
        orientation,
        original,
        reducible: true,
    })
}

/// How many scans a progressive file may have. Encoders write ten or so; each costs a pass over all coefficients, so
/// that a small file of thousands would keep a core busy for minutes. The larger the picture, the fewer.
fn max_scans(header: &Header<'_>) -> u32 {
    const PIXELS_OF_ALL_SCANS: u32 = 1 << 30;
    let pixels = header.frame.width.saturating_mul(header.frame.height).max(1);
    (PIXELS_OF_ALL_SCANS / pixels).clamp(20, 64)
}

/// What decoding holds at once, a pixel: the output, and 16-bit coefficients where a file is progressive (chroma
/// counted as if it were not subsampled).
fn bytes_per_pixel(header: &Header<'_>, orientation: Orientation) -> u64 {
    let components = u64::from(header.frame.components);
    let coefficients = if header.frame.progressive {
        2 * components
    } else {
        0
    };
    let cmyk = if components == 4 { 4 } else { 0 };
    let turned = if orientation.moves_pixels() {
        CHANNELS as u64
    } else {
        0
    };
    CHANNELS as u64 + coefficients + cmyk + turned
}

/// A warning in the header would hide whether the pixels are good, so such a header is tidied first.
fn without_header_warnings<'a>(
    decompressor: &mut Decompressor,
    bytes: &'a [u8],
    header: &Header<'_>,
) -> Result<Cow<'a, [u8]>> {
    match decompressor.read_header(bytes) {
        Ok(_) => Ok(Cow::Borrowed(bytes)),
        Err(warning) if is_harmless(&warning) => {
            let tidied = header.tidied();
            decompressor.read_header(&tidied).map_err(invalid)?;
            Ok(Cow::Owned(tidied))
        }
        Err(fault) => Err(invalid(fault)),
    }
}

fn decompress(
    decompressor: &mut Decompressor,
    bytes: &[u8],
    [width, height]: [usize; 2],
    format: PixelFormat,
) -> Result<Vec<u8>> {
    let pitch = width * format.size();
    let mut pixels = vec![0; pitch * height];
    let output = Image {
        pixels: &mut pixels[..],
        width,
        pitch,
        height,
        format,
    };
    match decompressor.decompress(bytes, output) {
        Err(fault) if !is_harmless(&fault) => Err(invalid(fault)),
        // A harmless warning comes after all rows are written.
        _ => Ok(pixels),
    }
}

fn is_harmless(fault: &turbojpeg::Error) -> bool {
    let message = fault.to_string();
    HARMLESS.iter().any(|harmless| message.contains(harmless))
}

/// Pillow's way from a JPEG's inverted («Adobe») CMYK to RGB: each ink takes its share of the light that black
/// leaves, `K * (1 - ink)` (`cmyk2rgb` in Pillow's Convert.c; every CMYK JPEG counts as inverted).
fn cmyk_to_rgb(inverted: &[u8]) -> Vec<u8> {
    let mut rgb = Vec::with_capacity(inverted.len() / 4 * CHANNELS);
    for pixel in inverted.chunks_exact(4) {
        let light = u32::from(pixel[3]);
        rgb.extend(pixel[..3].iter().map(|kept| {
            let product = (255 - u32::from(*kept)) * light + 128;
            let absorbed = ((product >> 8) + product) >> 8;
            (light - absorbed) as u8
        }));
    }
    rgb
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inks_are_mixed_as_pillow_mixes_them() {
        // Image.merge("CMYK", …).convert("RGB") of the inverted samples, Pillow 13.
        let inverted = [255, 255, 255, 255, 0, 128, 255, 255, 10, 20, 30, 200, 1, 2, 3, 0];
        let rgb = cmyk_to_rgb(&inverted);
        assert_eq!(rgb, [255, 255, 255, 0, 128, 255, 8, 16, 24, 0, 0, 0]);
    }
}

//! JPEGs as TIFF has them inside: tables may be kept once for all, and what the components mean is said outside.

use torch_bridge::jpeg::{Jpeg, Region, Samples};

use super::jpeg::is_harmless;
use super::jpeg_header::{Header, invalid};
use crate::error::{Error, Result};

/// Scans at most, as in a file whose components come one by one.
const MOST_SCANS: u32 = 4;

/// Rows of the highest block of luma whose chroma is shared.
const BLOCK: u32 = 16;

/// A strip or tile.
pub(super) struct JpegInside<'a> {
    /// A JPEG without a picture, for the segments that the other lacks; or nothing.
    pub(super) tables: &'a [u8],
    pub(super) data: &'a [u8],
    /// Samples a pixel: 1, 3 or 4.
    pub(super) components: usize,
    /// Whether three components are luma and chroma, to be made RGB.
    pub(super) is_ycc: bool,
    /// Width, and how many rows are wanted.
    pub(super) size: (u32, u32),
    /// Rows that it may have, but for those that fill up its last blocks.
    pub(super) most_rows: u32,
}

impl JpegInside<'_> {
    /// The samples of the rows that are wanted.
    ///
    /// # Errors
    /// [`Error::InvalidImage`] where it is corrupt or of another size, [`Error::UnsupportedMediaType`] where it would have to
    /// be held as a whole, in coefficients.
    pub(super) fn decode(&self) -> Result<Vec<u8>> {
        let whole = self.whole();
        let header = Header::read(&whole)?;
        self.check(&header)?;
        let bytes = header.with_transform(u8::from(self.is_ycc));
        let jpeg = Jpeg::open(&bytes, MOST_SCANS).map_err(invalid)?;
        let samples = if self.components == 4 {
            Samples::Cmyk
        } else {
            Samples::Rgb
        };
        let region = Region {
            left: 0,
            top: 0,
            width: header.frame.width,
            height: header.frame.height,
        };
        let pixels = jpeg.decode(region, samples).map_err(invalid)?;
        if let Some(warning) = pixels.warning.filter(|warning| !is_harmless(warning)) {
            return Err(invalid(warning));
        }
        let mut rows = pixels.samples;
        if self.components == 1 {
            // Grey comes as RGB.
            rows = rows.into_iter().step_by(samples.count()).collect();
        }
        rows.truncate(self.size.0 as usize * self.size.1 as usize * self.components);
        Ok(rows)
    }

    /// Tables and data in one file.
    fn whole(&self) -> Vec<u8> {
        const START: [u8; 2] = [0xFF, 0xD8];
        const END: [u8; 2] = [0xFF, 0xD9];
        let tables = self.tables.strip_prefix(&START).unwrap_or_default();
        let tables = tables.strip_suffix(&END).unwrap_or(tables);
        let data = self.data.strip_prefix(&START).unwrap_or(self.data);
        [&START, tables, data].concat()
    }

    fn check(&self, header: &Header<'_>) -> Result<()> {
        let frame = header.frame;
        if header.keeps_coefficients() {
            let text = "a TIFF of JPEGs in several scans is not read; convert it to PNG";
            return Err(Error::UnsupportedMediaType(text.into()));
        }
        let rows = self.size.1..=self.most_rows.next_multiple_of(BLOCK);
        let fits = usize::from(frame.components) == self.components;
        if !fits || frame.width != self.size.0 || !rows.contains(&frame.height) {
            return Err(invalid(format!(
                "within the TIFF it has {} components and {}×{} pixels, not {} and {}×{}",
                frame.components, frame.width, frame.height, self.components, self.size.0, self.size.1
            )));
        }
        Ok(())
    }
}

//! TIFF and BigTIFF: the first page, as Pillow and libtiff read it. The crates `tiff` and `image` know a fraction of the
//! kinds that are about; what unpacks is theirs (LZW, Deflate, the tables of CCITT), libjpeg-turbo or zstd.

mod colors;
mod decode;
mod directory;
mod fax;
mod layout;
mod refusal;
mod tag;
mod unpack;

pub(super) use decode::decode;

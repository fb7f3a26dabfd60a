//! The directory of a ZIP archive, as far as it tells what the archive is for (PKWARE's APPNOTE 6.3.10, sections 4.3.7,
//! 4.3.12, 4.3.14 to 4.3.16).

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

/// Bytes of the directory that are read at most.
const MOST: u64 = 4 << 20;

/// The end of an archive, with the longest remark behind it, and where an archive of 64 bits has its own end.
const END: u64 = 22 + 65_535 + 20;

/// Names and places of what is in an archive.
#[derive(Debug)]
pub(super) struct Archive {
    entries: Vec<Entry>,
    is_whole: bool,
}

#[derive(Debug)]
struct Entry {
    name: String,
    is_stored: bool,
    size: u64,
    /// Of its header, from the beginning of the file.
    offset: u64,
}

impl Archive {
    /// The directory of `file`; nothing where it has none, because it was cut off.
    pub(super) fn read(file: &mut File) -> io::Result<Option<Self>> {
        let length = file.metadata()?.len();
        let tail = at(file, length.saturating_sub(END), END)?;
        let is_end = |window: &[u8]| window == b"PK\x05\x06";
        let Some(end) = tail.windows(4).rposition(is_end) else {
            return Ok(None);
        };
        let of_32_bits = (u32_at(&tail, end + 12), u32_at(&tail, end + 16));
        let (Some(mut size), Some(mut offset)) = of_32_bits else {
            return Ok(None);
        };
        if offset == u64::from(u32::MAX) || size == u64::from(u32::MAX) {
            let locator = end
                .checked_sub(20)
                .filter(|from| tail[*from..].starts_with(b"PK\x06\x07"));
            let Some(further) = locator.and_then(|from| u64_at(&tail, from + 8)) else {
                return Ok(None);
            };
            let further = at(file, further, 56)?;
            match (u64_at(&further, 40), u64_at(&further, 48)) {
                (Some(s), Some(o)) if further.starts_with(b"PK\x06\x06") => (size, offset) = (s, o),
                _ => return Ok(None),
            }
        }
        let entries = entries(&at(file, offset, size.min(MOST))?);
        Ok((!entries.is_empty()).then_some(Self {
            entries,
            is_whole: size <= MOST,
        }))
    }

    /// The names of its files.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|entry| entry.name.as_str())
    }

    /// Whether these are all of them.
    pub(super) fn is_whole(&self) -> bool {
        self.is_whole
    }

    /// The first `most` bytes of the file whose name ends so, where it lies in the archive as it is.
    pub(super) fn stored(&self, file: &mut File, ending: &str, most: u64) -> io::Result<Option<Vec<u8>>> {
        let mut entries = self.entries.iter();
        let Some(entry) = entries.find(|entry| entry.is_stored && entry.name.ends_with(ending)) else {
            return Ok(None);
        };
        let header = at(file, entry.offset, 30)?;
        let (Some(name), Some(extra)) = (u16_at(&header, 26), u16_at(&header, 28)) else {
            return Ok(None);
        };
        let data = entry.offset.saturating_add(30 + name + extra);
        at(file, data, most.min(entry.size)).map(Some)
    }
}

fn entries(directory: &[u8]) -> Vec<Entry> {
    let mut entries = Vec::new();
    let mut rest = directory;
    while rest.starts_with(b"PK\x01\x02") {
        let Some((entry, length)) = entry(rest) else { break };
        entries.push(entry);
        rest = rest.get(length..).unwrap_or_default();
    }
    entries
}

/// The first entry of `directory`, and how many bytes it takes.
fn entry(directory: &[u8]) -> Option<(Entry, usize)> {
    let length = |position| u16_at(directory, position).and_then(|n| usize::try_from(n).ok());
    let (name, extra, remark) = (length(28)?, length(30)?, length(32)?);
    let entry = Entry {
        name: String::from_utf8_lossy(directory.get(46..46 + name)?).into_owned(),
        is_stored: u16_at(directory, 10)? == 0,
        size: u32_at(directory, 24)?,
        offset: u32_at(directory, 42)?,
    };
    Some((entry, 46 + name + extra + remark))
}

/// So many bytes of `file` from `offset`, fewer at its end.
fn at(file: &mut File, offset: u64, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(offset.min(i64::MAX as u64)))?;
    file.take(most).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn u16_at(bytes: &[u8], position: usize) -> Option<u64> {
    let bytes = bytes.get(position..)?.first_chunk()?;
    Some(u16::from_le_bytes(*bytes).into())
}

fn u32_at(bytes: &[u8], position: usize) -> Option<u64> {
    let bytes = bytes.get(position..)?.first_chunk()?;
    Some(u32::from_le_bytes(*bytes).into())
}

fn u64_at(bytes: &[u8], position: usize) -> Option<u64> {
    let bytes = bytes.get(position..)?.first_chunk()?;
    Some(u64::from_le_bytes(*bytes))
}

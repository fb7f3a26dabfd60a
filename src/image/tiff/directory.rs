//! The first directory of a TIFF or BigTIFF: tags and their values, in either byte order (TIFF 6.0, section 2).
//!
//! Nothing is copied before it is asked for, and no count that the file announces is trusted: what does not lie within the
//! file is none.

use super::refusal::invalid;
use crate::error::{Error, Result};

/// Entries of a directory at most. TIFF defines some hundred tags, and a file may have some of its own.
const MOST_ENTRIES: u64 = 4096;

/// A file's first directory.
pub(super) struct Directory<'a> {
    file: File<'a>,
    entries: Vec<Entry>,
}

/// A file, and how its numbers are written.
#[derive(Clone, Copy)]
struct File<'a> {
    bytes: &'a [u8],
    is_little: bool,
    is_big_tiff: bool,
}

/// One tag.
struct Entry {
    tag: u16,
    kind: u64,
    count: u64,
    /// Where its values are, or where the file says where they are.
    field: u64,
}

impl<'a> File<'a> {
    /// The number of `length` bytes at `at`.
    fn number(&self, at: u64, length: usize) -> Option<u64> {
        let digits = self.slice(at, length as u64)?;
        let from_largest = |value: u64, digit: &u8| (value << 8) | u64::from(*digit);
        Some(if self.is_little {
            digits.iter().rev().fold(0, from_largest)
        } else {
            digits.iter().fold(0, from_largest)
        })
    }

    fn slice(&self, at: u64, length: u64) -> Option<&'a [u8]> {
        let (at, end) = (
            usize::try_from(at).ok()?,
            usize::try_from(at.checked_add(length)?).ok()?,
        );
        self.bytes.get(at..end)
    }

    /// Bytes of an offset, and of the field that holds a tag's values where they fit into it.
    fn offset_length(&self) -> usize {
        if self.is_big_tiff { 8 } else { 4 }
    }
}

impl Entry {
    /// Bytes of one value.
    fn value_length(&self) -> Option<usize> {
        match self.kind {
            1 | 2 | 6 | 7 => Some(1),
            3 | 8 => Some(2),
            4 | 9 | 11 | 13 => Some(4),
            5 | 10 | 12 | 16 | 17 | 18 => Some(8),
            _ => None,
        }
    }

    /// Whether the values are whole numbers without a sign: BYTE, UNDEFINED, SHORT, LONG, IFD, LONG8, IFD8.
    fn is_unsigned(&self) -> bool {
        matches!(self.kind, 1 | 3 | 4 | 7 | 13 | 16 | 18)
    }
}

impl<'a> Directory<'a> {
    /// Reads the directory that the header of `bytes` names.
    ///
    /// # Errors
    /// [`Error::InvalidImage`] where it does not lie in the file; [`Error::ImageTooLarge`] where it has too many tags.
    pub(super) fn first(bytes: &'a [u8]) -> Result<Self> {
        let is_little = bytes.starts_with(b"II");
        let file = File {
            bytes,
            is_little,
            // Some writers swap the two bytes of the version.
            is_big_tiff: matches!(bytes.get(2..4), Some([43, 0] | [0, 43])),
        };
        let cut = || invalid("it is truncated: its first directory is missing");
        // A BigTIFF has the length of its offsets and a zero before the first of them.
        let (first_at, counted, entry_length) = if file.is_big_tiff { (8, 8, 20) } else { (4, 2, 12) };
        let first = file.number(first_at, file.offset_length()).ok_or_else(cut)?;
        let count = file.number(first, counted).ok_or_else(cut)?;
        if count > MOST_ENTRIES {
            let text = format!(
                "the TIFF has {count} tags, at most {MOST_ENTRIES} are read; save it without its metadata"
            );
            return Err(Error::ImageTooLarge(text));
        }
        let entries = (0..count).map(|index| {
            let at = first + counted as u64 + index * entry_length;
            Some(Entry {
                tag: file.number(at, 2)? as u16,
                kind: file.number(at + 2, 2)?,
                count: file.number(at + 4, file.offset_length())?,
                field: at + 4 + file.offset_length() as u64,
            })
        });
        let entries = entries.collect::<Option<Vec<_>>>().ok_or_else(cut)?;
        Ok(Self { file, entries })
    }

    /// Whether the low byte of a number comes first.
    pub(super) fn is_little(&self) -> bool {
        self.file.is_little
    }

    /// All bytes of the file from `at` on, `length` of them at most.
    pub(super) fn data(&self, at: u64, length: u64) -> &'a [u8] {
        let rest = usize::try_from(at)
            .ok()
            .and_then(|at| self.file.bytes.get(at..))
            .unwrap_or_default();
        &rest[..rest.len().min(usize::try_from(length).unwrap_or(usize::MAX))]
    }

    /// How long the file is.
    pub(super) fn file_length(&self) -> u64 {
        self.file.bytes.len() as u64
    }

    /// Whether it has the tag.
    pub(super) fn has(&self, tag: u16) -> bool {
        self.entry(tag).is_some()
    }

    /// The first number of a tag.
    pub(super) fn number(&self, tag: u16) -> Option<u64> {
        let entry = self
            .entry(tag)
            .filter(|entry| entry.is_unsigned() && entry.count > 0)?;
        let values = self.values(entry)?;
        self.numbers_in(entry, &values[..entry.value_length()?]).next()
    }

    /// All numbers of a tag, none where it is absent.
    ///
    /// # Errors
    /// [`Error::ImageTooLarge`] where there are more than `most`; [`Error::InvalidImage`] where they do not lie in the file,
    /// or are no whole numbers.
    pub(super) fn numbers(&self, tag: u16, most: u64) -> Result<Vec<u64>> {
        let Some(entry) = self.entry(tag) else {
            return Ok(Vec::new());
        };
        if entry.count > most {
            let text = format!(
                "tag {tag} of the TIFF has {} values, at most {most} are read",
                entry.count
            );
            return Err(Error::ImageTooLarge(text));
        }
        match self.values(entry) {
            Some(values) if entry.is_unsigned() => Ok(self.numbers_in(entry, values).collect()),
            _ => Err(invalid(format!("the values of tag {tag} cannot be read"))),
        }
    }

    /// The fractions of a tag, where it has `N` of them.
    pub(super) fn fractions<const N: usize>(&self, tag: u16) -> Option<[f32; N]> {
        const RATIONAL: u64 = 5;
        let entry = self.entry(tag)?;
        if (entry.kind, entry.count) != (RATIONAL, N as u64) {
            return None;
        }
        let values = File {
            bytes: self.values(entry)?,
            ..self.file
        };
        let mut fractions = [0.0; N];
        for (index, fraction) in fractions.iter_mut().enumerate() {
            let at = 8 * index as u64;
            *fraction = values.number(at, 4)? as f32 / values.number(at + 4, 4)? as f32;
        }
        Some(fractions)
    }

    /// The bytes of a tag's values.
    pub(super) fn bytes(&self, tag: u16) -> Option<&'a [u8]> {
        self.values(self.entry(tag)?)
    }

    /// The last one counts, where a tag comes twice.
    fn entry(&self, tag: u16) -> Option<&Entry> {
        self.entries.iter().rev().find(|entry| entry.tag == tag)
    }

    fn values(&self, entry: &Entry) -> Option<&'a [u8]> {
        let length = entry.count.checked_mul(entry.value_length()? as u64)?;
        self.file.slice(self.values_at(entry)?, length)
    }

    /// Values that fit into an offset stand in its place.
    fn values_at(&self, entry: &Entry) -> Option<u64> {
        let length = entry.count.checked_mul(entry.value_length()? as u64)?;
        if length <= self.file.offset_length() as u64 {
            return Some(entry.field);
        }
        self.file.number(entry.field, self.file.offset_length())
    }

    fn numbers_in(&self, entry: &Entry, values: &'a [u8]) -> impl Iterator<Item = u64> + use<'a> {
        let file = File {
            bytes: values,
            ..self.file
        };
        let length = entry.value_length().unwrap_or(1);
        (0..values.len() / length).filter_map(move |index| file.number((index * length) as u64, length))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_read_in_both_byte_orders_and_in_a_big_tiff() {
        // One entry each: tag 273 of type LONG with the values 5 and 9, behind the directory.
        let little = b"II*\0\x08\0\0\0\x01\0\x11\x01\x04\0\x02\0\0\0\x16\0\0\0\x05\0\0\0\x09\0\0\0";
        let big = b"MM\0*\0\0\0\x08\0\x01\x01\x11\0\x04\0\0\0\x02\0\0\0\x16\0\0\0\x05\0\0\0\x09";
        let wide = b"II+\0\x08\0\0\0\x10\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\
            \x11\x01\x04\0\x02\0\0\0\0\0\0\0\x05\0\0\0\x09\0\0\0";
        let big_and_wide = b"MM\0+\0\x08\0\0\0\0\0\0\0\0\0\x10\0\0\0\0\0\0\0\x01\
            \x01\x11\0\x04\0\0\0\0\0\0\0\x02\0\0\0\x05\0\0\0\x09";
        for file in [&little[..], big, wide, big_and_wide] {
            let directory = Directory::first(file).expect("a directory");
            assert_eq!(directory.numbers(273, 2), Ok(vec![5, 9]));
            assert_eq!(directory.number(273), Some(5));
            assert!(matches!(directory.numbers(273, 1), Err(Error::ImageTooLarge(_))));
            assert_eq!(directory.numbers(279, 1), Ok(vec![]));
        }
    }

    #[test]
    fn fractions_are_two_numbers_each() {
        // Tag 529 of type RATIONAL with 1/2 and 3/4.
        let file = b"MM\0*\0\0\0\x08\0\x01\x02\x11\0\x05\0\0\0\x02\0\0\0\x16\
            \0\0\0\x01\0\0\0\x02\0\0\0\x03\0\0\0\x04";
        let directory = Directory::first(file).expect("a directory");
        assert_eq!(directory.fractions(529), Some([0.5, 0.75]));
        assert_eq!(directory.fractions::<3>(529), None);
        let cut = Directory::first(&file[..file.len() - 1]).expect("a directory");
        assert_eq!(cut.fractions::<2>(529), None);
    }

    #[test]
    fn what_does_not_lie_in_the_file_is_none() {
        let outside = b"II*\0\x08\0\0\0\x01\0\x11\x01\x04\0\xFF\xFF\xFF\x7F\x16\0\0\0";
        let directory = Directory::first(outside).expect("a directory");
        assert_eq!((directory.number(273), directory.bytes(273)), (None, None));
        assert!(matches!(
            directory.numbers(273, u64::MAX),
            Err(Error::InvalidImage(_))
        ));
        assert!(directory.data(u64::MAX, 3).is_empty());
        for file in [
            &b"II*\0"[..],
            b"II*\0\xFF\xFF\xFF\xFF",
            b"MM\0+\0\x08\0\0\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF",
        ] {
            assert!(matches!(Directory::first(file), Err(Error::InvalidImage(_))));
        }
    }
}

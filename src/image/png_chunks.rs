//! The chunks of a PNG that its decoder does not look into: EXIF behind the pixels, and EXIF as ImageMagick wrote it before
//! PNG had a chunk for it, in hexadecimal digits within a text (`Raw profile type exif`).
//!
//! PNG, third edition: chunks 5.3, texts 11.3.3, EXIF 11.3.4.4.

use std::io::Read;

/// A profile in digits is not read beyond so many bytes: EXIF as a camera writes it has 64 KiB at most, digits take two
/// bytes each.
const MOST_PROFILE_BYTES: u64 = 1 << 18;

const PROFILE: &[u8] = b"Raw profile type exif";

/// A chunk's type and data.
type Chunk<'a> = (&'a [u8; 4], &'a [u8]);

/// All chunks of `bytes`, a PNG, up to its end or the first that is cut.
fn chunks(bytes: &[u8]) -> impl Iterator<Item = Chunk<'_>> {
    const SIGNATURE: usize = 8;
    let mut rest = bytes.get(SIGNATURE..).unwrap_or_default();
    std::iter::from_fn(move || {
        let (length, behind) = rest.split_first_chunk::<4>()?;
        let (kind, behind) = behind.split_first_chunk::<4>()?;
        let length = u32::from_be_bytes(*length) as usize;
        let data = behind.get(..length)?;
        // The checksum is the decoder's business.
        rest = behind.get(length.checked_add(4)?..)?;
        (kind != b"IEND").then_some((kind, data))
    })
}

/// Those that hold text.
pub(super) fn texts(bytes: &[u8]) -> impl Iterator<Item = Chunk<'_>> {
    chunks(bytes).filter(|(kind, _)| matches!(*kind, b"tEXt" | b"zTXt" | b"iTXt"))
}

/// The EXIF block, wherever it stands.
pub(super) fn exif(bytes: &[u8]) -> Option<Vec<u8>> {
    let own = chunks(bytes).filter(|(kind, _)| *kind == b"eXIf").last();
    if let Some((_, data)) = own {
        return Some(data.to_vec());
    }
    // Of several the last counts, and no other is unpacked.
    texts(bytes)
        .filter(|(_, data)| data.starts_with(PROFILE))
        .last()
        .and_then(profile)
}

/// The profile within a text: behind a line of no length, one with its name and one with its length.
fn profile((kind, data): Chunk<'_>) -> Option<Vec<u8>> {
    let data = data.strip_prefix(PROFILE)?.strip_prefix(b"\0")?;
    let text = match (kind, data) {
        (b"tEXt", text) => text.to_vec(),
        (b"zTXt", [0, packed @ ..]) => unpacked(packed)?,
        // Whether it is packed, and how; then a language and a translated name, each with its end.
        (b"iTXt", [is_packed, _, names @ ..]) => {
            let text = names.splitn(3, |byte| *byte == 0).nth(2)?;
            if *is_packed == 0 {
                text.to_vec()
            } else {
                unpacked(text)?
            }
        }
        _ => return None,
    };
    let digits = text.splitn(4, |byte| *byte == b'\n').nth(3)?;
    let digits: Vec<u8> = digits
        .iter()
        .take(MOST_PROFILE_BYTES as usize)
        .filter(|byte| !byte.is_ascii_whitespace())
        .map(|digit| char::from(*digit).to_digit(16).map(|value| value as u8))
        .collect::<Option<_>>()?;
    let (pairs, _) = digits.as_chunks::<2>();
    Some(pairs.iter().map(|[high, low]| high << 4 | low).collect())
}

fn unpacked(packed: &[u8]) -> Option<Vec<u8>> {
    let mut text = Vec::new();
    let mut reader = flate2::read::ZlibDecoder::new(packed).take(MOST_PROFILE_BYTES);
    reader.read_to_end(&mut text).ok()?;
    Some(text)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn png(chunks: &[(&[u8; 4], &[u8])]) -> Vec<u8> {
        let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
        for (kind, data) in chunks {
            file.extend((data.len() as u32).to_be_bytes());
            file.extend(*kind);
            file.extend(*data);
            file.extend([0; 4]);
        }
        file
    }

    #[test]
    fn texts_are_counted() {
        let mut file = png(&[
            (b"IHDR", b"a"),
            (b"tEXt", b"a"),
            (b"IDAT", b"a"),
            (b"zTXt", b""),
            (b"iTXt", b"a"),
        ]);
        assert_eq!(texts(&file).count(), 3);
        // One that claims more than there is, is none.
        file.extend_from_slice(b"\xFF\xFF\xFF\xFFtEXt");
        assert_eq!(texts(&file).count(), 3);
        assert_eq!(texts(b"\x89PNG").count(), 0);
    }

    #[test]
    fn profiles_are_read_from_every_kind_of_text() {
        let text = b"\nexif\n       8\n45786966\n0000\n4D4d\n";
        let mut packer = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
        packer.write_all(text).expect("written");
        let packed = packer.finish().expect("packed");
        let named = |parts: &[&[u8]]| [PROFILE, b"\0", &parts.concat()].concat();
        for (kind, data) in [
            (b"tEXt", named(&[text])),
            (b"zTXt", named(&[b"\0", &packed])),
            (b"iTXt", named(&[b"\0\0\0\0", text])),
            (b"iTXt", named(&[b"\x01\0en\0\0", &packed])),
        ] {
            let file = png(&[(b"IDAT", b""), (kind, &data)]);
            assert_eq!(exif(&file), Some(b"Exif\0\0MM".to_vec()), "{kind:?}");
        }
        let both = png(&[(b"tEXt", &named(&[text])), (b"eXIf", b"II")]);
        assert_eq!(exif(&both), Some(b"II".to_vec()));
    }

    #[test]
    fn a_profile_that_is_none_counts_as_absent() {
        for text in [&b""[..], b"\nexif\n", b"\nexif\n 2\nzz"] {
            let data = [PROFILE, b"\0", text].concat();
            assert_eq!(exif(&png(&[(b"tEXt", &data)])), None);
            assert_eq!(exif(&png(&[(b"zTXt", &data)])), None);
        }
    }

    #[test]
    fn a_profile_that_unpacks_without_end_is_cut() {
        let mut packer = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
        packer.write_all(b"\nexif\n1\n").expect("written");
        for _ in 0..16 {
            packer.write_all(&[b'0'; 1 << 20]).expect("written");
        }
        let data = [PROFILE, b"\0\0", &packer.finish().expect("packed")].concat();
        let block = exif(&png(&[(b"zTXt", &data)])).expect("zeros");
        assert!(block.len() as u64 <= MOST_PROFILE_BYTES / 2);
    }
}

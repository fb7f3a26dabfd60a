//! Arrays on the wire, as NumPy reads and writes them.

use std::io::{Cursor, Write};

use bytes::Bytes;
use npyz::WriterBuilder;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use crate::error::{Error, Result, excerpt};
use crate::manifest::Dtype;
use crate::tasks::tensor::Numbers;

/// The first bytes of an NPY file.
pub(super) const MAGIC: &[u8] = b"\x93NUMPY";

/// Room for the header: what grows is copied, and takes twice its memory meanwhile.
const HEADER: usize = 256;

fn failed(e: &dyn std::fmt::Display) -> Error {
    Error::Internal(format!("npy: {e}"))
}

/// The NPY file of `values` in this shape, row-major.
///
/// # Errors
/// [`Error::Internal`] when they do not fill the shape.
pub(super) fn npy<T: npyz::AutoSerialize + Copy>(shape: &[usize], values: &[T]) -> Result<Vec<u8>> {
    let shape: Vec<u64> = shape.iter().map(|&side| side as u64).collect();
    let mut bytes = Vec::with_capacity(HEADER + size_of_val(values));
    let options = npyz::WriteOptions::new()
        .default_dtype()
        .shape(&shape)
        .writer(&mut bytes);
    let mut writer = options.begin_nd().map_err(|e| failed(&e))?;
    writer.extend(values.iter().copied()).map_err(|e| failed(&e))?;
    writer.finish().map_err(|e| failed(&e))?;
    Ok(bytes)
}

/// The NPY file of `numbers` in this shape, which they fill.
///
/// # Errors
/// [`Error::Internal`] when it cannot be written.
pub(super) fn npy_of(shape: &[i64], numbers: &Numbers) -> Result<Vec<u8>> {
    let bytes = Vec::with_capacity(HEADER + numbers.bytes().len());
    write_npy(bytes, shape, numbers)
}

fn write_npy<W: Write>(writer: W, shape: &[i64], numbers: &Numbers) -> Result<W> {
    let shape: Vec<u64> = shape.iter().map(|side| side.unsigned_abs()).collect();
    let descr = descr(numbers.dtype()).parse().map_err(|e| failed(&e))?;
    let header = npyz::WriteOptions::new_header_only()
        .dtype(npyz::DType::new_scalar(descr))
        .shape(&shape)
        .writer(writer)
        .write_header_only();
    let mut writer = header.map_err(|e| failed(&e))?;
    writer.write_all(numbers.bytes()).map_err(|e| failed(&e))?;
    Ok(writer)
}

/// The file that NumPy's `savez` makes of named arrays.
///
/// # Errors
/// As [`npy_of`].
pub(super) fn npz<'a>(
    arrays: impl Iterator<Item = (&'a str, &'a [i64], &'a Numbers)> + Clone,
) -> Result<Vec<u8>> {
    /// Room for what the archive says of a file, twice.
    const ENTRY: usize = 512;
    let room = arrays
        .clone()
        .map(|(_, _, numbers)| ENTRY + numbers.bytes().len());
    let mut zip = ZipWriter::new(Cursor::new(Vec::with_capacity(room.sum())));
    let stored = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for (name, shape, numbers) in arrays {
        zip.start_file(format!("{name}.npy"), stored)
            .map_err(|e| failed(&e))?;
        write_npy(&mut zip, shape, numbers)?;
    }
    Ok(zip.finish().map_err(|e| failed(&e))?.into_inner())
}

/// A type as NPY files name it.
fn descr(dtype: Dtype) -> &'static str {
    match dtype {
        Dtype::Bool => "|b1",
        Dtype::U8 => "|u1",
        Dtype::I32 => "<i4",
        Dtype::I64 => "<i8",
        Dtype::F16 => "<f2",
        Dtype::F32 => "<f4",
        Dtype::F64 => "<f8",
    }
}

/// The shape and the values of an NPY file, which share its memory.
///
/// # Errors
/// [`Error::InvalidBody`] when it is none, or holds no numbers of our types, row-major and little-endian.
pub(super) fn array(bytes: &Bytes) -> Result<(Vec<i64>, Numbers)> {
    let file = opened(bytes)?;
    let dtype = dtype(&file.dtype())?;
    let shape = file
        .shape()
        .iter()
        .map(|&side| i64::try_from(side).unwrap_or(i64::MAX));
    let (shape, expected) = (shape.collect(), file.len().saturating_mul(dtype.size() as u64));
    let data = file.into_inner();
    if data.len() as u64 != expected {
        let found = data.len();
        return Err(wrong(&format!(
            "{found} bytes of values come behind its header, which says {expected}; was it written whole, and nothing behind it?"
        )));
    }
    let numbers = Numbers::of_bytes(bytes.slice_ref(data), dtype);
    Ok((shape, numbers.map_err(|text| wrong(&text))?))
}

/// Our type of the values of an array.
fn dtype(found: &npyz::DType) -> Result<Dtype> {
    let text = found.descr();
    let text = text.trim_matches('\'');
    if let Some(dtype) = Dtype::ALL.into_iter().find(|&dtype| descr(dtype) == text) {
        return Ok(dtype);
    }
    let little = text.strip_prefix('>').map(|kind| format!("<{kind}"));
    if let Some(little) = little.filter(|little| Dtype::ALL.iter().any(|&dtype| descr(dtype) == little)) {
        return Err(Error::InvalidBody(format!(
            "the array is big-endian ({text}); save a.astype(\"{little}\")"
        )));
    }
    let known: Vec<String> = Dtype::ALL
        .iter()
        .map(|&dtype| format!("{} ({dtype})", descr(dtype)))
        .collect();
    Err(Error::InvalidBody(format!(
        "the array's values are {}, expected one of {}",
        excerpt(text),
        known.join(", ")
    )))
}

fn wrong(why: &dyn std::fmt::Display) -> Error {
    Error::InvalidBody(format!("the body is no NPY file of numbers: {why}"))
}

/// An NPY file of no more values than it has bytes, row-major.
fn opened(bytes: &[u8]) -> Result<npyz::NpyFile<&[u8]>> {
    let header = plain_header(bytes);
    let header = header.ok_or_else(|| wrong(&"its header is not that of one array of numbers"))?;
    if let Some(shape) = too_large_shape(header, bytes.len()) {
        return Err(wrong(&format!(
            "its shape ({}) is of more values than its {} bytes can hold; was it cut off?",
            excerpt(shape),
            bytes.len()
        )));
    }
    let file = npyz::NpyFile::new(bytes).map_err(|e| wrong(&excerpt(&e.to_string())))?;
    if file.order() != npyz::Order::C {
        return Err(Error::InvalidBody(
            "the array is in Fortran order; save np.ascontiguousarray(a)".into(),
        ));
    }
    Ok(file)
}

/// The rows of an NPY file of shape `[n, …]`, of 32- or 64-bit floats: so many at `most`, each of so many numbers.
///
/// # Errors
/// [`Error::InvalidBody`] when it is none, or has more.
pub(super) fn rows(bytes: &[u8], most: (usize, usize)) -> Result<Vec<Vec<f32>>> {
    let file = opened(bytes)?;
    let shape = file.shape().to_vec();
    let rows = shape.first().copied().filter(|&n| n > 0 && shape.len() > 1);
    let rows = rows.ok_or_else(|| Error::InvalidBody(format!("found shape {shape:?}, expected [n, …]")))?;
    // Before a row is made: each is memory of its own, and may have a single number.
    let numbers = shape[1..].iter().product::<u64>();
    if rows > most.0 as u64 || numbers > most.1 as u64 {
        let (rows_most, numbers_most) = most;
        return Err(Error::InvalidBody(format!(
            "found shape {shape:?}, expected at most {rows_most} rows of at most {numbers_most} numbers"
        )));
    }
    let values: Vec<f32> = match file.try_data::<f32>() {
        Ok(values) => values.collect::<std::io::Result<_>>().map_err(|e| wrong(&e))?,
        Err(file) => match file.try_data::<f64>() {
            Ok(values) => values
                .map(|v| v.map(|v| v as f32))
                .collect::<std::io::Result<_>>()
                .map_err(|e| wrong(&e))?,
            Err(file) => {
                let found = file.dtype().descr();
                return Err(wrong(&format!(
                    "its values are {}, expected floats",
                    excerpt(&found)
                )));
            }
        },
    };
    let width = (values.len() / usize::try_from(rows).unwrap_or(usize::MAX)).max(1);
    Ok(values.chunks(width).map(<[f32]>::to_vec).collect())
}

/// The header, if it is short and holds one dictionary and one tuple, as that of an array of numbers does. Its parser takes
/// time that doubles with each bracket within a bracket.
fn plain_header(bytes: &[u8]) -> Option<&[u8]> {
    const MOST: usize = 4096;
    // Behind six bytes of magic and two of the version: 2 bytes of length in version 1, 4 in later ones.
    let (start, length) = match bytes {
        [_, _, _, _, _, _, 1, _, a, b, ..] => (10, usize::from(u16::from_le_bytes([*a, *b]))),
        [_, _, _, _, _, _, _, _, a, b, c, d, ..] => (12, u32::from_le_bytes([*a, *b, *c, *d]) as usize),
        _ => return None,
    };
    let header = bytes.get(start..start + length.min(MOST + 1))?;
    let brackets = header.iter().filter(|byte| b"([{".contains(byte)).count();
    (header.len() <= MOST && brackets <= 2).then_some(header)
}

/// The shape in this header, if a file of so many bytes has fewer values. Its parser multiplies without a look at overflow.
fn too_large_shape(header: &[u8], bytes: usize) -> Option<&str> {
    let (_, behind) = std::str::from_utf8(header).ok()?.split_once('(')?;
    let (shape, _) = behind.split_once(')')?;
    let mut sides = shape.split(',').map(str::trim).filter(|side| !side.is_empty());
    let most = bytes as u64;
    // A side that is no number is left to the parser.
    let count = sides.try_fold(1u64, |count, side| match side.parse::<u64>() {
        Ok(0) | Err(_) => Some(0),
        Ok(side) => count.checked_mul(side),
    });
    count.is_none_or(|count| count > most).then_some(shape)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_array_comes_back_as_its_rows() {
        let file = npy(&[2, 3], &[1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0]).expect("a file");
        let expected = Ok(vec![vec![1.0, 2.0, 3.0], vec![4.0, 5.0, 6.0]]);
        assert_eq!(rows(&file, (2, 3)), expected);
        for most in [(1, 3), (2, 2)] {
            let refused = rows(&file, most).expect_err("it has more");
            assert!(refused.to_string().contains("found shape [2, 3]"), "{refused}");
        }
    }

    fn file_of(header: &str, data: &[u8]) -> Bytes {
        let mut file = b"\x93NUMPY\x01\0".to_vec();
        file.extend_from_slice(&(header.len() as u16).to_le_bytes());
        file.extend_from_slice(header.as_bytes());
        file.extend_from_slice(data);
        file.into()
    }

    #[test]
    fn numbers_of_every_type_come_back_as_they_were() {
        for dtype in Dtype::ALL {
            let numbers = Numbers::of_bytes(vec![1; 6 * dtype.size()].into(), dtype).expect("six values");
            for shape in [&[2, 3][..], &[6], &[1, 6, 1]] {
                let file = npy_of(shape, &numbers).expect("a file");
                assert_eq!(
                    array(&file.into()),
                    Ok((shape.to_vec(), numbers.clone())),
                    "{dtype}"
                );
            }
        }
        let scalar = Numbers::of_bytes(vec![1; 4].into(), Dtype::F32).expect("a value");
        let file = npy_of(&[], &scalar).expect("a file");
        assert_eq!(array(&file.into()), Ok((Vec::new(), scalar)));
    }

    #[test]
    fn what_is_no_array_of_ours_is_refused_with_the_cure() {
        let header = |descr: &str, fortran: &str, shape: &str| {
            format!("{{'descr': {descr}, 'fortran_order': {fortran}, 'shape': ({shape},), }}\n")
        };
        let plain = header("'<f4'", "False", "2, 1");
        for (file, word) in [
            (
                file_of(&header("'>f4'", "False", "2"), &[0; 8]),
                "save a.astype(\"<f4\")",
            ),
            (
                file_of(&header("'<f4'", "True", "2, 1"), &[0; 8]),
                "np.ascontiguousarray",
            ),
            (
                file_of(&header("'<i2'", "False", "2"), &[0; 4]),
                "values are <i2, expected one of |b1 (bool)",
            ),
            (file_of(&header("'|O'", "False", "2"), &[0; 8]), "values are |O"),
            (
                file_of(&plain, &[0; 7]),
                "7 bytes of values come behind its header, which says 8",
            ),
            (file_of(&plain, &[0; 9]), "9 bytes of values"),
            (file_of(&header("'|b1'", "False", "2"), &[1, 7]), "value 1 is 7"),
            (
                file_of(&header("'<f8'", "False", "4611686018427387904, 4"), &[0; 8]),
                "is of more values",
            ),
            (Bytes::from_static(b"\x93NUMPY"), "no NPY file"),
            (Bytes::from_static(b""), "no NPY file"),
        ] {
            let refused = array(&file).expect_err(word);
            assert_eq!(refused.code(), "invalid_body");
            assert!(refused.to_string().contains(word), "{refused}");
        }
    }

    #[test]
    fn an_archive_has_a_file_for_each_name() {
        let numbers = Numbers::of_bytes(vec![7; 3].into(), Dtype::U8).expect("three values");
        let arrays = [("a", &[3][..], &numbers), ("b", &[1, 3], &numbers)];
        let bytes = npz(arrays.into_iter()).expect("an archive");
        let mut archive = zip::ZipArchive::new(Cursor::new(bytes)).expect("an archive");
        for (name, shape, numbers) in arrays {
            let mut file = Vec::new();
            let mut entry = archive.by_name(&format!("{name}.npy")).expect("its file");
            std::io::copy(&mut entry, &mut file).expect("it is read");
            assert_eq!(array(&file.into()), Ok((shape.to_vec(), numbers.clone())));
        }
    }

    #[test]
    fn a_header_of_many_brackets_is_refused_before_it_is_parsed() {
        for text in [
            "[".repeat(100),
            format!("{{'}}': {}", "(".repeat(100)),
            "{".repeat(100),
        ] {
            let mut file = b"\x93NUMPY\x02\0".to_vec();
            file.extend_from_slice(&(text.len() as u32).to_le_bytes());
            file.extend_from_slice(text.as_bytes());
            assert!(
                matches!(rows(&file, (9, 9)), Err(Error::InvalidBody(_))),
                "{text}"
            );
        }
    }

    #[test]
    fn a_shape_that_no_file_can_hold_is_refused_with_the_shape() {
        for (rows_of, width) in [((1u64 << 58) + 1, 64u64), (1 << 59, 32), (3, 1000)] {
            let shape = format!("{rows_of}, {width}");
            let text = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({shape}), }}\n");
            let mut file = b"\x93NUMPY\x01\0".to_vec();
            file.extend_from_slice(&(text.len() as u16).to_le_bytes());
            file.extend_from_slice(text.as_bytes());
            file.extend_from_slice(&[0; 256]);
            let refused = rows(&file, (9, 9)).expect_err("it has 64 values").to_string();
            assert!(
                refused.contains(&format!("({shape}) is of more values")),
                "{refused}"
            );
        }
    }
}

//! Arrays on the wire, as NumPy reads them.

use npyz::WriterBuilder;

use crate::error::{Error, Result};

/// The NPY file of `values` in this shape, row-major.
///
/// # Errors
/// [`Error::Internal`] when they do not fill the shape.
pub(super) fn npy<T: npyz::AutoSerialize + Copy>(shape: &[usize], values: &[T]) -> Result<Vec<u8>> {
    let failed = |e: std::io::Error| Error::Internal(format!("npy: {e}"));
    let shape: Vec<u64> = shape.iter().map(|&side| side as u64).collect();
    /// Room for the header: what grows is copied, and takes twice its memory meanwhile.
    const HEADER: usize = 256;
    let mut bytes = Vec::with_capacity(HEADER + size_of_val(values));
    let options = npyz::WriteOptions::new()
        .default_dtype()
        .shape(&shape)
        .writer(&mut bytes);
    let mut writer = options.begin_nd().map_err(failed)?;
    writer.extend(values.iter().copied()).map_err(failed)?;
    writer.finish().map_err(failed)?;
    Ok(bytes)
}

/// The rows of an NPY file of shape `[n, …]`, of 32- or 64-bit floats.
///
/// # Errors
/// [`Error::InvalidBody`] when it is none.
pub(super) fn rows(bytes: &[u8]) -> Result<Vec<Vec<f32>>> {
    let wrong =
        |e: &dyn std::fmt::Display| Error::InvalidBody(format!("the body is no NPY file of floats: {e}"));
    let header = plain_header(bytes);
    let header = header.ok_or_else(|| wrong(&"its header is not that of one array of numbers"))?;
    if let Some(shape) = too_large_shape(header, bytes.len()) {
        return Err(wrong(&format!(
            "its shape ({shape}) is of more values than its {} bytes can hold; was it cut off?",
            bytes.len()
        )));
    }
    let file = npyz::NpyFile::new(bytes).map_err(|e| wrong(&e))?;
    if file.order() != npyz::Order::C {
        return Err(Error::InvalidBody(
            "the array is in Fortran order; save np.ascontiguousarray(a)".into(),
        ));
    }
    let shape = file.shape().to_vec();
    let rows = shape.first().copied().filter(|&n| n > 0 && shape.len() > 1);
    let rows = rows.ok_or_else(|| Error::InvalidBody(format!("found shape {shape:?}, expected [n, …]")))?;
    let values: Vec<f32> = match file.try_data::<f32>() {
        Ok(values) => values.collect::<std::io::Result<_>>().map_err(|e| wrong(&e))?,
        Err(file) => match file.try_data::<f64>() {
            Ok(values) => values
                .map(|v| v.map(|v| v as f32))
                .collect::<std::io::Result<_>>()
                .map_err(|e| wrong(&e))?,
            Err(file) => return Err(wrong(&format!("its values are {:?}", file.dtype().descr()))),
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
        assert_eq!(rows(&file), Ok(vec![vec![1.0, 2.0, 3.0], vec![4.0, 5.0, 6.0]]));
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
            assert!(matches!(rows(&file), Err(Error::InvalidBody(_))), "{text}");
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
            let refused = rows(&file).expect_err("it has 64 values").to_string();
            assert!(
                refused.contains(&format!("({shape}) is of more values")),
                "{refused}"
            );
        }
    }
}

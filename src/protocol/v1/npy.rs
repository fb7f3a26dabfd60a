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
    let mut bytes = Vec::new();
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

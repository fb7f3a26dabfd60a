//! AOTInductor packages of one model: each is compiled for one batch size, and a batch is filled up to the next.
//!
//! A package checks nothing of what it is given: other strides are read as nonsense and other sizes beyond the end. So
//! every input is put into the memory order that the recipe compiled for, and has exactly the rows.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use tch::{Device, Tensor};
use torch_bridge::{Package, Value};

use crate::error::{Error, Result};

/// The key of a package's metadata under which the recipe writes which of the processor's instructions were used.
const INSTRUCTIONS: &str = "lucarne.instructions";

/// Packages by batch size, smallest first; at least one.
#[derive(Debug)]
pub(super) struct Packages(Vec<(usize, Package)>);

impl Packages {
    /// Loads `files`, given by batch size, for `runners` calls side by side.
    ///
    /// # Errors
    /// [`Error::InvalidModel`] when there is none, when one is no package for `device`, or when one was compiled for
    /// another processor.
    pub(super) fn load(files: &[(usize, PathBuf)], runners: NonZeroUsize, device: Device) -> Result<Self> {
        let present = instructions(&std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default());
        let one = |(size, file): &(usize, PathBuf)| {
            check(file, device, &present)?;
            Ok((*size, Package::load(file, runners, device)?))
        };
        let mut packages = files.iter().map(one).collect::<Result<Vec<_>>>()?;
        packages.sort_by_key(|(size, _)| *size);
        if packages.is_empty() {
            return Err(Error::InvalidModel {
                problems: vec![
                    "[artifact] format = \"aoti\" wants packages named model.b1.pt2, model.b8.pt2 … beside it; \
                     `make aoti MODEL=` makes them"
                        .into(),
                ],
            });
        }
        Ok(Self(packages))
    }

    /// `forward` of `inputs`, tensors with the batch in dimension 0: a tensor, or a tuple of several.
    pub(super) fn forward(&self, inputs: &[Value]) -> Result<Value> {
        let tensors = inputs.iter().map(tensor).collect::<Result<Vec<_>>>()?;
        let total = tensors.first().map_or(0, |t| t.size()[0]);
        let sizes: Vec<usize> = self.0.iter().map(|(size, _)| *size).collect();
        let parts = plan(usize::try_from(total).unwrap_or(0), &sizes);
        let mut answers: Vec<Vec<Tensor>> = Vec::with_capacity(parts.len());
        for part in parts {
            answers.push(self.run(&tensors, &part)?);
        }
        joined(answers)
    }

    fn run(&self, inputs: &[&Tensor], part: &Part) -> Result<Vec<Tensor>> {
        let (start, length) = (part.start as i64, part.length as i64);
        let (size, package) = &self.0[part.package];
        let padding = *size as i64 - length;
        let filled = |input: &&Tensor| -> Result<Value> {
            let rows = if input.size()[0] == length {
                input.shallow_clone()
            } else {
                input.f_narrow(0, start, length)?
            };
            Ok(Value::Tensor(in_order(&fill_up(rows, padding)?)?))
        };
        let filled = inputs.iter().map(filled).collect::<Result<Vec<_>>>()?;
        let answer = |value: Value| -> Result<Tensor> {
            let output = value.into_tensor()?;
            let is_batched = output.size().first() == Some(&(*size as i64));
            Ok(if is_batched && padding > 0 {
                output.f_narrow(0, 0, length)?
            } else {
                output
            })
        };
        package.run(&filled)?.into_iter().map(answer).collect()
    }
}

fn tensor(value: &Value) -> Result<&Tensor> {
    match value {
        Value::Tensor(tensor) if tensor.dim() > 0 => Ok(tensor),
        other => Err(Error::InferenceFailed(format!(
            "a package takes batches of tensors, found {}",
            other.kind()
        ))),
    }
}

/// `rows` with `padding` rows of zeros behind them, in the same memory order.
fn fill_up(rows: Tensor, padding: i64) -> Result<Tensor> {
    if padding == 0 {
        return Ok(rows);
    }
    // Pairs of (before, after) from the last dimension to the first.
    let mut pads = vec![0; 2 * rows.dim()];
    if let Some(last) = pads.last_mut() {
        *last = padding;
    }
    Ok(rows.f_constant_pad_nd(pads)?)
}

/// `input` in the memory order that packages are compiled for: pictures, and whatever else has four dimensions, in
/// channels-last, all else row-major. No copy where it is so already.
fn in_order(input: &Tensor) -> Result<Tensor> {
    if input.dim() != 4 {
        return Ok(input.f_contiguous()?);
    }
    Ok(input
        .f_permute([0, 2, 3, 1])?
        .f_contiguous()?
        .f_permute([0, 3, 1, 2])?)
}

/// The answers of all parts, one behind the other.
fn joined(mut answers: Vec<Vec<Tensor>>) -> Result<Value> {
    let mut outputs = if answers.len() == 1 {
        answers.remove(0)
    } else {
        let count = answers.first().map_or(0, Vec::len);
        let one = |index: usize| {
            let parts: Vec<&Tensor> = answers.iter().map(|part| &part[index]).collect();
            Tensor::f_cat(&parts, 0)
        };
        (0..count).map(one).collect::<Result<Vec<_>, _>>()?
    };
    Ok(if outputs.len() == 1 {
        Value::Tensor(outputs.remove(0))
    } else {
        Value::Tuple(outputs.into_iter().map(Value::Tensor).collect())
    })
}

/// Rows of a batch that one package computes in one go.
#[derive(Debug, PartialEq, Eq)]
struct Part {
    package: usize,
    start: usize,
    length: usize,
}

/// Cuts a batch of `total` rows for packages of `sizes` (smallest first, at least one): as many of the largest as it
/// fills, and the rest goes to the next that has room for it.
fn plan(total: usize, sizes: &[usize]) -> Vec<Part> {
    let last = sizes.len() - 1;
    let mut parts = Vec::new();
    let mut start = 0;
    while start < total {
        let rest = total - start;
        let package = sizes.iter().position(|size| *size >= rest).unwrap_or(last);
        let length = rest.min(sizes[package]);
        parts.push(Part {
            package,
            start,
            length,
        });
        start += length;
    }
    parts
}

/// Whether the package at `file` can run on `device` and on a processor with the instructions `present`: one that
/// cannot would end the process at the first call.
fn check(file: &Path, device: Device, present: &BTreeSet<String>) -> Result<()> {
    let metadata = Package::metadata(file).map_err(|e| refused(file, &format!("is no package: {e}")))?;
    let wanted = metadata.get("AOTI_DEVICE_KEY").map_or("cpu", String::as_str);
    let own = if device.is_cuda() { "cuda" } else { "cpu" };
    if wanted != own {
        return Err(refused(
            file,
            &format!("was compiled for {wanted}, and the model runs on {own}"),
        ));
    }
    let used = metadata.get(INSTRUCTIONS).map_or("", String::as_str);
    let missing: Vec<&str> = used
        .split_whitespace()
        .filter(|i| !present.contains(*i))
        .collect();
    if own == "cpu" && !missing.is_empty() {
        let missing = missing.join(", ");
        return Err(refused(
            file,
            &format!("was compiled for a processor with {missing}, which this one has not"),
        ));
    }
    Ok(())
}

fn refused(file: &Path, what: &str) -> Error {
    let file = file.display();
    Error::InvalidModel {
        problems: vec![format!(
            "{file}: {what}; compile it here with `make aoti MODEL=`, or write format = \"torchscript\""
        )],
    }
}

/// The flags of Linux's /proc/cpuinfo, of its first processor.
fn instructions(cpuinfo: &str) -> BTreeSet<String> {
    let flags = cpuinfo.lines().find_map(|line| line.strip_prefix("flags"));
    flags
        .and_then(|line| line.split_once(':'))
        .map(|(_, flags)| flags.split_whitespace().map(str::to_owned).collect())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use tch::Kind;

    use super::*;

    fn parts(total: usize, sizes: &[usize]) -> Vec<(usize, usize, usize)> {
        let part = |p: Part| (sizes[p.package], p.start, p.length);
        plan(total, sizes).into_iter().map(part).collect()
    }

    #[test]
    fn a_batch_goes_to_the_next_size_and_a_large_one_in_parts() {
        assert_eq!(parts(1, &[1, 4, 8]), [(1, 0, 1)]);
        assert_eq!(parts(3, &[1, 4, 8]), [(4, 0, 3)]);
        assert_eq!(parts(8, &[1, 4, 8]), [(8, 0, 8)]);
        assert_eq!(parts(19, &[1, 4, 8]), [(8, 0, 8), (8, 8, 8), (4, 16, 3)]);
        assert_eq!(parts(2, &[1]), [(1, 0, 1), (1, 1, 1)]);
        assert_eq!(parts(0, &[1]), []);
    }

    #[test]
    fn padding_is_behind_the_rows_and_keeps_channels_last() {
        let rows = Tensor::ones([2, 4, 4, 3], (Kind::Float, Device::Cpu)).permute([0, 3, 1, 2]);
        let filled = fill_up(rows, 2).expect("it fills up");
        assert_eq!(filled.size(), [4, 3, 4, 4]);
        assert_eq!(filled.stride(), [48, 1, 12, 3]);
        let sums: Vec<f64> = (0..4)
            .map(|row| filled.get(row).sum(Kind::Float).double_value(&[]))
            .collect();
        assert_eq!(sums, [48., 48., 0., 0.]);
    }

    #[test]
    fn inputs_are_put_into_the_order_of_the_package() {
        let picture = Tensor::arange(2 * 3 * 4 * 4, (Kind::Float, Device::Cpu)).view([2, 3, 4, 4]);
        let ordered = in_order(&picture).expect("it is put in order");
        assert_eq!(ordered.stride(), [48, 1, 12, 3]);
        assert!(ordered.equal(&picture));
        let again = in_order(&ordered).expect("it is in order");
        assert_eq!(
            again.data_ptr(),
            ordered.data_ptr(),
            "no copy where none is needed"
        );
        let table = Tensor::ones([4, 2], (Kind::Float, Device::Cpu)).transpose(0, 1);
        assert_eq!(in_order(&table).expect("a table").stride(), [4, 1]);
    }

    #[test]
    fn the_processor_is_read_from_linux_words() {
        let flags = instructions("processor : 0\nflags\t\t: fpu sse2 avx2\nflags\t\t: other\n");
        assert_eq!(flags.into_iter().collect::<Vec<_>>(), ["avx2", "fpu", "sse2"]);
    }
}

//! AOTInductor packages of one model: each is compiled for one batch size, and a batch is filled up to the next.
//!
//! A package checks nothing of what it is given: other strides are read as nonsense and other sizes beyond the end. So
//! every input is put into the memory order that the recipe compiled for, and has exactly the rows.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use tch::{Device, Tensor};
use torch_bridge::{Package, Value};

use crate::engine::CorePermit;
use crate::error::{Error, Result};
use crate::runtime::parts::{self, Part};
use crate::runtime::program::Program;

/// The key of a package's metadata under which the recipe writes which of the processor's instructions were used.
const INSTRUCTIONS: &str = "lucarne.instructions";

/// Packages by batch size, smallest first; at least one.
#[derive(Debug)]
pub(in crate::runtime) struct Packages {
    by_size: Vec<(usize, Package)>,
    device: Device,
}

impl Packages {
    /// Loads `files`, given by batch size, for `runners` calls side by side.
    ///
    /// # Errors
    /// [`Error::InvalidModel`] when there is none, when one is no package for `device`, or when one was compiled for
    /// another processor.
    pub(in crate::runtime) fn load(
        files: &[(usize, PathBuf)],
        runners: NonZeroUsize,
        device: Device,
    ) -> Result<Self> {
        let present = instructions(&std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default());
        let one = |(size, file): &(usize, PathBuf)| {
            check(file, device, &present)?;
            Ok((*size, Package::load(file, runners, device)?))
        };
        let mut packages = files.iter().map(one).collect::<Result<Vec<_>>>()?;
        packages.sort_by_key(|(size, _)| *size);
        if packages.is_empty() {
            return Err(Error::model(
                "[artifact] format = \"aoti\" wants packages named model.b1.pt2, model.b8.pt2 … beside it, \
                     compiled by PyTorch's AOTInductor",
            ));
        }
        Ok(Self {
            by_size: packages,
            device,
        })
    }

    /// `forward` of `inputs`, tensors with the batch in dimension 0: a tensor, or a tuple of several.
    fn forward(&self, inputs: &[Value]) -> Result<Value> {
        let inputs = inputs.iter().map(parts::batch).collect::<Result<Vec<_>>>()?;
        let total = inputs.first().map_or(0, |t| t.size()[0]);
        let sizes: Vec<usize> = self.by_size.iter().map(|(size, _)| *size).collect();
        let cut = parts::padded(usize::try_from(total).unwrap_or(0), &sizes);
        let run = |part| self.run(&inputs, part);
        parts::join(cut.into_iter().map(run).collect::<Result<_>>()?)
    }

    fn run(&self, inputs: &[&Tensor], part: Part) -> Result<Value> {
        let length = part.length as i64;
        let (size, package) = &self.by_size[part.program];
        let padding = *size as i64 - length;
        let filled = |input: &&Tensor| -> Result<Value> {
            let filled = fill_up(parts::rows(input, part)?, padding)?;
            Ok(Value::Tensor(parts::in_order(&filled)?))
        };
        let filled = inputs.iter().map(filled).collect::<Result<Vec<_>>>()?;
        let answer = |value: Value| -> Result<Value> {
            let output = value.into_tensor()?;
            let is_batched = output.size().first() == Some(&(*size as i64));
            Ok(Value::Tensor(if is_batched && padding > 0 {
                output.f_narrow(0, 0, length)?
            } else {
                output
            }))
        };
        let answers = package.run(&filled)?.into_iter().map(answer);
        let mut answers = answers.collect::<Result<Vec<_>>>()?;
        Ok(if answers.len() == 1 {
            answers.remove(0)
        } else {
            Value::Tuple(answers)
        })
    }
}

impl Program for Packages {
    /// `forward`, whatever `method` says: there is no other. It records no gradients.
    fn call(&self, _permit: &CorePermit<'_>, _method: &str, inputs: &[Value]) -> Result<Value> {
        let _no_grad = tch::no_grad_guard();
        self.forward(inputs)
    }

    fn device(&self) -> Device {
        self.device
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
    Error::model(format!(
        "{file}: {what}; compile it on such a machine as this, or write format = \"torchscript\""
    ))
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
    fn the_processor_is_read_from_linux_words() {
        let flags = instructions("processor : 0\nflags\t\t: fpu sse2 avx2\nflags\t\t: other\n");
        assert_eq!(flags.into_iter().collect::<Vec<_>>(), ["avx2", "fpu", "sse2"]);
    }
}

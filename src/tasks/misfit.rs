//! A module that cannot compute the pictures which its manifest describes: why, and the key that mends it.

use torch_bridge::{Brief, Misfit};

use super::spec::ModelSpec;
use crate::error::counted;
use crate::manifest::{ImageInput, Precision};

/// What a module of other numbers needs.
pub const NOT_F32: &str = "its numbers are not all f32: export it as net.float()";

/// What a module needs that does not keep the rows of a batch apart.
pub const ALONE: &str = "set max_batch_size = 1 under [batching]";

/// What the module raised about a blank batch, in short, and the cure where one is known.
pub(super) fn explained(words: &str, spec: &ModelSpec) -> String {
    let cure = Misfit::in_words(words).and_then(|misfit| cure(misfit, spec));
    let cure = cure.map(|cure| format!("; {cure}")).unwrap_or_default();
    format!("{}{cure}", Brief(words))
}

fn cure(misfit: Misfit, spec: &ModelSpec) -> Option<String> {
    let input = spec.manifest.image_input().ok()?;
    Some(match misfit {
        Misfit::Channels { takes, given } if given == input.fit.color.channels() as u64 => {
            channels(takes, given)
        }
        Misfit::Channels { .. } => return None,
        Misfit::Columns { takes, given } => size(
            input,
            &format!("a matrix takes {takes} numbers and was given {given}"),
        ),
        Misfit::Sizes { one, other } => size(input, &format!("tensors of {one} and {other} cells meet")),
        Misfit::Numbers => numbers(spec.manifest.instances.precision),
        _ => return None,
    })
}

fn channels(takes: u64, given: u64) -> String {
    let takes_so_many = counted(usize::try_from(takes).unwrap_or(0), "channel");
    let found = format!("it takes {takes_so_many}, and `color` under [input] gives {given}");
    match takes {
        1 => format!("{found}: set color = \"gray\""),
        3 => format!("{found}: set color = \"rgb\""),
        _ => format!("{found}; pictures have 3 or 1, so serve it with task = \"tensor\""),
    }
}

fn size(input: &ImageInput, found: &str) -> String {
    let (height, width) = input.fit.size;
    format!("{found}: was the model made for pictures of [{height}, {width}], as `size` under [input] says?")
}

fn numbers(precision: Precision) -> String {
    match precision {
        Precision::F32 | Precision::Auto => NOT_F32.into(),
        Precision::F16 | Precision::Bf16 => {
            "it does not compute in half precision throughout: set precision = \"f32\" under [instances]"
                .into()
        }
    }
}

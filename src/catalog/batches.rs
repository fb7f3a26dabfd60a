//! Batches of the sizes that a program was exported for.

use std::ops::RangeInclusive;

use crate::error::{Error, Result};
use crate::manifest::{Input, Manifest};

/// `manifest` with batches of these `sizes` alone, where the artifact's file says which.
///
/// # Errors
/// [`Error::InvalidModel`] where a single item cannot be computed, or model.toml wants larger batches.
pub(super) fn within(mut manifest: Manifest, sizes: Option<RangeInclusive<usize>>) -> Result<Manifest> {
    let is_batched = match &manifest.input {
        Input::Image(_) => true,
        Input::Tensors(tensors) => tensors.is_batched(),
    };
    let Some(sizes) = sizes.filter(|_| is_batched) else {
        return Ok(manifest);
    };
    let (least, most) = (*sizes.start(), *sizes.end());
    if least > 1 {
        let batches = match most {
            usize::MAX => format!("of at least {least}"),
            most if most == least => format!("of {least} alone"),
            most => format!("of {least} to {most}"),
        };
        return Err(Error::model(format!(
            "the program was exported for batches {batches}, and requests come one by one too; {}",
            remedy(16)
        )));
    }
    let batching = &mut manifest.batching;
    let wanted = batching.max_batch_size;
    if batching.is_said && wanted > most {
        return Err(Error::model(format!(
            "batching.max_batch_size: found {wanted}, but the program was exported for batches of at most {most}; leave the \
             key out, or {}",
            remedy(wanted)
        )));
    }
    if most == 1 && wanted > 1 {
        tracing::warn!("the program was exported for a batch of one, so requests are computed one by one");
    }
    batching.max_batch_size = wanted.min(most);
    Ok(manifest)
}

fn remedy(most: usize) -> String {
    format!(
        "export it with a batch that may vary: dynamic_shapes=({{0: torch.export.Dim(\"batch\", min=1, max={most})}},)"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn largest(batching: &str, sizes: RangeInclusive<usize>) -> Result<usize> {
        let text = format!("task = \"classification\"\n[input]\nsize = [8, 8]\n[batching]\n{batching}");
        let manifest = Manifest::parse(&text).expect("a manifest");
        within(manifest, Some(sizes)).map(|manifest| manifest.batching.max_batch_size)
    }

    #[test]
    fn batches_are_no_larger_than_what_the_program_takes() {
        assert_eq!(largest("", 1..=4), Ok(4));
        assert_eq!(largest("", 1..=1), Ok(1));
        assert_eq!(largest("max_batch_size = 3", 1..=4), Ok(3));
        assert_eq!(largest("", 1..=usize::MAX), Ok(16));
        let refused = largest("max_batch_size = 8", 1..=4)
            .expect_err("8 of 4")
            .to_string();
        assert!(
            refused.contains("found 8") && refused.contains("max=8"),
            "{refused}"
        );
        for (sizes, said) in [
            (4..=4, "batches of 4 alone,"),
            (2..=8, "batches of 2 to 8,"),
            (2..=usize::MAX, "batches of at least 2,"),
        ] {
            let refused = largest("", sizes).expect_err("no single picture").to_string();
            assert!(refused.contains(said), "{refused}");
        }
    }
}

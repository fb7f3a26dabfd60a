//! Where a captioner itself says that it looked: `attention`.

use tch::Tensor;

use super::sample::{Attribution, Attributions, Sample};
use crate::error::Result;
use crate::tasks::captioning::Attention;

/// A map for each word.
pub(super) fn attention(sample: &Sample<'_>) -> Result<Attributions> {
    let resolved = sample.find_target()?;
    let attribution = |(target, word): (usize, Attention)| -> Result<Attribution> {
        let [rows, columns] = word.shape.map(|side| side as i64);
        Ok(Attribution {
            target,
            layer: None,
            values: Tensor::from_slice(&word.data).f_view([rows, columns])?,
            completeness: None,
        })
    };
    let words = resolved.objective.attention()?.into_iter().enumerate();
    Ok(Attributions {
        maps: words.map(attribution).collect::<Result<_>>()?,
        targets: resolved.targets,
        passes: None,
    })
}

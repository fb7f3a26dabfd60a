//! Where a captioner itself says that it looked: `attention`.

use tch::Tensor;

use super::study::{Drawn, Outcome, Study};
use crate::error::Result;
use crate::tasks::captioning::Attention;

/// A map for each word.
pub(super) fn attention(study: &Study<'_>) -> Result<Outcome> {
    let resolved = study.find_target()?;
    let drawn = |(target, look): (usize, Attention)| -> Result<Drawn> {
        let [rows, columns] = look.shape.map(|side| side as i64);
        Ok(Drawn {
            target,
            layer: None,
            values: Tensor::from_slice(&look.data).f_view([rows, columns])?,
            completeness: None,
        })
    };
    let looks = resolved.objective.attention()?.into_iter().enumerate();
    Ok(Outcome {
        drawn: looks.map(drawn).collect::<Result<_>>()?,
        targets: resolved.targets,
        passes: None,
    })
}

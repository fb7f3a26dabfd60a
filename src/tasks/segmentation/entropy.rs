//! How sure a segmenter is of the classes of a picture: the mean entropy of its pixels.

use super::Segmented;
use super::uncertainty::MaskUncertainty;
use crate::engine::Context;
use crate::error::{Error, Result};
use crate::image::PoolThread;
use crate::manifest::Activation;
use crate::tasks::odds::{entropy_nats, log_softmax, relative_entropy};
use crate::tasks::spec::ModelSpec;
use crate::tasks::tap::{Tap, lines};

/// Whether a segmenter's logits become the probabilities of classes that exclude one another.
///
/// # Errors
/// [`Error::UnsupportedForTask`] where they do not.
pub fn tells_uncertainty(spec: &ModelSpec) -> Result<()> {
    let refused = |why: &str| Err(Error::UnsupportedForTask(why.into()));
    if spec.overlapping().is_some() {
        return refused(
            "a pixel may be of several classes of this model, so it has no one distribution over them",
        );
    }
    if spec.manifest.output.activation == Activation::None {
        return refused(
            "output.activation of this model is \"none\": what it answers is taken as it is, not as logits",
        );
    }
    let is_one_channel = spec.row().and_then(|row| row.first()) == Some(&1);
    if spec.manifest.output.activation == Activation::Sigmoid && !is_one_channel {
        return refused("a sigmoid over several classes gives no distribution over them");
    }
    Ok(())
}

impl Segmented {
    /// The mean entropy over the picture, in nats and as a part of the largest that so many classes have.
    ///
    /// # Errors
    /// [`Error::Cancelled`] and [`Error::DeadlineExceeded`] when nobody wants it any more.
    pub fn uncertainty(&self, _: &PoolThread, context: &Context) -> Result<MaskUncertainty> {
        let (rows, columns) = self.size;
        let (across, down) = lines(&self.placement, self.size);
        let (seen_columns, seen_rows) = (looked_at(&across, columns), looked_at(&down, rows));
        let (mut sum, mut count) = (0.0, 0usize);
        let mut logits = Vec::new();
        for row in (0..rows).filter(|row| seen_rows[*row]) {
            context.check()?;
            for column in (0..columns).filter(|column| seen_columns[*column]) {
                self.of_cell(row * columns + column, &mut logits);
                sum += entropy_nats(&log_softmax(&logits));
                count += 1;
            }
        }
        let classes = self.logits.len() / (rows * columns).max(1);
        let mean_entropy_nats = sum / count.max(1) as f64;
        Ok(MaskUncertainty {
            mean_entropy_nats,
            relative_entropy: relative_entropy(mean_entropy_nats, classes),
        })
    }

    /// The logits of a cell at the model's temperature.
    fn of_cell(&self, cell: usize, logits: &mut Vec<f64>) {
        logits.clear();
        let of_each = self.logits[cell..].iter().step_by(self.cells());
        logits.extend(of_each.map(|logit| f64::from(*logit) / self.temperature));
        if let (true, Some(first)) = (self.one_channel, logits.first_mut()) {
            // A threshold decides, it is no logit: of one channel the sigmoid is the probability.
            *first = 0.0;
        }
    }
}

/// Which of so many cells along an axis any pixel of the original lies on.
fn looked_at(line: &[Option<Tap>], cells: usize) -> Vec<bool> {
    let mut seen = vec![false; cells];
    for tap in line.iter().flatten() {
        seen[if tap.weight < 0.5 { tap.near } else { tap.far }] = true;
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::super::Choice;
    use super::*;
    use crate::image::{Placement, Pool};

    fn of(logits: Vec<f32>, temperature: f64, one_channel: bool) -> MaskUncertainty {
        let segmented = Segmented {
            size: (1, logits.len() / 2),
            logits,
            choice: Choice::Best,
            placement: Placement::whole(8, 4),
            temperature,
            one_channel,
            activation: Activation::Softmax,
        };
        let pool = Pool::new(1).expect("a thread");
        pool.block(|thread| segmented.uncertainty(thread, &Context::default()))
            .expect("it is wanted")
    }

    #[test]
    fn the_mean_is_over_the_cells_and_even_odds_are_ln_2() {
        let even = of(vec![1.0; 4], 1.0, false);
        assert!(
            (even.mean_entropy_nats - 2f64.ln()).abs() < 1e-12 && (even.relative_entropy - 1.0).abs() < 1e-12
        );
        // One cell is even, the other has the odds 3 to 1: −(¾ ln ¾ + ¼ ln ¼).
        let half = of(vec![0.0, 3f32.ln(), 0.0, 0.0], 1.0, false);
        let expected = (2f64.ln() + 0.562_335_144_618_808_3) / 2.0;
        assert!((half.mean_entropy_nats - expected).abs() < 1e-6, "{half:?}");
    }

    #[test]
    fn a_temperature_makes_it_less_sure_and_a_threshold_is_no_logit() {
        let warm = of(vec![0.0, 0.0, 2.0, 2.0], 2.0, false);
        let plain = of(vec![0.0, 0.0, 1.0, 1.0], 1.0, false);
        assert!((warm.mean_entropy_nats - plain.mean_entropy_nats).abs() < 1e-12);
        let bound = of(vec![0.7, 0.7, 1.0, 1.0], 1.0, true);
        assert!((bound.mean_entropy_nats - plain.mean_entropy_nats).abs() < 1e-12);
    }
}

//! What an explanation costs, as far as it is known beforehand.

use super::evidence::{NOISY, passes_of_evidence};
use super::known::BUDGET_MS;
use super::options::{Options, Smooth};
use super::smooth::VARIANTS;
use super::table::{Costed, row};
use super::target::Target;
use super::weights::times_made;

/// Passes through the model, forward and backward, for one image of `(height, width)`, of which at most so many maps are made.
#[must_use]
pub fn passes(options: &Options, size: (usize, usize), most_maps: usize) -> usize {
    let row = row(options.method);
    let cost = row.cost(&Costed {
        options,
        size,
        // Those of the layer are known only to the explainer; there are no more than some thousands.
        channels: 0,
    });
    let variants = match options.smooth {
        Some(Smooth::Aug) => VARIANTS,
        Some(Smooth::Eigen) | None => 1,
    };
    let once = cost
        .forward
        .saturating_add(cost.backward)
        .saturating_mul(variants);
    if !options.evidence {
        return once;
    }
    // Those that take many passes are not made again.
    let is_made_again = !row
        .parameters
        .iter()
        .any(|parameter| parameter.name == BUDGET_MS.name);
    let again = if is_made_again { NOISY * (once + 1) + 1 } else { 0 };
    let layers = options.layers.len().max(1);
    // How many targets there are is known after a pass only.
    let maps = match options.target {
        Target::All => most_maps.max(layers),
        _ => layers,
    };
    // One finds the target whose score is followed.
    let of_maps = passes_of_evidence(options.random_maps).saturating_mul(maps) + 1;
    let with_random_weights = match options.weights {
        true => times_made(row).saturating_mul(once).saturating_mul(layers),
        false => 0,
    };
    [again, of_maps, with_random_weights]
        .into_iter()
        .fold(once, usize::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::super::method::Method;
    use super::super::read::defaults;
    use super::*;

    fn of(method: Method, evidence: bool) -> usize {
        let options = Options {
            evidence,
            ..defaults(method)
        };
        passes(&options, (224, 224), 1)
    }

    #[test]
    fn evidence_costs_curves_of_each_map_and_the_map_made_again() {
        assert_eq!(of(Method::GradCam, false), 2);
        assert_eq!(of(Method::GradCam, true), 2 + (3 * 3 + 1) + 198 + 1);
        assert_eq!(of(Method::Rise, true), 501 + 198 + 1, "it is not made again");
    }

    #[test]
    fn what_is_made_of_several_targets_or_variants_costs_as_often() {
        let options = Options {
            target: Target::All,
            evidence: true,
            ..defaults(Method::Rise)
        };
        assert_eq!(passes(&options, (224, 224), 64), 501 + 64 * 198 + 1);
        let options = Options {
            smooth: Some(Smooth::Aug),
            ..defaults(Method::GradCam)
        };
        assert_eq!(passes(&options, (224, 224), 64), 6 * 2);
    }
}

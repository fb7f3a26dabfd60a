//! What an explanation costs, as far as it is known beforehand.

use super::evidence::{NOISY, passes_of_evidence};
use super::known::BUDGET_MS;
use super::options::Options;
use super::table::{Costed, row};
use super::weights::times_made;

/// Passes through the model, forward and backward, for one image of `(height, width)` and one target at each layer.
#[must_use]
pub fn passes(options: &Options, size: (usize, usize)) -> usize {
    let row = row(options.method);
    let cost = row.cost(&Costed {
        options,
        size,
        // Those of the layer are known only to the explainer; there are no more than some thousands.
        channels: 0,
    });
    let once = cost.forward.saturating_add(cost.backward);
    if !options.evidence {
        return once;
    }
    // Those that take many passes are not made again.
    let is_made_again = !row
        .parameters
        .iter()
        .any(|parameter| parameter.name == BUDGET_MS.name);
    let again = if is_made_again { NOISY * (once + 1) + 1 } else { 0 };
    let of_each_layer = passes_of_evidence(options.random_maps) * options.layers.len().max(1);
    let with_random_weights = match options.weights {
        true => times_made(row).saturating_mul(once) * options.layers.len().max(1),
        false => 0,
    };
    [again, of_each_layer, with_random_weights]
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
        passes(&options, (224, 224))
    }

    #[test]
    fn evidence_costs_curves_of_each_map_and_the_map_made_again() {
        assert_eq!(of(Method::GradCam, false), 2);
        assert_eq!(of(Method::GradCam, true), 2 + (3 * 3 + 1) + 198);
        assert_eq!(of(Method::Rise, true), 501 + 198, "it is not made again");
    }
}

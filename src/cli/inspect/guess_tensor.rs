//! What one tensor may mean: a vector, maps, rows.

use super::entrance::{Entrance, Head, Taker};
use super::facts::Facts;
use super::guess::{Guess, Range};
use super::guess_rows::rows;
use super::probe::{Fed, Run};

/// Vectors of pictures have as many values at least.
const FEW: i64 = 64;

/// What this tensor may be, the likeliest first.
pub(super) fn of_tensor(facts: &Facts, run: &Run, entrance: &Entrance) -> Vec<Guess> {
    match facts.shape[..] {
        [_] => vec![Guess::new("regression", "forward answers one number a picture")],
        [_, values] => of_vector(facts, values, entrance),
        [_, _, _] => rows(facts, run),
        [_, channels, _, _] => of_maps(facts, channels, run, entrance),
        _ => Vec::new(),
    }
}

fn of_vector(facts: &Facts, values: i64, entrance: &Entrance) -> Vec<Guess> {
    let shown = format!("forward answers [B, {values}]");
    let embedding = || {
        Guess::new(
            "embedding",
            format!("{shown}, and no layer of it tells classes apart"),
        )
    };
    let classification = |activation: &str, why: &str| {
        let of_two = values == 1;
        Guess::new("classification", format!("{shown}{why}"))
            .key("activation", format!("\"{activation}\""))
            .classes(if of_two { 2 } else { values })
    };
    if facts.is_whole {
        return Vec::new();
    }
    if facts.is_unit && values > 1 && !facts.sums_to_one {
        let unit = Guess::new("embedding", format!("{shown}, vectors of length 1"));
        return vec![unit, classification("none", "")];
    }
    if values == 1 {
        let sigmoid = of_two_classes(facts);
        let binary = classification(sigmoid, ", one logit for two classes");
        let regression = Guess::new(
            "regression",
            format!(
                "{shown}, one number; of two classes that is task = \"classification\" with activation = \"{sigmoid}\""
            ),
        );
        return vec![regression, binary];
    }
    let classes = match (facts.are_probabilities(), facts.sums_to_one) {
        (true, true) => classification("none", ", probabilities already"),
        (true, false) => classification("none", ", each from 0 to 1 already"),
        (false, _) => classification(
            "softmax",
            ", logits; of classes that do not rule each other out it is \"sigmoid\"",
        ),
    };
    // A norm or a projection without a bias at the end is no layer that tells classes apart.
    let answers_as_many = |last: Head| last.outputs == values || entrance.heads.contains(&values);
    let ends_in_head = entrance
        .last
        .is_none_or(|last| last.mixes && last.has_bias && answers_as_many(last));
    // The width of a network is what its layers take, too; no layer takes the classes.
    let is_width = values >= FEW && entrance.takers.contains(&Taker::Vector { values });
    if ends_in_head && !is_width || values < FEW || facts.are_probabilities() {
        vec![classes, embedding()]
    } else {
        vec![embedding(), classes]
    }
}

/// What makes a score of one value for two classes.
fn of_two_classes(facts: &Facts) -> &'static str {
    if facts.are_probabilities() {
        "none"
    } else {
        "sigmoid"
    }
}

/// Sides of gray pictures that have no masks, at most.
const SMALL_GRAY: u32 = 32;

/// Of maps from 0 to 1 that do not sum to 1.
const OVERLAPPING: &str = ", masks of classes that overlap, from 0 to 1 already; pictures of such values are task = \"image_to_image\"";

/// `[B, C, h, w]`.
fn of_maps(facts: &Facts, channels: i64, run: &Run, entrance: &Entrance) -> Vec<Guess> {
    let Fed::Pictures {
        size,
        channels: taken,
        ..
    } = run.input
    else {
        return Vec::new();
    };
    let rows = facts.shape[2];
    if facts.is_whole || rows < 2 {
        return Vec::new();
    }
    let maps = Maps {
        facts,
        channels,
        is_alike: facts.are_probabilities() && !facts.sums_to_one && channels == i64::from(taken),
        is_larger: rows > i64::from(size.0),
    };
    match channels {
        1 => maps.one(size, entrance),
        3 => maps.three(),
        _ => vec![maps.masks()],
    }
}

/// Maps that a network answers.
struct Maps<'a> {
    facts: &'a Facts,
    channels: i64,
    /// From 0 to 1, and as many as channels went in: autoencoders end in a sigmoid, too.
    is_alike: bool,
    /// Than the picture that went in.
    is_larger: bool,
}

impl Maps<'_> {
    fn shown(&self, why: &str) -> String {
        format!("forward answers [B, {}, h, w]{why}", self.channels)
    }

    fn image(&self, why: &str) -> Guess {
        let range = match self.channels {
            _ if self.is_alike => Range::Of0To1,
            1 => Range::MinMax,
            _ => Range::Input,
        };
        Guess::image(self.shown(why), range)
    }

    fn segmentation(&self, activation: &str, why: &str) -> Guess {
        Guess::new("segmentation", self.shown(why))
            .key("activation", format!("\"{activation}\""))
            .classes(self.channels.max(2))
    }

    /// A mask, or a map of numbers.
    fn one(&self, size: (u32, u32), entrance: &Entrance) -> Vec<Guess> {
        let facts = self.facts;
        // A depth is never below 0, and goes beyond 1.
        let is_named = entrance.kinds.iter().any(|kind| kind.contains("Depth"));
        let is_depth = is_named || facts.range.0 >= 0.0 && facts.range.1 > 1.0;
        let mask = self.segmentation(
            of_two_classes(facts),
            ", a mask; a map of numbers such as a depth is task = \"image_to_image\"",
        );
        let map = self.image(", a map of numbers; a mask is task = \"segmentation\"");
        // Digits and clothes are of such sizes; what has masks is larger.
        let is_small = self.is_alike && size.0.max(size.1) <= SMALL_GRAY;
        if is_depth || facts.follows_input || self.is_larger || is_small {
            vec![map, mask]
        } else {
            vec![mask, map]
        }
    }

    /// A picture, or masks of three classes.
    fn three(&self) -> Vec<Guess> {
        let picture = self.image(if self.is_alike {
            ", a picture from 0 to 1; masks of three classes that overlap are task = \"segmentation\" with multi_label = true"
        } else {
            ", a picture"
        });
        if self.is_larger || self.facts.follows_input || self.is_alike {
            vec![picture, self.masks()]
        } else {
            vec![self.masks(), picture]
        }
    }

    /// A mask of each class.
    fn masks(&self) -> Guess {
        match (self.facts.are_probabilities(), self.facts.sums_to_one) {
            (true, true) => self.segmentation("none", ", a mask of each class, probabilities already"),
            (true, false) => self.segmentation("none", OVERLAPPING).key("multi_label", "true"),
            (false, _) => self.segmentation(
                "softmax",
                ", a mask of each class, logits; of classes that overlap it is activation = \"sigmoid\"",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use torch_bridge::Value;

    use super::*;

    fn facts(shape: &[i64], range: (f64, f64)) -> Facts {
        Facts {
            shape: shape.to_vec(),
            range,
            sums_to_one: false,
            is_unit: false,
            follows_input: false,
            is_whole: false,
            score_rows: 0,
        }
    }

    fn run() -> Run {
        Run {
            input: Fed::Pictures {
                channels: 3,
                size: (64, 96),
                other_sizes: true,
            },
            output: Value::None,
            other: Value::None,
            batches: true,
        }
    }

    fn entrance(heads: &[i64], has_bias: bool) -> Entrance {
        Entrance::ending_in(heads, has_bias)
    }

    fn first(facts: &Facts, entrance: &Entrance) -> (&'static str, Option<String>) {
        let guess = of_tensor(facts, &run(), entrance).into_iter().next();
        let guess = guess.unwrap_or_else(|| Guess::new("tensor", ""));
        let activation = guess.keys.iter().find(|(name, _)| *name == "activation");
        (guess.task, activation.map(|(_, value)| value.clone()))
    }

    #[test]
    fn a_vector_is_classes_or_an_embedding_or_a_number() {
        let quoted = |word: &str| Some(format!("\"{word}\""));
        let head = entrance(&[1000], true);
        let logits = facts(&[1, 1000], (-3.0, 9.0));
        assert_eq!(first(&logits, &head), ("classification", quoted("softmax")));
        let probabilities = Facts {
            sums_to_one: true,
            ..facts(&[1, 1000], (0.0, 0.4))
        };
        assert_eq!(first(&probabilities, &head), ("classification", quoted("none")));
        // A projection without a bias, and a vector of length 1.
        assert_eq!(
            first(&facts(&[1, 512], (-1.0, 1.0)), &entrance(&[512], false)),
            ("embedding", None)
        );
        let unit = Facts {
            is_unit: true,
            ..facts(&[1, 128], (-0.5, 0.5))
        };
        assert_eq!(first(&unit, &entrance(&[128], true)), ("embedding", None));
        assert_eq!(first(&facts(&[1, 1], (3.0, 9.0)), &head).0, "regression");
        assert_eq!(first(&facts(&[1], (3.0, 9.0)), &head).0, "regression");
    }

    #[test]
    fn maps_are_masks_or_pictures() {
        let quoted = |word: &str| Some(format!("\"{word}\""));
        let none = entrance(&[], true);
        let shape = |channels, rows| [1, channels, rows, rows * 3 / 2];
        let masks = facts(&shape(21, 64), (-4.0, 4.0));
        assert_eq!(first(&masks, &none), ("segmentation", quoted("softmax")));
        let sigmoids = facts(&shape(4, 64), (0.01, 0.99));
        assert_eq!(first(&sigmoids, &none), ("segmentation", quoted("none")));
        let guess = of_tensor(&sigmoids, &run(), &none).swap_remove(0);
        assert!(guess.keys.contains(&("multi_label", "true".into())));
        assert_eq!(
            first(&facts(&shape(1, 64), (-4.0, 4.0)), &none),
            ("segmentation", quoted("sigmoid"))
        );
        assert_eq!(
            first(&facts(&shape(1, 64), (0.1, 0.9)), &none),
            ("segmentation", quoted("none"))
        );
        assert_eq!(
            first(&facts(&shape(1, 64), (0.5, 70.0)), &none).0,
            "image_to_image"
        );
        assert_eq!(
            first(&facts(&shape(3, 128), (0.0, 1.0)), &none).0,
            "image_to_image"
        );
        // A sigmoid over as many channels as go in.
        assert_eq!(
            first(&facts(&shape(3, 64), (0.1, 0.9)), &none).0,
            "image_to_image"
        );
        // Its values are from 0 to 1, whatever those of the input are.
        let guess = of_tensor(&facts(&shape(3, 64), (0.1, 0.9)), &run(), &none).swap_remove(0);
        assert!(guess.keys.contains(&("range", "[0, 1]".into())));
        let denoised = Facts {
            follows_input: true,
            ..facts(&shape(3, 64), (0.0, 1.0))
        };
        assert_eq!(first(&denoised, &none).0, "image_to_image");
        assert_eq!(first(&facts(&[1, 3, 1, 1], (0.0, 1.0)), &none).0, "tensor");
    }
}

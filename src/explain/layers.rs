//! The layers of a model that a map can be asked for: those with an activation of more than one cell.

use serde::Serialize;
use utoipa::ToSchema;

use crate::error::{Error, Result};

/// A layer with a map.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct LayerMap {
    /// Its path from the model's root.
    #[schema(example = "features.18")]
    pub path: String,
    /// Its class.
    #[schema(example = "Conv2dNormActivation")]
    pub kind: String,
    /// The shape of its output for one image: `[1, C, h, w]`.
    #[schema(example = json!([1, 1280, 7, 7]))]
    pub shape: Vec<i64>,
    /// How many times it runs in one pass; the last run is the one that is looked at.
    pub calls: usize,
}

/// All layers of a model, in the order of execution.
#[derive(Debug, Clone, Default)]
pub struct Layers {
    /// Those with a map.
    pub with_map: Vec<LayerMap>,
    /// The paths of the others.
    pub without_map: Vec<String>,
    /// The one that is looked at when none is asked for.
    pub default: Option<String>,
}

impl Layers {
    /// The layer to look at: `asked`, else the default.
    ///
    /// # Errors
    /// [`Error::LayerNotFound`], which names the nearest layers that have a map.
    pub fn choose(&self, asked: Option<&str>) -> Result<&LayerMap> {
        let Some(path) = asked.or(self.default.as_deref()) else {
            return Err(Error::LayerNotFound(
                "no layer of this model has a spatial map".into(),
            ));
        };
        self.with_map
            .iter()
            .find(|layer| layer.path == path)
            .ok_or_else(|| {
                let nearest = self.nearest(path);
                Error::LayerNotFound(if self.without_map.iter().any(|p| p == path) {
                    format!("layer `{path}` has no spatial map; the nearest that have one: {nearest}")
                } else {
                    format!("there is no layer `{path}`; the nearest with a spatial map: {nearest}")
                })
            })
    }

    fn nearest(&self, path: &str) -> String {
        let mut scored: Vec<_> = self
            .with_map
            .iter()
            .map(|layer| {
                (
                    strsim::normalized_damerau_levenshtein(&layer.path, path),
                    &layer.path,
                )
            })
            .collect();
        scored.sort_by(|a, b| b.0.total_cmp(&a.0));
        let names: Vec<String> = scored
            .iter()
            .take(5)
            .map(|(_, path)| format!("`{path}`"))
            .collect();
        names.join(", ")
    }
}

/// Whether a `[B, C, h, w]` output is a map: more than one cell.
pub(super) fn is_map(shape: &[i64]) -> bool {
    matches!(shape, [_, _, height, width] if height * width > 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layers() -> Layers {
        let layer = |path: &str| LayerMap {
            path: path.into(),
            kind: "Conv2d".into(),
            shape: vec![1, 8, 7, 7],
            calls: 1,
        };
        Layers {
            with_map: ["features.0", "features.18", "features.1.conv"].map(layer).into(),
            without_map: vec!["classifier.1".into()],
            default: Some("features.18".into()),
        }
    }

    #[test]
    fn the_default_is_chosen_and_a_wrong_path_names_the_nearest() {
        let layers = layers();
        assert_eq!(layers.choose(None).expect("default").path, "features.18");
        assert_eq!(
            layers.choose(Some("features.0")).expect("there").path,
            "features.0"
        );
        let wrong = layers
            .choose(Some("feature.18"))
            .expect_err("misspelt")
            .to_string();
        assert!(
            wrong.contains("no layer `feature.18`") && wrong.contains("map: `features.18`"),
            "{wrong}"
        );
        let flat = layers
            .choose(Some("classifier.1"))
            .expect_err("a linear layer")
            .to_string();
        assert!(flat.contains("has no spatial map"), "{flat}");
    }

    #[test]
    fn a_map_has_rank_four_and_more_than_one_cell() {
        assert!(is_map(&[1, 8, 1, 2]));
        assert!(!is_map(&[1, 8, 1, 1]) && !is_map(&[1, 1000]) && !is_map(&[1, 7, 7]));
    }
}

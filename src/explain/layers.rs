//! The layers of a model that a map can be asked for: those whose output has more than one cell, be it a map
//! `[B, C, h, w]` or `[B, h, w, C]`, or tokens `[B, N, D]` that stand for the cells of a grid.

use tch::Tensor;

use super::cells::{self, Cells, Geometry, Hints};
use crate::error::{Error, Result, excerpt};

/// A layer with a map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerMap {
    /// Its path from the model's root.
    pub path: String,
    /// Its class.
    pub kind: String,
    /// The shape of its output for one image.
    pub shape: Vec<i64>,
    /// Where its cells are.
    pub cells: Option<Cells>,
    /// How many times it runs in one pass; of several runs the last one that matters is looked at.
    pub calls: usize,
}

impl LayerMap {
    /// How many channels its output has.
    #[must_use]
    pub fn channels(&self) -> i64 {
        let axis = match self.cells {
            Some(Cells::ChannelsFirst) | None => 1,
            Some(Cells::ChannelsLast) => 3,
            Some(Cells::Tokens { .. }) => 2,
        };
        self.shape.get(axis).copied().unwrap_or(0)
    }

    /// How many rows and columns of cells it has; nothing where that is not known.
    pub(super) fn grid(&self) -> Option<[usize; 2]> {
        let (rows, columns) = match self.cells? {
            Cells::ChannelsFirst => (*self.shape.get(2)?, *self.shape.get(3)?),
            Cells::ChannelsLast => (*self.shape.get(1)?, *self.shape.get(2)?),
            Cells::Tokens { rows, columns, .. } => (rows, columns),
        };
        Some([usize::try_from(rows).ok()?, usize::try_from(columns).ok()?])
    }
}

/// All layers of a model, in the order of execution.
#[derive(Debug, Clone, Default)]
pub struct Layers {
    /// Those with a map.
    pub with_map: Vec<LayerMap>,
    /// The others; some of them may have tokens of a grid that must be given.
    pub without_map: Vec<LayerMap>,
    /// The one that is looked at when none is asked for.
    pub default: Option<String>,
    /// Why there are no gradients, where the module raises when they are taken.
    pub(super) without_gradients: Option<String>,
    /// Modules of which the file has no step left.
    pub(super) folded: Vec<String>,
    /// Where the cells of their outputs are.
    pub(super) geometry: Geometry,
    /// What model.toml says about that.
    pub(super) hints: Hints,
}

impl Layers {
    /// The layers to look at: those that are asked for, else the default; `hints` say where the cells of their outputs
    /// are.
    ///
    /// # Errors
    /// [`Error::LayerNotFound`], which names the nearest layers that have a map; [`Error::InvalidParameter`] for hints that
    /// fit none of them.
    pub fn choose(&self, asked: &[String], hints: Hints) -> Result<Vec<&LayerMap>> {
        if self.with_map.is_empty() && self.without_map.is_empty() {
            return Err(Error::LayerNotFound(
                "this model has no layers to look at, as one that torch.jit.freeze has made one piece of: save the module \
                 before it is frozen, or ask a method that looks at the picture alone, such as integrated_gradients, \
                 occlusion or rise"
                    .into(),
            ));
        }
        let no_layer = || {
            Error::LayerNotFound(
                "no layer of this model has a spatial map that can be told from its shape; name one by layer=, with layout= or grid="
                    .into(),
            )
        };
        let paths = if asked.is_empty() {
            std::slice::from_ref(self.default.as_ref().ok_or_else(no_layer)?)
        } else {
            asked
        };
        let chosen: Vec<_> = paths
            .iter()
            .map(|path| self.find(path, hints))
            .collect::<Result<_>>()?;
        let unused = |name: &str, axes: usize, what: &str| {
            let is_used = chosen.iter().any(|layer| layer.shape.len() == axes);
            let text = format!("{what}; `{}` gives none: leave it out", paths.join("`, `"));
            if is_used {
                Ok(())
            } else {
                Err(Error::parameter(name, text))
            }
        };
        if hints.grid.is_some() {
            unused("grid", 3, "is for layers that give tokens")?;
        }
        if hints.layout.is_some() {
            unused("layout", 4, "is for layers that give a map of four axes")?;
        }
        Ok(chosen)
    }

    /// An output of `layer`, as `[B, C, h, w]`; nothing when it has no map.
    pub(super) fn as_channels(
        &self,
        layer: &LayerMap,
        output: &Tensor,
        hints: Hints,
    ) -> Result<Option<Tensor>> {
        let cells = self.cells(layer, &output.size(), hints);
        cells.map(|cells| cells::as_channels(output, cells)).transpose()
    }

    fn cells(&self, layer: &LayerMap, shape: &[i64], hints: Hints) -> Option<Cells> {
        self.geometry.cells(&layer.kind, shape, hints.or(self.hints))
    }

    /// The layer at this path.
    pub(super) fn at(&self, path: &str) -> Option<&LayerMap> {
        let mut all = self.with_map.iter().chain(&self.without_map);
        all.find(|layer| layer.path == path)
    }

    /// The channels of the default layer; 0 where there is none.
    #[must_use]
    pub fn default_channels(&self) -> usize {
        let is_default = |layer: &&LayerMap| Some(&layer.path) == self.default.as_ref();
        let chosen = self.with_map.iter().find(is_default);
        chosen.map_or(0, |layer| usize::try_from(layer.channels()).unwrap_or(0))
    }

    fn find(&self, path: &str, hints: Hints) -> Result<&LayerMap> {
        let nearest = || self.nearest(path);
        let Some(layer) = self.at(path) else {
            let why = if self.folded.iter().any(|folded| folded == path) {
                format!(
                    "of the layer `{path}` torch.export left no step, as of one that hands its input on or is not called"
                )
            } else {
                format!("there is no layer `{path}`")
            };
            return Err(Error::LayerNotFound(format!(
                "{why}; the nearest with a spatial map: {}",
                nearest()
            )));
        };
        if self.cells(layer, &layer.shape, hints).is_some() {
            return Ok(layer);
        }
        let text = match layer.shape[..] {
            [1, _, _] if hints.grid.is_some() => return Err(misfit("grid", layer)),
            [1, _, _, _] if hints.layout.is_some() => return Err(misfit("layout", layer)),
            [1, tokens, _] => format!(
                "layer `{path}` gives {tokens} tokens, which lie in no grid that this model has; give their grid=rows,columns"
            ),
            _ if self.geometry.is_ambiguous(&layer.kind, &layer.shape) => format!(
                "layer `{path}` gives {:?}, whose axes cannot be told; say layout=nchw or layout=nhwc",
                layer.shape
            ),
            _ => format!(
                "layer `{path}` has no spatial map; the nearest that have one: {}",
                nearest()
            ),
        };
        Err(Error::LayerNotFound(text))
    }

    fn nearest(&self, path: &str) -> String {
        let alike = |layer: &LayerMap| strsim::normalized_damerau_levenshtein(&layer.path, path);
        let mut layers: Vec<&LayerMap> = self.with_map.iter().collect();
        layers.sort_by(|a, b| alike(b).total_cmp(&alike(a)));
        let names: Vec<String> = layers
            .iter()
            .take(5)
            .map(|layer| format!("`{}`", layer.path))
            .collect();
        names.join(", ")
    }
}

/// Layers that one request may look at.
const MOST_PATHS: usize = 16;

/// The paths in a text that has commas between them, each once.
pub(super) fn paths(text: &str) -> std::result::Result<Vec<String>, String> {
    let mut paths: Vec<String> = Vec::new();
    for path in text.split(',').map(str::trim).filter(|path| !path.is_empty()) {
        if paths.iter().any(|known| known == path) {
            return Err(format!("names `{}` more than once", excerpt(path)));
        }
        if paths.len() == MOST_PATHS {
            return Err(format!("names more than {MOST_PATHS} layers"));
        }
        paths.push(path.to_owned());
    }
    Ok(paths)
}

fn misfit(parameter: &'static str, layer: &LayerMap) -> Error {
    let (path, shape) = (&layer.path, &layer.shape);
    Error::parameter(
        parameter,
        format!("does not fit layer `{path}`, whose output is {shape:?}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::explain::sides::Sides;
    use crate::manifest::Layout;

    fn layers() -> Layers {
        let all: [(&str, &str, &[i64]); 6] = [
            ("features.0", "Conv2d", &[1, 8, 7, 7]),
            ("features.18", "Conv2d", &[1, 8, 7, 7]),
            ("features.1.conv", "Conv2d", &[1, 8, 7, 7]),
            ("classifier.1", "Linear", &[1, 10]),
            ("mixer", "Mixer", &[1, 12, 8]),
            ("last", "Stage", &[1, 7, 7, 8]),
        ];
        let geometry = Geometry::new([224, 224], all.iter().map(|(_, kind, shape)| (*kind, *shape)));
        let layer = |(path, kind, shape): (&str, &str, &[i64])| LayerMap {
            path: path.into(),
            kind: kind.into(),
            shape: shape.to_vec(),
            cells: geometry.cells(kind, shape, Hints::default()),
            calls: 1,
        };
        let (with_map, without_map) = all
            .into_iter()
            .map(layer)
            .partition(|layer| layer.cells.is_some());
        Layers {
            with_map,
            without_map,
            default: Some("features.18".into()),
            without_gradients: None,
            folded: vec!["avgpool.identity".into()],
            geometry,
            hints: Hints::default(),
        }
    }

    #[test]
    fn the_default_is_chosen_and_a_wrong_path_names_the_nearest() {
        let layers = layers();
        let choose = |asked: &[&str], hints| {
            let asked: Vec<String> = asked.iter().map(ToString::to_string).collect();
            let chosen = layers.choose(&asked, hints)?;
            Ok::<_, Error>(chosen.into_iter().map(|l| l.path.clone()).collect::<Vec<_>>())
        };
        let none = Hints::default();
        assert_eq!(choose(&[], none), Ok(vec!["features.18".into()]));
        let two = ["features.0", "features.18"];
        assert_eq!(choose(&two, none), Ok(two.map(String::from).to_vec()));
        let refused = |path: &str, hints| choose(&[path], hints).expect_err(path).to_string();
        let wrong = refused("feature.18", none);
        assert!(
            wrong.contains("no layer `feature.18`") && wrong.contains("map: `features.18`"),
            "{wrong}"
        );
        assert!(refused("classifier.1", none).contains("has no spatial map"));
        assert!(refused("mixer", none).contains("12 tokens"));
        let grid = |height, width| Hints {
            grid: Some(Sides { height, width }),
            ..none
        };
        assert_eq!(choose(&["mixer"], grid(3, 4)), Ok(vec!["mixer".into()]));
        assert!(refused("mixer", grid(5, 4)).contains("does not fit layer `mixer`"));
        // It is refused where it would do nothing, and not where another layer needs it.
        assert!(refused("features.0", grid(3, 3)).contains("`features.0` gives none"));
        assert!(choose(&[], grid(3, 3)).is_err());
        assert_eq!(
            choose(&["features.0", "mixer"], grid(3, 4)).map(|chosen| chosen.len()),
            Ok(2)
        );
        let layout = Hints {
            layout: Some(Layout::Nhwc),
            ..none
        };
        assert_eq!(choose(&["last"], layout), Ok(vec!["last".into()]));
        assert!(refused("classifier.1", layout).contains("has no spatial map"));
    }

    #[test]
    fn channels_are_counted_where_they_are() {
        let layers = layers();
        let channels = |path| layers.at(path).map(LayerMap::channels);
        assert_eq!(channels("features.0"), Some(8));
        assert_eq!(channels("last"), Some(8));
        assert_eq!(layers.default_channels(), 8);
    }
}

//! The layers of a model that a map can be asked for: those whose output has more than one cell, be it a map
//! `[B, C, h, w]`, or tokens `[B, N, D]` that stand for the cells of a grid.

use tch::Tensor;

use super::options::Sides;
use crate::error::{Error, Result, excerpt};

/// A layer with a map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerMap {
    /// Its path from the model's root.
    pub path: String,
    /// Its class.
    pub kind: String,
    /// The shape of its output for one image: `[1, C, h, w]`, or `[1, N, D]` for tokens.
    pub shape: Vec<i64>,
    /// `[rows, columns]` that tokens are laid out in; those before the last rows · columns are no cells.
    pub grid: Option<[i64; 2]>,
    /// How many times it runs in one pass; of several runs the last one that matters is looked at.
    pub calls: usize,
}

impl LayerMap {
    /// How many channels its output has.
    #[must_use]
    pub fn channels(&self) -> i64 {
        let axis = if self.grid.is_some() { 2 } else { 1 };
        self.shape.get(axis).copied().unwrap_or(0)
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
}

impl Layers {
    /// The layers to look at: those that are asked for, else the default; tokens may be laid out in `grid`.
    ///
    /// # Errors
    /// [`Error::LayerNotFound`], which names the nearest layers that have a map; [`Error::InvalidParameter`] for a grid that
    /// fits none of them.
    pub fn choose(&self, asked: &[String], grid: Option<Sides>) -> Result<Vec<&LayerMap>> {
        let no_layer = || Error::LayerNotFound("no layer of this model has a spatial map".into());
        let paths = if asked.is_empty() {
            std::slice::from_ref(self.default.as_ref().ok_or_else(no_layer)?)
        } else {
            asked
        };
        let chosen: Vec<_> = paths
            .iter()
            .map(|path| self.find(path, grid))
            .collect::<Result<_>>()?;
        match grid {
            Some(_) if !chosen.iter().any(|layer| layer.shape.len() == 3) => Err(Error::parameter(
                "grid",
                format!(
                    "is for layers that give tokens; `{}` gives a map, which has a grid of its own: leave it out",
                    paths.join("`, `")
                ),
            )),
            _ => Ok(chosen),
        }
    }

    /// The channels of the default layer; 0 where there is none.
    #[must_use]
    pub fn default_channels(&self) -> usize {
        let is_default = |layer: &&LayerMap| Some(&layer.path) == self.default.as_ref();
        let chosen = self.with_map.iter().find(is_default);
        chosen.map_or(0, |layer| usize::try_from(layer.channels()).unwrap_or(0))
    }

    fn find(&self, path: &str, grid: Option<Sides>) -> Result<&LayerMap> {
        let of_path = |layers: &'_ [LayerMap]| layers.iter().position(|layer| layer.path == path);
        if let Some(index) = of_path(&self.with_map) {
            let layer = &self.with_map[index];
            return match cells(&layer.shape, grid) {
                Some(_) => Ok(layer),
                None => Err(misfit(layer)),
            };
        }
        let nearest = self.nearest(path);
        let Some(index) = of_path(&self.without_map) else {
            let text = format!("there is no layer `{path}`; the nearest with a spatial map: {nearest}");
            return Err(Error::LayerNotFound(text));
        };
        let layer = &self.without_map[index];
        match (&layer.shape[..], grid) {
            (shape, _) if cells(shape, grid).is_some() => Ok(layer),
            ([_, _, _], Some(_)) => Err(misfit(layer)),
            ([_, tokens, _], None) => Err(Error::LayerNotFound(format!(
                "layer `{path}` gives {tokens} tokens, which are no square; give their grid=rows,columns"
            ))),
            _ => Err(Error::LayerNotFound(format!(
                "layer `{path}` has no spatial map; the nearest that have one: {nearest}"
            ))),
        }
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

fn misfit(layer: &LayerMap) -> Error {
    let (path, shape) = (&layer.path, &layer.shape);
    Error::parameter(
        "grid",
        format!("does not fit layer `{path}`, whose output is {shape:?}"),
    )
}

/// Where the cells of an output are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cells {
    /// `[B, C, h, w]`
    Map,
    /// `[B, N, D]`: rows · columns tokens, after some that are no cells.
    Tokens { before: i64, rows: i64, columns: i64 },
}

/// The cells of an output of this shape: more than one, or nothing.
fn cells(shape: &[i64], grid: Option<Sides>) -> Option<Cells> {
    match (shape, grid) {
        (&[_, _, height, width], _) if height * width > 1 => Some(Cells::Map),
        (&[_, tokens, _], Some(Sides { height, width })) => {
            let (rows, columns) = (i64::try_from(height).ok()?, i64::try_from(width).ok()?);
            let before = tokens - rows.checked_mul(columns)?;
            (before >= 0).then_some(Cells::Tokens {
                before,
                rows,
                columns,
            })
        }
        // A class token, where there is one, comes first.
        (&[_, tokens, _], None) => [0, 1].into_iter().find_map(|before| {
            let side = ((tokens - before) as f64).sqrt().round() as i64;
            let rows = (side > 1 && side * side == tokens - before).then_some(side)?;
            Some(Cells::Tokens {
                before,
                rows,
                columns: rows,
            })
        }),
        _ => None,
    }
}

/// The `[rows, columns]` that the tokens of an output are laid out in.
pub(super) fn token_grid(shape: &[i64]) -> Option<[i64; 2]> {
    match cells(shape, None) {
        Some(Cells::Tokens { rows, columns, .. }) => Some([rows, columns]),
        _ => None,
    }
}

/// Whether an output of this shape has a map.
pub(super) fn has_map(shape: &[i64]) -> bool {
    cells(shape, None).is_some()
}

/// An output as `[B, C, h, w]`; nothing when it has no map.
pub(super) fn as_channels(output: &Tensor, grid: Option<Sides>) -> Result<Option<Tensor>> {
    Ok(match cells(&output.size(), grid) {
        None => None,
        Some(Cells::Map) => Some(output.shallow_clone()),
        Some(Cells::Tokens {
            before,
            rows,
            columns,
        }) => {
            let (batch, _, channels) = output.size3()?;
            let tokens = output.f_narrow(1, before, rows * columns)?.f_transpose(1, 2)?;
            Some(tokens.f_reshape([batch, channels, rows, columns])?)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(path: &str, shape: &[i64]) -> LayerMap {
        LayerMap {
            path: path.into(),
            kind: "Conv2d".into(),
            shape: shape.to_vec(),
            grid: token_grid(shape),
            calls: 1,
        }
    }

    fn layers() -> Layers {
        let map = |path: &str| layer(path, &[1, 8, 7, 7]);
        Layers {
            with_map: ["features.0", "features.18", "features.1.conv"].map(map).into(),
            without_map: vec![layer("classifier.1", &[1, 10]), layer("mixer", &[1, 12, 8])],
            default: Some("features.18".into()),
        }
    }

    #[test]
    fn the_default_is_chosen_and_a_wrong_path_names_the_nearest() {
        let layers = layers();
        let choose = |asked: &[&str], grid| {
            let asked: Vec<String> = asked.iter().map(ToString::to_string).collect();
            let chosen = layers.choose(&asked, grid)?;
            Ok::<_, Error>(chosen.into_iter().map(|l| l.path.clone()).collect::<Vec<_>>())
        };
        assert_eq!(choose(&[], None), Ok(vec!["features.18".into()]));
        let two = ["features.0", "features.18"];
        assert_eq!(choose(&two, None), Ok(two.map(String::from).to_vec()));
        let refused = |path: &str, grid| choose(&[path], grid).expect_err(path).to_string();
        let wrong = refused("feature.18", None);
        assert!(
            wrong.contains("no layer `feature.18`") && wrong.contains("map: `features.18`"),
            "{wrong}"
        );
        assert!(refused("classifier.1", None).contains("has no spatial map"));
        assert!(refused("mixer", None).contains("12 tokens"));
        let grid = |height, width| Some(Sides { height, width });
        assert_eq!(choose(&["mixer"], grid(3, 4)), Ok(vec!["mixer".into()]));
        assert!(refused("mixer", grid(5, 4)).contains("does not fit layer `mixer`"));
        // It is refused where it would do nothing, and not where another layer needs it.
        assert!(refused("features.0", grid(3, 3)).contains("`features.0` gives a map"));
        assert!(choose(&[], grid(3, 3)).is_err());
        assert_eq!(
            choose(&["features.0", "mixer"], grid(3, 4)).map(|chosen| chosen.len()),
            Ok(2)
        );
    }

    #[test]
    fn a_map_has_more_than_one_cell() {
        assert!(has_map(&[1, 8, 1, 2]) && has_map(&[1, 197, 192]) && has_map(&[1, 49, 192]));
        assert!(
            !has_map(&[1, 8, 1, 1]) && !has_map(&[1, 1000]) && !has_map(&[1, 7, 7]) && !has_map(&[1, 2, 8])
        );
        assert_eq!(token_grid(&[1, 197, 192]), Some([14, 14]));
    }

    #[test]
    fn tokens_become_the_cells_of_their_grid() {
        // A class token (−1, −1), then four cells of two channels.
        let tokens = Tensor::from_slice(&[-1f32, -1., 1., 10., 2., 20., 3., 30., 4., 40.]).view([1, 5, 2]);
        let channels = as_channels(&tokens, None).expect("tokens").expect("a square");
        let expected = Tensor::from_slice(&[1f32, 2., 3., 4., 10., 20., 30., 40.]).view([1, 2, 2, 2]);
        assert_eq!(channels, expected);
    }
}

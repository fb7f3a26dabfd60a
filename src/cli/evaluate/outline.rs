//! Which pixels an object covers, as COCO's JSON says it in `segmentation`: polygons, or runs down the columns.

use serde::Deserialize;

use crate::evaluation::Pixels;
use crate::tasks::Rle;

/// How far beyond a picture a point may lie, in pixels: twice the longest side that a picture has.
const FARTHEST: f64 = 65_536.0;

/// The pixels of an object, in either form of the format.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged, expecting = "expected polygons, or runs with size and counts")]
pub(super) enum Outline {
    /// Each a list of x, y, x, y …
    Polygons(Vec<Vec<f64>>),
    Runs {
        /// `[height, width]`
        size: [usize; 2],
        counts: Counts,
    },
}

/// Runs of zeros and ones in turn.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged)]
pub(super) enum Counts {
    Plain(Vec<u64>),
    Compressed(String),
}

impl Outline {
    /// Whether it says nothing, as `"segmentation": []` does.
    pub(super) fn is_empty(&self) -> bool {
        matches!(self, Self::Polygons(polygons) if polygons.is_empty())
    }

    /// Whether it can be of a picture.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn check(&self) -> Result<(), String> {
        let Self::Polygons(polygons) = self else {
            return Ok(());
        };
        let is_point = |at: &f64| at.abs() <= FARTHEST;
        match polygons
            .iter()
            .find(|one| one.len() < 6 || one.len() % 2 == 1 || !one.iter().all(is_point))
        {
            None => Ok(()),
            Some(one) => Err(format!(
                "a polygon has {} numbers, expected three points or more, each x and y in pixels within {FARTHEST} of the picture",
                one.len()
            )),
        }
    }

    /// Its pixels in a picture of this size, `[height, width]`.
    ///
    /// # Errors
    /// Where it is of another size.
    pub(super) fn pixels(&self, picture: [usize; 2]) -> Result<Pixels, String> {
        let pixels = match self {
            Self::Polygons(polygons) => {
                let points =
                    |one: &Vec<f64>| one.chunks_exact(2).map(|at| [at[0], at[1]]).collect::<Vec<_>>();
                let each = polygons
                    .iter()
                    .map(|one| Pixels::of_polygon(&points(one), picture));
                Some(Pixels::any(each))
            }
            Self::Runs { size, .. } if *size != picture => None,
            Self::Runs { size, counts } => match counts {
                Counts::Plain(runs) => Pixels::of_runs(runs, *size),
                Counts::Compressed(text) => {
                    let (size, counts) = (*size, text.clone());
                    Some(Pixels::of(&Rle { size, counts })).filter(|pixels| pixels.end() <= size[0] * size[1])
                }
            },
        };
        pixels.ok_or_else(|| {
            let [height, width] = picture;
            format!("a segmentation is not of {width}×{height} pixels, which the picture has")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluation::Region;

    fn of(json: &str) -> Outline {
        serde_json::from_str(json).expect(json)
    }

    #[test]
    fn polygons_and_both_kinds_of_runs_are_read() {
        let square = of("[[1, 2, 4, 2, 4, 5, 1, 5]]");
        let plain = of(r#"{"size": [8, 8], "counts": [10, 3, 5, 3, 5, 3, 35]}"#);
        // What pycocotools makes of it.
        let compressed = of(r#"{"size": [8, 8], "counts": ":35000n0"}"#);
        for outline in [square, plain, compressed] {
            assert_eq!(outline.check(), Ok(()));
            let pixels = outline.pixels([8, 8]).expect("its size");
            assert_eq!(pixels.area(), 9.0, "{outline:?}");
        }
        assert!(of("[]").is_empty());
    }

    #[test]
    fn what_is_no_outline_is_refused() {
        for polygon in [
            "[[1, 2, 3, 4]]",
            "[[1, 2, 3, 4, 5, 6, 7]]",
            "[[0, 0, 1e9, 0, 0, 5]]",
        ] {
            assert!(of(polygon).check().is_err(), "{polygon}");
        }
        for runs in [
            r#"{"size": [8, 9], "counts": [72]}"#,
            r#"{"size": [8, 8], "counts": [63]}"#,
            r#"{"size": [8, 8], "counts": "0T3"}"#,
        ] {
            assert!(of(runs).pixels([8, 8]).is_err(), "{runs}");
        }
        assert!(serde_json::from_str::<Outline>(r#"{"counts": 7}"#).is_err());
    }
}

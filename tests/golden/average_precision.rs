//! Average precisions against those of pycocotools, of made-up objects (`average_precision/make.py`).

use std::collections::BTreeMap;

use lucarne::evaluation::{AveragePrecision, Detected, Edges, Pixels, Region, Truth};
use lucarne::tasks::Rle;
use serde_json::Value;

use crate::support::path;

fn bounds(row: &Value) -> Edges {
    let side = |index: usize| row["bbox"][index].as_f64().expect("a number");
    [side(0), side(1), side(0) + side(2), side(1) + side(3)]
}

fn whole(row: &Value, name: &str) -> usize {
    usize::try_from(row[name].as_u64().expect("a whole number")).expect("a small one")
}

/// Height and width of the pictures in `masks.json`.
const SIZE: [usize; 2] = [60, 84];

/// The pixels of compressed runs in `masks.json`.
fn compressed(runs: &Value) -> Pixels {
    let counts = runs.as_str().expect("a text").to_owned();
    Pixels::of(&Rle { size: SIZE, counts })
}

fn golden(name: &str) -> Value {
    let file = path("tests/golden/average_precision").join(name);
    let text = std::fs::read_to_string(file).expect("it is there");
    serde_json::from_str(&text).expect("JSON")
}

/// What is on a picture, and what was found on it.
type Objects<R> = (Vec<Truth<R>>, Vec<Detected<R>>);

/// The average precisions of the objects in a golden file, each of which covers what these say.
fn precision_of<R: Region>(
    golden: &Value,
    truth_covers: impl Fn(&Value) -> R,
    found_covers: impl Fn(&Value) -> R,
) -> AveragePrecision {
    let mut images: BTreeMap<usize, Objects<R>> = BTreeMap::new();
    for row in golden["truths"].as_array().expect("a list") {
        let of = images
            .entry(whole(row, "image_id"))
            .or_insert_with(|| (Vec::new(), Vec::new()));
        of.0.push(Truth {
            class_id: whole(row, "category_id"),
            region: truth_covers(row),
            is_crowd: row["iscrowd"] == 1,
        });
    }
    for row in golden["detected"].as_array().expect("a list") {
        let of = images
            .entry(whole(row, "image_id"))
            .or_insert_with(|| (Vec::new(), Vec::new()));
        of.1.push(Detected {
            class_id: whole(row, "category_id"),
            score: row["score"].as_f64().expect("a score"),
            region: found_covers(row),
        });
    }
    let mut precision = AveragePrecision::default();
    for (truths, detected) in images.values() {
        precision.add(truths, detected);
    }
    precision
}

/// Whether they are those of pycocotools. Both sum in f64; pycocotools adds an epsilon below a precision.
fn assert_is(precision: &AveragePrecision, golden: &Value) {
    let found = precision.precisions();
    let near = |found: Option<f64>, expected: &Value| {
        let expected = expected.as_f64().expect("a number");
        let found = found.expect("there are objects");
        assert!(
            (found - expected).abs() < 1e-9,
            "found {found}, expected {expected}"
        );
    };
    near(found.of_all, &golden["map"]);
    near(found.at_half, &golden["map_50"]);
    let classes = golden["classes"].as_object().expect("classes");
    assert_eq!(found.of_classes.len(), classes.len());
    for (id, expected) in classes {
        let own = found
            .of_classes
            .get(&id.parse().expect("an id"))
            .map(|(all, _)| *all);
        near(own, expected);
    }
}

#[test]
fn average_precisions_of_boxes_are_those_of_pycocotools() {
    let golden = golden("golden.json");
    assert_is(&precision_of(&golden, bounds, bounds), &golden);
}

#[test]
fn average_precisions_of_pixels_are_those_of_pycocotools() {
    let golden = golden("masks.json");
    let found = |row: &Value| compressed(&row["segmentation"]["counts"]);
    assert_is(
        &precision_of(&golden, |row| compressed(&row["runs"]), found),
        &golden,
    );
}

#[test]
fn polygons_and_runs_are_the_pixels_that_pycocotools_makes_of_them() {
    let golden = golden("masks.json");
    let (mut polygons, mut plain) = (0, 0);
    for row in golden["truths"].as_array().expect("a list") {
        let (said, expected) = (&row["segmentation"], compressed(&row["runs"]));
        if let Some(parts) = said.as_array() {
            let numbers = |part: &Value| -> Vec<f64> {
                let part = part.as_array().expect("a polygon").iter();
                part.map(|at| at.as_f64().expect("a number")).collect()
            };
            let each = parts.iter().map(|part| {
                let points: Vec<[f64; 2]> = numbers(part).chunks(2).map(|at| [at[0], at[1]]).collect();
                Pixels::of_polygon(&points, SIZE)
            });
            assert_eq!(Pixels::any(each), expected, "{row}");
            polygons += 1;
        } else if let Some(runs) = said["counts"].as_array() {
            let runs: Vec<u64> = runs.iter().map(|run| run.as_u64().expect("a run")).collect();
            assert_eq!(Pixels::of_runs(&runs, SIZE), Some(expected), "{row}");
            plain += 1;
        }
    }
    assert!(
        polygons > 10 && plain > 5,
        "{polygons} polygons, {plain} plain runs"
    );
}

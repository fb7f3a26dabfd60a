//! Average precisions against those of pycocotools, of made-up objects (`average_precision/make.py`).

use std::collections::BTreeMap;

use lucarne::evaluation::{AveragePrecision, Detected, Truth};
use serde_json::Value;

use crate::support::path;

fn bounds(row: &Value) -> [f64; 4] {
    let side = |index: usize| row["bbox"][index].as_f64().expect("a number");
    [side(0), side(1), side(0) + side(2), side(1) + side(3)]
}

fn whole(row: &Value, name: &str) -> usize {
    usize::try_from(row[name].as_u64().expect("a whole number")).expect("a small one")
}

#[test]
fn average_precisions_are_those_of_pycocotools() {
    let text =
        std::fs::read_to_string(path("tests/golden/average_precision/golden.json")).expect("it is there");
    let golden: Value = serde_json::from_str(&text).expect("JSON");
    let mut images: BTreeMap<usize, (Vec<Truth>, Vec<Detected>)> = BTreeMap::new();
    for row in golden["truths"].as_array().expect("a list") {
        let image = images.entry(whole(row, "image_id")).or_default();
        image.0.push(Truth {
            class_id: whole(row, "category_id"),
            bounds: bounds(row),
            is_crowd: row["iscrowd"] == 1,
        });
    }
    for row in golden["detected"].as_array().expect("a list") {
        let image = images.entry(whole(row, "image_id")).or_default();
        image.1.push(Detected {
            class_id: whole(row, "category_id"),
            score: row["score"].as_f64().expect("a score"),
            bounds: bounds(row),
        });
    }
    let mut precision = AveragePrecision::default();
    for (truths, detected) in images.values() {
        precision.add(truths, detected);
    }
    let found = precision.precisions();
    // Both sum in f64; pycocotools adds an epsilon below a precision.
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

//! Of a detector: the average precision, as pycocotools computes it.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};

use super::case::{Case, Cases, Report, Shown, name};
use super::coco::{self, Annotated, Annotations};
use crate::cli::batch;
use crate::cli::opened::Opened;
use crate::error::{Error, Result};
use crate::evaluation::{AveragePrecision, Detected};
use crate::manifest::DetectionFormat;
use crate::tasks::bounds::{Fraction, at_least_one};
use crate::tasks::detection::{Options, Prediction};

/// Objects of a picture that are asked for, as many as COCO counts.
const MOST_OBJECTS: usize = 100;

/// Categories that are named to people.
const MOST_NAMED: usize = 10;

pub(super) fn evaluated(
    opened: &Opened,
    (dir, file): (&Path, &Path),
    score_threshold: f32,
    cases: &mut Cases,
) -> Result<Report> {
    let spec = &opened.model.spec;
    let format = spec.manifest.output.detection.as_ref().map(|keys| keys.format);
    if format == Some(DetectionFormat::YoloObb) {
        return Err(Error::UnsupportedForTask(
            "boxes of this model are turned, and COCO's are upright: such a model is not evaluated".into(),
        ));
    }
    let options = Options {
        score_threshold: Some(Fraction::new("--score-threshold", score_threshold)?),
        max_detections: Some(at_least_one("max_detections", MOST_OBJECTS)?),
        iou_threshold: None,
    };
    let said = coco::read(file, dir, &spec.labels)?;
    let (mut precision, mut bad) = (AveragePrecision::default(), 0);
    let ask = async |picture: &&Annotated| opened.detected(&picture.file, &options).await;
    let take = |picture: &Annotated, answer: Result<Prediction>| {
        match answer {
            Ok(answer) => {
                let detected = detected(&answer, &said.classes);
                let (missed, wrong) = precision.add(&picture.truths, &detected);
                add_case((dir, picture), (missed, wrong), cases);
            }
            Err(_) => bad += 1,
        }
        Ok(())
    };
    batch::each(opened, &said.pictures, ask, take)?;
    Ok(report(opened, &said, &precision, (bad, score_threshold)))
}

/// The objects of the classes that the file knows.
fn detected(answer: &Prediction, classes: &BTreeSet<usize>) -> Vec<Detected> {
    let known = answer
        .objects
        .iter()
        .filter(|object| classes.contains(&object.class_id));
    let detected = known.map(|object| {
        let bounds = object.bounds;
        Detected {
            class_id: object.class_id,
            score: f64::from(object.score),
            bounds: [bounds.x_min, bounds.y_min, bounds.x_max, bounds.y_max].map(f64::from),
        }
    });
    detected.collect()
}

/// A picture is as bad as many of its objects are missed, and of several alike, as many are none.
fn add_case((dir, picture): (&Path, &Annotated), (missed, wrong): (usize, usize), cases: &mut Cases) {
    if missed == 0 {
        return;
    }
    let there = picture.truths.iter().filter(|truth| !truth.is_crowd).count();
    cases.add(missed as f64 + wrong as f64 / 1e6, || Case {
        file: picture.file.clone(),
        words: vec![
            name(dir, &picture.file),
            format!("{missed} of {there} objects are not found at an overlap of 0.5, with any score"),
        ],
        shown: Shown::Answer(&[]),
    });
}

fn report(
    opened: &Opened,
    said: &Annotations,
    precision: &AveragePrecision,
    (bad, score_threshold): (usize, f32),
) -> Report {
    let labels = &opened.model.spec.labels;
    let found = precision.precisions();
    let of_class = |(id, (all, half)): (&usize, &(f64, f64))| json!({"class_id": id, "label": labels.name(*id), "ap": all, "ap_50": half});
    let pictures = said.pictures.len() - bad;
    let figures = json!({
        "model": opened.model.name,
        "version": opened.model.version,
        "task": "detection",
        "pictures": pictures,
        "not_answered": bad,
        "score_threshold": score_threshold,
        "map": found.of_all,
        "map_50": found.at_half,
        "classes": found.of_classes.iter().map(of_class).collect::<Value>(),
        "categories_left_out": said.unknown,
    });
    let share = |share: Option<f64>| share.map_or("no object".to_owned(), |share| format!("{share:.4}"));
    let mut rows = vec![
        ("pictures".to_owned(), pictures.to_string()),
        ("mAP@[.5:.95]".to_owned(), share(found.of_all)),
        ("mAP@.5".to_owned(), share(found.at_half)),
    ];
    if bad > 0 {
        rows.push(("pictures not answered".to_owned(), bad.to_string()));
    }
    let mut lines: Vec<String> = rows
        .iter()
        .map(|(name, value)| format!("{name:<26}{value}"))
        .collect();
    if !said.unknown.is_empty() {
        let named: Vec<&str> = said.unknown.iter().take(MOST_NAMED).map(String::as_str).collect();
        let (count, named) = (said.unknown.len(), named.join(", "));
        lines.push(format!(
            "left out: {count} categories that no label is called after, such as {named}"
        ));
        rows.push(("categories left out".to_owned(), count.to_string()));
    }
    for (id, (all, half)) in &found.of_classes {
        rows.push((labels.name(*id), format!("{all:.4}, at .5 {half:.4}")));
    }
    Report { figures, lines, rows }
}

//! Of a detector: the average precision, as pycocotools computes it.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};

use super::case::{Case, Cases, Report, Shown, name, some_answered};
use super::coco::{self, Annotated, Annotations};
use crate::cli::batch;
use crate::cli::opened::Opened;
use crate::error::{Error, Result};
use crate::evaluation::{AveragePrecision, Detected, Pixels, Precisions, Truth};
use crate::manifest::DetectionFormat;
use crate::tasks::bounds::{Fraction, at_least_one};
use crate::tasks::detection::{Object, Options, Prediction};

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
    let with_masks = spec.has_masks() && said.has_outlines;
    let (mut boxes, mut masks, mut bad) = (AveragePrecision::default(), AveragePrecision::default(), 0);
    let ask = async |picture: &&Annotated| opened.detected(&picture.file, &options).await;
    let take = |picture: &Annotated, answer: Result<Prediction>| {
        match answer {
            Ok(answer) => {
                let known = known(&answer, &said.classes);
                let (missed, wrong) = boxes.add(&picture.truths, &in_boxes(&known));
                add_case((dir, picture), (missed, wrong), cases);
                if with_masks {
                    let (truths, detected) = in_pixels(picture, &known)?;
                    masks.add(&truths, &detected);
                }
            }
            Err(_) => bad += 1,
        }
        Ok(())
    };
    batch::each(opened, &said.pictures, ask, take)?;
    some_answered(said.pictures.len(), bad)?;
    let precisions = (boxes.precisions(), with_masks.then(|| masks.precisions()));
    Ok(report(opened, &said, &precisions, (bad, score_threshold)))
}

/// The objects of the classes that the file knows.
fn known<'a>(answer: &'a Prediction, classes: &BTreeSet<usize>) -> Vec<&'a Object> {
    let all = answer.objects.iter();
    all.filter(|object| classes.contains(&object.class_id)).collect()
}

fn in_boxes(known: &[&Object]) -> Vec<Detected> {
    let detected = |object: &&Object| {
        let bounds = object.bounds;
        Detected {
            class_id: object.class_id,
            score: f64::from(object.score),
            region: [bounds.x_min, bounds.y_min, bounds.x_max, bounds.y_max].map(f64::from),
        }
    };
    known.iter().map(detected).collect()
}

/// Objects that are there, and objects that were answered, by their pixels.
type Masked = (Vec<Truth<Pixels>>, Vec<Detected<Pixels>>);

/// The same by their pixels. Nothing is asked of a picture in which nothing was found.
fn in_pixels(picture: &Annotated, known: &[&Object]) -> Result<Masked> {
    let masks = || {
        known
            .iter()
            .filter_map(|object| Some((object, object.mask.as_ref()?)))
    };
    let detected = masks().map(|(object, mask)| Detected {
        class_id: object.class_id,
        score: f64::from(object.score),
        region: Pixels::of(&mask.rle),
    });
    let size = masks().next().map(|(_, mask)| mask.rle.size);
    let truths = picture
        .truths
        .iter()
        .zip(&picture.outlines)
        .map(|(truth, outline)| {
            let pixels = size.map_or(Ok(Pixels::default()), |size| outline.pixels(size));
            Ok(Truth {
                class_id: truth.class_id,
                region: pixels
                    .map_err(|why| Error::InvalidSettings(format!("{}: {why}", picture.file.display())))?,
                is_crowd: truth.is_crowd,
            })
        });
    Ok((truths.collect::<Result<_>>()?, detected.collect()))
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

/// What was found by boxes, and by pixels where the model and the file say them.
type Found = (Precisions, Option<Precisions>);

fn report(
    opened: &Opened,
    said: &Annotations,
    (boxes, masks): &Found,
    (bad, score_threshold): (usize, f32),
) -> Report {
    let pictures = said.pictures.len() - bad;
    let figures = json!({
        "model": opened.model.name,
        "version": opened.model.version,
        "task": "detection",
        "pictures": pictures,
        "not_answered": bad,
        "score_threshold": score_threshold,
        "map": boxes.of_all,
        "map_50": boxes.at_half,
        "mask_map": masks.as_ref().and_then(|masks| masks.of_all),
        "mask_map_50": masks.as_ref().and_then(|masks| masks.at_half),
        "classes": of_classes(opened, boxes, masks.as_ref()),
        "categories_left_out": said.unknown,
    });
    let share = |share: Option<f64>| share.map_or("no object".to_owned(), |share| format!("{share:.4}"));
    let mut rows = vec![
        ("pictures".to_owned(), pictures.to_string()),
        ("mAP@[.5:.95]".to_owned(), share(boxes.of_all)),
        ("mAP@.5".to_owned(), share(boxes.at_half)),
    ];
    if let Some(masks) = masks {
        rows.push(("mask mAP@[.5:.95]".to_owned(), share(masks.of_all)));
        rows.push(("mask mAP@.5".to_owned(), share(masks.at_half)));
    }
    if bad > 0 {
        rows.push(("pictures not answered".to_owned(), bad.to_string()));
    }
    let mut lines: Vec<String> = rows
        .iter()
        .map(|(name, value)| format!("{name:<26}{value}"))
        .collect();
    if masks.is_none() && opened.model.spec.has_masks() {
        lines.push("masks are not measured: the file has no segmentation".to_owned());
    }
    if !said.unknown.is_empty() {
        let named: Vec<&str> = said.unknown.iter().take(MOST_NAMED).map(String::as_str).collect();
        let (count, named) = (said.unknown.len(), named.join(", "));
        lines.push(format!(
            "left out: {count} categories that no label is called after, such as {named}"
        ));
        rows.push(("categories left out".to_owned(), count.to_string()));
    }
    for (id, (all, half)) in &boxes.of_classes {
        let of_masks = masks.as_ref().and_then(|masks| masks.of_classes.get(id));
        let of_masks = of_masks.map_or(String::new(), |(all, half)| {
            format!("; masks {all:.4}, at .5 {half:.4}")
        });
        let label = opened.model.spec.labels.name(*id);
        rows.push((label, format!("{all:.4}, at .5 {half:.4}{of_masks}")));
    }
    Report { figures, lines, rows }
}

fn of_classes(opened: &Opened, boxes: &Precisions, masks: Option<&Precisions>) -> Value {
    let of_class = |(id, (all, half)): (&usize, &(f64, f64))| {
        let of_masks = masks.and_then(|masks| masks.of_classes.get(id));
        json!({
            "class_id": id,
            "label": opened.model.spec.labels.name(*id),
            "ap": all,
            "ap_50": half,
            "mask_ap": of_masks.map(|(all, _)| all),
            "mask_ap_50": of_masks.map(|(_, half)| half),
        })
    };
    boxes.of_classes.iter().map(of_class).collect()
}

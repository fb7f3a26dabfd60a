//! Of a segmenter: how well its masks lie on the true ones.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::case::{Case, Cases, Report, Shown, name, some_answered};
use super::ids;
use crate::cli::batch::{self, below};
use crate::cli::opened::Opened;
use crate::error::{Error, Result};
use crate::evaluation::{Coverage, IGNORED};
use crate::tasks::segmentation::Prediction;

/// A picture and the file of its true mask.
struct Masked {
    file: PathBuf,
    mask: PathBuf,
}

impl AsRef<Path> for Masked {
    fn as_ref(&self) -> &Path {
        &self.file
    }
}

pub(super) fn evaluated(opened: &Opened, (dir, masks): (&Path, &Path), cases: &mut Cases) -> Result<Report> {
    if opened.model.spec.overlapping().is_some() {
        return Err(Error::UnsupportedForTask(
            "a pixel may be of several classes of this model, which a PNG of class ids cannot say: it is not evaluated".into(),
        ));
    }
    let pictures = masked(dir, masks)?;
    let (mut coverage, mut bad) = (Coverage::default(), 0);
    let classes = class_count(opened);
    let ask = async |picture: &&Masked| {
        let truth = ids::read(&picture.mask, classes)?;
        let answer = opened.segmented(&picture.file).await?;
        covered(&truth, &answer, &picture.mask)
    };
    let take = |picture: &Masked, own: Result<Coverage>| {
        match own {
            Ok(own) => {
                coverage.extend(&own);
                // Of a picture of which nothing is known there is nothing to say.
                let Some(iou) = own.mean_iou() else { return Ok(()) };
                cases.add(1.0 - iou, || Case {
                    file: picture.file.clone(),
                    words: vec![
                        name(dir, &picture.file),
                        format!("mean IoU of its classes: {iou:.4}"),
                    ],
                    shown: Shown::Answer(&[("render", "overlay")]),
                });
            }
            Err(_) => bad += 1,
        }
        Ok(())
    };
    batch::each(opened, &pictures, ask, take)?;
    some_answered(pictures.len(), bad)?;
    Ok(report(opened, &coverage, (pictures.len() - bad, bad)))
}

/// How many classes a segmenter has: one channel is of two.
fn class_count(opened: &Opened) -> usize {
    let channels = opened.model.spec.row().and_then(|row| row.first()).copied();
    let channels = channels
        .and_then(|channels| usize::try_from(channels).ok())
        .unwrap_or(0);
    channels.max(2)
}

/// Each picture in `dir` with the PNG of the same name in `masks`.
fn masked(dir: &Path, masks: &Path) -> Result<Vec<Masked>> {
    let of_file = |file: PathBuf| {
        let own = file.strip_prefix(dir).unwrap_or(&file);
        Masked {
            mask: masks.join(own).with_extension("png"),
            file,
        }
    };
    let all: Vec<Masked> = below(dir)?.into_iter().map(of_file).collect();
    if all.iter().any(|one| one.mask.is_file()) {
        return Ok(all);
    }
    Err(Error::InvalidSettings(format!(
        "{}: there is no picture in it whose mask is in {}, a PNG of the same name",
        dir.display(),
        masks.display()
    )))
}

fn covered(truth: &ids::Ids, answer: &Prediction, mask: &Path) -> Result<Coverage> {
    let [height, width] = answer.mask.size;
    if truth.size != [height, width] {
        let [own_height, own_width] = truth.size;
        return Err(Error::InvalidImage(format!(
            "{}: the mask is {own_width}×{own_height}, its picture {width}×{height}",
            mask.display()
        )));
    }
    let mut coverage = Coverage::default();
    coverage.add(&truth.ids, &answer.class_ids);
    Ok(coverage)
}

fn report(opened: &Opened, coverage: &Coverage, (pictures, bad): (usize, usize)) -> Report {
    let labels = &opened.model.spec.labels;
    let classes = coverage.classes();
    let of_class = |class: &crate::evaluation::ClassCoverage| json!({"class_id": class.class_id, "label": labels.name(class.class_id), "pixels": class.pixels, "iou": class.iou});
    let figures = json!({
        "model": opened.model.name,
        "version": opened.model.version,
        "task": "segmentation",
        "pictures": pictures,
        "not_answered": bad,
        "ignored_id": IGNORED,
        "mean_iou": coverage.mean_iou(),
        "pixel_accuracy": coverage.pixel_accuracy(),
        "classes": classes.iter().map(of_class).collect::<Value>(),
    });
    let share =
        |share: Option<f64>| share.map_or("no pixel is known".to_owned(), |share| format!("{share:.4}"));
    let mut rows = vec![
        ("pictures".to_owned(), pictures.to_string()),
        ("mean IoU".to_owned(), share(coverage.mean_iou())),
        ("pixel accuracy".to_owned(), share(coverage.pixel_accuracy())),
    ];
    if bad > 0 {
        rows.push(("pictures not answered".to_owned(), bad.to_string()));
    }
    rows.extend(classes.iter().map(|class| {
        (
            format!("IoU of {}", labels.name(class.class_id)),
            format!("{:.4}", class.iou),
        )
    }));
    let lines = rows
        .iter()
        .map(|(name, value)| format!("{name:<26}{value}"))
        .collect();
    Report { figures, lines, rows }
}

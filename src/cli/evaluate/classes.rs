//! Of a classifier: how often it is right, what it takes for what, and whether it is as sure as it is right.

use std::path::Path;

use serde_json::{Value, json};

use super::case::{Case, Cases, Report, Shown, name, some_answered};
use crate::cli::batch;
use crate::cli::labelled::{Labelled, labelled};
use crate::cli::opened::Opened;
use crate::error::Result;
use crate::evaluation::{Confusion, Reliability};
use crate::tasks::classification::{Likelihood, Prediction};

/// Pairs of classes that are named to people.
const MOST_PAIRS: usize = 10;

/// What is counted, picture by picture.
struct Counted {
    confusion: Confusion,
    reliability: Option<Reliability>,
    bad: usize,
}

pub(super) fn evaluated(opened: &Opened, dir: &Path, cases: &mut Cases) -> Result<Report> {
    let pictures = labelled(dir, &opened.model.spec)?;
    let likelihood = Likelihood::of(&opened.model.spec).ok();
    let mut counted = Counted {
        confusion: Confusion::default(),
        reliability: likelihood.map(|_| Reliability::default()),
        bad: 0,
    };
    let ask = async |picture: &&Labelled| opened.classified(&picture.file).await;
    let take = |picture: &Labelled, answer: Result<Prediction>| {
        match answer {
            Ok(answer) => counted.add(picture, &answer, (opened, dir, likelihood), cases),
            Err(_) => counted.bad += 1,
        }
        Ok(())
    };
    batch::each(opened, &pictures, ask, take)?;
    some_answered(pictures.len(), counted.bad)?;
    Ok(counted.report(opened))
}

impl Counted {
    fn add(
        &mut self,
        picture: &Labelled,
        answer: &Prediction,
        (opened, dir, likelihood): (&Opened, &Path, Option<Likelihood>),
        cases: &mut Cases,
    ) {
        let classes: Vec<usize> = answer.classes.iter().map(|class| class.class_id).collect();
        self.confusion.add(picture.class_id, &classes);
        let Some(first) = answer.classes.first() else {
            return;
        };
        let is_right = first.class_id == picture.class_id;
        let odds = likelihood.map(|likelihood| likelihood.log_probabilities(&answer.logits));
        let confidence = odds
            .as_ref()
            .and_then(|odds| odds.get(first.class_id))
            .map(|log| log.exp());
        if let (Some(reliability), Some(confidence)) = (&mut self.reliability, confidence) {
            reliability.add(confidence, is_right);
        }
        if is_right {
            return;
        }
        let of_truth = odds
            .as_ref()
            .and_then(|odds| odds.get(picture.class_id))
            .map(|log| log.exp());
        cases.add(confidence.unwrap_or(f64::from(first.score)), || Case {
            file: picture.file.clone(),
            words: vec![
                name(dir, &picture.file),
                format!("answered: {}, {:.4}", first.label, first.score),
                match of_truth {
                    Some(odds) => format!(
                        "true: {}, {odds:.4}",
                        opened.model.spec.labels.name(picture.class_id)
                    ),
                    None => format!("true: {}", opened.model.spec.labels.name(picture.class_id)),
                },
            ],
            shown: Shown::GradCam(first.class_id),
        });
    }

    fn report(&self, opened: &Opened) -> Report {
        let labels = &opened.model.spec.labels;
        let confusion = &self.confusion;
        let pair = |pair: crate::evaluation::Confused| json!({"true": pair.truth, "answered": pair.answer, "count": pair.count});
        let classes = confusion.of_classes();
        let of_class = |(id, (count, right)): (&usize, &(u64, u64))| json!({"class_id": id, "label": labels.name(*id), "pictures": count, "right": right});
        let ece = self.reliability.as_ref().map(Reliability::ece);
        let figures = json!({
            "model": opened.model.name,
            "version": opened.model.version,
            "task": "classification",
            "pictures": confusion.count(),
            "not_answered": self.bad,
            "accuracy": confusion.top_1(),
            "top_5": confusion.top_5(),
            "ece": ece,
            "temperature": opened.model.spec.manifest.output.temperature.get(),
            "classes": classes.iter().map(of_class).collect::<Value>(),
            "confusion": confusion.pairs().map(pair).collect::<Value>(),
        });
        let mut rows = vec![
            ("pictures".to_owned(), confusion.count().to_string()),
            (
                "accuracy (first class)".to_owned(),
                format!("{:.4}", confusion.top_1()),
            ),
            (
                "accuracy (first five)".to_owned(),
                format!("{:.4}", confusion.top_5()),
            ),
        ];
        rows.extend(ece.map(|ece| ("ECE, 15 bins".to_owned(), format!("{ece:.4}"))));
        if self.bad > 0 {
            rows.push(("pictures not answered".to_owned(), self.bad.to_string()));
        }
        let mut lines: Vec<String> = rows
            .iter()
            .map(|(name, value)| format!("{name:<26}{value}"))
            .collect();
        let worst = confusion.worst(MOST_PAIRS);
        if !worst.is_empty() {
            lines.push("\nmost often taken for another:".to_owned());
        }
        for pair in worst {
            let (truth, answer) = (labels.name(pair.truth), labels.name(pair.answer));
            lines.push(format!("{:>6}  {truth} → {answer}", pair.count));
            rows.push((format!("{truth} → {answer}"), pair.count.to_string()));
        }
        Report { figures, lines, rows }
    }
}

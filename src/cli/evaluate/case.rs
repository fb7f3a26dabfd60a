//! What an evaluation found: figures, and the pictures of which the model was the most wrong.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::cli::opened::{Opened, file};
use crate::error::{Error, Result, counted};
use crate::image::{
    self, Color, Decoding, Fit, Interpolation, Limits, Picture, PoolThread, ResizeMode, encode_png,
};
use crate::protocol::v1::Form;
use crate::reading::Parameters;

/// The longer side of a picture on the page, in pixels.
const SIDE: u32 = 320;

/// What an evaluation found.
pub(super) struct Report {
    /// The figures, all of them.
    pub(super) figures: Value,
    /// The same for people, in short.
    pub(super) lines: Vec<String>,
    /// The same for the page: a name and a number each.
    pub(super) rows: Vec<(String, String)>,
}

/// Whether there is something to say.
///
/// # Errors
/// [`Error::InvalidSettings`] where none of so many pictures was answered.
pub(super) fn some_answered(pictures: usize, bad: usize) -> Result<()> {
    if bad < pictures {
        return Ok(());
    }
    Err(Error::InvalidSettings(format!(
        "none of {} was answered, so nothing was measured",
        counted(pictures, "picture")
    )))
}

/// What is shown of a picture beside itself.
#[derive(Debug, Clone)]
pub(super) enum Shown {
    /// Where the model looked for this class.
    GradCam(usize),
    /// What the model answers, drawn.
    Answer(&'static [(&'static str, &'static str)]),
}

/// A picture of which the model was wrong.
#[derive(Debug, Clone)]
pub(super) struct Case {
    pub(super) file: PathBuf,
    /// What was wrong, a line each.
    pub(super) words: Vec<String>,
    pub(super) shown: Shown,
}

/// The worst pictures so far, the worst first.
pub(super) struct Cases {
    most: usize,
    kept: Vec<(f64, Case)>,
}

/// A case with its pictures, as PNGs; in place of one that cannot be made stands why.
pub(super) struct Pictured {
    pub(super) case: Case,
    pub(super) picture: Result<Vec<u8>>,
    pub(super) answer: Result<Vec<u8>>,
}

impl Cases {
    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            kept: Vec::new(),
        }
    }

    /// Takes a picture in that is so bad, where it is among the worst.
    pub(super) fn add(&mut self, badness: f64, case: impl FnOnce() -> Case) {
        let place = self.kept.partition_point(|(other, _)| *other >= badness);
        if place < self.most {
            self.kept.insert(place, (badness, case()));
            self.kept.truncate(self.most);
        }
    }

    /// Them with their pictures, the worst first.
    pub(super) fn shown(self, opened: &Opened) -> Result<Vec<Pictured>> {
        let pictured = |(_, case): (f64, Case)| {
            Ok(Pictured {
                picture: small(opened, file(&case.file).map(|bytes| bytes.to_vec())),
                answer: small(opened, answered(opened, &case)),
                case,
            })
        };
        self.kept.into_iter().map(pictured).collect()
    }
}

/// The model's answer to a picture, drawn.
fn answered(opened: &Opened, case: &Case) -> Result<Vec<u8>> {
    let mut parameters = Parameters::default();
    let answer = match &case.shown {
        Shown::GradCam(class_id) => {
            parameters.add("method".into(), "grad_cam".into())?;
            parameters.add("target".into(), format!("id:{class_id}"))?;
            opened.wait(opened.explained_as(&case.file, &parameters, Form::Png))?
        }
        Shown::Answer(said) => {
            for (name, value) in *said {
                parameters.add((*name).to_owned(), (*value).to_owned())?;
            }
            opened.wait(opened.predicted_as(&case.file, &parameters, Form::Png))?
        }
    };
    Ok(answer.bytes)
}

/// A picture file as a PNG that is no larger than a page needs it.
fn small(opened: &Opened, bytes: Result<Vec<u8>>) -> Result<Vec<u8>> {
    let bytes = bytes?;
    let pool = opened.server.service().pool();
    opened.wait(pool.run(move |thread| shrunk(thread, &bytes)))
}

fn shrunk(thread: &PoolThread, bytes: &[u8]) -> Result<Vec<u8>> {
    let picture = image::decode(bytes, &Limits::default())?;
    let longer = picture.width().max(picture.height());
    if longer <= SIDE {
        return encode_png(thread, &picture);
    }
    let side = |length: u32| (u64::from(length) * u64::from(SIDE)).div_ceil(u64::from(longer)) as u32;
    let (width, height) = (side(picture.width()), side(picture.height()));
    let smaller = Fit {
        size: (height, width),
        mode: ResizeMode::Stretch,
        resize_to: None,
        interpolation: Interpolation::Bilinear,
        color: Color::Rgb,
        letterbox_fill: 0,
        decoding: Decoding::Exact,
    };
    let seen = image::fit(&picture, &smaller)?;
    encode_png(thread, &Picture::new(width, height, seen.pixels().to_vec())?)
}

/// A file as it is called on the page: its path below `dir`.
pub(super) fn name(dir: &Path, file: &Path) -> String {
    file.strip_prefix(dir)
        .unwrap_or(file)
        .to_string_lossy()
        .into_owned()
}

//! Many pictures, one after the other into a file or a folder: as fast as they are answered together, and resumed where it ended.

mod claim;
mod files;
mod records;

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::stream::{self, StreamExt};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::Value;

use super::opened::Opened;
use super::output::say;
use crate::error::{Error, Result};
use crate::protocol::v1::Form;
use claim::claim;
pub(super) use files::{below, expanded};
use records::{Records, Table, predictions};

/// Pictures that could not be answered and are named at the end.
const MOST_NAMED: usize = 10;

/// Predicts each of `files` and writes a record of each, in their order, to `output`, whose ending picks the form: .jsonl or .csv.
/// Records that stand there already are kept.
///
/// # Errors
/// [`Error::InvalidSettings`] where `output` cannot be written, or is of other files. What is wrong with a picture is its record.
pub(super) fn predict(opened: &Opened, files: &[PathBuf], output: &Path) -> Result<()> {
    let table = Table::of(output, opened)?;
    let (mut records, done) = Records::open(output, (table, opened.question()), files)?;
    let mut progress = Progress::new(files.len(), done);
    let (size, side_by_side) = opened.whole_batches();
    // Numbers hang on the size of a batch in their last digits: wherever a file is gone on with, its batches are the same.
    let first = done - done % size;
    let ask = async |batch: &&[PathBuf]| together(opened, batch).await;
    let mut known = done - first;
    let take = |batch: &[PathBuf], said: Vec<Result<Value>>| {
        let skipped = std::mem::take(&mut known);
        for (file, said) in batch.iter().zip(said).skip(skipped) {
            progress.tell(file, said.as_ref().err());
            match said {
                Err(error) if is_of_request(&error) => return Err(error),
                said => records.write(file, &said)?,
            }
        }
        Ok(())
    };
    opened.wait(in_order((files[first..].chunks(size), side_by_side), ask, take))?;
    records.finish()?;
    progress.end();
    Ok(())
}

/// What is said of each of `files`: of all in one request, or of each in its own, where one of them spoils it.
async fn together(opened: &Opened, files: &[PathBuf]) -> Vec<Result<Value>> {
    let of = async |files: &[PathBuf]| {
        let answer = opened.predicted_apart(files).await?;
        predictions(&answer.bytes, files.len())
    };
    match of(files).await {
        Ok(found) => found.into_iter().map(Ok).collect(),
        Err(error) if files.len() == 1 || is_of_request(&error) => vec![Err(error); files.len()],
        Err(_) => {
            let mut said = Vec::with_capacity(files.len());
            for file in files {
                let found = of(std::slice::from_ref(file)).await;
                said.push(found.map(|mut found| found.remove(0)));
            }
            said
        }
    }
}

/// Whether an error would be that of every picture.
fn is_of_request(error: &Error) -> bool {
    match error {
        // What a target means hangs on the picture.
        Error::InvalidParameter { name, .. } => name != "target",
        Error::UnsupportedForTask(_)
        | Error::NotAcceptable(_)
        | Error::LayerNotFound(_)
        | Error::NotDifferentiable(_) => true,
        _ => false,
    }
}

/// [`in_order`] of all `pictures`, as many side by side as `opened` takes, beside a bar.
///
/// # Errors
/// As [`in_order`].
pub(super) fn each<'a, I: AsRef<Path>, T>(
    opened: &Opened,
    pictures: &'a [I],
    ask: impl AsyncFn(&&'a I) -> Result<T>,
    mut take: impl FnMut(&'a I, Result<T>) -> Result<()>,
) -> Result<()> {
    let mut progress = Progress::new(pictures.len(), 0);
    let take = |picture: &'a I, answer: Result<T>| {
        progress.tell(picture.as_ref(), answer.as_ref().err());
        take(picture, answer)
    };
    opened.wait(in_order((pictures, opened.batches()), ask, take))?;
    progress.end();
    Ok(())
}

/// Asks about each of `items`, so many side by side, and hands what is answered on in their order.
///
/// # Errors
/// Those of `take`.
async fn in_order<I, T>(
    (items, side_by_side): (impl IntoIterator<Item = I>, usize),
    ask: impl AsyncFn(&I) -> T,
    mut take: impl FnMut(I, T) -> Result<()>,
) -> Result<()> {
    let ask = &ask;
    let answers = stream::iter(items).map(|item| async move {
        let answer = ask(&item).await;
        (item, answer)
    });
    let mut answers = std::pin::pin!(answers.buffered(side_by_side));
    while let Some((item, answer)) = answers.next().await {
        take(item, answer)?;
    }
    Ok(())
}

/// Explains each of `files`, and writes each answer under the name of its picture into the folder `output`. Answers that stand there
/// already are kept.
///
/// # Errors
/// [`Error::InvalidSettings`] where the folder cannot be written.
pub(super) fn explain(opened: &Opened, files: &[PathBuf], output: &Path, form: (Form, &str)) -> Result<()> {
    let (form, ending) = form;
    let wrong = |path: &Path, e: std::io::Error| Error::InvalidSettings(format!("{}: {e}", path.display()));
    std::fs::create_dir_all(output).map_err(|e| wrong(output, e))?;
    let files = &files::beside(files, output)?[..];
    let names = files::names(files, ending);
    claim(output, &opened.question(), files.iter().zip(&names))?;
    let all = files.iter().zip(names).map(|(file, name)| Named {
        file,
        answer: output.join(name),
    });
    let todo: Vec<Named<'_>> = all.filter(|named| !named.answer.exists()).collect();
    let mut progress = Progress::new(files.len(), files.len() - todo.len());
    let ask =
        async |named: &Named<'_>| -> Result<Vec<u8>> { Ok(opened.explained(named.file, form).await?.bytes) };
    let take = |named: Named<'_>, answer: Result<Vec<u8>>| {
        progress.tell(named.file, answer.as_ref().err());
        let bytes = match answer {
            Ok(bytes) => bytes,
            Err(error) if is_of_request(&error) => return Err(error),
            Err(_) => return Ok(()),
        };
        let folder = named.answer.parent().unwrap_or(output);
        let written = std::fs::create_dir_all(folder).and_then(|()| files::write_whole(&named.answer, bytes));
        written.map_err(|e| wrong(&named.answer, e))
    };
    // Explanations of a model are computed one after the other: two are enough to decode meanwhile.
    opened.wait(in_order((todo, 2), ask, take))?;
    progress.end();
    Ok(())
}

/// A picture, and where its answer goes.
struct Named<'a> {
    file: &'a Path,
    answer: PathBuf,
}

/// How far it is, on standard error.
struct Progress {
    bar: ProgressBar,
    bad: Vec<String>,
    more: usize,
    of: usize,
}

impl Progress {
    /// Of so many, of which some are done already.
    fn new(of: usize, done: usize) -> Self {
        let target = match std::io::stderr().is_terminal() {
            true => ProgressDrawTarget::stderr_with_hz(4),
            false => ProgressDrawTarget::hidden(),
        };
        let bar = ProgressBar::with_draw_target(Some(of as u64), target);
        let style = ProgressStyle::with_template("{wide_bar} {pos}/{len}  {per_sec}  {eta} left");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.set_position(done as u64);
        bar.reset_eta();
        bar.enable_steady_tick(Duration::from_millis(250));
        Self {
            bar,
            bad: Vec::new(),
            more: 0,
            of,
        }
    }

    fn tell(&mut self, file: &Path, error: Option<&Error>) {
        self.bar.inc(1);
        let Some(error) = error else { return };
        if self.bad.len() < MOST_NAMED {
            self.bad
                .push(format!("{}: {}: {error}", file.display(), error.code()));
        } else {
            self.more += 1;
        }
    }

    /// Says which pictures were not answered.
    fn end(self) {
        self.bar.finish_and_clear();
        let count = self.bad.len() + self.more;
        if count == 0 {
            return;
        }
        for line in &self.bad {
            say(line);
        }
        say(&format!("{count} of {} pictures were not answered", self.of));
    }
}

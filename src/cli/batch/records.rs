//! A record for each picture, a line each, so that what is written is whole wherever it ends.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::cli::opened::Opened;
use crate::error::{Error, Result};
use crate::manifest::TaskKind;

/// How often what was written is handed to the system.
const FLUSH: Duration = Duration::from_millis(500);

/// What a record looks like.
#[derive(Debug, Clone)]
pub(super) enum Table {
    /// An object: `file`, `asked`, and `prediction` or `error`.
    Lines,
    /// `file`, `asked`, the columns of the task, `error`.
    Columns(Columns),
}

/// The columns of a task.
#[derive(Debug, Clone)]
pub(super) enum Columns {
    /// The best class.
    Class,
    /// A number each, by these names.
    Numbers(Vec<String>),
    /// The prediction as JSON.
    Whole,
}

impl Table {
    /// What the ending of `output` means for what is asked of a model.
    ///
    /// # Errors
    /// [`Error::InvalidSettings`]; [`Error::InvalidParameter`] for what has no column.
    pub(super) fn of(output: &Path, opened: &Opened) -> Result<Self> {
        let model = &opened.model;
        let is_of_class = model.spec.manifest.task == TaskKind::Classification;
        match output.extension().and_then(|ending| ending.to_str()) {
            Some("jsonl") => Ok(Self::Lines),
            Some("csv")
                if is_of_class && opened.parameters.pairs().any(|(name, _)| name == "uncertainty") =>
            {
                Err(Error::parameter(
                    "uncertainty",
                    "it has no column of its own; write to a file that ends in .jsonl",
                ))
            }
            Some("csv") => Ok(Self::Columns(match model.spec.manifest.task {
                TaskKind::Classification => Columns::Class,
                TaskKind::Regression if !model.spec.labels.names().is_empty() => {
                    Columns::Numbers(model.spec.labels.names().to_vec())
                }
                _ => Columns::Whole,
            })),
            _ => Err(Error::InvalidSettings(format!(
                "--output {}: give a file that ends in .jsonl or .csv",
                output.display()
            ))),
        }
    }

    fn head(&self) -> Option<Vec<String>> {
        let Self::Columns(columns) = self else { return None };
        let own = match columns {
            Columns::Class => vec!["class_id".into(), "label".into(), "score".into()],
            Columns::Numbers(names) => names.clone(),
            Columns::Whole => vec!["prediction".into()],
        };
        Some([vec!["file".into(), "asked".into()], own, vec!["error".into()]].concat())
    }

    /// The name of `file` in a record: as it is, or in one line.
    fn name(&self, file: &Path) -> String {
        let name = file.to_string_lossy();
        match self {
            Self::Lines => name.into_owned(),
            Self::Columns(_) => name.replace('\n', "\\n").replace('\r', "\\r"),
        }
    }

    /// The line of `file`, of which `said` is known after it was `asked`.
    fn line(&self, file: &str, asked: &str, said: &Result<Value>) -> Result<Vec<u8>> {
        let Self::Columns(columns) = self else {
            let record = match said {
                Ok(prediction) => json!({"file": file, "asked": asked, "prediction": prediction}),
                Err(error) => {
                    json!({"file": file, "asked": asked, "error": {"code": error.code(), "detail": error.to_string()}})
                }
            };
            return Ok(format!("{record}\n").into_bytes());
        };
        let text = |value: &Value| match value {
            Value::String(text) => text.clone(),
            Value::Null => String::new(),
            other => other.to_string(),
        };
        let found = said.as_ref().ok();
        let cell = |path: &str| {
            found
                .and_then(|found| found.pointer(path))
                .map(text)
                .unwrap_or_default()
        };
        let own = match columns {
            Columns::Class => ["class_id", "label", "score"]
                .map(|name| cell(&format!("/classes/0/{name}")))
                .to_vec(),
            Columns::Numbers(names) => (0..names.len())
                .map(|index| cell(&format!("/values/{index}/value")))
                .collect(),
            Columns::Whole => vec![found.map(Value::to_string).unwrap_or_default()],
        };
        let error = said
            .as_ref()
            .err()
            .map(|error| format!("{}: {error}", error.code()))
            .unwrap_or_default();
        row(&[vec![file.to_owned(), asked.to_owned()], own, vec![error]].concat())
    }

    /// The file that a line is of, and what was asked.
    fn of_line(&self, line: &str) -> Option<(String, String)> {
        match self {
            Self::Lines => {
                let record: Value = serde_json::from_str(line).ok()?;
                let text = |name: &str| record[name].as_str().map(str::to_owned);
                Some((text("file")?, text("asked")?))
            }
            Self::Columns(_) => {
                let mut reader = csv::ReaderBuilder::new()
                    .has_headers(false)
                    .from_reader(line.as_bytes());
                let record = reader.records().next()?.ok()?;
                Some((record.get(0)?.to_owned(), record.get(1)?.to_owned()))
            }
        }
    }
}

/// Cells as a line, without line breaks in them.
fn row(cells: &[String]) -> Result<Vec<u8>> {
    let failed = |e: String| Error::Internal(e);
    let mut writer = csv::Writer::from_writer(Vec::new());
    let cells = cells.iter().map(|cell| cell.replace(['\n', '\r'], " "));
    writer.write_record(cells).map_err(|e| failed(e.to_string()))?;
    writer.into_inner().map_err(|e| failed(e.to_string()))
}

/// A file of records that is being written.
pub(super) struct Records {
    path: PathBuf,
    table: Table,
    asked: String,
    out: BufWriter<File>,
    flushed: Instant,
}

impl Records {
    /// Opens `path`, and says how many of `files`, from the first, have their records in it. A line that is not whole is dropped.
    ///
    /// # Errors
    /// [`Error::InvalidSettings`] where it cannot be written, or has records of other files.
    pub(super) fn open(
        path: &Path,
        (table, asked): (Table, String),
        files: &[PathBuf],
    ) -> Result<(Self, usize)> {
        let wrong = |why: String| Error::InvalidSettings(format!("--output {}: {why}", path.display()));
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path);
        let mut file = file.map_err(|e| wrong(e.to_string()))?;
        let head = table.head().map(|head| row(&head)).transpose()?;
        let (mut end, mut done, mut is_headed) = (0, 0, head.is_none());
        let mut lines = BufReader::new(&file);
        let mut line = Vec::new();
        loop {
            line.clear();
            let read = lines
                .read_until(b'\n', &mut line)
                .map_err(|e| wrong(e.to_string()))?;
            if line.last() != Some(&b'\n') {
                break;
            }
            if is_headed {
                let text = String::from_utf8_lossy(&line);
                let of = table.of_line(text.trim_end());
                let expected = files.get(done).map(|file| (table.name(file), asked.clone()));
                if of.is_none() || of != expected {
                    let number = done + 1;
                    return Err(wrong(format!(
                        "its record {number} is not of these pictures, this model and these parameters; remove the file, or write to another"
                    )));
                }
                done += 1;
            } else if Some(&line) == head.as_ref() {
                is_headed = true;
            } else {
                return Err(wrong(
                    "it has other columns; remove the file, or write to another".into(),
                ));
            }
            end += read as u64;
        }
        file.set_len(end)
            .and_then(|()| file.seek(SeekFrom::Start(end)))
            .map_err(|e| wrong(e.to_string()))?;
        let mut records = Self {
            path: path.to_owned(),
            table,
            asked,
            out: BufWriter::new(file),
            flushed: Instant::now(),
        };
        if let (false, Some(head)) = (is_headed, head) {
            records.put(&head)?;
        }
        Ok((records, done))
    }

    /// Writes the record of `file`, of which this is `said`.
    ///
    /// # Errors
    /// [`Error::InvalidSettings`] where it cannot be written.
    pub(super) fn write(&mut self, file: &Path, said: &Result<Value>) -> Result<()> {
        let line = self.table.line(&self.table.name(file), &self.asked, said)?;
        self.put(&line)
    }

    fn put(&mut self, line: &[u8]) -> Result<()> {
        self.out.write_all(line).map_err(|e| self.wrong(&e))?;
        if self.flushed.elapsed() >= FLUSH {
            self.finish()?;
        }
        Ok(())
    }

    /// Hands everything to the system.
    ///
    /// # Errors
    /// [`Error::InvalidSettings`] where it cannot be written.
    pub(super) fn finish(&mut self) -> Result<()> {
        self.flushed = Instant::now();
        self.out.flush().map_err(|e| self.wrong(&e))
    }

    fn wrong(&self, error: &std::io::Error) -> Error {
        Error::InvalidSettings(format!("--output {}: {error}", self.path.display()))
    }
}

/// The predictions for so many pictures in an answer, without what differs from one run to the next.
pub(super) fn predictions(answer: &[u8], count: usize) -> Result<Vec<Value>> {
    let wrong = |why: String| Error::Internal(format!("an answer without its predictions: {why}"));
    let mut answer: Value = serde_json::from_slice(answer).map_err(|e| wrong(e.to_string()))?;
    let found = answer.pointer_mut("/predictions").map(Value::take);
    let Some(Value::Array(mut found)) = found else {
        return Err(wrong("none".into()));
    };
    if found.len() != count {
        return Err(wrong(format!("{} of {count}", found.len())));
    }
    for members in found.iter_mut().filter_map(Value::as_object_mut) {
        members.shift_remove("image_index");
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(class_id: usize) -> Result<Value> {
        let prediction =
            json!({"image_index": 0, "classes": [{"class_id": class_id, "label": "a, \"b\"", "score": 0.5}]});
        let answer = json!({"predictions": [prediction], "timing_ms": {}}).to_string();
        predictions(answer.as_bytes(), 1).map(|mut found| found.remove(0))
    }

    #[test]
    fn records_go_on_where_they_ended_whatever_was_half_written() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let files: Vec<PathBuf> = ["a.jpg", "b\nb.jpg", "c,c.jpg"]
            .iter()
            .map(PathBuf::from)
            .collect();
        for (table, ending) in [(Table::Lines, "jsonl"), (Table::Columns(Columns::Class), "csv")] {
            let whole = |path: &Path, from: usize| {
                let (mut records, done) =
                    Records::open(path, (table.clone(), "m 1".into()), &files).expect("writable");
                assert_eq!(done, from);
                for (index, file) in files.iter().enumerate().skip(done) {
                    let said = if index == 1 {
                        Err(Error::InvalidImage("it is text".into()))
                    } else {
                        said(index)
                    };
                    records.write(file, &said).expect("writable");
                }
                records.finish().expect("writable");
                std::fs::read(path).expect("written")
            };
            let path = dir.path().join(format!("whole.{ending}"));
            let expected = whole(&path, 0);
            assert_eq!(whole(&path, 3), expected, "nothing is left to do");
            let lines: Vec<&[u8]> = expected.split_inclusive(|byte| *byte == b'\n').collect();
            for kept in 0..expected.len() {
                let path = dir.path().join(format!("part.{ending}"));
                std::fs::write(&path, &expected[..kept]).expect("writable");
                let breaks = expected[..kept].iter().filter(|byte| **byte == b'\n').count();
                let head = lines.len() - files.len();
                assert_eq!(whole(&path, breaks.saturating_sub(head)), expected, "{kept}");
            }
            let others = [PathBuf::from("x.jpg")];
            let refused = Records::open(&path, (table.clone(), "m 1".into()), &others)
                .map(|_| ())
                .expect_err("other files");
            assert!(refused.to_string().contains("record 1"), "{refused}");
        }
    }
}

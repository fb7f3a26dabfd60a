//! Reads one table of a model.toml key by key, and collects what is wrong instead of stopping at it.

use serde::de::DeserializeOwned;

use crate::error::excerpt;

/// A table that is being read. Each key is taken out; [`Section::finish`] reports those that remain.
pub(super) struct Section<'a> {
    /// `""` for the root, else `"input."` and so on.
    prefix: String,
    table: toml::Table,
    known: Vec<String>,
    problems: &'a mut Vec<String>,
}

impl<'a> Section<'a> {
    pub(super) fn root(table: toml::Table, problems: &'a mut Vec<String>) -> Self {
        Self {
            prefix: String::new(),
            table,
            known: Vec::new(),
            problems,
        }
    }

    fn problem(&mut self, key: &str, text: &str) {
        let prefix = &self.prefix;
        self.problems.push(format!("{prefix}{key}: {text}"));
    }

    /// The value of `key`, if it is there and right.
    pub(super) fn optional<T: DeserializeOwned>(&mut self, key: &str, expected: &str) -> Option<T> {
        self.known.push(key.to_owned());
        let value = self.table.remove(key)?;
        let found = format!("{} ({})", excerpt(&value.to_string()), value.type_str());
        value
            .try_into()
            .map_err(|_| self.problem(key, &format!("found {found}, expected {expected}")))
            .ok()
    }

    /// Whether `key` is there.
    pub(super) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// The value of `key`, which must be there.
    pub(super) fn required<T: DeserializeOwned>(&mut self, key: &str, expected: &str) -> Option<T> {
        if !self.table.contains_key(key) {
            self.problem(key, &format!("is missing, expected {expected}"));
        }
        self.optional(key, expected)
    }

    /// A count from 1 to `most`, `default` when absent.
    pub(super) fn count(&mut self, key: &str, default: usize, most: usize) -> usize {
        let expected = format!("a whole number from 1 to {most}");
        let count = self.optional(key, &expected).unwrap_or(default);
        self.check((1..=most).contains(&count), key, || {
            format!("found {count}, expected {expected}")
        });
        count.clamp(1, most)
    }

    /// A number from 0 to 1, `default` when absent.
    pub(super) fn fraction(&mut self, key: &str, default: f32) -> f32 {
        let expected = "a number from 0 to 1";
        let value: f32 = self.optional(key, expected).unwrap_or(default);
        self.check((0.0..=1.0).contains(&value), key, || {
            format!("found {value}, expected {expected}")
        });
        value.clamp(0.0, 1.0)
    }

    /// Reports `problem` unless `holds`.
    pub(super) fn check(&mut self, holds: bool, key: &str, problem: impl FnOnce() -> String) {
        if !holds {
            self.problem(key, &problem());
        }
    }

    /// Reads the table `name` with `read`; an absent one is read as empty.
    pub(super) fn section<T>(&mut self, name: &str, read: impl FnOnce(&mut Section<'_>) -> T) -> T {
        self.known.push(name.to_owned());
        let table = match self.table.remove(name) {
            None => toml::Table::new(),
            Some(toml::Value::Table(table)) => table,
            Some(other) => {
                let kind = other.type_str();
                self.problem(name, &format!("found {kind}, expected a table: write [{name}]"));
                toml::Table::new()
            }
        };
        self.inside(name, table, read)
    }

    /// Reads each table of the array `name`, of which there are from one to `most`; nothing where one is wrong.
    pub(super) fn tables<T>(
        &mut self,
        name: &str,
        most: usize,
        mut read: impl FnMut(&mut Section<'_>) -> Option<T>,
    ) -> Option<Vec<T>> {
        self.known.push(name.to_owned());
        let found = match self.table.remove(name) {
            None => {
                self.problem(name, &format!("is missing, expected tables: write [[{name}]]"));
                return None;
            }
            Some(toml::Value::Array(found)) => found,
            Some(other) => {
                let kind = other.type_str();
                self.problem(name, &format!("found {kind}, expected tables: write [[{name}]]"));
                return None;
            }
        };
        self.check((1..=most).contains(&found.len()), name, || {
            format!("found {}, expected 1 to {most}", found.len())
        });
        let tables = found.into_iter().take(most).enumerate();
        let values: Vec<Option<T>> = tables
            .map(|(index, value)| match value {
                toml::Value::Table(table) => self.inside(&format!("{name}[{index}]"), table, &mut read),
                other => {
                    let kind = other.type_str();
                    self.problem(name, &format!("found {kind}, expected tables: write [[{name}]]"));
                    None
                }
            })
            .collect();
        values.into_iter().collect()
    }

    /// Reads `table`, whose keys are told of behind `name`.
    fn inside<T>(&mut self, name: &str, table: toml::Table, read: impl FnOnce(&mut Section<'_>) -> T) -> T {
        let mut section = Section {
            prefix: format!("{}{name}.", self.prefix),
            table,
            known: Vec::new(),
            problems: self.problems,
        };
        let value = read(&mut section);
        section.finish();
        value
    }

    /// Reports every key that nobody asked for.
    pub(super) fn finish(mut self) {
        for key in std::mem::take(&mut self.table).keys() {
            let near = self
                .known
                .iter()
                .map(|k| (strsim::jaro_winkler(k, key), k))
                .max_by(|a, b| a.0.total_cmp(&b.0));
            let hint = match near {
                Some((likeness, known)) if likeness > 0.8 => format!("did you mean `{known}`?"),
                _ => format!("known here: {}", self.known.join(", ")),
            };
            self.problem(&excerpt(key), &format!("unknown key; {hint}"));
        }
    }
}

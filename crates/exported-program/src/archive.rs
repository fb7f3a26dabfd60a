//! The records of the archive: stored files under one root folder.

use std::fs::File;
use std::io::{BufReader, Read};

use zip::CompressionMethod;
use zip::read::{ArchiveOffset, Config, ZipArchive};

use crate::refused::{Refused, Result, excerpt};

/// Bytes that a JSON record may have.
const MOST_JSON: u64 = 128 << 20;

/// Files that an archive may have.
const MOST_RECORDS: usize = 1 << 20;

/// An open archive.
pub(crate) struct Archive<'a> {
    zip: ZipArchive<BufReader<&'a File>>,
    names: Vec<String>,
    /// The folder that everything lies in, with its slash.
    root: String,
}

impl<'a> Archive<'a> {
    pub(crate) fn open(file: &'a File) -> Result<Self> {
        // It would look for a beginning elsewhere, and find a wrong one in some.
        let config = Config {
            archive_offset: ArchiveOffset::Known(0),
        };
        let zip = ZipArchive::with_config(config, BufReader::new(file))
            .map_err(|error| Refused::Foreign(error.to_string()))?;
        if zip.len() > MOST_RECORDS {
            return Err(Refused::damaged(format!("it has {} files", zip.len())));
        }
        let names = zip
            .file_names()
            .map(|name| name.map(std::borrow::Cow::into_owned));
        let names: Vec<String> = names
            .collect::<Result<_, _>>()
            .map_err(|e| Refused::damaged(e.to_string()))?;
        let root = names
            .iter()
            .find_map(|name| name.strip_suffix("archive_format"))
            .filter(|root| root.matches('/').count() == 1)
            .ok_or_else(|| Refused::Foreign("it has no archive_format".into()))?
            .to_owned();
        let mut archive = Self { zip, names, root };
        let format = archive.bytes("archive_format", 16)?;
        if format != b"pt2" {
            return Err(Refused::Foreign(format!(
                "its format is {}",
                excerpt(&String::from_utf8_lossy(&format))
            )));
        }
        match archive.bytes("byteorder", 16) {
            Ok(order) if order == b"little" => Ok(archive),
            Ok(_) => Err(Refused::unsupported(
                "the numbers of its weights are not little-endian",
            )),
            Err(error) => Err(error),
        }
    }

    /// What follows `folder` and precedes `ending` in the names of files, in the order of the archive.
    pub(crate) fn names(&self, folder: &str, ending: &str) -> Vec<String> {
        let within = format!("{}{folder}", self.root);
        let inner = |name: &str| {
            let name = name.strip_prefix(&within)?.strip_suffix(ending)?;
            (!name.is_empty() && !name.contains('/')).then(|| name.to_owned())
        };
        self.names.iter().filter_map(|name| inner(name)).collect()
    }

    pub(crate) fn has(&self, folder: &str) -> bool {
        let within = format!("{}{folder}", self.root);
        self.names.iter().any(|name| name.starts_with(&within))
    }

    /// A JSON record as `T`.
    pub(crate) fn json<T: serde::de::DeserializeOwned>(&mut self, record: &str) -> Result<T> {
        let bytes = self.bytes(record, MOST_JSON)?;
        serde_json::from_slice(&bytes)
            .map_err(|error| Refused::damaged(format!("{record}: {}", excerpt(&error.to_string()))))
    }

    /// The size of a record; nothing where there is none.
    pub(crate) fn size(&mut self, record: &str) -> Option<u64> {
        let name = format!("{}{record}", self.root);
        self.zip.by_name(&name).ok().map(|entry| entry.size())
    }

    /// The bytes of a record, which has `most` at most.
    pub(crate) fn bytes(&mut self, record: &str, most: u64) -> Result<Vec<u8>> {
        let name = format!("{}{record}", self.root);
        let damaged = |text: String| Refused::damaged(format!("{}: {text}", excerpt(record)));
        let mut entry = self
            .zip
            .by_name(&name)
            .map_err(|error| damaged(error.to_string()))?;
        if entry.compression() != CompressionMethod::Stored || entry.encrypted() {
            return Err(damaged(
                "it is compressed; torch.export stores files as they are".into(),
            ));
        }
        if entry.size() > most {
            return Err(damaged(format!(
                "it has {} bytes, and {most} at most are read",
                entry.size()
            )));
        }
        let mut bytes = Vec::new();
        let read = entry.by_ref().take(most).read_to_end(&mut bytes);
        read.map_err(|error| damaged(error.to_string()))?;
        Ok(bytes)
    }
}

//! Files that stand where a TorchScript file should, told by what is in them, each with the way to a TorchScript file.
//!
//! It is looked at when libtorch has refused a file, whose own words are about archives and records. Only beginnings and
//! the directory of an archive are read, and each has a bound.

mod archive;
mod cures;
mod pickle;

use std::fs::File;
use std::io::{self, Read, Seek};
use std::path::Path;

use archive::Archive;
use cures::{but, traced};
use pickle::Pickle;

use crate::error::{Error, excerpt};
use crate::manifest;

/// Bytes at the beginning of a file that tell what it is.
const HEAD: u64 = 4096;

/// Bytes of a pickle that are looked through.
const PICKLE: u64 = 256 << 10;

/// What a file is.
#[derive(Debug, PartialEq, Eq)]
enum Foreign {
    Pickle(Pickle),
    Exported,
    /// Of torch.export, without its program.
    Unfinished,
    Package,
    Mobile,
    Safetensors,
    Onnx,
    Keras,
    TfLite,
    Numpy,
    LfsPointer,
    Page,
    Text(String),
    Empty,
    CutArchive,
    Compressed,
    /// A ZIP archive of something else, and a file in it that may be meant.
    Archive(Option<String>),
}

/// `error`, with which libtorch refused `file`; where the file is known to be something else, that, and the cure.
pub(super) fn refused(file: &Path, name: &Path, error: Error) -> Error {
    if matches!(error, Error::OutOfMemory(_)) {
        return error;
    }
    let name = name.file_name().unwrap_or_default().to_string_lossy();
    let found = manifest::open(file).and_then(|mut file| recognise(&mut file));
    match found {
        Ok(Some(foreign)) => Error::model(foreign.described(&excerpt(&name))),
        _ => error,
    }
}

/// What `file` is, where it is known to be no TorchScript file.
fn recognise(file: &mut File) -> io::Result<Option<Foreign>> {
    let head = beginning(file, HEAD)?;
    Ok(match head[..] {
        [] => Some(Foreign::Empty),
        [b'P', b'K', 3, 4, ..] => match Archive::read(file)? {
            Some(archive) => in_archive(file, &archive)?,
            None => Some(Foreign::CutArchive),
        },
        [0x80, 2..=5, ..] => Some(Foreign::Pickle(pickle::recognise(&beginning(file, PICKLE)?))),
        [0x89, b'H', b'D', b'F', ..] => Some(Foreign::Keras),
        [_, _, _, _, b'T', b'F', b'L', b'3', ..] => Some(Foreign::TfLite),
        [_, _, _, _, b'P', b'T', b'M', b'F', ..] => Some(Foreign::Mobile),
        [0x93, b'N', b'U', b'M', b'P', b'Y', ..] => Some(Foreign::Numpy),
        [0x1f, 0x8b, ..] | [b'B', b'Z', b'h', ..] | [0xfd, b'7', b'z', b'X', b'Z', ..] => {
            Some(Foreign::Compressed)
        }
        // The version of the format, then the producer's name.
        [8, 1..=32, 0x12, ..] => Some(Foreign::Onnx),
        [_, _, _, _, _, _, 0, 0, b'{', b'"', ..] => Some(Foreign::Safetensors),
        _ if head.get(257..262) == Some(b"ustar") => Some(Foreign::Compressed),
        _ => text(&head),
    })
}

fn in_archive(file: &mut File, archive: &Archive) -> io::Result<Option<Foreign>> {
    let has = |ending: &str| archive.names().any(|name| name.ends_with(ending));
    let holds = |part: &str| archive.names().any(|name| name.contains(part));
    if has("/constants.pkl") || !archive.is_whole() {
        return Ok(None);
    }
    if holds("/data/aotinductor/") {
        return Ok(Some(Foreign::Package));
    }
    let is_program = |name: &str| name.contains("/models/") && name.ends_with(".json");
    if has("/archive_format") && !archive.names().any(is_program) {
        return Ok(Some(Foreign::Unfinished));
    }
    if has("/archive_format") || holds("serialized_exported_program") {
        return Ok(Some(Foreign::Exported));
    }
    if has("/bytecode.pkl") {
        return Ok(Some(Foreign::Mobile));
    }
    if let Some(bytes) = archive.stored(file, "/data.pkl", PICKLE)? {
        return Ok(Some(Foreign::Pickle(pickle::recognise(&bytes))));
    }
    if holds("model.weights.h5") {
        return Ok(Some(Foreign::Keras));
    }
    if archive.names().all(|name| name.ends_with(".npy")) {
        return Ok(Some(Foreign::Numpy));
    }
    let is_model =
        |name: &&str| name.ends_with(".pt") || name.ends_with(".pth") || name.ends_with(".torchscript");
    Ok(Some(Foreign::Archive(
        archive.names().find(is_model).map(str::to_owned),
    )))
}

/// What begins with words.
fn text(head: &[u8]) -> Option<Foreign> {
    let words = match std::str::from_utf8(head) {
        Ok(words) => words,
        // It may end within a character.
        Err(error) if error.error_len().is_none() => {
            std::str::from_utf8(&head[..error.valid_up_to()]).ok()?
        }
        Err(_) => return None,
    };
    let is_text = |c: char| !c.is_control() || matches!(c, '\n' | '\r' | '\t' | '\u{feff}');
    if !words.chars().all(is_text) {
        return None;
    }
    let words = words.trim_start_matches('\u{feff}').trim_start();
    if words.starts_with("version https://git-lfs.github.com/spec/") {
        return Some(Foreign::LfsPointer);
    }
    let begins = words.get(..9).unwrap_or_default().to_ascii_lowercase();
    if begins.starts_with("<!doctype") || begins.starts_with("<html") {
        return Some(Foreign::Page);
    }
    let line = words.lines().next().unwrap_or_default();
    Some(Foreign::Text(line.chars().take(60).collect()))
}

fn beginning(file: &mut File, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.rewind()?;
    file.take(most).read_to_end(&mut bytes)?;
    Ok(bytes)
}

impl Foreign {
    /// What it is, and the line that mends it; `name` is that of the file.
    fn described(&self, name: &str) -> String {
        let loaded = |weights: &str| {
            format!(
                "weights without their network; in Python, where the network is made: \
                 net.load_state_dict({weights}); {}",
                traced("net.eval()")
            )
        };
        let unread = |what: &str| {
            format!(
                "{what}, which is not read; export the PyTorch network: {}",
                traced("net.eval()")
            )
        };
        let what = match self {
            Self::Pickle(pickle) => return pickle.described(name),
            Self::Exported => format!(
                "a program of torch.export in a form that newer versions do not write; in Python: \
                 torch.export.save(torch.export.load(\"{name}\"), \"model.pt2\")"
            ),
            Self::Unfinished => {
                "a file of torch.export that is incomplete: models/model.json is not in it, because saving it failed; look at the \
                 error that torch.export.save raised there: a network that answers a NamedTuple which is not registered, or a \
                 torch.return_types of topk, max or sort, must answer a tuple or a dict"
                    .into()
            }
            Self::Package => {
                "a package of AOTInductor; it stands beside the TorchScript file, as model.b1.pt2, with \
                              format = \"aoti\" (docs/model-toml.md)"
                    .into()
            }
            Self::Mobile => format!(
                "a file for the mobile interpreter alone; export the network anew, without \
                 _save_for_lite_interpreter: {}",
                traced("net.eval()")
            ),
            Self::Safetensors => format!(
                "a safetensors file, {}",
                loaded(&format!("safetensors.torch.load_file(\"{name}\")"))
            ),
            Self::Onnx => unread("an ONNX file"),
            Self::Keras => unread("an HDF5 or Keras file"),
            Self::TfLite => unread("a TensorFlow Lite file"),
            Self::Numpy => unread("a NumPy file"),
            Self::LfsPointer => "a pointer of Git LFS and not the file itself; fetch it: git lfs pull".into(),
            Self::Page => "an HTML page, as a download that failed leaves it; fetch the file again".into(),
            Self::Text(line) => format!(
                "a text, which begins with {line:?}; is it the answer of a download that failed, or another file?"
            ),
            Self::Empty => return "the file is empty; copy or export the model again".into(),
            Self::CutArchive => {
                "an archive that was cut off, as a download or copy that did not finish leaves it; fetch \
                                 the file again"
                    .into()
            }
            Self::Compressed => "a compressed file; unpack it".into(),
            Self::Archive(Some(inside)) => {
                format!("a ZIP archive with {:?} in it; unpack it", excerpt(inside))
            }
            Self::Archive(None) => unread("a ZIP archive without TorchScript in it"),
        };
        but(&what)
    }
}

#[cfg(test)]
mod tests;

//! The file of a model, as it was when it was opened.
//!
//! Its bytes are copied once into an unlinked file of our own, and hashed on the way. Everything that is made of the model
//! later, its explanations too, is read from that copy: what was verified is what runs, even where the file on disk is
//! replaced, overwritten or deleted.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::error::{Error, Result};
use crate::manifest::{self, ArtifactFormat};

/// See the module's text.
#[derive(Debug)]
pub struct Artifact {
    path: PathBuf,
    format: ArtifactFormat,
    copy: File,
}

impl Artifact {
    /// Opens `path`, which must have the digest `sha256` (lower-case hex) where one is given.
    ///
    /// # Errors
    /// [`Error::InvalidModel`] when it cannot be read or copied, or has another digest.
    pub fn open(path: &Path, format: ArtifactFormat, sha256: Option<&str>) -> Result<Self> {
        let problem = |text: String| Error::model(format!("{}: {text}", path.display()));
        let mut source = manifest::open(path).map_err(|e| problem(format!("cannot be read: {e}")))?;
        let mut copy = private_file().map_err(|e| problem(format!("cannot be copied: {e}")))?;
        let found =
            copy_hashed(&mut source, &mut copy).map_err(|e| problem(format!("cannot be read: {e}")))?;
        if let Some(expected) = sha256.filter(|expected| *expected != found) {
            return Err(problem(format!(
                "artifact.sha256: the file has {found}, model.toml says {expected}; fetch the file again, or mend the key"
            )));
        }
        Ok(Self {
            path: path.to_owned(),
            format,
            copy,
        })
    }

    /// Where it was, for messages.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its format.
    #[must_use]
    pub fn format(&self) -> ArtifactFormat {
        self.format
    }

    /// A path under which the copy can be opened as long as `self` lives.
    pub(super) fn readable(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.copy.as_raw_fd()))
    }

    /// The packages beside it, by batch size.
    pub(super) fn packages(&self) -> Vec<(usize, PathBuf)> {
        manifest::packages(&self.path)
    }
}

/// A file that nobody else can open: on disk, or in memory where no folder for temporary files can be written.
fn private_file() -> io::Result<File> {
    tempfile::tempfile().or_else(|_| {
        let memory = rustix::fs::memfd_create("model", rustix::fs::MemfdFlags::CLOEXEC)?;
        Ok(File::from(memory))
    })
}

/// Copies `source` to its end, and answers the SHA-256 of what was copied.
fn copy_hashed(source: &mut File, copy: &mut File) -> io::Result<String> {
    let mut hasher = Sha256::new();
    let mut chunk = vec![0; 1 << 20];
    loop {
        let length = match source.read(&mut chunk) {
            Ok(0) => break,
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        hasher.update(&chunk[..length]);
        copy.write_all(&chunk[..length])?;
    }
    copy.rewind()?;
    Ok(format!("{:x}", hasher.finalize()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_verified_is_what_is_read_whatever_happens_to_the_file() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let path = dir.path().join("model.pt");
        std::fs::write(&path, "abc").expect("writable");
        // FIPS 180-2, appendix B.1: the digest of "abc".
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let open = |sha256| Artifact::open(&path, ArtifactFormat::Torchscript, sha256);
        let other = abc.replace('b', "c");
        assert!(open(Some(&other)).is_err());
        let artifact = open(Some(abc)).expect("it is the file");
        let read = || std::fs::read_to_string(artifact.readable()).expect("the copy");
        std::fs::write(&path, "overwritten").expect("writable");
        assert_eq!(read(), "abc");
        std::fs::remove_file(&path).expect("it is there");
        assert_eq!(read(), "abc");
        assert!(open(None).is_err(), "it is gone");
    }
}

//! The file of a model, as it was when it was opened.
//!
//! Its bytes are copied once into an unlinked file of our own, and hashed on the way. Everything that is made of the model
//! later, its explanations too, is read from that copy: what was verified is what runs, even where the file on disk is
//! replaced, overwritten or deleted. AOTInductor packages beside it are unpacked by libtorch as they are loaded, and no copies.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::process::machine_memory;
use crate::error::{Error, Result};
use crate::manifest::{self, ArtifactFormat};

/// An unlinked copy of a model's file; its digest was checked where one was given.
#[derive(Debug)]
pub struct Artifact {
    path: PathBuf,
    format: Option<ArtifactFormat>,
    copy: File,
}

impl Artifact {
    /// Opens `path`, which must have the digest `sha256` (lower-case hex) where one is given.
    ///
    /// # Errors
    /// [`Error::InvalidModel`] when it cannot be read or copied, or has another digest; at once where it is larger than the
    /// memory of the machine, or than what is free where it is copied to.
    pub fn open(path: &Path, format: Option<ArtifactFormat>, sha256: Option<&str>) -> Result<Self> {
        let problem = |text: String| Error::model(format!("{}: {text}", path.display()));
        let mut source = manifest::open(path).map_err(|e| problem(format!("cannot be read: {e}")))?;
        let unreadable = |e: io::Error| problem(format!("cannot be read: {e}"));
        let bytes = source.metadata().map_err(unreadable)?.len();
        if bytes > machine_memory() {
            let most = machine_memory() >> 20;
            return Err(problem(format!(
                "has {} MiB, more than the memory of this machine or container, which is {most} MiB; is it the right file?",
                bytes >> 20
            )));
        }
        let mut copy = private_file().map_err(|e| problem(format!("cannot be copied: {e}")))?;
        if let Some(free) = free_beside(&copy).filter(|free| bytes > *free) {
            return Err(problem(format!(
                "cannot be copied: it has {} MiB, and {} MiB are free for temporary files; make room, or set TMPDIR",
                bytes >> 20,
                free >> 20
            )));
        }
        let found = copy_hashed(&mut source, bytes, &mut copy).map_err(unreadable)?;
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

    /// Its format, where model.toml says one.
    #[must_use]
    pub fn format(&self) -> Option<ArtifactFormat> {
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

/// Bytes that are free in the file system of `file`, if it has a bound.
fn free_beside(file: &File) -> Option<u64> {
    let system = rustix::fs::fstatvfs(file).ok()?;
    (system.f_blocks > 0).then(|| system.f_bavail.saturating_mul(system.f_frsize))
}

/// Copies the first `bytes` of `source`, and answers the SHA-256 of what was copied.
fn copy_hashed(source: &mut File, bytes: u64, copy: &mut File) -> io::Result<String> {
    let mut hasher = Sha256::new();
    let mut source = source.take(bytes);
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
        let open = |sha256| Artifact::open(&path, None, sha256);
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

    #[test]
    fn what_no_machine_can_hold_is_not_copied() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let path = dir.path().join("model.pt");
        let file = File::create(&path).expect("writable");
        file.set_len(8 << 40).expect("a file of holes");
        let refused = Artifact::open(&path, None, None).expect_err("8 TiB");
        assert!(refused.to_string().contains("has 8388608 MiB"), "{refused}");
    }
}

//! The checksum of an artifact.

use std::fs::File;
use std::io;
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::error::{Error, Result};

/// Checks that `file` has this SHA-256 (lower-case hex).
///
/// # Errors
/// [`Error::InvalidModel`] with both digests when it has not, or when it cannot be read.
pub(super) fn verify(file: &Path, expected: &str) -> Result<()> {
    let problem = |text: String| Error::InvalidModel {
        problems: vec![format!("{}: {text}", file.display())],
    };
    let mut hasher = Sha256::new();
    File::open(file)
        .and_then(|mut reader| io::copy(&mut reader, &mut hasher))
        .map_err(|e| problem(format!("cannot be read: {e}")))?;
    let found = format!("{:x}", hasher.finalize());
    if found == expected {
        return Ok(());
    }
    Err(problem(format!(
        "artifact.sha256: the file has {found}, model.toml says {expected}; fetch the file again, or mend the key"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_compared() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let file = dir.path().join("model.pt");
        std::fs::write(&file, "abc").expect("writable");
        // FIPS 180-2, appendix B.1: the digest of "abc".
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(verify(&file, abc), Ok(()));
        assert!(verify(&file, &abc.replace('b', "c")).is_err());
    }
}

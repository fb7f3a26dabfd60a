//! Why a file is not read.

/// Characters of a text from a file that a message repeats.
const EXCERPT: usize = 80;

/// The result of reading.
pub type Result<T, E = Refused> = std::result::Result<T, E>;

/// Why a file is not read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// The file cannot be read.
    #[error("the file cannot be read: {0}")]
    Io(#[from] std::io::Error),
    /// It is no archive of torch.export.
    #[error("no archive of torch.export: {0}")]
    Foreign(String),
    /// It says something that cannot be true.
    #[error("the file is damaged: {0}")]
    Damaged(String),
    /// It is right, and asks for what is not done.
    #[error("{0}")]
    Unsupported(String),
}

impl Refused {
    pub(crate) fn damaged(text: impl Into<String>) -> Self {
        Self::Damaged(text.into())
    }

    pub(crate) fn unsupported(text: impl Into<String>) -> Self {
        Self::Unsupported(text.into())
    }
}

/// A text from a file, short enough for a message and on one line.
pub(crate) fn excerpt(text: &str) -> String {
    let mut short: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(EXCERPT)
        .collect();
    if text.chars().count() > EXCERPT {
        short.push('…');
    }
    short
}

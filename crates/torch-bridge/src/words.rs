//! What the words of libtorch say of an input that does not fit: its interpreter keeps nothing but words.

use std::fmt;

/// Characters of a message, and of a line of a program, that are kept.
const MOST: usize = 400;

/// How an input does not fit a module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Misfit {
    /// A convolution takes another number of channels.
    Channels {
        /// As many as it takes.
        takes: u64,
        /// As many as it was given.
        given: u64,
    },
    /// A matrix takes rows of another length.
    Columns {
        /// As long as it takes.
        takes: u64,
        /// As long as it was given.
        given: u64,
    },
    /// Two tensors that are laid over each other have other sizes.
    Sizes {
        /// That of the first.
        one: u64,
        /// That of the second.
        other: u64,
    },
    /// The weights are numbers of another type than the input.
    Numbers,
}

impl Misfit {
    /// What `words` of libtorch say.
    #[must_use]
    pub fn in_words(words: &str) -> Option<Self> {
        let of_channels = || {
            let takes = after(words, "] to have ")?;
            Some(Self::Channels {
                takes,
                given: after(words, " channels, but got ")?,
            })
        };
        let of_columns = || {
            // (1x12288 and 4096x10)
            let (_, shapes) = words.split_once("shapes cannot be multiplied (")?;
            let (given, taken) = shapes.split_once(" and ")?;
            Some(Self::Columns {
                takes: number(taken)?,
                given: number(given.split_once('x')?.1)?,
            })
        };
        let of_sizes = || {
            let (_, sizes) = words.split_once("The size of tensor a (")?;
            Some(Self::Sizes {
                one: number(sizes)?,
                other: after(sizes, "tensor b (")?,
            })
        };
        let of_numbers = || {
            const SAID: [&str; 5] = [
                "should be the same",
                "must have the same dtype",
                "to have the same dtype",
                "expected scalar type",
                "Expected object of scalar type",
            ];
            SAID.iter()
                .any(|said| words.contains(said))
                .then_some(Self::Numbers)
        };
        of_channels()
            .or_else(of_columns)
            .or_else(of_sizes)
            .or_else(of_numbers)
    }
}

/// The number behind `mark`.
fn after(words: &str, mark: &str) -> Option<u64> {
    number(words.split_once(mark)?.1)
}

/// The number that `text` begins with.
fn number(text: &str) -> Option<u64> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text[..end].parse().ok()
}

/// Words of libtorch without TorchScript's traceback: what was raised, and the line of the program that raised it.
#[derive(Debug, Clone, Copy)]
pub struct Brief<'a>(pub &'a str);

impl fmt::Display for Brief<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(words) = self;
        let Some((_, trace)) = words.split_once("Traceback of TorchScript") else {
            return f.write_str(&shortened(words));
        };
        let lines: Vec<&str> = trace
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
            .collect();
        f.write_str(&shortened(lines.last().unwrap_or(words)))?;
        // The deepest call is the last.
        let marked = lines.iter().rposition(|line| line.ends_with("<--- HERE"));
        match marked.and_then(|at| lines.get(at.checked_sub(1)?)) {
            Some(line) => write!(f, ", at `{}`", shortened(line)),
            None => Ok(()),
        }
    }
}

fn shortened(text: &str) -> String {
    let text = text.trim();
    match text.char_indices().nth(MOST) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misfit_is_read_from_the_words() {
        for (words, expected) in [
            (
                "RuntimeError: Given groups=1, weight of size [4, 5, 3, 3], expected input[1, 3, 64, 64] to have 5 \
                 channels, but got 3 channels instead",
                Misfit::Channels { takes: 5, given: 3 },
            ),
            (
                "RuntimeError: mat1 and mat2 shapes cannot be multiplied (1x12288 and 4096x10)",
                Misfit::Columns {
                    takes: 4096,
                    given: 12288,
                },
            ),
            (
                "The size of tensor a (17) must match the size of tensor b (50) at non-singleton dimension 1",
                Misfit::Sizes { one: 17, other: 50 },
            ),
            (
                "RuntimeError: Input type (float) and bias type (double) should be the same",
                Misfit::Numbers,
            ),
        ] {
            assert_eq!(Misfit::in_words(words), Some(expected), "{words}");
        }
        assert_eq!(Misfit::in_words("RuntimeError: to have (x and y"), None);
    }

    #[test]
    fn of_a_traceback_the_reason_and_the_line_are_left() {
        let words = "The following operation failed in the TorchScript interpreter.\nTraceback of TorchScript, serialized \
                     code (most recent call last):\n  File \"code/__torch__.py\", line 10, in forward\n    x: Tensor) -> \
                     Tensor:\n    _0 = torch.view(n, [1, 5])\n         ~~~~~~~~~~ <--- HERE\n    return _0\n\nTraceback of \
                     TorchScript, original code (most recent call last):\nmodels.py(51): forward\nRuntimeError: shape '[1, \
                     5]' is invalid for input of size 80\n";
        assert_eq!(
            Brief(words).to_string(),
            "RuntimeError: shape '[1, 5]' is invalid for input of size 80, at `_0 = torch.view(n, [1, 5])`"
        );
        assert_eq!(Brief("no traceback").to_string(), "no traceback");
        assert!(Brief(&"ä".repeat(5000)).to_string().chars().count() <= MOST + 1);
    }
}

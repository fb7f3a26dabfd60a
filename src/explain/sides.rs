//! Height and width, as a client writes them.

use std::str::FromStr;

/// Two sides, height and width: `32`, or `32,24`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sides {
    /// Height.
    pub height: usize,
    /// Width.
    pub width: usize,
}

impl FromStr for Sides {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let sides: Vec<usize> = text
            .split(',')
            .filter_map(|side| side.trim().parse().ok())
            .collect();
        match (sides[..].first(), sides[..].last(), text.split(',').count()) {
            (Some(&height), Some(&width), 1 | 2)
                if height > 0 && width > 0 && sides.len() == text.split(',').count() =>
            {
                Ok(Self { height, width })
            }
            _ => Err("expected one side of at least 1, such as 32, or height,width, such as 32,24".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sides_are_one_or_two() {
        let sides = |height, width| Ok(Sides { height, width });
        assert_eq!("32".parse(), sides(32, 32));
        assert_eq!("32, 24".parse(), sides(32, 24));
        for wrong in ["", "0", "1,2,3", "a", "1,b", "-1"] {
            assert!(wrong.parse::<Sides>().is_err(), "{wrong}");
        }
    }
}

//! CCITT compression of black and white: T.4 (Group 3, in one and two dimensions), T.6 (Group 4), and TIFF's two ways of
//! writing T.4 without line ends. The tables of codes are the crate `fax`'s, whose own decoders know fewer of these.

use fax::BitReader;
use fax::maps::{Mode, black, mode, white};

/// How lines are told apart and coded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coding {
    /// One dimension, each line on a boundary of so many bits (TIFF's compressions 2 and 32771).
    Aligned(usize),
    /// A line end before each line; in two dimensions, a bit behind it that says whether the line has but one.
    Group3 {
        /// Whether lines may refer to the line above.
        two_dimensional: bool,
    },
    /// Two dimensions throughout.
    Group4,
}

/// The bits of a strip, followed by zeros.
struct Bits<'a> {
    data: &'a [u8],
    at: usize,
}

impl BitReader for Bits<'_> {
    type Error = ();

    fn peek(&self, bits: u8) -> Option<u16> {
        if self.at >= self.data.len() * 8 {
            return None;
        }
        let byte = |ahead: usize| u32::from(self.data.get(self.at / 8 + ahead).copied().unwrap_or(0));
        let window = (byte(0) << 16 | byte(1) << 8 | byte(2)) << (self.at % 8) & 0x00FF_FFFF;
        Some((window >> (24 - u32::from(bits.min(16)))) as u16)
    }

    fn consume(&mut self, bits: u8) -> Result<(), ()> {
        self.at += usize::from(bits);
        Ok(())
    }

    fn bits_to_byte_boundary(&self) -> u8 {
        (self.at.wrapping_neg() % 8) as u8
    }
}

impl Bits<'_> {
    /// Goes behind the next line end: eleven zeros or more, and a one.
    fn pass_line_end(&mut self) -> Option<()> {
        while self.peek(11)? != 0 {
            self.at += 1;
        }
        while self.peek(1)? == 0 {
            self.at += 1;
        }
        self.at += 1;
        Some(())
    }

    fn next(&mut self) -> Option<u16> {
        let bit = self.peek(1)?;
        self.at += 1;
        Some(bit)
    }

    fn align(&mut self, bits: usize) {
        self.at = self.at.next_multiple_of(bits);
    }

    /// The length of a run: codes of multiples of 64, and one of less.
    fn run(&mut self, is_black: bool) -> Option<u32> {
        let mut length = 0_u32;
        loop {
            let code = if is_black {
                black::decode(self)
            } else {
                white::decode(self)
            }?;
            length = length.saturating_add(u32::from(code));
            if code < 64 {
                return Some(length);
            }
        }
    }
}

/// Where a line changes its colour: to black at even places, to white at odd ones. It begins white.
type Changes = Vec<u32>;

/// Writes the lines of a strip into `rows`, each of `width` bits on whole bytes, black being 1; None where the data is
/// corrupt or ends too soon. Lines behind Group 4's end mark stay white.
pub(super) fn decode(data: &[u8], coding: Coding, width: u32, rows: &mut [u8]) -> Option<()> {
    let mut bits = Bits { data, at: 0 };
    let (mut above, mut line) = (Changes::new(), Changes::new());
    rows.fill(0);
    for row in rows.chunks_exact_mut((width as usize).div_ceil(8)) {
        line.clear();
        let two_dimensional = match coding {
            Coding::Aligned(to) => {
                bits.align(to);
                false
            }
            Coding::Group3 { two_dimensional } => {
                bits.pass_line_end()?;
                two_dimensional && bits.next()? == 0
            }
            Coding::Group4 => true,
        };
        if two_dimensional {
            if !below(&mut bits, &above, width, &mut line)? {
                return Some(());
            }
        } else {
            alone(&mut bits, width, &mut line)?;
        }
        paint(&line, width, row);
        std::mem::swap(&mut above, &mut line);
    }
    Some(())
}

/// A line in one dimension: white and black runs in turn.
fn alone(bits: &mut Bits<'_>, width: u32, line: &mut Changes) -> Option<()> {
    let (mut at, mut is_black) = (0_u32, false);
    while at < width {
        at = at.saturating_add(bits.run(is_black)?).min(width);
        line.push(at);
        is_black = !is_black;
    }
    Some(())
}

/// A line in two dimensions, told by how it differs from the one `above`; false where an end mark stands instead.
fn below(bits: &mut Bits<'_>, above: &[u32], width: u32, line: &mut Changes) -> Option<bool> {
    // `a0` of T.6 lies before the first pixel at first.
    let (mut at, mut is_black, mut near) = (-1_i64, false, 0);
    while at < i64::from(width) {
        if bits.peek(7)? == 0 {
            // No mode begins so. The table takes it for an end mark without looking at the rest.
            return (line.is_empty() && bits.peek(12)? == 1).then_some(false);
        }
        let first = next_change(above, at, is_black, &mut near);
        let change = |index: usize| i64::from(above.get(index).copied().unwrap_or(width));
        match mode::decode(bits)? {
            Mode::Pass => at = change(first + 1),
            Mode::Vertical(by) => {
                let to = (change(first) + i64::from(by)).min(i64::from(width));
                if to < at.max(0) {
                    return None;
                }
                line.push(to as u32);
                is_black = !is_black;
                at = to;
            }
            Mode::Horizontal => {
                let start = at.max(0) as u32;
                let middle = start.saturating_add(bits.run(is_black)?).min(width);
                let end = middle.saturating_add(bits.run(!is_black)?).min(width);
                line.extend([middle, end]);
                at = i64::from(end);
            }
            Mode::EOF | Mode::Extension => return None,
        }
    }
    Some(true)
}

/// The index of T.6's `b1`: the first change above that lies right of `at`, to the colour that is not the present one.
/// `near` is where the last one was found.
fn next_change(above: &[u32], at: i64, is_black: bool, near: &mut usize) -> usize {
    let is_right = |index: usize| above.get(index).is_none_or(|change| i64::from(*change) > at);
    while *near > 0 && is_right(*near - 1) {
        *near -= 1;
    }
    while !is_right(*near) {
        *near += 1;
    }
    *near + usize::from((*near % 2 == 1) != is_black)
}

/// Sets the black runs of a line.
fn paint(line: &[u32], width: u32, row: &mut [u8]) {
    for run in line.chunks(2) {
        let &[from, ref to @ ..] = run else { continue };
        let to = to.first().copied().unwrap_or(width);
        for pixel in from as usize..to as usize {
            row[pixel / 8] |= 0x80 >> (pixel % 8);
        }
    }
}

#[cfg(test)]
mod tests {
    use fax::encoder::Encoder;
    use fax::{Color, VecWriter};

    use super::*;

    /// A picture of `width`×`height` whose lines are alike, but not the same.
    fn picture(width: u32, height: u32) -> Vec<u8> {
        let mut rows = Vec::new();
        for y in 0..height {
            let mut row = vec![0; (width as usize).div_ceil(8)];
            let changes = [3 + y, 9 + y / 2, width / 2, width / 2 + y % 3, width - 1];
            paint(&changes, width, &mut row);
            rows.extend(row);
        }
        rows
    }

    #[test]
    fn group_4_comes_back_as_it_went() {
        for width in [40, 41, 1000] {
            let rows = picture(width, 11);
            let mut encoder = Encoder::new(VecWriter::new());
            for row in rows.chunks_exact((width as usize).div_ceil(8)) {
                let pixels = (0..width as usize).map(|x| match row[x / 8] >> (7 - x % 8) & 1 {
                    0 => Color::White,
                    _ => Color::Black,
                });
                encoder.encode_line(pixels, width as u16).expect("written");
            }
            let data = encoder.finish().expect("written").finish();
            let mut back = vec![0xFF; rows.len()];
            assert_eq!(decode(&data, Coding::Group4, width, &mut back), Some(()));
            assert_eq!(back, rows, "{width}");
            let half = &data[..data.len() / 2];
            assert_eq!(decode(half, Coding::Group4, width, &mut back), None);
        }
    }

    #[test]
    fn one_dimension_with_and_without_line_ends() {
        // White 4 (1011), black 2 (11), white 2 (0111), by T.4's table; then all white: 8 (10011).
        let rows = [0b0000_1100, 0];
        let mut back = [0xFF; 2];
        let aligned = [0b1011_1101, 0b1100_0000, 0b1001_1000];
        assert_eq!(decode(&aligned, Coding::Aligned(8), 8, &mut back), Some(()));
        assert_eq!(back, rows);
        // 000000000001, the line, and so again.
        let ended = [0, 0b0001_1011, 0b1101_1100, 0, 0b0000_1100, 0b1100_0000];
        let coding = Coding::Group3 {
            two_dimensional: false,
        };
        assert_eq!(decode(&ended, coding, 8, &mut back), Some(()));
        assert_eq!(back, rows);
        assert_eq!(decode(&ended[..3], coding, 8, &mut back), None);
    }

    #[test]
    fn nonsense_ends() {
        let mut state = 1_u32;
        for _ in 0..2000 {
            let data: Vec<u8> = (0..40)
                .map(|_| {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    (state >> 24) as u8
                })
                .collect();
            let mut rows = [0; 4 * 8];
            for coding in [
                Coding::Group4,
                Coding::Aligned(16),
                Coding::Group3 {
                    two_dimensional: true,
                },
            ] {
                let _any_answer_will_do = decode(&data, coding, 29, &mut rows);
            }
        }
    }
}

//! The two run-length codes of bitmaps: pairs of bytes, a count and an index or two of 4 bits; a count of 0 begins an
//! escape. What does not fit into a row is cut as Pillow cuts it (`BmpRleDecoder`).

/// Pixels so far, of all that there are.
struct Canvas {
    indices: Vec<u8>,
    all: usize,
    width: usize,
}

impl Canvas {
    fn is_full(&self) -> bool {
        self.indices.len() >= self.all
    }

    /// Leaves pixels out: they have index 0.
    fn skip(&mut self, count: usize) {
        let to = self.indices.len().saturating_add(count).min(self.all);
        self.indices.resize(to, 0);
    }

    /// `count` pixels of these indices in turn.
    fn extend(&mut self, indices: impl Iterator<Item = u8>, count: usize) {
        let count = count.min(self.all - self.indices.len());
        self.indices.extend(indices.take(count));
    }

    fn end_row(&mut self) {
        let to = self.indices.len().next_multiple_of(self.width);
        self.indices.resize(to.min(self.all), 0);
    }
}

/// The indices of all pixels, in the order of the file; none where it ends too soon.
pub(super) fn unpack(mut data: &[u8], of_four_bits: bool, width: usize, height: usize) -> Option<Vec<u8>> {
    const END_OF_ROW: u8 = 0;
    const END: u8 = 1;
    const SKIP: u8 = 2;
    let mut canvas = Canvas {
        indices: Vec::with_capacity(width * height),
        all: width * height,
        width,
    };
    let mut x = 0_usize;
    while !canvas.is_full() {
        let &[count, value, ref rest @ ..] = data else {
            return None;
        };
        data = rest;
        match (count, value) {
            (0, END_OF_ROW) => {
                canvas.end_row();
                x = 0;
            }
            (0, END) => canvas.skip(usize::MAX),
            (0, SKIP) => {
                let &[right, up, ref rest @ ..] = data else {
                    return None;
                };
                data = rest;
                canvas.skip(usize::from(right) + usize::from(up) * width);
                x = canvas.indices.len() % width;
            }
            (0, as_they_are) => {
                let count = usize::from(as_they_are);
                let bytes = if of_four_bits { count.div_ceil(2) } else { count };
                let wanted = count.min(canvas.all - canvas.indices.len());
                let stored = data.get(..if of_four_bits { wanted.div_ceil(2) } else { wanted })?;
                canvas.extend(indices(stored, of_four_bits), count);
                x = x.saturating_add(count);
                // On whole words of 16 bits.
                data = data.get(bytes.next_multiple_of(2)..).unwrap_or_default();
            }
            (count, value) => {
                let count = usize::from(count).min(width.saturating_sub(x));
                canvas.extend(indices(&[value], of_four_bits).cycle(), count);
                x += count;
            }
        }
    }
    Some(canvas.indices)
}

fn indices(bytes: &[u8], of_four_bits: bool) -> impl Iterator<Item = u8> + Clone {
    let parts = if of_four_bits { 2 } else { 1 };
    bytes.iter().flat_map(move |byte| {
        let halves = if of_four_bits {
            [byte >> 4, byte & 0x0F]
        } else {
            [*byte, 0]
        };
        halves.into_iter().take(parts)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_and_literals_of_both_widths() {
        // Five times 7; three as they are, and a byte that fills the word.
        let bytes = [5, 7, 0, 3, 1, 2, 3, 0];
        assert_eq!(unpack(&bytes, false, 8, 1), Some(vec![7, 7, 7, 7, 7, 1, 2, 3]));
        let halves = [5, 0x7A, 0, 3, 0x12, 0x30];
        assert_eq!(unpack(&halves, true, 8, 1), Some(vec![7, 10, 7, 10, 7, 1, 2, 3]));
    }

    #[test]
    fn rows_end_early_and_runs_end_with_them() {
        assert_eq!(
            unpack(&[1, 9, 0, 0, 9, 8], false, 3, 2),
            Some(vec![9, 0, 0, 8, 8, 8])
        );
        assert_eq!(
            unpack(&[9, 8, 0, 0, 1, 9, 0, 1], false, 3, 2),
            Some(vec![8, 8, 8, 9, 0, 0])
        );
        assert_eq!(
            unpack(&[0, 2, 1, 1, 1, 9, 0, 1], false, 3, 2),
            Some(vec![0, 0, 0, 0, 9, 0])
        );
    }

    #[test]
    fn what_ends_too_soon_is_none() {
        for data in [&[][..], &[1], &[1, 9], &[0, 2, 1], &[0, 5, 1, 2]] {
            assert_eq!(unpack(data, false, 3, 2), None, "{data:?}");
        }
    }
}

//! Beam search for one caption, as a plain state machine: log-probabilities in, which rows live on out. Greedy
//! search is a beam of one.
//!
//! A caption's score is its log-probability over its length to the power of the length penalty (Wu et al.,
//! arXiv 1609.08144, section 7, without the constant; a penalty of 0 is the plain log-probability).

/// A caption, or the beginning of one.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Hypothesis {
    /// Tokens after the start; the end, if it was reached, is the last.
    pub(super) tokens: Vec<usize>,
    /// The log-probability of each.
    pub(super) log_probs: Vec<f32>,
    /// Their sum.
    pub(super) total: f64,
    /// The row of the step that emitted each token, for what is kept beside.
    pub(super) rows: Vec<usize>,
}

/// How to search.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules {
    /// Beginnings that are kept, at least 1.
    pub(super) beams: usize,
    /// Tokens at most, at least 1.
    pub(super) max_length: usize,
    /// The exponent of a caption's length, by which its log-probability is divided.
    pub(super) length_penalty: f64,
    /// The token that ends a caption.
    pub(super) end: usize,
}

impl Rules {
    fn score(&self, total: f64, length: usize) -> f64 {
        total / (length as f64).powf(self.length_penalty)
    }
}

/// One token that may follow a row.
pub(super) type Next = (usize, f32);

/// One search: the beginnings that are continued, and the best caption that has ended.
#[derive(Debug)]
pub(super) struct Search {
    rules: Rules,
    live: Vec<Hypothesis>,
    best: Option<Hypothesis>,
}

impl Search {
    pub(super) fn new(rules: Rules) -> Self {
        let beginning = Hypothesis {
            tokens: Vec::new(),
            log_probs: Vec::new(),
            total: 0.0,
            rows: Vec::new(),
        };
        Self {
            rules,
            live: vec![beginning],
            best: None,
        }
    }

    /// The beginnings that want to be continued, one a row.
    pub(super) fn live(&self) -> &[Hypothesis] {
        &self.live
    }

    /// Continues each live row `i` with `next[i]` (its likeliest tokens, at least `beams` of them or all there are),
    /// and answers from which row each of the rows that live now came. `first_row` is the number of row 0 among the
    /// rows of all searches.
    pub(super) fn advance(&mut self, next: &[Vec<Next>], first_row: usize) -> Vec<usize> {
        debug_assert_eq!(next.len(), self.live.len());
        let mut candidates: Vec<(f64, usize, Next)> = Vec::new();
        for (row, tokens) in next.iter().enumerate() {
            let total = self.live[row].total;
            candidates.extend(
                tokens
                    .iter()
                    .map(|&token| (total + f64::from(token.1), row, token)),
            );
        }
        candidates.sort_by(|a, b| b.0.total_cmp(&a.0));
        candidates.truncate(self.rules.beams);
        let before = std::mem::take(&mut self.live);
        let mut parents = Vec::new();
        for (total, row, (token, log_prob)) in candidates {
            let mut longer = before[row].clone();
            longer.tokens.push(token);
            longer.log_probs.push(log_prob);
            longer.rows.push(first_row + row);
            longer.total = total;
            if token == self.rules.end || longer.tokens.len() == self.rules.max_length {
                self.finish(longer);
            } else {
                self.live.push(longer);
                parents.push(row);
            }
        }
        if self.is_decided() {
            self.live.clear();
            parents.clear();
        }
        parents
    }

    fn finish(&mut self, hypothesis: Hypothesis) {
        let score = |h: &Hypothesis| self.rules.score(h.total, h.tokens.len());
        if self
            .best
            .as_ref()
            .is_none_or(|best| score(&hypothesis) > score(best))
        {
            self.best = Some(hypothesis);
        }
    }

    /// Whether no live beginning can still win: a total only falls, and at best it is divided by the longest length.
    fn is_decided(&self) -> bool {
        let Some(best) = &self.best else { return false };
        let score = self.rules.score(best.total, best.tokens.len());
        let longest = if self.rules.length_penalty > 0.0 {
            self.rules.max_length
        } else {
            1
        };
        self.live
            .iter()
            .all(|h| self.rules.score(h.total, longest) <= score)
    }

    /// How many tokens are certain: those in which the best end so far and every live beginning agree.
    pub(super) fn certain(&self) -> &[usize] {
        let mut all = self.best.iter().chain(&self.live).map(|h| h.tokens.as_slice());
        let first = all.next().unwrap_or_default();
        let agreed = all.fold(first.len(), |agreed, other| {
            let same = first.iter().zip(other).take_while(|(a, b)| a == b).count();
            agreed.min(same)
        });
        &first[..agreed]
    }

    /// The caption, once nothing is live.
    pub(super) fn into_best(self) -> Option<Hypothesis> {
        self.best
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const END: usize = 0;

    /// log p(token | beginning) over three tokens, made up but fixed for each beginning.
    fn model(seed: u64, beginning: &[usize]) -> Vec<Next> {
        let mut hash = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        for token in beginning {
            hash = (hash ^ (*token as u64 + 1))
                .wrapping_mul(0x0100_0000_01b3)
                .rotate_left(23);
        }
        let weights: Vec<f32> = (1..=3u64)
            .map(|i| ((hash.wrapping_mul(i * i + 7) >> 40) as f32 / 1e6) + 0.1)
            .collect();
        let sum: f32 = weights.iter().sum();
        weights
            .iter()
            .enumerate()
            .map(|(token, w)| (token, (w / sum).ln()))
            .collect()
    }

    fn search(seed: u64, rules: Rules) -> Hypothesis {
        let mut search = Search::new(rules);
        while !search.live().is_empty() {
            let next: Vec<_> = search.live().iter().map(|h| model(seed, &h.tokens)).collect();
            search.advance(&next, 0);
        }
        search.into_best().expect("every search ends")
    }

    /// The best of all captions, by trying each.
    fn exhaustive(seed: u64, rules: Rules, beginning: &[usize], total: f64, best: &mut (f64, Vec<usize>)) {
        for (token, log_prob) in model(seed, beginning) {
            let caption = [beginning, &[token]].concat();
            let total = total + f64::from(log_prob);
            if token == END || caption.len() == rules.max_length {
                let score = rules.score(total, caption.len());
                if score > best.0 {
                    *best = (score, caption);
                }
            } else {
                exhaustive(seed, rules, &caption, total, best);
            }
        }
    }

    proptest! {
        #[test]
        fn a_wide_beam_finds_what_an_exhaustive_search_finds(seed: u64, length_penalty in 0.0..1.2f64) {
            // 2⁴ beginnings of tokens 1 and 2, and an end or a last token behind each: 81 beams hold them all.
            let rules = Rules { beams: 81, max_length: 4, length_penalty, end: END };
            let mut best = (f64::NEG_INFINITY, Vec::new());
            exhaustive(seed, rules, &[], 0.0, &mut best);
            let found = search(seed, rules);
            prop_assert_eq!(&found.tokens, &best.1);
            prop_assert!((rules.score(found.total, found.tokens.len()) - best.0).abs() < 1e-9);
        }

        #[test]
        fn one_beam_is_greedy(seed: u64) {
            let rules = Rules { beams: 1, max_length: 6, length_penalty: 0.0, end: END };
            let mut greedy = Vec::new();
            while greedy.len() < 6 && greedy.last() != Some(&END) {
                let next = model(seed, &greedy);
                greedy.push(next.iter().max_by(|a, b| a.1.total_cmp(&b.1)).expect("three tokens").0);
            }
            prop_assert_eq!(search(seed, rules).tokens, greedy);
        }
    }

    #[test]
    fn what_is_certain_is_what_all_agree_on() {
        let mut search = Search::new(Rules {
            beams: 2,
            max_length: 5,
            length_penalty: 0.0,
            end: END,
        });
        assert!(search.certain().is_empty());
        search.advance(&[vec![(1, -0.1)]], 0);
        assert_eq!(search.certain(), [1]);
        search.advance(&[vec![(1, -0.5), (2, -0.6)]], 0);
        assert_eq!(search.certain(), [1], "two continuations differ");
    }
}

//! What random maps gave for one picture, kept while its maps are judged: maps of one grid share it.

use std::cell::RefCell;

use super::evidence::Chance;

/// By grid and target.
#[derive(Debug, Default)]
pub(super) struct Chances(RefCell<Vec<(Vec<usize>, usize, Chance)>>);

impl Chances {
    /// What is known of this grid and target.
    pub(super) fn get(&self, grid: &[usize], target: usize) -> Option<Chance> {
        let known = self.0.borrow();
        let found = known
            .iter()
            .find(|(its_grid, its_target, _)| its_grid == grid && *its_target == target);
        found.map(|(.., chance)| *chance)
    }

    /// Keeps it.
    pub(super) fn keep(&self, grid: &[usize], target: usize, chance: Chance) {
        self.0.borrow_mut().push((grid.to_vec(), target, chance));
    }
}

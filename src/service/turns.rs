//! One change of a model at a time: a client that loads several versions is not to find them gone before they serve.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::{Mutex as Turn, OwnedMutexGuard};

/// The models that are being changed.
#[derive(Debug, Default)]
pub(super) struct Turns(Mutex<BTreeMap<String, Weak<Turn<()>>>>);

impl Turns {
    /// Waits until nobody else changes the model `name`; nobody does until what is returned is dropped.
    pub(super) async fn of(&self, name: &str) -> OwnedMutexGuard<()> {
        let turn = self.turn(name);
        turn.lock_owned().await
    }

    fn turn(&self, name: &str) -> Arc<Turn<()>> {
        let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        turns.retain(|_, turn| turn.strong_count() > 0);
        if let Some(turn) = turns.get(name).and_then(Weak::upgrade) {
            return turn;
        }
        let turn = Arc::new(Turn::new(()));
        turns.insert(name.to_owned(), Arc::downgrade(&turn));
        turn
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn changes_of_one_model_take_turns_and_those_of_others_do_not() {
        let turns = Turns::default();
        let turn = |name| turns.of(name).now_or_never();
        let first = turn("a").expect("nobody changes it");
        assert!(turn("a").is_none(), "somebody does");
        drop(turn("b").expect("it is another"));
        drop(first);
        drop(turn("a").expect("nobody changes it any more"));
        drop(turn("c").expect("nobody changes it"));
        assert_eq!(
            turns.0.lock().expect("nobody panicked").len(),
            1,
            "names are not kept"
        );
    }
}

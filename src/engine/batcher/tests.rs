//! Each rule with a made-up clock.

use super::*;
use proptest::prelude::*;

fn batcher(max_batch: usize, delay_ms: u64, capacity: usize) -> Batcher<u32> {
    Batcher::new(Policy {
        max_batch,
        max_delay: Duration::from_millis(delay_ms),
        capacity,
    })
}

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn items(batch: &[Waiting<u32>]) -> Vec<u32> {
    batch.iter().map(|w| w.item).collect()
}

#[test]
fn continuous_batching_takes_what_is_there() {
    let (mut b, t0) = (batcher(4, 0, 10), Instant::now());
    assert!(b.reserve(6));
    (0..6).for_each(|i| b.push(i, t0, None));
    assert_eq!(items(&b.take(t0, |_| false).batch), [0, 1, 2, 3]);
    assert_eq!(items(&b.take(t0, |_| false).batch), [4, 5]);
    assert!(b.is_idle());
}

#[test]
fn a_delay_waits_for_company_but_not_past_it() {
    let (mut b, t0) = (batcher(4, 10, 10), Instant::now());
    assert!(b.reserve(1));
    b.push(1, t0, None);
    let early = b.take(t0 + ms(3), |_| false);
    assert!(early.batch.is_empty());
    assert_eq!(early.wake_at, Some(t0 + ms(10)));
    assert_eq!(items(&b.take(t0 + ms(10), |_| false).batch), [1]);
}

#[test]
fn a_deadline_before_the_delay_ends_wakes_the_worker() {
    let (mut b, t0) = (batcher(4, 10, 10), Instant::now());
    assert!(b.reserve(1));
    b.push(1, t0, Some(t0 + ms(4)));
    assert_eq!(b.take(t0, |_| false).wake_at, Some(t0 + ms(4)));
    assert_eq!(items(&b.take(t0 + ms(4), |_| false).expired), [1]);
}

#[test]
fn a_lower_level_leaves_first_and_nobody_waits_longer_for_it() {
    let (mut b, t0) = (batcher(2, 10, 10), Instant::now());
    assert!(b.reserve(5));
    b.push(1, t0, None);
    for (item, level) in [(2, 5), (3, 1), (4, 5), (5, 0)] {
        b.push_before(Priority::level(level), item, t0 + ms(9), None);
    }
    let mut left = || items(&b.take(t0 + ms(20), |_| false).batch);
    assert_eq!([left(), left(), left()], [vec![3, 2], vec![4, 1], vec![5]]);
    assert!(b.reserve(2));
    b.push(1, t0, None);
    b.push_before(Priority::level(1), 2, t0 + ms(9), None);
    let mut b = Batcher {
        policy: Policy {
            max_batch: 3,
            ..b.policy
        },
        ..b
    };
    let early = b.take(t0 + ms(9), |_| false);
    assert_eq!((items(&early.batch), early.wake_at), (vec![], Some(t0 + ms(10))));
    assert_eq!(items(&b.take(t0 + ms(10), |_| false).batch), [2, 1]);
}

#[test]
fn a_party_has_its_batches_to_itself_and_waits_for_nobody() {
    let (mut b, t0) = (batcher(3, 10, 20), Instant::now());
    assert!(b.reserve(11));
    b.push(1, t0, None);
    let (first, second) = (b.party(), b.party());
    for (item, party) in [
        (2, first),
        (3, first),
        (4, second),
        (5, second),
        (6, second),
        (7, second),
    ] {
        b.insert(Waiting {
            item,
            arrived: t0 + ms(5),
            deadline: None,
            priority: Priority::default(),
            party: Some(party),
        });
    }
    (8..12).for_each(|item| b.push(item, t0 + ms(5), None));
    let mut left = |at| items(&b.take(t0 + ms(at), |_| false).batch);
    assert_eq!(left(10), [1]);
    assert_eq!(
        [left(10), left(10), left(10)],
        [vec![2, 3], vec![4, 5, 6], vec![7]]
    );
    assert_eq!([left(10), left(10), left(15)], [vec![8, 9, 10], vec![], vec![11]]);
    assert!(b.is_idle());
}

#[test]
fn draining_waits_for_nobody() {
    let (mut b, t0) = (batcher(4, 1000, 10), Instant::now());
    assert!(b.reserve(1));
    b.push(1, t0, None);
    b.drain();
    assert_eq!(items(&b.take(t0, |_| false).batch), [1]);
}

#[test]
fn a_departed_client_frees_its_place() {
    let (mut b, t0) = (batcher(4, 0, 2), Instant::now());
    assert!(b.reserve(2));
    b.push(1, t0, None);
    b.push(2, t0, None);
    assert!(!b.reserve(1));
    assert_eq!(items(&b.sweep(t0, |&i| i == 1).departed), [1]);
    assert!(b.reserve(1));
}

#[derive(Debug, Clone)]
enum Step {
    Reserve(usize),
    Push(Option<u64>),
    Release,
    Depart,
    Take,
    Tick(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (1usize..4).prop_map(Step::Reserve),
        proptest::option::of(0u64..30).prop_map(Step::Push),
        Just(Step::Release),
        Just(Step::Depart),
        Just(Step::Take),
        (0u64..15).prop_map(Step::Tick),
    ]
}

/// What the property below remembers of a run.
#[derive(Default)]
struct Model {
    next: u32,
    held: usize,
    gone: Vec<u32>,
    left: Vec<u32>,
    last_computed: Option<u32>,
}

impl Model {
    fn check(&mut self, taken: &Taken<u32>, now: Instant, max_batch: usize) {
        assert!(taken.batch.len() <= max_batch);
        for w in &taken.batch {
            assert!(w.deadline.is_none_or(|d| d > now), "expired item in a batch");
            assert!(!self.gone.contains(&w.item), "departed item in a batch");
            assert!(self.last_computed.is_none_or(|l| l < w.item), "out of order");
            self.last_computed = Some(w.item);
        }
        assert!(taken.expired.iter().all(|w| w.deadline.is_some_and(|d| d <= now)));
        assert!(taken.departed.iter().all(|w| self.gone.contains(&w.item)));
        let all = taken.batch.iter().chain(&taken.expired).chain(&taken.departed);
        self.left.extend(all.map(|w| w.item));
    }
}

proptest! {
    #[test]
    fn every_item_leaves_once_in_order_and_within_bounds(
        steps in proptest::collection::vec(step(), 1..200),
        max_batch in 1usize..6, delay in 0u64..20, capacity in 1usize..12,
    ) {
        let mut b = batcher(max_batch, delay, capacity);
        let mut now = Instant::now();
        let mut m = Model::default();
        for step in steps {
            match step {
                Step::Reserve(n) => m.held += if b.reserve(n) { n } else { 0 },
                Step::Push(ttl) if m.held > 0 => {
                    b.push(m.next, now, ttl.map(|t| now + ms(t)));
                    m.next += 1;
                    m.held -= 1;
                }
                Step::Release if m.held > 0 => { b.release(1); m.held -= 1; }
                Step::Depart => m.gone.push(m.next.saturating_sub(1)),
                Step::Take => {
                    let gone = m.gone.clone();
                    let taken = b.take(now, |i| gone.contains(i));
                    m.check(&taken, now, max_batch);
                    prop_assert!(taken.wake_at.is_none_or(|t| t > now && taken.batch.is_empty()));
                }
                Step::Tick(t) => now += ms(t),
                _ => {}
            }
            prop_assert!(b.len() + m.held <= capacity);
        }
        b.drain();
        while !b.is_empty() {
            let taken = b.take(now, |_| false);
            m.gone.retain(|i| m.left.contains(i));
            m.check(&taken, now, max_batch);
        }
        m.left.sort_unstable();
        prop_assert_eq!(m.left, (0..m.next).collect::<Vec<_>>());
    }
}

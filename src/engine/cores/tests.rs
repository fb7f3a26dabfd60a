use super::*;

#[test]
fn predictions_go_first_but_an_explanation_does_not_starve() {
    let mut s = State::new();
    s.explain.push_back((0, 1));
    s.predict.extend((1..=10).map(|t| (t, 1)));
    let mut order = Vec::new();
    while let Some(class) = s.next_class() {
        let ticket = s.queue(class)[0].0;
        assert_eq!(s.grant(class, ticket, 1, 1), Some(1));
        order.push(ticket);
    }
    assert_eq!(order[..6], [1, 2, 3, 4, 0, 5]);
}

#[test]
fn a_permit_waits_for_its_cores_and_nobody_slips_past() {
    let mut s = State::new();
    s.predict.extend([(0, 2), (1, 1)]);
    assert_eq!(
        s.grant(Class::Predict, 0, 2, 1),
        None,
        "needs two cores, one is free"
    );
    assert_eq!(s.grant(Class::Predict, 1, 2, 1), None, "is not at the head");
    assert_eq!(s.grant(Class::Predict, 0, 2, 2), Some(2));
}

#[test]
fn cores_in_use_never_exceed_the_cores_there_are() {
    use std::sync::atomic::{AtomicUsize, Ordering};
    let cores = Cores::new(NonZeroUsize::new(3).expect("3 is not zero"));
    let (used, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for i in 0..8 {
            let (cores, used, most) = (&cores, &used, &most);
            scope.spawn(move || {
                for round in 0..200 {
                    let class = if i % 2 == 0 {
                        Class::Predict
                    } else {
                        Class::Explain
                    };
                    let permit = cores.acquire(class, 1 + (i + round) % 3);
                    let now = used.fetch_add(permit.count(), Ordering::SeqCst) + permit.count();
                    most.fetch_max(now, Ordering::SeqCst);
                    used.fetch_sub(permit.count(), Ordering::SeqCst);
                    drop(permit);
                }
            });
        }
    });
    assert!(most.into_inner() <= 3);
    assert_eq!(cores.in_use(), 0);
}

#[test]
fn a_permit_that_is_renewed_lets_others_go_first() {
    let cores = Cores::new(NonZeroUsize::MIN);
    let permit = cores.acquire(Class::Explain, 1);
    std::thread::scope(|scope| {
        let other = scope.spawn(|| drop(cores.acquire(Class::Predict, 1)));
        while cores.waiting() == 0 {
            std::thread::yield_now();
        }
        permit.renew(Class::Explain);
        other.join().expect("it had the core before");
    });
    assert_eq!((permit.count(), cores.in_use()), (1, 1));
    drop(permit);
    assert_eq!(cores.in_use(), 0);
}

#[test]
fn a_permit_of_no_core_waits_for_nobody() {
    let cores = Cores::new(NonZeroUsize::MIN);
    let all = cores.acquire(Class::Explain, 5);
    assert_eq!(all.count(), 1, "at most all cores");
    assert_eq!(cores.acquire(Class::Predict, 0).count(), 0);
}

#[test]
fn a_pass_that_does_not_end_is_seen() {
    let cores = Cores::new(NonZeroUsize::MIN);
    assert_eq!(cores.longest(), Duration::ZERO);
    let held = cores.acquire(Class::Predict, 1);
    std::thread::sleep(Duration::from_millis(5));
    drop(cores.acquire(Class::Predict, 0));
    assert!(cores.longest() >= Duration::from_millis(5));
    drop(held);
    assert_eq!(cores.longest(), Duration::ZERO);
}

#[test]
fn a_pass_that_does_not_end_takes_only_its_own_cores() {
    let patience = Duration::from_millis(200);
    let cores = Cores::giving_up_on(NonZeroUsize::new(3).expect("3 is not zero"), patience);
    let started = Instant::now();
    let stuck = cores.acquire(Class::Predict, 1);
    let left = cores.acquire(Class::Explain, 3);
    assert_eq!(left.count(), 2, "what is left");
    assert!(started.elapsed() >= patience, "it might have ended");
    drop(left);
    assert_eq!(cores.acquire(Class::Predict, 2).count(), 2, "there are as many");
    drop(stuck);
    assert_eq!(cores.acquire(Class::Predict, 3).count(), 3, "it ended after all");
}

#[test]
fn a_pass_on_every_core_that_does_not_end_leaves_one_to_the_others() {
    let patience = Duration::from_millis(100);
    let cores = Cores::giving_up_on(NonZeroUsize::new(2).expect("2 is not zero"), patience);
    let started = Instant::now();
    let stuck = cores.acquire(Class::Predict, 2);
    let one = cores.acquire(Class::Predict, 2);
    assert_eq!(one.count(), 1, "what a loop leaves");
    assert!(started.elapsed() >= patience, "it might have ended");
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| cores.acquire(Class::Predict, 1).count());
        std::thread::sleep(patience / 4);
        assert!(!waits.is_finished(), "it is in use");
        drop(one);
        assert_eq!(waits.join().ok(), Some(1));
    });
    drop(stuck);
    assert_eq!(cores.acquire(Class::Predict, 2).count(), 2, "it ended after all");
}

//! The simulation against what queueing theory says.

use super::super::arrivals::Bursts;
use super::super::measurements::tests::constant;
use super::super::samples::Samples;
use super::*;

const BURSTY: Kind = Kind::Bursty(Bursts {
    factor: 4.0,
    share: 0.1,
    mean_s: 1.0,
});

fn scene(measured: &Measurements, max_batch: usize, rate: f64) -> Scene<'_> {
    Scene {
        measured,
        policy: Policy {
            max_batch,
            max_delay: Duration::ZERO,
            capacity: 100_000,
        },
        kind: Kind::Poisson,
        rate,
        requests: 400_000,
        seed: 1,
    }
}

fn mean_ms(outcome: &Outcome) -> f64 {
    outcome.latencies_ms.iter().sum::<f64>() / outcome.latencies_ms.len() as f64
}

/// Pollaczek and Khinchine: of an M/G/1 queue the mean wait is ρ/(1-ρ) · (1+c²)/2 services, c the coefficient of variation.
#[test]
fn one_at_a_time_waits_as_pollaczek_and_khinchine_say() {
    let measured = constant(1, 1, &[(1, 10.0)]);
    for load in [0.3, 0.6, 0.8, 0.9] {
        let outcome = simulate(scene(&measured, 1, load * 100.0));
        let expected = 10.0 + load / (1.0 - load) * 10.0 / 2.0;
        let found = mean_ms(&outcome);
        // Of 400,000 requests at nine tenths, the standard deviation of the mean is about a hundredth.
        assert!(
            (found / expected - 1.0).abs() < 0.03,
            "{load}: {found} for {expected}"
        );
        assert!(
            (outcome.utilisation - load).abs() < 0.01,
            "{load}: {}",
            outcome.utilisation
        );
    }
}

#[test]
fn services_that_vary_make_the_wait_longer_by_the_same_formula() {
    let mut measured = constant(1, 1, &[(1, 10.0)]);
    let times: Vec<Duration> = (0..100)
        .map(|n| Duration::from_millis(if n < 50 { 2 } else { 18 }))
        .collect();
    measured.passes[0].alone_ms = Samples::of(&times);
    let outcome = simulate(scene(&measured, 1, 60.0));
    // c² = 8² / 10²
    let expected = 10.0 + 0.6 / 0.4 * 10.0 * (1.0 + 0.64) / 2.0;
    let found = mean_ms(&outcome);
    assert!((found / expected - 1.0).abs() < 0.03, "{found} for {expected}");
}

/// Erlang's C formula with two servers, by the mean wait of M/M/2 with exponential services: ρ²/(1-ρ²) services.
#[test]
fn two_instances_wait_as_erlang_says() {
    let mut measured = constant(2, 2, &[(1, 10.0)]);
    let quantile = |n: u32| Duration::from_secs_f64(-0.01 * (1.0 - (f64::from(n) + 0.5) / 10_000.0).ln());
    let times: Vec<Duration> = (0..10_000).map(quantile).collect();
    measured.passes[0].alone_ms = Samples::of(&times);
    let outcome = simulate(scene(&measured, 1, 140.0));
    let expected = 10.0 + 10.0 * 0.49 / 0.51;
    let found = mean_ms(&outcome);
    assert!((found / expected - 1.0).abs() < 0.04, "{found} for {expected}");
}

#[test]
fn threads_share_the_cores_evenly() {
    let mut measured = constant(1, 1, &[(1, 1e-6)]);
    // As many threads as there are requests at a time, all of one core.
    measured.decode_ms = Samples::constant(10.0);
    let mut world = World::new(scene(&measured, 1, 1.0));
    world.decoding.threads = usize::MAX;
    for at_ms in [0, 5] {
        world.advance(at_ms * 1_000_000);
        world.arrive(true);
        world.settle();
    }
    while let Some(then) = world.next_done() {
        world.advance(then);
        world.settle();
    }
    // The first has a core for 5 ms, then half of one for 10; the second half of one for 10, then a core for 5.
    let found = world.outcome().latencies_ms;
    assert!(
        (found[0] - 15.0).abs() < 0.01 && (found[1] - 15.0).abs() < 0.01,
        "{found:?}"
    );
}

#[test]
fn bursts_are_worse_than_chance() {
    let measured = constant(2, 2, &[(1, 10.0), (8, 40.0)]);
    let p99 = |kind| {
        let outcome = simulate(Scene {
            kind,
            ..scene(&measured, 8, 160.0)
        });
        outcome.percentile_ms(0.99).expect("none is refused")
    };
    let (poisson, bursty) = (p99(Kind::Poisson), p99(BURSTY));
    assert!(bursty > 1.2 * poisson, "{bursty} for {poisson}");
}

#[test]
fn a_batch_waits_for_company_as_long_as_the_policy_says() {
    let measured = constant(1, 1, &[(1, 1.0), (8, 1.0)]);
    let mut scene = scene(&measured, 8, 0.1);
    scene.policy.max_delay = Duration::from_millis(7);
    scene.requests = 1000;
    let outcome = simulate(scene);
    let p50 = outcome.percentile_ms(0.5).expect("none is refused");
    assert!((p50 - 8.0).abs() < 0.01, "{p50}");
}

#[test]
fn a_full_queue_refuses_what_is_too_much() {
    let measured = constant(1, 1, &[(1, 10.0)]);
    let mut scene = scene(&measured, 1, 200.0);
    scene.policy.capacity = 10;
    let outcome = simulate(scene);
    assert!((outcome.rejected() - 0.5).abs() < 0.01, "{}", outcome.rejected());
    assert_eq!(
        outcome.percentile_ms(0.99),
        None,
        "more than one of a hundred is refused"
    );
    // Ten wait, and one is computed.
    assert!(outcome.percentile_ms(0.1).is_some_and(|ms| ms <= 110.1));
    assert!(outcome.utilisation > 0.99);
}

#[test]
fn batches_beside_each_other_take_as_long_as_was_measured() {
    let mut measured = constant(2, 2, &[(1, 10.0)]);
    measured.passes[0].beside = 1.5;
    let outcome = simulate(scene(&measured, 1, 1000.0).limited());
    // Two instances that always compute, 15 ms each.
    assert!(outcome.rejected() > 0.8);
    assert!(
        (1.0 - outcome.rejected() - 2.0 / 15.0).abs() < 0.01,
        "{}",
        outcome.rejected()
    );
}

impl Scene<'_> {
    fn limited(mut self) -> Self {
        self.policy.capacity = 4;
        self
    }
}

#[test]
fn one_seed_has_one_outcome_and_another_another() {
    let measured = constant(2, 2, &[(1, 10.0), (8, 40.0)]);
    let outcome = |seed| {
        simulate(Scene {
            seed,
            requests: 20_000,
            ..scene(&measured, 8, 100.0)
        })
    };
    assert_eq!(outcome(1), outcome(1));
    assert_ne!(outcome(1), outcome(2));
}

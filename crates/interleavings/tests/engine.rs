//! Runs each scenario in many orders: at random, and by few changes between threads (Burckhardt et al., "A randomized
//! scheduler with probabilistic guarantees of finding bugs", 2010), which finds what needs a certain order of few steps.
//! `INTERLEAVINGS=N` says how many of each.

use interleavings::engine::interleaved;

/// Changes between threads that a fault may need.
const DEPTH: usize = 3;

fn in_many_orders(scenario: fn()) {
    let asked = std::env::var("INTERLEAVINGS");
    let count = asked.map_or(2000, |text| text.parse().expect("INTERLEAVINGS is a number"));
    shuttle::check_random(scenario, count);
    shuttle::check_pct(scenario, count, DEPTH);
}

macro_rules! scenarios {
    ($($name:ident),* $(,)?) => {
        $(
            #[test]
            fn $name() {
                in_many_orders(interleaved::$name);
            }
        )*
    };
}

scenarios!(
    nobody_sleeps_over_work,
    closing_loses_nothing,
    unused_places_hold_nobody_up,
    places_are_never_more_than_there_are,
    a_lost_device_leaves_nobody_waiting,
    who_leaves_takes_nothing_along,
    permits_hold_no_more_than_there_is,
    a_pass_without_an_end_leaves_the_others_theirs,
);

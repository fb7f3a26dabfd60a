//! What decoding and resizing cost by themselves.

use std::time::{Duration, Instant};

use lucarne::image::{Fit, Limits, model_input};
use serde_json::json;

use crate::median::median;

/// Milliseconds an image, one at a time in turn, over `seconds` after a first round of `photos`.
pub(crate) fn decode_only(fit: &Fit, photos: &[Vec<u8>], seconds: f64) -> serde_json::Value {
    let milliseconds = |photo: &[u8]| {
        let started = Instant::now();
        drop(model_input(photo, &Limits::default(), fit).expect("a photo"));
        started.elapsed().as_secs_f64() * 1e3
    };
    let rounds = || {
        let (mut times, mut started) = (Vec::new(), None);
        while started.is_none_or(|started: Instant| started.elapsed() < Duration::from_secs_f64(seconds)) {
            let round: Vec<f64> = photos.iter().map(|photo| milliseconds(photo)).collect();
            times.extend(started.map_or(Vec::new(), |_| round));
            started = started.or_else(|| Some(Instant::now()));
        }
        times
    };
    // In a thread of its own, as in the server: the first thread of a process has another heap.
    let times = std::thread::scope(|scope| scope.spawn(rounds).join().expect("times"));
    json!({
        "fastest_ms": times.iter().copied().fold(f64::INFINITY, f64::min),
        "median_ms": median(times),
    })
}

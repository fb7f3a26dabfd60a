//! Captured runs give their memory back. Alone in its file: resident memory is the process's, not the test's.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;

use tch::{Device, Kind, Tensor};
use torch_bridge::{Capture, Module, Tap, Value, grad};

/// Resident memory in bytes, by /proc/self/statm.
fn resident() -> i64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: i64 = statm.split_whitespace().nth(1).unwrap().parse().unwrap();
    pages * 4096
}

fn explain(capture: &Capture) -> Vec<Tensor> {
    let image = Tensor::ones([2, 3, 24, 24], (Kind::Float, Device::Cpu));
    let mut run = capture.run(&[Value::Tensor(image)]).unwrap();
    let output = run.output.into_tensor().unwrap();
    let mut kept = run.recorded.remove(0).remove(0);
    let gradient = grad(&output.sum(Kind::Float), &[&kept[0]], false)
        .unwrap()
        .remove(0)
        .unwrap();
    kept.push(gradient);
    kept
}

#[test]
fn two_thousand_runs_leave_resident_memory_where_it_was() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/residual_scripted.pt");
    let module = Module::load(&file, Device::Cpu).unwrap();
    let fresh = || module.capture("forward", &[Tap::record("features.0")]).unwrap();
    // One thread: how busy the machine is must not decide how long this takes.
    tch::set_num_threads(1);
    let capture = fresh();
    for _ in 0..200 {
        explain(&capture);
    }
    let before = resident();
    for round in 0..2000 {
        explain(&capture);
        if round % 20 == 0 {
            // Captured graphs come and go as well, and so do errors.
            explain(&fresh());
            assert!(capture.run(&[Value::None]).is_err());
        }
    }
    let grown = resident() - before;
    // A run's activation and gradient alone are 9 kB: 2000 of them kept would be over 18 MB.
    assert!(grown < 4 << 20, "grew by {grown} bytes");

    // The control: what is kept must show, or the measure above says nothing.
    let kept: Vec<_> = (0..2000).map(|_| explain(&capture)).collect();
    let grown = resident() - before;
    assert!(
        grown > 9 << 20,
        "{} runs kept, but grew by {grown} bytes only",
        kept.len()
    );
}

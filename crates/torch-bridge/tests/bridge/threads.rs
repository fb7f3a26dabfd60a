//! One captured graph, many threads: the same answers as one after the other.

use crate::fixtures::{difference, module};
use tch::{Device, Kind, Tensor};
use torch_bridge::{Capture, Given, Tap, Value, grad};

/// Logits, activation and gradient for the image that belongs to `seed`.
fn explain(capture: &Capture, seed: i64) -> [Tensor; 3] {
    let pixels = Tensor::arange(2 * 3 * 12 * 10, (Kind::Float, Device::Cpu)) * (seed as f64 + 1.0);
    let image = pixels.sin().view([2, 3, 12, 10]);
    let run = capture.run(&[Value::Tensor(image)]).unwrap();
    let activation = run.recorded[0][0][0].shallow_clone();
    let output = run.output.tensors()[0].shallow_clone();
    let gradient = grad(&output.flatten(0, -1).get(1), &[&activation], false)
        .unwrap()
        .remove(0)
        .unwrap();
    [output.detach(), activation.detach(), gradient]
}

fn same_as_serial(name: &str, layer: &str) {
    let capture = module(name).capture("forward", &[Tap::record(layer)]).unwrap();
    let serial: Vec<_> = (0..8).map(|seed| explain(&capture, seed)).collect();
    let parallel: Vec<Vec<_>> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..8)
            .map(|seed| {
                let capture = &capture;
                scope.spawn(move || (0..25).map(|_| explain(capture, seed)).collect())
            })
            .collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).collect()
    });
    for (expected, found) in serial.iter().zip(&parallel) {
        for (expected, found) in found.iter().flat_map(|found| expected.iter().zip(found)) {
            // The same kernels on the same numbers; only how a sum is split among threads may differ.
            assert!(difference(found, expected) <= 1e-6);
        }
    }
}

#[test]
fn eight_threads_on_one_capture() {
    same_as_serial("residual_scripted", "features.0.0.relu");
}

#[test]
fn each_run_has_channels_of_its_own() {
    let capture = module("residual_scripted")
        .capture("forward", &[Tap::zero_channel("features.0")])
        .unwrap();
    let run = |channel: i64| {
        let image = Tensor::ones([2, 3, 12, 10], (Kind::Float, Device::Cpu));
        let given = vec![Given::Channels(vec![channel])];
        capture
            .run_with(&[Value::Tensor(image)], given)
            .unwrap()
            .output
            .into_tensor()
            .unwrap()
    };
    let serial: Vec<_> = (0..4).map(run).collect();
    assert!(difference(&serial[0], &serial[1]) > 1e-3);
    let parallel: Vec<Vec<_>> = std::thread::scope(|scope| {
        let run = &run;
        let workers: Vec<_> = (0..4)
            .map(|channel| scope.spawn(move || (0..50).map(|_| run(channel)).collect()))
            .collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).collect()
    });
    for (expected, found) in serial.iter().zip(&parallel) {
        assert!(found.iter().all(|found| difference(found, expected) <= 1e-6));
    }
}

#[test]
fn a_module_that_changes_what_it_owns_is_told_from_one_that_does_not() {
    for (name, expected) in [
        ("stateful", true),
        ("appending", true),
        ("accumulating", true),
        ("in_place", false),
        ("residual_scripted", false),
        ("containers", false),
    ] {
        assert_eq!(module(name).is_stateful(), expected, "{name}");
    }
}

#[test]
fn eight_threads_on_a_module_that_writes_to_itself() {
    let module = module("stateful");
    let calls = || {
        let image = Tensor::ones([1, 3, 4, 4], (Kind::Float, Device::Cpu));
        match module
            .call("forward", &[Value::Tensor(image)])
            .unwrap()
            .into_elements()
            .unwrap()
            .remove(1)
        {
            Value::Int(calls) => calls,
            other => panic!("{other:?}"),
        }
    };
    let before = calls();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| (0..200).for_each(|_| assert!(calls() > before)));
        }
    });
    // Not one is lost: they took turns.
    assert_eq!(calls(), before + 8 * 200 + 1);
}

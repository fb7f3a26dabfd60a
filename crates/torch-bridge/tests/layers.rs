//! What is recorded at a layer, and gradients with respect to it, against PyTorch's forward hooks on the same network.
//!
//! Expected values: `fixtures/make_fixtures.py` (PyTorch 2.13, eager). Tolerance: 1e-6 of the largest magnitude. Both
//! sides run the same kernels on the same numbers, so that most values are equal to the bit; the order of a few
//! float32 sums may differ with the number of threads, which moves the last bit or two (6e-8 each).

mod common;

use std::collections::{BTreeMap, HashMap};

use common::{arrays, difference, module, value};
use tch::Tensor;
use torch_bridge::{Tap, Value, grad};

const TOLERANCE: f64 = 1e-6;

fn close(what: &str, found: &Tensor, expected: &Tensor) {
    let off = difference(found, expected);
    assert!(off <= TOLERANCE, "{what}: off by {off:e} of the largest");
}

/// The inputs of a case, in order.
fn inputs(arrays: &HashMap<String, Tensor>, case: usize) -> Vec<Value> {
    (0..)
        .map_while(|j| arrays.get(&format!("in:{case}:{j}")))
        .map(value)
        .collect()
}

/// The layers that ran in a case, with how often each did.
fn executed(arrays: &HashMap<String, Tensor>, case: usize) -> BTreeMap<String, usize> {
    let mut layers = BTreeMap::new();
    for key in arrays.keys() {
        if let Some(rest) = key.strip_prefix(&format!("act:{case}:")) {
            let mut parts = rest.split(':');
            let path = parts.next().unwrap();
            let execution: usize = parts.next().unwrap().parse().unwrap();
            let runs = layers.entry(path.to_owned()).or_insert(0);
            *runs = (*runs).max(execution + 1);
        }
    }
    layers
}

/// Compares one tap's record, and the gradients with respect to it.
fn compare(
    recorded: &[Vec<Tensor>],
    target: &Tensor,
    arrays: &HashMap<String, Tensor>,
    key: &str,
    runs: usize,
) {
    assert_eq!(recorded.len(), runs, "{key} ran another number of times");
    for (e, tensors) in recorded.iter().enumerate() {
        for (j, tensor) in tensors.iter().enumerate() {
            let key = format!("{key}:{e}:{j}");
            close(&format!("act:{key}"), tensor, &arrays[&format!("act:{key}")]);
            let gradient = grad(target, &[tensor], true).unwrap().remove(0);
            match (gradient, arrays.get(&format!("grad:{key}"))) {
                (Some(found), Some(expected)) => close(&format!("grad:{key}"), &found, expected),
                (None, None) => {}
                (found, expected) => panic!("grad:{key}: found {found:?}, expected {expected:?}"),
            }
        }
        assert!(
            !arrays.contains_key(&format!("act:{key}:{e}:{}", tensors.len())),
            "{key}: tensors are missing"
        );
    }
}

/// Every layer of the network, each alone and all together, in the first run and in the third.
fn check(name: &str, method: &str) {
    let (module, arrays) = (module(name), arrays(name));
    let known: Vec<_> = module
        .layers(method)
        .unwrap()
        .into_iter()
        .map(|layer| layer.path)
        .collect();
    for case in (0..).take_while(|case| arrays.contains_key(&format!("in:{case}:0"))) {
        let executed = executed(&arrays, case);
        for paths in known.iter().map(std::slice::from_ref).chain([known.as_slice()]) {
            let taps: Vec<_> = paths.iter().map(Tap::record).collect();
            let capture = module.capture(method, &taps).unwrap();
            for _ in 0..3 {
                let run = capture.run(&inputs(&arrays, case)).unwrap();
                let outputs = run.output.tensors();
                for (j, output) in outputs.iter().enumerate() {
                    close(
                        &format!("out:{case}:{j}"),
                        output,
                        &arrays[&format!("out:{case}:{j}")],
                    );
                }
                let target = outputs[0].flatten(0, -1).get(1);
                for (path, recorded) in paths.iter().zip(&run.recorded) {
                    let runs = executed.get(path).copied().unwrap_or(0);
                    compare(recorded, &target, &arrays, &format!("{case}:{path}"), runs);
                }
            }
        }
        for path in executed.keys() {
            assert!(
                known.contains(path),
                "{name}: {path} ran, but is not among the layers"
            );
        }
    }
}

#[test]
fn scripted_residual_network() {
    check("residual_scripted", "forward");
}

#[test]
fn traced_network_with_frozen_weights() {
    check("residual_traced", "forward");
}

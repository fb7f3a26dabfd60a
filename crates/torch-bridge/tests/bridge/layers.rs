//! What is recorded at a layer, and gradients with respect to it, against PyTorch's forward hooks on the same network.
//!
//! Expected values: `fixtures/make_fixtures.py` (PyTorch 2.13, eager). Tolerance: 1e-6 of the largest magnitude. Both
//! sides run the same kernels on the same numbers, so that most values are equal to the bit; the order of a few
//! float32 sums may differ with the number of threads, which moves the last bit or two (6e-8 each).

use std::collections::{BTreeMap, HashMap};

use crate::fixtures::{arrays, difference, module, value};
use tch::Tensor;
use torch_bridge::{BridgeError, Module, Tap, Value, grad};

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
    check_all(&module(name), &arrays(name), method, &[]);
}

/// The same of a module that has no step left of the layers in `folded`.
pub(crate) fn check_all(module: &Module, arrays: &HashMap<String, Tensor>, method: &str, folded: &[&str]) {
    let known: Vec<_> = module
        .layers(method)
        .unwrap()
        .into_iter()
        .map(|layer| layer.path)
        .collect();
    for case in (0..).take_while(|case| arrays.contains_key(&format!("in:{case}:0"))) {
        let executed = executed(arrays, case);
        for paths in known.iter().map(std::slice::from_ref).chain([known.as_slice()]) {
            let taps: Vec<_> = paths.iter().map(Tap::record).collect();
            let capture = module.capture(method, &taps).unwrap();
            for _ in 0..3 {
                let run = capture.run(&inputs(arrays, case)).unwrap();
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
                    compare(recorded, &target, arrays, &format!("{case}:{path}"), runs);
                }
            }
        }
        for path in executed.keys() {
            assert!(
                known.contains(path) || folded.contains(&path.as_str()),
                "{path} ran, but is not among the layers"
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

#[test]
fn a_layer_in_one_branch_only() {
    check("branch", "forward");
}

#[test]
fn a_layer_in_a_loop_is_recorded_once_a_turn() {
    check("loop", "forward");
    let capture = module("loop")
        .capture("forward", &[Tap::record("step.0")])
        .unwrap();
    let image = arrays("loop").remove("in:0:0").unwrap();
    for times in [0, 1, 5] {
        let run = capture.run(&[value(&image), Value::Int(times)]).unwrap();
        assert_eq!(run.recorded[0].len() as i64, times);
    }
}

#[test]
fn layers_that_give_lists_dicts_and_tuples() {
    check("pyramid", "forward");
}

#[test]
fn a_layer_that_gives_an_instance_of_a_class() {
    check("boxing", "forward");
}

#[test]
fn a_submodule_known_by_an_interface() {
    check("interfaced", "forward");
}

#[test]
fn another_method_than_forward_on_the_way() {
    check("captioner", "start");
}

#[test]
fn a_network_that_changes_its_own_attributes() {
    check("stateful", "forward");
}

#[test]
fn layers_come_in_the_order_in_which_they_finish() {
    for name in ["residual_scripted", "residual_traced"] {
        let layers = module(name).layers("forward").unwrap();
        let seen: Vec<_> = layers
            .iter()
            .map(|layer| (layer.path.as_str(), layer.kind.as_str(), layer.calls))
            .filter(|(path, _, _)| !path.starts_with("features.0"))
            .collect();
        let expected = [
            ("stem.0", "Conv2d", 1),
            ("stem.1", "ReLU", 1),
            ("stem.2", "MaxPool2d", 1),
            ("stem", "Sequential", 1),
            ("features.1.conv1", "Conv2d", 1),
            ("features.1.bn1", "BatchNorm2d", 1),
            ("features.1.conv2", "Conv2d", 1),
            ("features.1.relu", "ReLU", 2),
            ("features.1", "Block", 1),
            ("features", "Sequential", 1),
            ("drop", "Dropout", 1),
            ("head", "Linear", 1),
        ];
        assert_eq!(seen, expected, "{name}");
    }
}

#[test]
fn a_tap_on_a_path_that_is_not_called_is_refused() {
    for path in ["features.7", "features.0.0.nothing", "", "feat", "features."] {
        let error = module("residual_scripted").capture("forward", &[Tap::record("stem"), Tap::record(path)]);
        assert!(
            matches!(&error, Err(BridgeError::LayerNotFound { path: found, .. }) if found == path),
            "{path}: {error:?}"
        );
    }
}

#[test]
fn without_grad_mode_values_are_recorded_all_the_same() {
    let (module, arrays) = (module("residual_scripted"), arrays("residual_scripted"));
    let capture = module
        .capture("forward", &[Tap::record("features.0.0.bn1")])
        .unwrap();
    let run = {
        let _guard = tch::no_grad_guard();
        capture.run(&inputs(&arrays, 0)).unwrap()
    };
    let recorded = &run.recorded[0][0][0];
    // An in-place ReLU comes right behind this layer: what it wrote must not show here.
    close("act", recorded, &arrays["act:0:features.0.0.bn1:0:0"]);
    assert!(!recorded.requires_grad());
    assert!(
        grad(
            &run.output.into_tensor().unwrap().sum(tch::Kind::Float),
            &[recorded],
            false
        )
        .is_err()
    );
}

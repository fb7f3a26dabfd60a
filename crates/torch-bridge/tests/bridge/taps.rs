//! Taps that change what the rest of the network sees.
//!
//! Expected values: `make_fixtures.py`, by PyTorch's forward hooks and by networks written with a guided ReLU.
//! Tolerance as in `layers`.

use tch::{Device, Kind, Tensor};
use torch_bridge::{BridgeError, Capture, Given, Run, Tap, Value, grad};

use crate::fixtures::{arrays, difference, module, value};

const TOLERANCE: f64 = 1e-6;

fn output(run: Run) -> Tensor {
    run.output.into_tensor().unwrap()
}

fn close(what: &str, found: &Tensor, expected: &Tensor) {
    let off = difference(found, expected);
    assert!(off <= TOLERANCE, "{what}: off by {off:e} of the largest");
}

#[test]
fn a_channel_is_zeroed_in_each_sample() {
    let (module, arrays) = (module("residual_scripted"), arrays("taps"));
    let plain = module
        .call("forward", &[value(&arrays["image"])])
        .unwrap()
        .into_tensor()
        .unwrap();
    for layer in ["features.0.1", "features.1.relu"] {
        let capture = module.capture("forward", &[Tap::zero_channel(layer)]).unwrap();
        let run = |given| output(capture.run_with(&[value(&arrays["image"])], vec![given]).unwrap());
        for (key, channels) in [
            ("2", vec![2]),
            ("2", vec![2, 2]),
            ("0,3", vec![0, 3]),
            ("1,-1", vec![1, -1]),
        ] {
            let key = format!("ablated:{layer}:{key}");
            let found = run(Given::Channels(channels));
            close(&key, &found, &arrays[&key]);
            assert!(
                difference(&found, &plain) > 1e-3,
                "{key}: the ablation shows nothing"
            );
        }
        close("no channel", &run(Given::Nothing), &plain);
    }
}

#[test]
fn a_channel_that_is_not_there_is_an_error() {
    let (module, arrays) = (module("residual_scripted"), arrays("taps"));
    let run = |layer: &str, channels| {
        let capture = module.capture("forward", &[Tap::zero_channel(layer)]).unwrap();
        capture.run_with(&[value(&arrays["image"])], vec![Given::Channels(channels)])
    };
    assert!(run("features.0", vec![4]).is_err());
    assert!(run("features.0", vec![0, 1, 2]).is_err());
    assert!(run("features.0", vec![]).is_err());
    assert!(run("head", vec![4]).is_ok());
    assert!(run("features.0", vec![3]).is_ok());
}

#[test]
fn taps_on_one_layer_work_in_their_order() {
    let (module, arrays) = (module("residual_scripted"), arrays("taps"));
    let (record, zero) = (Tap::record("features.0.1"), Tap::zero_channel("features.0.1"));
    let channel = |taps: &[Tap], given| {
        let run = module
            .capture("forward", taps)
            .unwrap()
            .run_with(&[value(&arrays["image"])], given)
            .unwrap();
        let recorded = run.recorded.into_iter().flatten().flatten().next().unwrap();
        recorded.select(1, 2).abs().max().double_value(&[])
    };
    let ablated = || Given::Channels(vec![2]);
    assert!(channel(&[record.clone(), zero.clone()], vec![Given::Nothing, ablated()]) > 0.0);
    assert_eq!(channel(&[zero, record], vec![ablated(), Given::Nothing]), 0.0);
}

/// Records `layer` for `image`, then replays it for an input that shares nothing with it but what `input` says.
fn replayed(name: &str, layer: &str, image: &Tensor, input: &Tensor) -> (Value, Value) {
    let module = module(name);
    let recorded = module
        .capture("forward", &[Tap::record(layer)])
        .unwrap()
        .run(&[value(image)])
        .unwrap();
    let activations = recorded.recorded.into_iter().next().unwrap();
    let capture = module.capture("forward", &[Tap::replay(layer)]).unwrap();
    let run = capture
        .run_with(&[value(input)], vec![Given::Activations(activations)])
        .unwrap();
    (run.output, recorded.output)
}

#[test]
fn what_is_replayed_decides_the_output() {
    let image = arrays("taps").remove("image").unwrap();
    for (name, layers) in [
        (
            "residual_scripted",
            &["features.0.1", "features.0.0.relu", "features", "drop"][..],
        ),
        ("residual_traced", &["features.0.1", "features.0.0.bn1"][..]),
        ("pyramid", &["body", "neck", "split"][..]),
    ] {
        for layer in layers {
            let (found, expected) = replayed(name, layer, &image, &image.zeros_like());
            for (found, expected) in found.tensors().into_iter().zip(expected.tensors()).take(2) {
                // The first ReLU of a block is only one part of what its sum sees.
                if *layer != "features.0.0.bn1" && *layer != "features.0.0.relu" {
                    close(&format!("{name}, {layer}"), found, expected);
                }
            }
        }
        let (same, expected) = replayed(name, layers[1], &image, &image);
        close(name, same.tensors()[0], expected.tensors()[0]);
    }
}

#[test]
fn what_only_served_to_compute_replayed_activations_is_not_run() {
    let image = arrays("taps").remove("image").unwrap();
    // An image that the stem cannot take: of one channel and one pixel.
    let unfit = Tensor::zeros([1, 1, 1, 1], (Kind::Float, Device::Cpu));
    for name in ["residual_scripted", "residual_traced"] {
        assert!(module(name).call("forward", &[value(&unfit)]).is_err());
        let (found, expected) = replayed(name, "features.0.1", &image, &unfit);
        close(name, found.tensors()[0], expected.tensors()[0]);
    }
}

#[test]
fn each_execution_replays_its_own() {
    let image = arrays("taps").remove("image").unwrap();
    let module = module("loop");
    let recorded = module
        .capture("forward", &[Tap::record("step")])
        .unwrap()
        .run(&[value(&image)])
        .unwrap();
    let executions = || -> Vec<Vec<Tensor>> {
        recorded.recorded[0]
            .iter()
            .map(|tensors| tensors.iter().map(Tensor::shallow_clone).collect())
            .collect()
    };
    let capture = module.capture("forward", &[Tap::replay("step")]).unwrap();
    let run = |times, given| capture.run_with(&[value(&image), Value::Int(times)], vec![given]);
    let twice = output(run(2, Given::Activations(executions())).unwrap());
    let by_hand = (&image + &recorded.recorded[0][0][0]) + &recorded.recorded[0][1][0];
    close(
        "two of three",
        &twice,
        &by_hand.mean_dim([2_i64, 3].as_slice(), false, Kind::Float),
    );
    assert!(run(4, Given::Activations(executions())).is_err());
    assert!(run(2, Given::Activations(vec![])).is_err());
    assert!(run(2, Given::Nothing).is_err());
}

#[test]
fn gradients_flow_into_what_is_replayed() {
    let (module, image) = (
        module("residual_scripted"),
        arrays("taps").remove("image").unwrap(),
    );
    let recorded = module
        .capture("forward", &[Tap::record("features.0")])
        .unwrap()
        .run(&[value(&image)])
        .unwrap();
    let activation = &recorded.recorded[0][0][0];
    let expected = grad(
        &recorded.output.tensors()[0].sum(Kind::Float),
        &[activation],
        false,
    )
    .unwrap();
    let leaf = activation.detach().set_requires_grad(true);
    let capture = module.capture("forward", &[Tap::replay("features.0")]).unwrap();
    let given = vec![Given::Activations(vec![vec![leaf.shallow_clone()]])];
    let replayed = output(capture.run_with(&[value(&image)], given).unwrap());
    let found = grad(&replayed.sum(Kind::Float), &[&leaf], false).unwrap();
    close(
        "gradient",
        found[0].as_ref().unwrap(),
        expected[0].as_ref().unwrap(),
    );
}

fn guided(capture: &Capture, image: &Tensor) -> (Tensor, Tensor) {
    let leaf = image.copy().set_requires_grad(true);
    let output = output(capture.run(&[value(&leaf)]).unwrap());
    let gradient = grad(&output.flatten(0, -1).get(1), &[&leaf], false)
        .unwrap()
        .remove(0)
        .unwrap();
    (output, gradient)
}

#[test]
fn only_positive_gradients_pass_guided_relus() {
    let arrays = arrays("taps");
    for (name, key) in [
        ("residual_scripted", "residual"),
        ("residual_traced", "residual"),
        ("clipped", "clipped"),
    ] {
        let capture = module(name).capture("forward", &[Tap::GuidedRelu]).unwrap();
        assert!(capture.places()[0] > 0, "{name}");
        for _ in 0..3 {
            let (output, gradient) = guided(&capture, &arrays["image"]);
            close(name, &output, &arrays[&format!("out:{key}")]);
            close(name, &gradient, &arrays[&format!("guided:{key}")]);
        }
        // The module itself is as it was.
        let (_, plain) = guided(&module(name).capture("forward", &[]).unwrap(), &arrays["image"]);
        assert!(
            difference(&plain, &arrays[&format!("guided:{key}")]) > 1e-2,
            "{name}"
        );
    }
}

#[test]
fn a_relu_behind_an_interface_is_guided_too() {
    let capture = module("interfaced")
        .capture("forward", &[Tap::GuidedRelu])
        .unwrap();
    assert_eq!(capture.places(), [1]);
    let arrays = arrays("interfaced");
    let (output, _) = guided(&capture, &arrays["in:0:0"]);
    close("interfaced", &output, &arrays["out:0:0"]);
}

#[test]
fn a_graph_without_relus_has_no_place_for_guiding_and_a_tap_without_its_input_is_told_so() {
    let capture = module("loop").capture("forward", &[Tap::GuidedRelu]).unwrap();
    assert_eq!(capture.places(), [0]);
    let image = arrays("taps").remove("image").unwrap();
    assert!(matches!(
        capture.run_with(&[value(&image)], vec![]),
        Err(BridgeError::Torch(_))
    ));
}

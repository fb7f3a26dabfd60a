//! Programs of torch.export against the networks that they were exported from, in eager PyTorch with forward hooks.
//!
//! Expected values: `fixtures/make_exported.py` (PyTorch 2.13). Each network is exported for a batch of two and compared at
//! batches of one, two and five; tolerance as for TorchScript.

use std::collections::HashMap;
use std::fs::File;

use exported_program::Exported;
use tch::{Device, Tensor};
use torch_bridge::{Module, Preparation, Value};

use crate::fixtures::{arrays, difference, fixture, value};
use crate::layers::check_all;

fn built(name: &str) -> Module {
    let file = File::open(fixture(&format!("exported/{name}.pt2"))).unwrap();
    let exported = Exported::read(&file).unwrap();
    Module::build(&exported, &file, Device::Cpu, true).unwrap()
}

fn expected(name: &str) -> HashMap<String, Tensor> {
    arrays(&format!("exported/{name}"))
}

/// Layers, gradients and answers as they are, and the answers frozen.
fn check(name: &str, folded: &[&str]) -> Module {
    let (module, arrays) = (built(name), expected(name));
    check_all(&module, &arrays, "forward", folded);
    let frozen = module.prepare_for_inference_with(&["forward"], Preparation::default());
    let frozen = frozen.unwrap();
    for case in (0..).take_while(|case| arrays.contains_key(&format!("in:{case}:0"))) {
        let _no_grad = tch::no_grad_guard();
        let answer = frozen
            .call("forward", &[value(&arrays[&format!("in:{case}:0")])])
            .unwrap();
        for (at, tensor) in answer.tensors().into_iter().enumerate() {
            let off = difference(tensor, &arrays[&format!("out:{case}:{at}")]);
            assert!(off < 1e-5, "{name} frozen, case {case}: off by {off:e}");
        }
    }
    assert!(!module.is_stateful());
    module
}

#[test]
fn a_residual_network() {
    let module = check("residual", &[]);
    let script = Module::load(&fixture("residual_scripted.pt"), Device::Cpu).unwrap();
    let named = |module: &Module| {
        let layers = module.layers("forward").unwrap();
        layers
            .into_iter()
            .map(|layer| (layer.path, layer.kind))
            .collect::<Vec<_>>()
    };
    assert_eq!(named(&module), named(&script));
    let count = |module: &Module| module.weights().unwrap().len();
    assert_eq!(count(&module), count(&script));
}

#[test]
fn nested_answers_a_module_called_twice_and_one_that_is_folded() {
    let module = check("nested", &["fold"]);
    let input = value(&expected("nested")["in:2:0"]);
    let mut answer = module.call("forward", &[input]).unwrap();
    assert!(answer.take("none").is_none());
    assert!(answer.take("logits").is_some());
    let more = answer.take("more").unwrap().into_elements().unwrap();
    let [Value::Tensor(_), Value::Tuple(pair)] = &more[..] else {
        panic!("{more:?}")
    };
    assert!(
        matches!(pair[1], Value::Int(15)),
        "the size of the batch, times three"
    );
    let layers = module.layers("forward").unwrap();
    let body = layers.iter().find(|layer| layer.path == "body").unwrap();
    assert_eq!((body.calls, body.kind.as_str()), (2, "Sequential"));
}

#[test]
fn a_part_that_two_modules_hold() {
    let module = built("shared");
    let paths: Vec<_> = module
        .layers("forward")
        .unwrap()
        .into_iter()
        .map(|layer| layer.path)
        .collect();
    assert_eq!(
        paths,
        ["head.body.0", "head.body.1", "head.body", "head.fc", "head"]
    );
    let arrays = expected("shared");
    let answer = module
        .call("forward", &[value(&arrays["in:2:0"])])
        .unwrap()
        .into_tensor()
        .unwrap();
    assert!(difference(&answer, &arrays["out:2:0"]) < 1e-6);
}

#[test]
fn sizes_that_several_modules_reckon_with() {
    check("sizes", &[]);
}

#[test]
fn a_recurrent_network() {
    check("recurrent", &[]);
}

#[test]
fn both_ways_of_a_cond() {
    check("ways", &["left", "right"]);
}

#[test]
fn a_part_without_gradients() {
    check("frozen", &[]);
}

#[test]
fn a_tensor_that_is_read_as_another_dtype() {
    check("bits", &[]);
}

#[test]
fn a_quantised_network() {
    check("quantised", &[]);
}

#[test]
fn several_methods_share_their_modules() {
    let (module, arrays) = (built("methods"), expected("methods"));
    let call = |method: &str, inputs: &[&str]| {
        let inputs: Vec<_> = inputs.iter().map(|name| value(&arrays[*name])).collect();
        module.call(method, &inputs).unwrap()
    };
    let encoded = call("encode", &["image"]).into_tensor().unwrap();
    assert!(difference(&encoded, &arrays["encoded"]) < 1e-6);
    let step = call("step", &["token", "state"]).into_elements().unwrap();
    for (found, name) in step.into_iter().zip(["said", "after"]) {
        assert!(
            difference(&found.into_tensor().unwrap(), &arrays[name]) < 1e-6,
            "{name}"
        );
    }
    let weights: Vec<_> = module
        .weights()
        .unwrap()
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    assert_eq!(
        weights.iter().filter(|name| name.ends_with("fc.weight")).count(),
        1,
        "{weights:?}"
    );
}

#[test]
fn nested_arguments() {
    let (module, arrays) = (built("arguments"), expected("arguments"));
    let tensor = |name: &str| value(&arrays[name]);
    let names: Vec<_> = module
        .method("forward")
        .unwrap()
        .arguments
        .iter()
        .map(|a| a.name.as_str())
        .collect();
    assert_eq!(names, ["parts", "pair", "last"], "what is fixed is left out");
    let parts = Value::Dict(vec![("a".into(), tensor("a")), ("b".into(), tensor("b"))]);
    let pair = Value::Tuple(vec![tensor("p0"), tensor("p1")]);
    let last = Value::List(vec![tensor("l0"), tensor("l1")]);
    let answer = module
        .call("forward", &[parts, pair, last])
        .unwrap()
        .into_tensor()
        .unwrap();
    assert!(difference(&answer, &arrays["out"]) < 1e-6);
}

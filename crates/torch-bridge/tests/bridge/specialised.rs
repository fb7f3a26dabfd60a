//! Methods compiled for one shape of input answer what they did before.

use crate::fixtures::{difference, module};
use tch::{Device, Kind, Tensor};
use torch_bridge::{Module, Preparation, Specialised, Value};

fn pictures(count: i64, seed: f64) -> Tensor {
    let pixels = Tensor::arange(count * 3 * 12 * 10, (Kind::Float, Device::Cpu)) * seed;
    pixels.sin().view([count, 12, 10, 3]).permute([0, 3, 1, 2])
}

fn frozen(name: &str) -> Module {
    let plain = Preparation {
        fuse: false,
        kind: None,
    };
    module(name)
        .prepare_for_inference_with(&["forward"], plain)
        .unwrap()
}

fn compiled(module: &Module, count: i64) -> Specialised {
    let _no_grad = tch::no_grad_guard();
    module
        .specialise("forward", &[Value::Tensor(pictures(count, 1.0))])
        .unwrap()
}

#[test]
fn the_shape_it_was_made_for_and_any_other() {
    for name in ["residual_scripted", "residual_traced"] {
        let module = frozen(name);
        let specialised = compiled(&module, 2);
        let _no_grad = tch::no_grad_guard();
        for count in [2, 2, 1, 5] {
            let inputs = [Value::Tensor(pictures(count, 0.3))];
            let plain = module.call("forward", &inputs).unwrap();
            let found = specialised.run(&inputs).unwrap();
            let pairs = plain.tensors().into_iter().zip(found.tensors());
            for (expected, found) in pairs {
                assert!(difference(found, expected) <= 1e-5, "{name}, {count} pictures");
            }
        }
    }
}

#[test]
fn it_outlives_the_module_and_serves_many_threads() {
    let module = frozen("residual_scripted");
    let specialised = compiled(&module, 2);
    let _no_grad = tch::no_grad_guard();
    let answer = |seed: i64| -> Tensor {
        let inputs = [Value::Tensor(pictures(2, seed as f64 + 0.5))];
        specialised.run(&inputs).unwrap().tensors()[0].shallow_clone()
    };
    let serial: Vec<Tensor> = (0..4)
        .map(|seed| {
            let inputs = [Value::Tensor(pictures(2, seed as f64 + 0.5))];
            module.call("forward", &inputs).unwrap().tensors()[0].shallow_clone()
        })
        .collect();
    drop(module);
    let parallel: Vec<Vec<Tensor>> = std::thread::scope(|scope| {
        let run = |seed| {
            let answer = &answer;
            scope.spawn(move || {
                let _no_grad = tch::no_grad_guard();
                (0..25).map(|_| answer(seed)).collect()
            })
        };
        let workers: Vec<_> = (0..4).map(run).collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).collect()
    });
    for (expected, found) in serial.iter().zip(&parallel) {
        for found in found {
            assert!(difference(found, expected) <= 1e-5);
        }
    }
}

#[test]
fn what_cannot_be_compiled_says_why() {
    let _no_grad = tch::no_grad_guard();
    let error = |name: &str, input: Tensor| {
        let error = frozen(name).specialise("forward", &[Value::Tensor(input)]);
        error.unwrap_err().to_string()
    };
    let told = error(
        "residual_scripted",
        Tensor::ones([2, 5, 12, 10], (Kind::Float, Device::Cpu)),
    );
    assert!(told.contains("channels"), "{told}");
    let told = module("residual_scripted")
        .specialise("encode", &[])
        .unwrap_err()
        .to_string();
    assert!(told.contains("encode"), "{told}");
}

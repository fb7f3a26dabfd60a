//! Methods compiled for one shape of input answer what they did before.

use std::ops::Range;

use crate::fixtures::{difference, module};
use tch::{Device, Kind, Tensor};
use torch_bridge::{Cut, Module, Preparation, Specialised, Value};

fn pictures(count: i64, seed: f64) -> Tensor {
    let pixels = Tensor::arange(count * 3 * 12 * 10, (Kind::Float, Device::Cpu)) * seed;
    pixels.sin().view([count, 12, 10, 3]).permute([0, 3, 1, 2])
}

fn frozen(name: &str) -> Module {
    module(name)
        .prepare_for_inference_with(&["forward"], Preparation::PLAIN)
        .unwrap()
}

/// All of `forward`.
fn whole(module: &Module) -> Range<usize> {
    0..cuts(module, 2).last().unwrap().position
}

fn cuts(module: &Module, count: i64) -> Vec<Cut> {
    let _no_grad = tch::no_grad_guard();
    let pictures = [Value::Tensor(pictures(count, 1.0))];
    module.cuts("forward", &pictures).unwrap()
}

fn compiled(module: &Module, count: i64) -> Specialised {
    let _no_grad = tch::no_grad_guard();
    module
        .specialise("forward", whole(module), &[Value::Tensor(pictures(count, 1.0))])
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
        let module = frozen(name);
        let error = module.specialise("forward", whole(&module), &[Value::Tensor(input)]);
        error.unwrap_err().to_string()
    };
    let told = error(
        "residual_scripted",
        Tensor::ones([2, 5, 12, 10], (Kind::Float, Device::Cpu)),
    );
    assert!(told.contains("channels"), "{told}");
    let told = module("residual_scripted")
        .specialise("encode", 0..1, &[])
        .unwrap_err()
        .to_string();
    assert!(told.contains("encode"), "{told}");
}

#[test]
fn parts_behind_each_other_are_the_whole() {
    let module = frozen("residual_scripted");
    let cuts = cuts(&module, 1);
    assert!(cuts.len() > 2, "{cuts:?}");
    assert!(cuts.is_sorted_by(|a, b| a.position < b.position));
    let (end, inner) = cuts.split_last().unwrap();
    assert_eq!(end.alive, 0);
    assert!(inner.iter().all(|cut| cut.alive > 0 && cut.largest >= cut.alive));
    let _no_grad = tch::no_grad_guard();
    let input = [Value::Tensor(pictures(2, 0.3))];
    let expected = module.call("forward", &input).unwrap();
    let mut parts = 0;
    for cut in inner {
        // Some steps alone hold nothing that oneDNN Graph takes.
        let Ok(first) = module.specialise("forward", 0..cut.position, &input) else {
            continue;
        };
        let between = [first.run(&input).unwrap()];
        let Ok(second) = module.specialise("forward", cut.position..end.position, &between) else {
            continue;
        };
        let found = second.run(&between).unwrap();
        assert!(
            difference(found.tensors()[0], expected.tensors()[0]) <= 1e-5,
            "{cut:?}"
        );
        parts += 1;
    }
    assert!(parts > 0);
}

#[test]
fn a_part_is_from_one_cut_to_a_later_one() {
    let module = frozen("residual_scripted");
    let input = [Value::Tensor(pictures(2, 1.0))];
    let told = |part: Range<usize>| {
        module
            .specialise("forward", part, &input)
            .unwrap_err()
            .to_string()
    };
    let end = whole(&module).end;
    assert!(told(0..end + 1).contains("no part"));
    assert!(told(3..3).contains("no part"));
    let cuts: Vec<usize> = cuts(&module, 2).iter().map(|cut| cut.position).collect();
    let between = (1..end).find(|position| !cuts.contains(position)).unwrap();
    assert!(told(between..end).contains("no cut"), "{cuts:?}");
}

#[test]
fn weights_in_a_file_are_the_same() {
    let mut module = frozen("residual_scripted");
    let _no_grad = tch::no_grad_guard();
    let input = [Value::Tensor(pictures(2, 0.7))];
    let expected = module.call("forward", &input).unwrap();
    let file = tempfile::tempfile().unwrap();
    assert!(module.weights_to_file("forward", 16, &file).unwrap() > 0);
    drop(file);
    for _ in 0..2 {
        let found = module.call("forward", &input).unwrap();
        assert!(found.tensors()[0].equal(expected.tensors()[0]));
        module.forget_weights("forward").unwrap();
    }
    let clone = module.clone();
    let file = tempfile::tempfile().unwrap();
    let told = module
        .weights_to_file("forward", 0, &file)
        .unwrap_err()
        .to_string();
    assert!(told.contains("in use"), "{told}");
    drop(clone);
}

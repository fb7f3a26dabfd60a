//! Copies whose weights have changed places. Expected values: those of the module itself.

use tch::{Device, Kind, Tensor};
use torch_bridge::{Module, Value};

use crate::fixtures::{difference, module};

fn answer(module: &Module, input: &Tensor) -> Tensor {
    let output = module.call("forward", &[Value::Tensor(input.shallow_clone())]);
    output.unwrap().into_tensor().unwrap()
}

#[test]
fn a_copy_has_the_same_values_in_other_places_and_the_module_stays_as_it_is() {
    let residual = module("residual_scripted");
    let names: Vec<String> = residual
        .weights()
        .unwrap()
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let input = Tensor::arange(3 * 8 * 8, (Kind::Float, Device::Cpu)).view([1, 3, 8, 8]) / 192.0;
    let before = answer(&residual, &input);
    let by = |names: &[&str], seed| answer(&residual.shuffled(names, seed).unwrap(), &input);
    let all = by(&names, 1);
    assert!(difference(&all, &before) > 1e-3, "other weights");
    assert_eq!(difference(&by(&names, 1), &all), 0.0, "the same seed");
    assert!(difference(&by(&names, 2), &all) > 1e-3, "another seed");
    assert_eq!(difference(&by(&[], 1), &before), 0.0, "nothing changes places");
    assert_eq!(difference(&by(&["no.such.weight"], 1), &before), 0.0);
    assert_eq!(
        difference(&answer(&residual, &input), &before),
        0.0,
        "the module is as before"
    );
    // Of the last matrix alone: its bias has five values, whose sum stays.
    let head = names
        .iter()
        .filter(|name| name.starts_with("head") && name.ends_with("bias"));
    let head: Vec<&str> = head.copied().collect();
    assert_eq!(head.len(), 1, "{names:?}");
    let only_bias = by(&head, 3);
    let sums = (only_bias.sum(Kind::Double) - before.sum(Kind::Double)).abs();
    assert!(sums.double_value(&[]) < 1e-5 && difference(&only_bias, &before) > 0.0);
    // Gradients of the input can be taken, as of the module itself.
    let copy = residual.shuffled(&names, 1).unwrap();
    let input = input.set_requires_grad(true);
    let score = answer(&copy, &input).sum(Kind::Float);
    let gradient = torch_bridge::grad(&score, &[&input], false).unwrap();
    assert!(
        gradient[0]
            .as_ref()
            .is_some_and(|g| g.abs().sum(Kind::Double).double_value(&[]) > 0.0)
    );
}

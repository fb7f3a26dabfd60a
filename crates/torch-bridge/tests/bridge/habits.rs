//! What strangers' networks do: `with` statements, sums in which one tensor comes several times, inputs that are written
//! to, weights in half precision. `fixtures/habits.py` made them.

use tch::{Device, Kind, Tensor};
use torch_bridge::{Module, Preparation, Tap, Value, grad};

use crate::fixtures::{arrays, difference, fixture, module, value};

fn pictures(count: i64) -> Tensor {
    let pixels = Tensor::arange(count * 3 * 12 * 10, (Kind::Float, Device::Cpu)) * 0.37;
    (pixels.sin().view([count, 12, 10, 3]).permute([0, 3, 1, 2]) + 1.0) / 2.0
}

fn answer(module: &Module, pictures: &Tensor) -> Tensor {
    module
        .call("forward", &[value(pictures)])
        .unwrap()
        .into_tensor()
        .unwrap()
}

/// `forward` compiled for batches of `count`, and `forward` itself.
fn compiled_and_plain(name: &str, count: i64) -> (Tensor, Tensor) {
    let _no_grad = tch::no_grad_guard();
    let frozen = module(name)
        .prepare_for_inference_with(&["forward"], Preparation::PLAIN)
        .unwrap();
    let example = [value(&pictures(count))];
    let end = frozen.cuts("forward", &example).unwrap().last().unwrap().position;
    let compiled = frozen.specialise("forward", 0..end, &example).unwrap();
    let other = pictures(count).flip([2]);
    let found = compiled.run(&[value(&other)]).unwrap();
    (found.into_tensor().unwrap(), answer(&module(name), &other))
}

#[test]
fn a_compiled_sum_is_written_over_nothing_that_is_read_again() {
    for name in [
        "sum_twice",
        "sum_thrice",
        "sum_read_later",
        "sum_gated",
        "sum_constant",
    ] {
        for count in [1, 2] {
            let (found, expected) = compiled_and_plain(&format!("habit_{name}"), count);
            assert!(difference(&found, &expected) <= 1e-5, "{name}, {count} pictures");
        }
    }
}

#[test]
fn with_statements_survive_freezing() {
    for name in ["with_no_grad", "with_autocast", "with_record", "with_own"] {
        let exported = module(&format!("habit_{name}"));
        let expected = answer(&exported, &pictures(2));
        for preparation in [Preparation::PLAIN, Preparation::default()] {
            let frozen = exported
                .prepare_for_inference_with(&["forward"], preparation)
                .unwrap();
            let _no_grad = tch::no_grad_guard();
            assert!(
                difference(&answer(&frozen, &pictures(2)), &expected) <= 1e-5,
                "{name}"
            );
        }
        // Nothing of the module that it was made from is needed any more.
        let frozen = {
            let module = module(&format!("habit_{name}"));
            module.prepare_for_inference(&["forward"]).unwrap()
        };
        drop(exported);
        let _no_grad = tch::no_grad_guard();
        assert!(
            difference(&answer(&frozen, &pictures(2)), &expected) <= 1e-5,
            "{name}"
        );
    }
}

#[test]
fn layers_below_a_with_statement_have_gradients() {
    for name in ["with_autocast", "with_record", "with_own"] {
        let module = module(&format!("habit_{name}"));
        let capture = module.capture("forward", &[Tap::record("stem")]).unwrap();
        let run = capture.run(&[value(&pictures(1))]).unwrap();
        let activation = run.recorded[0][0][0].shallow_clone();
        let logits = run.output.into_tensor().unwrap();
        let gradient = grad(&logits.get(0).get(1), &[&activation], false).unwrap();
        let gradient = gradient.into_iter().next().unwrap();
        assert!(
            gradient.is_some_and(|gradient| gradient.abs().max().double_value(&[]) > 0.0),
            "{name}"
        );
    }
}

#[test]
fn what_is_written_to_is_a_copy() {
    for name in [
        "writes_all",
        "writes_part",
        "writes_below",
        "writes_through_method",
    ] {
        let exported = module(&format!("habit_{name}"));
        let input = pictures(2) - 0.3;
        let kept = input.copy();
        let first = answer(&exported, &input);
        assert_eq!(input, kept, "{name}");
        assert!(difference(&answer(&exported, &input), &first) == 0.0, "{name}");
        let frozen = exported.prepare_for_inference(&["forward"]).unwrap();
        {
            let _no_grad = tch::no_grad_guard();
            assert!(difference(&answer(&frozen, &input), &first) <= 1e-5, "{name}");
            assert_eq!(input, kept, "{name}");
        }
        // A leaf that takes gradients could not be written to at all.
        let leaf = input.copy().set_requires_grad(true);
        let logits = answer(&exported, &leaf);
        let gradient = grad(&logits.get(0).get(1), &[&leaf], false).unwrap();
        assert!(gradient[0].is_some(), "{name}");
    }
}

#[test]
fn half_precision_is_widened_with_all_that_belongs_to_it() {
    let file = fixture("habit_half.pt");
    let half = Module::load(&file, Device::Cpu).unwrap();
    let widened = Module::load_widened(&file, Device::Cpu).unwrap();
    let expected = answer(&half, &pictures(2).to_kind(Kind::Half));
    assert_eq!(expected.kind(), Kind::Half);
    let found = answer(&widened, &pictures(2));
    assert_eq!(found.kind(), Kind::Float);
    assert!(difference(&found, &expected.to_kind(Kind::Float)) <= 5e-3);
    let leaf = pictures(1).set_requires_grad(true);
    let gradient = grad(&answer(&widened, &leaf).get(0).get(1), &[&leaf], false).unwrap();
    assert!(gradient[0].is_some());
    // In another module nothing changes.
    let plain = Module::load_widened(&fixture("residual_traced.pt"), Device::Cpu).unwrap();
    let same = module("residual_traced");
    let input = [Value::Tensor(pictures(1))];
    let (found, expected) = (plain.call("forward", &input), same.call("forward", &input));
    assert_eq!(found.unwrap().tensors()[0], expected.unwrap().tensors()[0]);
}

#[test]
fn what_is_written_shows_where_pytorch_shows_it() {
    let pytorch = arrays("habits");
    let in_order = &pytorch["picture"];
    let channels_last = in_order.permute([0, 2, 3, 1]).contiguous().permute([0, 3, 1, 2]);
    for name in [
        "order_flat",
        "order_reshaped",
        "order_contiguous",
        "order_viewed",
        "order_strided",
        "order_loop",
        "order_trains",
        "order_free",
        "order_free_function",
        "order_free_below",
    ] {
        let name = format!("habit_{name}");
        let exported = module(&name);
        let expected = &pytorch[&name];
        for picture in [in_order, &channels_last] {
            assert!(
                difference(&answer(&exported, picture), expected) <= 1e-5,
                "{name}"
            );
            for preparation in [Preparation::PLAIN, Preparation::default()] {
                let frozen = exported
                    .prepare_for_inference_with(&["forward"], preparation)
                    .unwrap();
                let _no_grad = tch::no_grad_guard();
                for _ in 0..3 {
                    let found = answer(&frozen, picture);
                    assert!(difference(&found, expected) <= 1e-5, "{name}, {preparation:?}");
                }
            }
        }
    }
}

#[test]
fn what_hangs_on_the_order_of_numbers_is_not_compiled() {
    let _no_grad = tch::no_grad_guard();
    let specialised = |name: &str| {
        let frozen = module(name)
            .prepare_for_inference_with(&["forward"], Preparation::PLAIN)
            .unwrap();
        let example = [value(&pictures(1))];
        let end = frozen.cuts("forward", &example).unwrap().last().unwrap().position;
        frozen.specialise("forward", 0..end, &example)
    };
    let refused = specialised("habit_order_flat").unwrap_err();
    assert!(refused.to_string().contains("order of numbers"), "{refused}");
    for name in [
        "habit_order_free",
        "habit_order_free_function",
        "habit_order_free_below",
    ] {
        assert!(specialised(name).is_ok(), "{name}");
    }
}

#[test]
fn what_hangs_on_no_order_computes_in_that_of_its_pictures() {
    let in_order = |name: &str| {
        let capture = module(name).capture("forward", &[Tap::record("stem")]).unwrap();
        let channels_last = [Value::Tensor(pictures(1))];
        let run = capture.run(&channels_last).unwrap();
        run.recorded[0][0][0].is_contiguous()
    };
    assert!(in_order("habit_order_flat"));
    for name in ["habit_order_free_below", "habit_order_free_dropped"] {
        assert!(!in_order(name), "{name}");
    }
}

#[test]
fn widened_conversions_still_copy() {
    let pytorch = arrays("habits");
    let widened = Module::load_widened(&fixture("habit_half_kept.pt"), Device::Cpu).unwrap();
    let found = answer(&widened, &pytorch["picture"]);
    assert!(difference(&found, &pytorch["habit_half_kept"]) <= 5e-3);
}

#[test]
fn weights_have_names_and_shapes() {
    let weights = module("habit_sum_twice").weights().unwrap();
    assert!(
        weights.contains(&("stem.weight".to_owned(), vec![8, 3, 3, 3])),
        "{weights:?}"
    );
    assert!(!module("habit_sum_twice").is_quantised().unwrap());
    let named = |name| module("habit_sum_twice").tensor(name).unwrap();
    assert_eq!(
        named("stem.weight").map(|weight| weight.size()),
        Some(vec![8, 3, 3, 3])
    );
    assert!(named("stem").is_none() && named("").is_none());
}

//! Loading, describing and calling modules, and what becomes of exceptions.
//!
//! Expected values: `fixtures/make_fixtures.py` (PyTorch 2.13, eager).

use crate::fixtures::{arrays, difference, fixture, module, value};
use tch::{Device, Kind, Tensor};
use torch_bridge::{BridgeError, Module, Preparation, Value};

/// Freezing folds batch norms into convolutions and channels-last changes the order of sums: float32 rounding along
/// half a dozen layers, each good for some 1e-7.
const FROZEN_TOLERANCE: f64 = 1e-5;

#[test]
fn methods_are_described_as_they_are_annotated() {
    let captioner = module("captioner");
    let step = captioner.method("step").unwrap();
    let arguments: Vec<_> = step
        .arguments
        .iter()
        .map(|a| (a.name.as_str(), a.kind.as_str(), a.has_default))
        .collect();
    let expected = [
        ("memory", "Tensor", false),
        ("state", "Tensor", false),
        ("bias", "float", true),
    ];
    assert_eq!(arguments, expected);
    assert_eq!(step.returns, "Tuple[Tensor, Tensor]");
    assert!(captioner.method("start").is_ok());
}

#[test]
fn parameters_are_counted() {
    let residual = module("residual_scripted");
    // stem 3·4·9+4; three blocks of 2·(4·4·9) and a batch norm of 2·4; head 4·5+5.
    let expected = 112 + 3 * (288 + 8) + 25;
    assert_eq!(residual.parameter_count().unwrap(), expected);
    assert_eq!(residual.parameters_bytes().unwrap(), 4 * expected);
}

#[test]
fn arguments_left_out_take_the_defaults_of_the_program() {
    let captioner = module("captioner");
    let zeros = || Value::Tensor(Tensor::zeros([2, 4], (Kind::Float, Device::Cpu)));
    let logits = |bias: &[Value]| {
        let mut inputs = vec![zeros(), zeros()];
        inputs.extend(bias.iter().map(|b| match b {
            Value::Int(b) => Value::Int(*b),
            other => panic!("{other:?}"),
        }));
        let output = captioner.call("step", &inputs).unwrap();
        output.into_elements().unwrap().remove(0).into_tensor().unwrap()
    };
    // An int is taken for a float, as Python does.
    let (default, two) = (logits(&[]), logits(&[Value::Int(2)]));
    assert!(difference(&(two - 1.5), &default) < 1e-6);
}

#[test]
fn a_wrong_call_is_an_error_that_says_what_is_wrong() {
    let captioner = module("captioner");
    let error = captioner.call("forward", &[]).unwrap_err();
    let BridgeError::MethodNotFound { known, .. } = &error else {
        panic!("{error:?}")
    };
    assert!(
        known.contains(&"start".to_owned()) && known.contains(&"step".to_owned()),
        "{known:?}"
    );
    for inputs in [
        vec![],
        vec![Value::Int(1)],
        vec![Value::None, Value::None, Value::None, Value::None],
    ] {
        let error = captioner.call("step", &inputs).unwrap_err();
        assert!(
            matches!(&error, BridgeError::Torch(text) if text.contains("step")),
            "{error}"
        );
    }
}

#[test]
fn a_file_that_is_no_torchscript_is_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let load = |bytes: &[u8]| {
        let file = folder.path().join("file.pt");
        std::fs::write(&file, bytes).unwrap();
        Module::load(&file, Device::Cpu).map(drop)
    };
    let whole = std::fs::read(fixture("captioner.pt")).unwrap();
    load(&whole).unwrap();
    let text = std::fs::read(fixture("make_fixtures.py")).unwrap();
    for bytes in [&[][..], b"PK", &text, &whole[..whole.len() / 2]] {
        let error = load(bytes).unwrap_err();
        assert!(
            matches!(error, BridgeError::NotTorchScript(_)),
            "{} bytes: {error:?}",
            bytes.len()
        );
    }
    assert!(matches!(
        Module::load(&fixture("absent.pt"), Device::Cpu),
        Err(BridgeError::Torch(_))
    ));
}

#[test]
fn an_exception_in_the_program_is_an_error_and_the_next_call_works() {
    let (stateful, arrays) = (module("stateful"), arrays("stateful"));
    assert!(stateful.is_stateful());
    let capture = stateful
        .capture("forward", &[torch_bridge::Tap::record("conv")])
        .unwrap();
    let (bright, dark) = (&arrays["in:0:0"], -&arrays["in:0:0"]);
    let wrong_channels = bright.narrow(1, 0, 2);
    for _ in 0..3 {
        for (image, message) in [(&dark, "the image is too dark"), (&wrong_channels, "channels")] {
            for error in [
                stateful.call("forward", &[value(image)]),
                capture.run(&[value(image)]).map(|r| r.output),
            ] {
                let error = error.unwrap_err().to_string();
                assert!(error.contains(message), "{error}");
                // What C++ functions were on the stack is nobody's business.
                assert!(!error.contains("libtorch_cpu.so"), "{error}");
            }
        }
        assert!(stateful.call("forward", &[value(bright)]).is_ok());
        assert_eq!(capture.run(&[value(bright)]).unwrap().recorded[0].len(), 1);
    }
}

#[test]
fn values_come_back_as_they_were_returned() {
    let (pyramid, arrays) = (module("pyramid"), arrays("pyramid"));
    let output = pyramid.call("forward", &[value(&arrays["in:0:0"])]).unwrap();
    let mut parts = output.into_elements().unwrap();
    assert_eq!(parts.len(), 3);
    let mut maps = parts.remove(2);
    let coarse = maps.take("1").unwrap().into_tensor().unwrap();
    assert!(maps.take("1").is_none());
    // Not to the last bit: a convolution sums in the order that suits the processor.
    assert!(difference(&coarse, &arrays["out:0:3"]) < 1e-6);
    assert_eq!(maps.into_entries().unwrap().len(), 1);
    assert!(matches!(
        parts.remove(0).into_entries(),
        Err(BridgeError::UnexpectedValue {
            expected: "a Dict",
            ..
        })
    ));
}

/// A dict of texts and numbers.
fn counts(entries: &[(&str, i64)]) -> Value {
    Value::Dict(
        entries
            .iter()
            .map(|(key, count)| (Value::from(*key), Value::Int(*count)))
            .collect(),
    )
}

#[test]
fn containers_take_the_element_types_that_the_method_asks_for() {
    let containers = module("containers");
    let twos = || Tensor::full([2], 2.0, (Kind::Float, Device::Cpu));
    let pair = || Value::Tuple(vec![Value::Int(1), Value::Int(3)]);
    let call = |inputs: Vec<Value>| {
        containers
            .call("forward", &inputs)
            .map(|value| format!("{value:?}"))
    };
    let found = call(vec![
        Value::from(vec![twos(), twos()]),
        counts(&[("a", 4), ("b", 5)]),
        pair(),
        Value::Int(7),
    ])
    .unwrap();
    // (2·2 + 2·2)·3 + 1; the ints of the pair and of the weight are taken for floats.
    let expected =
        r#"Tuple([Double(25.0), Int(9), Double(7.0), Dict([(Int(9), List([String("a"), String("b")]))])])"#;
    assert_eq!(found, expected);
    // Nothing tells an empty container's element type but the method.
    let empty = call(vec![Value::List(vec![]), counts(&[]), pair()]).unwrap();
    assert_eq!(
        empty,
        "Tuple([Double(1.0), Int(0), None, Dict([(Int(0), List([]))])])"
    );
}

#[test]
fn containers_of_other_things_are_refused() {
    let containers = module("containers");
    let pair = || Value::Tuple(vec![Value::Int(1), Value::Double(3.0)]);
    for inputs in [
        vec![Value::List(vec![Value::Int(1)]), counts(&[]), pair()],
        vec![Value::List(vec![Value::None]), counts(&[]), pair()],
        vec![
            Value::List(vec![]),
            Value::Dict(vec![(Value::Int(1), Value::Int(1))]),
            pair(),
        ],
        vec![
            Value::List(vec![]),
            Value::Dict(vec![("a".into(), "b".into())]),
            pair(),
        ],
        vec![
            Value::List(vec![]),
            counts(&[]),
            Value::Tuple(vec![Value::Int(1)]),
        ],
        vec![Value::List(vec![]), Value::List(vec![]), pair()],
        vec![Value::List(vec![]), counts(&[]), pair(), "heavy".into()],
    ] {
        let text = format!("{inputs:?}");
        let error = containers.call("forward", &inputs);
        assert!(
            matches!(error, Err(BridgeError::Torch(_))),
            "{text} gave {error:?}"
        );
    }
}

#[test]
fn a_prepared_copy_gives_the_same_numbers() {
    for (name, method) in [
        ("residual_scripted", "forward"),
        ("residual_traced", "forward"),
        ("pyramid", "forward"),
        ("captioner", "start"),
    ] {
        let (original, arrays) = (module(name), arrays(name));
        let methods: Vec<_> = original.methods().iter().map(|m| m.name.clone()).collect();
        let methods: Vec<_> = methods.iter().map(String::as_str).collect();
        let prepared = original.prepare_for_inference(&methods).unwrap();
        for method in &methods {
            assert!(prepared.method(method).is_ok(), "{name} lost {method}");
        }
        let _guard = tch::no_grad_guard();
        for _ in 0..3 {
            let output = prepared.call(method, &[value(&arrays["in:0:0"])]).unwrap();
            for (j, tensor) in output.tensors().into_iter().enumerate() {
                let off = difference(tensor, &arrays[&format!("out:0:{j}")]);
                assert!(off <= FROZEN_TOLERANCE, "{name}, output {j}: off by {off:e}");
            }
        }
        // The original keeps its layers.
        assert!(!original.layers(method).unwrap().is_empty());
    }
}

#[test]
fn a_copy_in_half_precision_gives_nearly_the_same_numbers() {
    let (original, arrays) = (module("residual_scripted"), arrays("residual_scripted"));
    let preparation = Preparation {
        kind: Some(tch::Kind::BFloat16),
        ..Preparation::default()
    };
    let half = original
        .prepare_for_inference_with(&["forward"], preparation)
        .unwrap();
    let _guard = tch::no_grad_guard();
    let Value::Tensor(input) = value(&arrays["in:0:0"]) else {
        panic!("the fixture takes a tensor");
    };
    let input = Value::Tensor(input.to_kind(tch::Kind::BFloat16));
    let output = half.call("forward", &[input]).unwrap().into_tensor().unwrap();
    assert_eq!(output.kind(), tch::Kind::BFloat16);
    let expected = &arrays["out:0:0"];
    let off = difference(&output.to_kind(tch::Kind::Float), expected);
    assert!(off > 0.0 && off < 0.05, "off by {off:e}");
    let whole = Preparation {
        kind: Some(tch::Kind::Int64),
        ..Preparation::default()
    };
    assert!(original.prepare_for_inference_with(&["forward"], whole).is_err());
}

#[test]
fn a_copy_that_is_frozen_only_gives_the_same_numbers() {
    let (original, arrays) = (module("residual_scripted"), arrays("residual_scripted"));
    let frozen = original
        .prepare_for_inference_with(
            &["forward"],
            Preparation {
                fuse: false,
                ..Preparation::default()
            },
        )
        .unwrap();
    let _guard = tch::no_grad_guard();
    let output = frozen
        .call("forward", &[value(&arrays["in:0:0"])])
        .unwrap()
        .into_tensor()
        .unwrap();
    assert!(difference(&output, &arrays["out:0:0"]) <= FROZEN_TOLERANCE);
}

#[test]
fn preparing_for_a_method_that_is_not_there_is_refused() {
    let error = module("captioner")
        .prepare_for_inference(&["start", "forward"])
        .unwrap_err();
    assert!(matches!(error, BridgeError::MethodNotFound { .. }), "{error:?}");
}

//! torchvision's operators against torchvision.
//!
//! Expected values: `fixtures/make_fixtures.py` (torchvision 0.28, CPU). `nms` is exact. `roi_align`: the same samples
//! in another order of summation, so 1e-6 of the largest in float32 and 1e-14 in float64; the tolerance of float64 is
//! what shows that the formula is the same.

use crate::fixtures::{arrays, difference, module, value};
use tch::{Device, Kind, Tensor};
use torch_bridge::{Value, grad};

#[test]
fn nms_keeps_the_same_boxes_in_the_same_order() {
    let (vision, arrays) = (module("vision"), arrays("vision"));
    for threshold in [0.3, 0.5, 0.7] {
        let inputs = [
            value(&arrays["boxes"]),
            value(&arrays["scores"]),
            Value::Double(threshold),
        ];
        let kept = vision.call("forward", &inputs).unwrap().into_tensor().unwrap();
        assert_eq!(kept, arrays[&format!("nms:{threshold}")], "threshold {threshold}");
    }
    // Boxes that were moved by a number of 64 bits, as the interpreter has it, are of another type than their scores.
    let mixed = [
        value(&arrays["boxes"].to_kind(Kind::Double)),
        value(&arrays["scores"].to_kind(Kind::Float)),
        Value::Double(0.5),
    ];
    let kept = vision.call("forward", &mixed).unwrap().into_tensor().unwrap();
    assert_eq!(kept, arrays["nms:0.5"], "boxes of 64 bits, scores of 32");
    let none = [
        value(&Tensor::zeros([0, 4], (Kind::Float, Device::Cpu))),
        value(&Tensor::zeros([0], (Kind::Float, Device::Cpu))),
        Value::Double(0.5),
    ];
    assert_eq!(
        vision
            .call("forward", &none)
            .unwrap()
            .into_tensor()
            .unwrap()
            .size(),
        [0]
    );
    let swapped = [
        value(&arrays["scores"]),
        value(&arrays["boxes"]),
        Value::Double(0.5),
    ];
    assert!(vision.call("forward", &swapped).is_err());
}

fn align(arrays: &Arrays, x: &Tensor, rois: &Tensor, ratio: i64, aligned: bool) -> Tensor {
    let inputs = [
        value(x),
        value(rois),
        Value::Double(0.5),
        Value::Int(3),
        Value::Int(4),
        Value::Int(ratio),
        Value::Bool(aligned),
    ];
    arrays.0.call("align", &inputs).unwrap().into_tensor().unwrap()
}

struct Arrays(torch_bridge::Module);

#[test]
fn roi_align_and_its_gradient_are_torchvisions() {
    let (vision, arrays) = (Arrays(module("vision")), arrays("vision"));
    for ratio in [0, 1, 2, -1] {
        for aligned in [false, true] {
            for (kind, name, tolerance) in [(Kind::Float, "float32", 1e-6), (Kind::Double, "float64", 1e-14)]
            {
                let x = arrays["x"].to_kind(kind).copy().set_requires_grad(true);
                let pooled = align(&vision, &x, &arrays["rois"].to_kind(kind), ratio, aligned);
                let target = (&pooled * arrays["weights"].to_kind(kind)).sum(kind);
                let gradient = grad(&target, &[&x], false).unwrap().remove(0).unwrap();
                let key = format!("{ratio}:{}:{name}", u8::from(aligned));
                let off = difference(&pooled, &arrays[&format!("align:{key}")]);
                assert!(off <= tolerance, "{key}: values off by {off:e}");
                let off = difference(&gradient, &arrays[&format!("align_grad:{key}")]);
                assert!(off <= tolerance, "{key}: gradient off by {off:e}");
            }
        }
    }
}

#[test]
fn no_regions_give_an_empty_result_that_has_a_gradient() {
    let vision = Arrays(module("vision"));
    let x = Tensor::ones([1, 3, 5, 5], (Kind::Float, Device::Cpu)).set_requires_grad(true);
    let pooled = align(
        &vision,
        &x,
        &Tensor::zeros([0, 5], (Kind::Float, Device::Cpu)),
        2,
        true,
    );
    assert_eq!(pooled.size(), [0, 3, 3, 4]);
    let gradient = grad(&pooled.sum(Kind::Float), &[&x], false)
        .unwrap()
        .remove(0)
        .unwrap();
    assert_eq!(gradient.abs().max().double_value(&[]), 0.0);
}

#[test]
fn rotated_boxes_are_refused_in_words() {
    let boxes = Tensor::zeros([1, 5], (Kind::Float, Device::Cpu));
    let error = module("vision")
        .call("rotated", &[value(&boxes), value(&boxes)])
        .unwrap_err();
    assert!(error.to_string().contains("rotated are not supported"), "{error}");
}

//! Reading the fixtures that `fixtures/make_fixtures.py` made, and comparing tensors.

use std::collections::HashMap;
use std::path::PathBuf;

use tch::{Device, Kind, Tensor};
use torch_bridge::{Module, Value};

/// The path of a file made by `make_fixtures.py`.
pub(crate) fn fixture(file: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(file)
}

/// The module `NAME.pt`.
pub(crate) fn module(name: &str) -> Module {
    Module::load(&fixture(&format!("{name}.pt")), Device::Cpu).unwrap()
}

/// The arrays of `NAME.npz`.
pub(crate) fn arrays(name: &str) -> HashMap<String, Tensor> {
    Tensor::read_npz(fixture(&format!("{name}.npz")))
        .unwrap()
        .into_iter()
        .collect()
}

/// A value that shares the tensor's storage.
pub(crate) fn value(tensor: &Tensor) -> Value {
    Value::Tensor(tensor.shallow_clone())
}

/// The largest difference of any element, over the largest magnitude of `expected`; infinite when shapes differ.
pub(crate) fn difference(found: &Tensor, expected: &Tensor) -> f64 {
    if found.size() != expected.size() {
        return f64::INFINITY;
    }
    if expected.numel() == 0 {
        return 0.0;
    }
    let expected = expected.to_kind(Kind::Double);
    let largest = expected.abs().max().double_value(&[]);
    let off = (found.detach().to_kind(Kind::Double) - expected)
        .abs()
        .max()
        .double_value(&[]);
    if off == 0.0 { 0.0 } else { off / largest }
}

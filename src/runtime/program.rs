//! What a loaded model can do, whatever format it came from.

use std::sync::Arc;

use tch::{Device, Kind, Tensor};
use torch_bridge::{Given, Layer, Run, Tap, Value};

use crate::engine::{CorePermit, Share};
use crate::error::{Error, Result};

/// A loaded model that can be called. Several threads may call it at once.
///
/// A pass needs a permit for the cores that it computes on, and nothing but [`Cores`](crate::engine::cores::Cores) grants
/// one:
///
/// ```
/// # use lucarne::{engine::CorePermit, error::Result, runtime::Program};
/// fn pass(program: &dyn Program, permit: &CorePermit<'_>) -> Result<()> {
///     program.call(permit, "forward", &[]).map(drop)
/// }
/// ```
///
/// Without one there is no pass:
///
/// ```compile_fail
/// # use lucarne::{error::Result, runtime::Program};
/// fn pass(program: &dyn Program) -> Result<()> {
///     program.call("forward", &[]).map(drop)
/// }
/// ```
pub trait Program: Send + Sync + std::fmt::Debug {
    /// Calls `method` on the cores of `permit`.
    ///
    /// # Errors
    /// [`Error::InferenceFailed`](crate::error::Error::InferenceFailed) with libtorch's words, [`Error::OutOfMemory`](crate::error::Error::OutOfMemory).
    fn call(&self, permit: &CorePermit<'_>, method: &str, inputs: &[Value]) -> Result<Value>;

    /// Where the weights are.
    fn device(&self) -> Device;

    /// Compiles now, for as many threads as the calling thread has, what is otherwise compiled when batches have come; for
    /// measurements. `example` makes a batch of some size.
    ///
    /// # Errors
    /// As [`Program::call`].
    fn settle(&self, _share: &Share, _example: &dyn Fn(usize) -> Result<Tensor>) -> Result<()> {
        Ok(())
    }
}

/// A model as it was exported, whose layers can be looked at. Gradients are recorded as the calling thread's grad mode
/// says.
pub trait Transparent: Program {
    /// The layers that a tap can be put on when `method` runs, in the order in which they finish.
    ///
    /// # Errors
    /// [`Error::InferenceFailed`](crate::error::Error::InferenceFailed) with libtorch's words.
    fn layers(&self, method: &str) -> Result<Vec<Layer>>;

    /// Modules of which no step of `method` is left, so that there is nothing to put a tap on: an Identity, a dropout, what
    /// a conversion has folded into its neighbours. Those that are known.
    ///
    /// # Errors
    /// As [`Transparent::layers`].
    fn folded(&self, _method: &str) -> Result<Vec<String>> {
        Ok(Vec::new())
    }

    /// Whether it has gradients: a model that computes with quantised numbers has none, and its layers give no floats.
    fn has_gradients(&self) -> bool;

    /// The names of its parameters, each with the path of its module; none where the file has its weights as constants.
    ///
    /// # Errors
    /// As [`Transparent::layers`].
    fn weights(&self) -> Result<Vec<String>> {
        Ok(Vec::new())
    }

    /// A copy in which the values of each of these parameters have changed places at random; the model itself stays as it is. Nothing
    /// where it cannot be copied.
    ///
    /// # Errors
    /// As [`Transparent::layers`].
    fn shuffled(&self, _weights: &[&str], _seed: u32) -> Result<Option<Arc<dyn Transparent>>> {
        Ok(None)
    }

    /// A copy of `method` with `taps` in it; the model itself stays as it is.
    ///
    /// # Errors
    /// [`Error::InferenceFailed`](crate::error::Error::InferenceFailed) when there is no such method or layer.
    fn capture(&self, method: &str, taps: &[Tap]) -> Result<Box<dyn Captured>>;
}

/// A method with taps in it.
pub trait Captured {
    /// Runs it on the cores of `permit`, with something for each tap, in their order.
    ///
    /// # Errors
    /// As [`Program::call`].
    fn run(&self, permit: &CorePermit<'_>, inputs: &[Value], given: Vec<Given>) -> Result<Run>;

    /// In how many places each tap stands.
    fn places(&self) -> &[usize];
}

/// A program together with the permit under which it is called: what runs on from an output, such as a decoder, calls it
/// as often as it needs.
pub trait Call {
    /// Calls `method`.
    ///
    /// # Errors
    /// As [`Program::call`].
    fn call(&self, method: &str, inputs: &[Value]) -> Result<Value>;

    /// Where the weights are.
    fn device(&self) -> Device;

    /// `forward` of one batch that answers one tensor.
    ///
    /// # Errors
    /// As [`Program::call`]; also when the answer is another value.
    fn forward(&self, batch: Tensor) -> Result<Tensor> {
        Ok(self.call("forward", &[Value::Tensor(batch)])?.into_tensor()?)
    }
}

/// See [`Call`].
#[derive(Debug, Clone, Copy)]
pub struct Held<'a> {
    program: &'a dyn Program,
    permit: &'a CorePermit<'a>,
}

impl<'a> Held<'a> {
    /// `program`, called under `permit`.
    #[must_use]
    pub fn new(program: &'a dyn Program, permit: &'a CorePermit<'a>) -> Self {
        Self { program, permit }
    }
}

impl Call for Held<'_> {
    fn call(&self, method: &str, inputs: &[Value]) -> Result<Value> {
        let answer = self.program.call(self.permit, method, inputs)?;
        answer
            .tensors()
            .into_iter()
            .try_for_each(|tensor| plain(method, tensor))?;
        Ok(answer)
    }

    fn device(&self) -> Device {
        self.program.device()
    }
}

/// Whether the numbers of an answer are what tasks compute with; others would be cut down to such in silence.
fn plain(method: &str, tensor: &Tensor) -> Result<()> {
    let what = match tensor.kind() {
        Kind::ComplexHalf | Kind::ComplexFloat | Kind::ComplexDouble => {
            "complex numbers; answer their real part or abs()"
        }
        Kind::QInt8 | Kind::QUInt8 | Kind::QInt32 => "quantised numbers; end with dequantize()",
        _ if tensor.is_sparse() => "a sparse tensor; answer its to_dense()",
        _ if tensor.is_mkldnn() => "a tensor in oneDNN's layout; answer its to_dense()",
        _ => return Ok(()),
    };
    Err(Error::InferenceFailed(format!("{method} answered {what}")))
}

/// Gradients of the scalar `target` with respect to `inputs`, none where one did not contribute, computed on the cores of
/// the permit. `keep` keeps the graph for further ones.
///
/// # Errors
/// As [`Program::call`].
pub fn gradients(
    _permit: &CorePermit<'_>,
    target: &Tensor,
    inputs: &[&Tensor],
    keep: bool,
) -> Result<Vec<Option<Tensor>>> {
    Ok(torch_bridge::grad(target, inputs, keep)?)
}

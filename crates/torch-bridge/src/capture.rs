//! A method's graph with taps in it: run like the method, and see what its layers computed.
//!
//! A tap stands where a forward hook would: behind each call of its layer's `forward`, in branches and loops too. It
//! records every tensor of the layer's output, in the autograd graph, and hands a clone on, so that a later in-place
//! operation cannot overwrite what was recorded. When the layer's output has no gradient although grad mode is on
//! (weights frozen before export, an input that asks for none), a graph is begun there, so that [`crate::grad()`] with
//! respect to it works for any model. The graph runs without any of libtorch's optimisations.
#![expect(unsafe_code, reason = "libtorch is called through C functions")]

use std::ptr::{self, NonNull};
use std::sync::Arc;

use tch::Tensor;

use crate::error::{BridgeError, Result};
use crate::ffi::{self, OwnedValue, RawCapture, c_text, check};
use crate::module::{Module, Shared};
use crate::value::{Value, tuple_of};

/// Something to do at a layer, or to the whole graph. Several taps on one layer work in their order.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Tap {
    /// Records every tensor that the layer at `path` gives, each time it runs.
    Record {
        /// A path of [`Module::layers`].
        path: String,
    },
    /// Sets one channel of what the layer gives to zero, another in each sample of the batch if wanted
    /// (Ablation-CAM). Which one is [`Given::Channels`], told to each run.
    ZeroChannel {
        /// A path of [`Module::layers`].
        path: String,
    },
    /// Hands on [`Given::Activations`] in place of what the layer gives. Where the layer gives one tensor, what
    /// served only to compute it is cut out of the graph and costs nothing; so are the program's own exceptions.
    Replay {
        /// A path of [`Module::layers`].
        path: String,
    },
    /// Lets only positive gradients through each ReLU, also a clipped one, of the whole graph
    /// (guided backpropagation, Springenberg et al. 2015, section 3.4).
    GuidedRelu,
}

impl Tap {
    /// A [`Tap::Record`] at `path`.
    pub fn record(path: impl Into<String>) -> Self {
        Self::Record { path: path.into() }
    }

    /// A [`Tap::ZeroChannel`] at `path`.
    pub fn zero_channel(path: impl Into<String>) -> Self {
        Self::ZeroChannel { path: path.into() }
    }

    /// A [`Tap::Replay`] at `path`.
    pub fn replay(path: impl Into<String>) -> Self {
        Self::Replay { path: path.into() }
    }

    /// The layer that it is put on; none for the whole graph.
    #[must_use]
    pub fn path(&self) -> Option<&str> {
        match self {
            Self::Record { path } | Self::ZeroChannel { path } | Self::Replay { path } => Some(path),
            Self::GuidedRelu => None,
        }
    }

    fn operator(&self) -> &'static str {
        match self {
            Self::Record { .. } => "record",
            Self::ZeroChannel { .. } => "zero_channel",
            Self::Replay { .. } => "replay",
            Self::GuidedRelu => "guided_relu",
        }
    }
}

/// What a run tells one of its taps.
#[derive(Debug)]
pub enum Given {
    /// Nothing: all that [`Tap::Record`] and [`Tap::GuidedRelu`] need; a [`Tap::ZeroChannel`] leaves all as it is.
    Nothing,
    /// For [`Tap::ZeroChannel`]: the index in dimension 1 for each sample of the batch, or a single one for all of
    /// them; a negative one leaves its sample as it is. Holds for every tensor of the layer and every execution.
    Channels(Vec<i64>),
    /// For [`Tap::Replay`]: `[execution][tensor]`, as in [`Run::recorded`].
    Activations(Vec<Vec<Tensor>>),
}

impl Given {
    fn into_value(self) -> Value {
        match self {
            Self::Nothing => Value::None,
            Self::Channels(channels) => Value::List(channels.into_iter().map(Value::Int).collect()),
            Self::Activations(executions) => Value::List(executions.into_iter().map(Value::from).collect()),
        }
    }
}

/// A captured graph. It may be run by several threads at once; each run has a state of its own.
pub struct Capture {
    raw: NonNull<RawCapture>,
    module: Arc<Shared>,
    taps: Vec<Tap>,
    places: Vec<usize>,
}

// SAFETY: compiled code and the module are reference-counted atomically and tied to no thread.
unsafe impl Send for Capture {}
// SAFETY: a run reads the code, which nothing changes once it is compiled, and writes to a state of its own; what the
// program may write to is the module, for which the run takes its turn.
unsafe impl Sync for Capture {}

/// What a run gave.
#[derive(Debug)]
pub struct Run {
    /// What the method returned.
    pub output: Value,
    /// `[tap][execution][tensor]`: for each tap, for each time its layer ran, every tensor in the layer's output,
    /// depth first.
    pub recorded: Vec<Vec<Vec<Tensor>>>,
}

impl Capture {
    pub(crate) fn new(module: &Module, method: &str, taps: &[Tap]) -> Result<Self> {
        let name = c_text(method)?;
        let described = taps
            .iter()
            .map(|tap| Value::Tuple(vec![tap.operator().into(), tap.path().unwrap_or_default().into()]))
            .collect::<Vec<_>>();
        let described = Value::List(described).to_ivalue()?;
        let (mut raw, mut placed) = (ptr::null_mut(), ptr::null_mut());
        // SAFETY: everything handed over lives through the call, which copies the graph it changes.
        check(unsafe {
            ffi::bridge_capture_new(
                module.shared.as_ptr(),
                name.as_ptr(),
                described.as_ptr(),
                &raw mut raw,
                &raw mut placed,
            )
        })?;
        let mut capture = Self {
            raw: handed_out(raw)?,
            module: Arc::clone(&module.shared),
            taps: taps.to_vec(),
            places: Vec::new(),
        };
        let placed = Value::from_ivalue(&OwnedValue::from_pointer(handed_out(placed)?))?;
        for (tap, places) in taps.iter().zip(placed.into_elements()?) {
            let places = match places {
                Value::Int(places) => usize::try_from(places).unwrap_or(0),
                _ => 0,
            };
            if let (0, Some(path)) = (places, tap.path()) {
                return Err(BridgeError::LayerNotFound {
                    path: path.to_owned(),
                    method: method.to_owned(),
                });
            }
            capture.places.push(places);
        }
        Ok(capture)
    }

    /// In how many places of the graph each tap stands. Zero is possible for [`Tap::GuidedRelu`] only: the graph has
    /// no ReLU.
    #[must_use]
    pub fn places(&self) -> &[usize] {
        &self.places
    }

    /// Runs the graph. Arguments left out at the end take the defaults of the program. Gradients are recorded as the
    /// calling thread's grad mode says.
    ///
    /// # Errors
    /// [`BridgeError::Torch`] when the inputs do not fit or the program raises; the graph can be run again.
    pub fn run(&self, inputs: &[Value]) -> Result<Run> {
        self.run_with(inputs, self.taps.iter().map(|_| Given::Nothing).collect())
    }

    /// [`Capture::run`], with something for each tap, in their order.
    ///
    /// # Errors
    /// As [`Capture::run`]; also when `given` is not what the taps need.
    pub fn run_with(&self, inputs: &[Value], given: Vec<Given>) -> Result<Run> {
        let inputs = tuple_of(inputs)?;
        let given = Value::List(given.into_iter().map(Given::into_value).collect()).to_ivalue()?;
        let (mut output, mut recorded) = (ptr::null_mut(), ptr::null_mut());
        let turn = self.module.take_turn();
        // SAFETY: everything handed over lives through the call.
        check(unsafe {
            ffi::bridge_capture_run(
                self.raw.as_ptr(),
                inputs.as_ptr(),
                given.as_ptr(),
                &raw mut output,
                &raw mut recorded,
            )
        })?;
        drop(turn);
        let output = OwnedValue::from_pointer(handed_out(output)?);
        let recorded = OwnedValue::from_pointer(handed_out(recorded)?);
        Ok(Run {
            output: Value::from_ivalue(&output)?,
            recorded: slots(Value::from_ivalue(&recorded)?)?,
        })
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        // SAFETY: made by the bridge, owned here, freed once.
        unsafe { ffi::bridge_capture_free(self.raw.as_ptr()) }
    }
}

impl std::fmt::Debug for Capture {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Capture")
            .field("taps", &self.taps)
            .finish_non_exhaustive()
    }
}

fn handed_out<T>(pointer: *mut T) -> Result<NonNull<T>> {
    NonNull::new(pointer).ok_or_else(|| BridgeError::Torch("the bridge handed out nothing".to_owned()))
}

fn slots(recorded: Value) -> Result<Vec<Vec<Vec<Tensor>>>> {
    let tensors = |execution: Value| {
        execution
            .into_elements()?
            .into_iter()
            .map(Value::into_tensor)
            .collect()
    };
    let executions = |tap: Value| tap.into_elements()?.into_iter().map(tensors).collect();
    recorded.into_elements()?.into_iter().map(executions).collect()
}

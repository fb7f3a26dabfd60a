//! A method, or a part of one, compiled by oneDNN Graph for inputs of one shape.
#![expect(unsafe_code, reason = "libtorch is called through C functions")]

use std::ops::Range;
use std::ptr::NonNull;

use crate::describe::malformed;
use crate::error::{BridgeError, Result};
use crate::ffi::{self, OwnedValue, RawSpecialised, c_text, produce};
use crate::module::Module;
use crate::value::{Value, tuple_of};

/// A place between two steps of a method where a single tensor goes over, a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    /// How many steps are before it.
    pub position: usize,
    /// The most bytes that a step reads and writes, weights apart, of those since the cut before.
    pub largest: u64,
    /// Bytes of the tensor that goes over; 0 at the method's end.
    pub alive: u64,
}

impl Cut {
    fn read(fields: Vec<Value>) -> Result<Self> {
        match <[Value; 3]>::try_from(fields) {
            Ok([Value::Int(position), Value::Int(largest), Value::Int(alive)]) => Ok(Self {
                position: usize::try_from(position).map_err(|_| malformed())?,
                largest: largest.unsigned_abs(),
                alive: alive.unsigned_abs(),
            }),
            _ => Err(malformed()),
        }
    }
}

/// A method of a prepared module, or a part of it, compiled for the CPU and for inputs of one shape and memory order: convolutions with
/// the activations, sums and depthwise convolutions behind them are one kernel each, and their weights are packed once.
/// Inputs of another shape are computed too, by what there was before. It takes no gradients.
pub struct Specialised {
    raw: NonNull<RawSpecialised>,
    /// Owns the method and the weights.
    _module: Module,
}

// SAFETY: the compiled code keeps nothing of the thread that made it.
unsafe impl Send for Specialised {}
// SAFETY: `run` is the only call; every run has an interpreter of its own, and each kernel is compiled once under a
// lock and only read from then on.
unsafe impl Sync for Specialised {}

impl Drop for Specialised {
    fn drop(&mut self) {
        // SAFETY: made by the bridge, owned here, freed once, before the module that it points into.
        unsafe { ffi::bridge_specialised_free(self.raw.as_ptr()) }
    }
}

impl std::fmt::Debug for Specialised {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Specialised").finish_non_exhaustive()
    }
}

impl Module {
    /// Where `method` can be cut, in order, the last being its end; it is run once on `inputs`, of which the first is the
    /// batch. What is counted is of that run.
    ///
    /// # Errors
    /// [`BridgeError::MethodNotFound`]; [`BridgeError::Torch`] when the inputs do not fit or hold no tensor.
    pub fn cuts(&self, method: &str, inputs: &[Value]) -> Result<Vec<Cut>> {
        self.method(method)?;
        let name = c_text(method)?;
        let inputs = tuple_of(inputs)?;
        // SAFETY: everything handed over lives through the call, which only reads.
        let cuts = OwnedValue::produce(|out| unsafe {
            ffi::bridge_module_cuts(self.shared.as_ptr(), name.as_ptr(), inputs.as_ptr(), out)
        })?;
        let cuts = Value::from_ivalue(&cuts)?.into_elements()?;
        cuts.into_iter()
            .map(|row| row.into_elements().and_then(Cut::read))
            .collect()
    }

    /// Compiles what `method` does between two positions of [`cuts`](Self::cuts), 0 being its beginning, for inputs like
    /// `inputs`: the method's own for a part from 0, else the tensor that goes over the cut. Runs it twice, with as many
    /// threads as the calling thread has now. The module should be a prepared one without
    /// [`Preparation::fuse`](crate::Preparation::fuse), and the caller should not record gradients.
    ///
    /// # Errors
    /// [`BridgeError::MethodNotFound`]; [`BridgeError::Torch`] when the inputs do not fit, when there is no such cut, when
    /// nothing in the part can be compiled, or when the module writes to itself.
    pub fn specialise(&self, method: &str, part: Range<usize>, inputs: &[Value]) -> Result<Specialised> {
        self.method(method)?;
        if self.is_stateful() {
            return Err(BridgeError::Torch("the module writes to itself".to_owned()));
        }
        let name = c_text(method)?;
        let inputs = tuple_of(inputs)?;
        // SAFETY: everything handed over lives through the call, and the module as long as what is made.
        let raw = produce(|out| unsafe {
            ffi::bridge_specialised_new(
                self.shared.as_ptr(),
                name.as_ptr(),
                part.start,
                part.end,
                inputs.as_ptr(),
                out,
            )
        })?;
        Ok(Specialised {
            raw,
            _module: self.clone(),
        })
    }
}

impl Specialised {
    /// Runs the method, or its part.
    ///
    /// # Errors
    /// [`BridgeError::Torch`] when the inputs do not fit or the program raises.
    pub fn run(&self, inputs: &[Value]) -> Result<Value> {
        let inputs = tuple_of(inputs)?;
        // SAFETY: both live through the call, which only reads them.
        let output = OwnedValue::produce(|out| unsafe {
            ffi::bridge_specialised_run(self.raw.as_ptr(), inputs.as_ptr(), out)
        })?;
        Value::from_ivalue(&output)
    }
}

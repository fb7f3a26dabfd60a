//! A TorchScript module: what it offers, how it is called, and a copy made for speed.
#![expect(unsafe_code, reason = "libtorch is called through C functions")]

use std::ffi::c_int;
use std::path::Path;
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tch::{Device, Kind, Tensor};

use crate::capture::{Capture, Tap};
use crate::describe::{Layer, MethodInfo, weight};
use crate::error::{BridgeError, Result};
use crate::ffi::{self, OwnedValue, RawModule, c_text, check, produce};
use crate::value::{Value, tuple_of};

/// A TorchScript module. Clones share the same weights.
///
/// It may be used by several threads at once. A method that changes what its module owns (torchvision's detectors do, for
/// their anchors: it assigns to an attribute, or changes a list, a dict or a tensor in place) would race with itself: calls of such a module take turns, those of any other run
/// side by side. [`Module::is_stateful`] tells which it is; each loaded or prepared module has a turn of its own.
#[derive(Clone)]
pub struct Module {
    pub(crate) shared: Arc<Shared>,
}

/// What the clones of a module, and its captured graphs, have in common.
pub(crate) struct Shared {
    raw: NonNull<RawModule>,
    methods: Vec<MethodInfo>,
    turn: Option<Mutex<()>>,
}

// SAFETY: the C++ object is reference-counted atomically and holds nothing of the thread that made it.
unsafe impl Send for Shared {}
// SAFETY: after loading, the object is only read: its graphs are copied before they are changed, the executors inside
// its functions lock themselves, schemas are made before the object is shared, and methods that write to attributes
// run one at a time under `turn`.
unsafe impl Sync for Shared {}

impl Drop for Shared {
    fn drop(&mut self) {
        // SAFETY: made by the bridge, owned here, freed once.
        unsafe { ffi::bridge_module_free(self.raw.as_ptr()) }
    }
}

impl Shared {
    pub(crate) fn as_ptr(&self) -> *const RawModule {
        self.raw.as_ptr()
    }

    /// Waits until no other call can write to what this one reads.
    pub(crate) fn take_turn(&self) -> Option<MutexGuard<'_, ()>> {
        // The lock guards no data of Rust's: a thread that panicked while it held it left nothing half done.
        self.turn
            .as_ref()
            .map(|turn| turn.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What [`Module::prepare_for_inference_with`] does beyond channels-last weights and freezing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Preparation {
    /// The passes of `torch.jit.optimize_for_inference`: oneDNN's own layouts between layers on the CPU, and fused
    /// convolutions. On MobileNetV2 as fast as without for one image, and a sixth faster for more.
    pub fuse: bool,
    /// What floating-point parameters and buffers become; `None`: they stay as they are.
    pub kind: Option<Kind>,
}

impl Preparation {
    /// Freezing and channels-last weights alone: what is compiled further, and what that is measured by.
    pub const PLAIN: Self = Self {
        fuse: false,
        kind: None,
    };
}

impl Default for Preparation {
    fn default() -> Self {
        Self {
            fuse: true,
            kind: None,
        }
    }
}

impl Module {
    /// Loads a TorchScript file in evaluation mode. A method that writes to a tensor that it is given works on a copy of
    /// it.
    ///
    /// # Errors
    /// [`BridgeError::NotTorchScript`]; [`BridgeError::Torch`] when the file cannot be opened, uses an operator that is not
    /// there, or the device is not there.
    pub fn load(path: &Path, device: Device) -> Result<Self> {
        Self::load_with(path, device, false)
    }

    /// The same, with everything in f32 that was saved in half precision: weights, constants, and what the code converts
    /// to.
    ///
    /// # Errors
    /// As [`Module::load`].
    pub fn load_widened(path: &Path, device: Device) -> Result<Self> {
        Self::load_with(path, device, true)
    }

    fn load_with(path: &Path, device: Device, widened: bool) -> Result<Self> {
        let file = c_text(&path.to_string_lossy())?;
        let device = c_text(&device_name(device))?;
        // SAFETY: both texts live through the call.
        Self::own(produce(|out| unsafe {
            ffi::bridge_module_load(file.as_ptr(), device.as_ptr(), widened, out)
        })?)
    }

    /// The methods of the top module.
    #[must_use]
    pub fn methods(&self) -> &[MethodInfo] {
        &self.shared.methods
    }

    /// Numbers in all parameters together.
    ///
    /// # Errors
    /// [`BridgeError::Torch`] when libtorch cannot list them.
    pub fn parameter_count(&self) -> Result<u64> {
        self.parameters().map(|(count, _)| count)
    }

    /// Bytes of all parameters together.
    ///
    /// # Errors
    /// [`BridgeError::Torch`] when libtorch cannot list them.
    pub fn parameters_bytes(&self) -> Result<u64> {
        self.parameters().map(|(_, bytes)| bytes)
    }

    /// Whether some method writes to the module, so that calls must take turns.
    #[must_use]
    pub fn is_stateful(&self) -> bool {
        self.shared.turn.is_some()
    }

    /// Whether some method computes with quantised numbers, which have no gradients.
    ///
    /// # Errors
    /// [`BridgeError::Torch`] when libtorch cannot read its code.
    pub fn is_quantised(&self) -> Result<bool> {
        let mut quantised = false;
        // SAFETY: the module and the flag live through the call, which only reads the module.
        check(unsafe { ffi::bridge_module_is_quantised(self.shared.as_ptr(), &raw mut quantised) })?;
        Ok(quantised)
    }

    /// The name and the shape of every parameter.
    ///
    /// # Errors
    /// [`BridgeError::Torch`] when libtorch cannot list them.
    pub fn weights(&self) -> Result<Vec<(String, Vec<i64>)>> {
        // SAFETY: the module lives through the call, which only reads it.
        let weights =
            OwnedValue::produce(|out| unsafe { ffi::bridge_module_weights(self.shared.as_ptr(), out) })?;
        let weights = Value::from_ivalue(&weights)?.into_elements()?;
        weights.into_iter().map(weight).collect()
    }

    /// The parameter or the buffer of this name, such as `features.0.weight`, if there is one. It shares the module's memory.
    ///
    /// # Errors
    /// [`BridgeError::NulByte`]; [`BridgeError::Torch`] when libtorch cannot list them.
    pub fn tensor(&self, name: &str) -> Result<Option<Tensor>> {
        let name = c_text(name)?;
        // SAFETY: the module and the name live through the call, which only reads them.
        let tensor = OwnedValue::produce(|out| unsafe {
            ffi::bridge_module_tensor(self.shared.as_ptr(), name.as_ptr(), out)
        })?;
        match Value::from_ivalue(&tensor)? {
            Value::Tensor(tensor) => Ok(Some(tensor)),
            _ => Ok(None),
        }
    }

    /// A copy for predictions alone: convolution weights in channels-last, `torch.jit.freeze`, which folds constants
    /// and batch norms, and fused convolutions. `methods` are kept, others are lost. It has no parameters and no
    /// layers any more, and takes no gradients.
    ///
    /// # Errors
    /// [`BridgeError::MethodNotFound`], or [`BridgeError::Torch`] when the module cannot be frozen.
    pub fn prepare_for_inference(&self, methods: &[&str]) -> Result<Self> {
        self.prepare_for_inference_with(methods, Preparation::default())
    }

    /// [`Module::prepare_for_inference`] with more to choose from.
    ///
    /// # Errors
    /// As [`Module::prepare_for_inference`].
    pub fn prepare_for_inference_with(&self, methods: &[&str], preparation: Preparation) -> Result<Self> {
        for method in methods {
            self.method(method)?;
        }
        let kept = Value::List(methods.iter().copied().map(Value::from).collect()).to_ivalue()?;
        let kind = preparation.kind.map_or(Ok(-1), float_type)?;
        let _turn = self.shared.take_turn();
        // SAFETY: `kept` and the module live through the call, which copies the module.
        Self::own(produce(|out| unsafe {
            ffi::bridge_module_prepare(self.shared.as_ptr(), kept.as_ptr(), preparation.fuse, kind, out)
        })?)
    }

    /// Runs a method. Arguments left out at the end take the defaults of the program. Whether gradients are recorded
    /// is the calling thread's grad mode.
    ///
    /// # Errors
    /// [`BridgeError::MethodNotFound`], or [`BridgeError::Torch`] when the inputs do not fit or the program raises.
    pub fn call(&self, method: &str, inputs: &[Value]) -> Result<Value> {
        self.method(method)?;
        let name = c_text(method)?;
        let inputs = tuple_of(inputs)?;
        let _turn = self.shared.take_turn();
        // SAFETY: everything handed over lives through the call.
        let output = OwnedValue::produce(|out| unsafe {
            ffi::bridge_module_call(self.shared.as_ptr(), name.as_ptr(), inputs.as_ptr(), out)
        })?;
        Value::from_ivalue(&output)
    }

    /// Every layer that a tap can be put on when `method` runs, in the order in which they finish, as forward hooks
    /// would fire; a layer that is called several times stands where its last call ends. `forward1`, `forward2` …
    /// of a traced module count as its `forward`: tracing makes one method a call.
    ///
    /// # Errors
    /// [`BridgeError::MethodNotFound`].
    pub fn layers(&self, method: &str) -> Result<Vec<Layer>> {
        self.method(method)?;
        let name = c_text(method)?;
        // SAFETY: everything handed over lives through the call, which only reads.
        let layers = OwnedValue::produce(|out| unsafe {
            ffi::bridge_module_layers(self.shared.as_ptr(), name.as_ptr(), out)
        })?;
        let layers = Value::from_ivalue(&layers)?.into_elements()?;
        layers
            .into_iter()
            .map(|layer| layer.into_elements().and_then(Layer::read))
            .collect()
    }

    /// A copy of `method`'s graph with `taps` in it; the module itself stays as it is.
    ///
    /// # Errors
    /// [`BridgeError::MethodNotFound`], or [`BridgeError::LayerNotFound`] for a path that `method` never calls.
    pub fn capture(&self, method: &str, taps: &[Tap]) -> Result<Capture> {
        self.method(method)?;
        Capture::new(self, method, taps)
    }

    /// The method of this name.
    ///
    /// # Errors
    /// [`BridgeError::MethodNotFound`], with the names that there are.
    pub fn method(&self, name: &str) -> Result<&MethodInfo> {
        self.methods()
            .iter()
            .find(|method| method.name == name)
            .ok_or_else(|| BridgeError::MethodNotFound {
                method: name.to_owned(),
                known: self.methods().iter().map(|method| method.name.clone()).collect(),
            })
    }

    fn parameters(&self) -> Result<(u64, u64)> {
        let (mut count, mut bytes) = (0, 0);
        // SAFETY: the module and both numbers live through the call.
        check(unsafe {
            ffi::bridge_module_parameters(self.shared.as_ptr(), &raw mut count, &raw mut bytes)
        })?;
        Ok((count, bytes))
    }

    pub(crate) fn own(raw: NonNull<RawModule>) -> Result<Self> {
        // Owned at once, so that it is freed if describing it fails.
        let mut shared = Shared {
            raw,
            methods: Vec::new(),
            turn: None,
        };
        // SAFETY: the module is alive, and only read.
        let methods = OwnedValue::produce(|out| unsafe { ffi::bridge_module_methods(shared.as_ptr(), out) })?;
        let methods = Value::from_ivalue(&methods)?.into_elements()?;
        shared.methods = methods
            .into_iter()
            .map(|method| method.into_elements().and_then(MethodInfo::read))
            .collect::<Result<_>>()?;
        let mut stateful = false;
        // SAFETY: as above.
        check(unsafe { ffi::bridge_module_is_stateful(shared.as_ptr(), &raw mut stateful) })?;
        shared.turn = stateful.then(Mutex::default);
        Ok(Self {
            shared: Arc::new(shared),
        })
    }
}

impl std::fmt::Debug for Module {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Module")
            .field("methods", &self.shared.methods)
            .finish_non_exhaustive()
    }
}

/// The `c10::ScalarType` of a kind of floats.
fn float_type(kind: Kind) -> Result<c_int> {
    match kind {
        Kind::Half => Ok(5),
        Kind::Float => Ok(6),
        Kind::Double => Ok(7),
        Kind::BFloat16 => Ok(15),
        other => Err(BridgeError::Torch(format!("weights cannot become {other:?}"))),
    }
}

pub(crate) fn device_name(device: Device) -> String {
    match device {
        Device::Cpu => "cpu".to_owned(),
        Device::Cuda(index) => format!("cuda:{index}"),
        Device::Mps => "mps".to_owned(),
        Device::Vulkan => "vulkan".to_owned(),
    }
}

//! TorchScript modules: as they were exported, frozen, and compiled for batch sizes. Those that are built from a program of
//! torch.export too.

mod compiled;
mod stages;

use std::path::Path;
use std::sync::Arc;

use tch::{Device, Kind, Tensor};
use torch_bridge::{Capture, Given, Layer, Module, Preparation, Run, Tap, Value};

use super::foreign;
use super::precision::{self, InHalf};
use super::program::{Captured, Program, Transparent};
use super::requirements::{Opened, Requirements};
use crate::engine::CorePermit;
use crate::engine::cores::Class;
use crate::error::{Error, Result};
use crate::manifest::Precision;
use compiled::Compiled;

/// Bytes of a weight that is worth pages of its own.
const LARGE: usize = 64 << 10;

/// Loads the TorchScript `file`, which `name` is the path of, onto `device`. `widened`: what is in half precision becomes
/// f32.
///
/// # Errors
/// [`Error::InvalidModel`] with what it is, where it is known to be no TorchScript; else [`Error::InferenceFailed`] with
/// libtorch's words.
pub(super) fn load(file: &Path, name: &Path, device: Device, widened: bool) -> Result<Module> {
    let loaded = if widened {
        Module::load_widened(file, device)
    } else {
        Module::load(file, device)
    };
    loaded.map_err(|e| foreign::refused(file, name, e.into()))
}

/// A module as it was exported, whatever from.
#[derive(Debug)]
pub(super) struct Network {
    module: Module,
    device: Device,
    is_quantised: bool,
    /// The paths of its modules, where the file lists those that no step is left of.
    modules: Vec<String>,
}

impl Network {
    /// `module`, which is on `device`.
    ///
    /// # Errors
    /// [`Error::InferenceFailed`] with libtorch's words.
    pub(super) fn new(module: Module, device: Device, modules: Vec<String>) -> Result<Self> {
        Ok(Self {
            is_quantised: module.is_quantised()?,
            module,
            device,
            modules,
        })
    }

    /// Whether the module offers what is called and looked at; `cure` says how it offers another method.
    ///
    /// # Errors
    /// [`Error::InvalidModel`]
    pub(super) fn check(&self, wanted: &Requirements<'_>, cure: &str) -> Result<()> {
        let offered: Vec<&str> = self.module.methods().iter().map(|m| m.name.as_str()).collect();
        if let Some(missing) = wanted.methods.iter().find(|method| !offered.contains(method)) {
            let (task, offered) = (wanted.task, offered.join(", "));
            return Err(Error::model(format!(
                "the task {task} calls `{missing}`, but the module offers {offered}; {cure}"
            )));
        }
        let Some(layer) = wanted.layer else { return Ok(()) };
        if self
            .module
            .layers(wanted.methods[0])?
            .iter()
            .any(|l| l.path == layer)
        {
            return Ok(());
        }
        Err(Error::model(format!(
            "explain.layer: the model has no layer `{layer}`; `lucarne inspect` lists them"
        )))
    }

    /// Parameters and buffers.
    pub(super) fn parameters(&self) -> Result<u64> {
        Ok(self.module.parameter_count()?)
    }

    /// What predicts in this precision: compiled for batch sizes where that is wanted, can be done and is faster, else frozen.
    ///
    /// # Errors
    /// [`Error::InferenceFailed`] with libtorch's words.
    pub(super) fn open(&self, wanted: &Requirements<'_>, precision: Precision) -> Result<Opened> {
        let program = match self.compiled(wanted, precision) {
            Some(program) => program,
            None => self.frozen(wanted, precision)?,
        };
        if let Device::Cuda(index) = self.device {
            // The weights were copied on this thread's stream; the workers compute on streams of their own.
            tch::Cuda::synchronize(index as i64);
        }
        Ok(Opened {
            parameters: self.parameters()?,
            program,
            precision,
            measured: None,
        })
    }

    /// The module compiled for batch sizes, in f32 or bfloat16; nothing where that is not wanted or cannot be done.
    pub(super) fn compiled(
        &self,
        wanted: &Requirements<'_>,
        precision: Precision,
    ) -> Option<Arc<dyn Program>> {
        let can_be = self.device == Device::Cpu && precision != Precision::F16;
        let example = wanted.example.filter(|_| wanted.specialise && can_be)?;
        let kind = precision::half(precision);
        let compiled = match kind {
            None => self.compile(wanted, None, example),
            Some(half) => {
                let example = |size| Ok(example(size)?.f_to_kind(half)?);
                self.compile(wanted, kind, &example)
            }
        };
        compiled
            .inspect_err(
                |error| tracing::info!(%error, "it runs as it is: it cannot be compiled for batch sizes"),
            )
            .ok()
            .map(|program| in_kind(program, kind))
    }

    /// Freezes the module for `forward` alone, and compiles it for batches of the pictures that `example` makes, with the
    /// threads that the calling thread has. Where that makes it slower, it is only frozen.
    fn compile(
        &self,
        wanted: &Requirements<'_>,
        kind: Option<Kind>,
        example: &dyn Fn(usize) -> Result<Tensor>,
    ) -> Result<Arc<dyn Program>> {
        let _no_grad = tch::no_grad_guard();
        let preparation = Preparation {
            kind,
            ..Preparation::PLAIN
        };
        let plain = || self.module.prepare_for_inference_with(&["forward"], preparation);
        let mut frozen = plain()?;
        // What is compiled has weights of its own.
        let moved = tempfile::tempfile().map_err(|e| e.to_string()).and_then(|file| {
            let moved = frozen.weights_to_file("forward", LARGE, &file);
            moved.map_err(|e| e.to_string())
        });
        if let Err(error) = moved {
            tracing::info!(error, "weights that are rarely read stay in memory");
        }
        let compiled = Compiled::new(&frozen, wanted.max_batch, &wanted.share, example)?;
        if compiled.is_slower_than(&frozen, &wanted.share, &example(1)?)? {
            tracing::info!("the model is slower compiled for batch sizes, so it is not");
            let (module, device) = (plain()?, self.device);
            return Ok(Arc::new(Frozen { module, device }));
        }
        frozen.forget_weights("forward")?;
        Ok(Arc::new(compiled))
    }

    fn frozen(&self, wanted: &Requirements<'_>, precision: Precision) -> Result<Arc<dyn Program>> {
        let kind = precision::half(precision);
        let preparation = Preparation {
            kind,
            ..Preparation::default()
        };
        let permit = wanted.share.acquire(Class::Explain);
        let prepared = |preparation| -> Result<Arc<dyn Program>> {
            let module = self
                .module
                .prepare_for_inference_with(wanted.methods, preparation)?;
            let frozen = Arc::new(Frozen {
                module,
                device: self.device,
            });
            Ok(in_kind(frozen, kind))
        };
        let fused = prepared(preparation)?;
        let Some(example) = wanted.example else {
            return Ok(fused);
        };
        // libtorch turns some operators into ones of oneDNN that cannot compute them, as a pooling whose windows are of
        // several sizes.
        let Err(Error::InferenceFailed(words)) =
            fused.call(&permit, "forward", &[Value::Tensor(example(1)?)])
        else {
            return Ok(fused);
        };
        tracing::info!(words, "it is only frozen: fused, it does not run");
        prepared(Preparation {
            kind,
            ..Preparation::PLAIN
        })
    }
}

/// `program`, which computes in numbers of this kind, as one that takes and answers f32.
fn in_kind(program: Arc<dyn Program>, kind: Option<Kind>) -> Arc<dyn Program> {
    match kind {
        Some(kind) => Arc::new(InHalf { program, kind }),
        None => program,
    }
}

impl Program for Network {
    fn call(&self, _permit: &CorePermit<'_>, method: &str, inputs: &[Value]) -> Result<Value> {
        Ok(self.module.call(method, inputs)?)
    }

    fn device(&self) -> Device {
        self.device
    }
}

impl Transparent for Network {
    fn layers(&self, method: &str) -> Result<Vec<Layer>> {
        Ok(self.module.layers(method)?)
    }

    fn folded(&self, method: &str) -> Result<Vec<String>> {
        if self.modules.is_empty() {
            return Ok(Vec::new());
        }
        let layers = self.module.layers(method)?;
        let is_left = |path: &String| layers.iter().any(|layer| layer.path == *path);
        Ok(self
            .modules
            .iter()
            .filter(|path| !is_left(path))
            .cloned()
            .collect())
    }

    fn has_gradients(&self) -> bool {
        !self.is_quantised
    }

    fn weights(&self) -> Result<Vec<String>> {
        let weights = self.module.weights()?;
        Ok(weights.into_iter().map(|(name, _)| name).collect())
    }

    fn shuffled(&self, weights: &[&str], seed: u32) -> Result<Option<Arc<dyn Transparent>>> {
        Ok(Some(Arc::new(Self {
            module: self.module.shuffled(weights, seed)?,
            device: self.device,
            is_quantised: self.is_quantised,
            modules: self.modules.clone(),
        })))
    }

    fn capture(&self, method: &str, taps: &[Tap]) -> Result<Box<dyn Captured>> {
        Ok(Box::new(self.module.capture(method, taps)?))
    }
}

impl Captured for Capture {
    fn run(&self, _permit: &CorePermit<'_>, inputs: &[Value], given: Vec<Given>) -> Result<Run> {
        Ok(self.run_with(inputs, given)?)
    }

    fn places(&self) -> &[usize] {
        self.places()
    }
}

/// A module for predictions alone. It records no gradients.
#[derive(Debug)]
struct Frozen {
    module: Module,
    device: Device,
}

impl Program for Frozen {
    fn call(&self, _permit: &CorePermit<'_>, method: &str, inputs: &[Value]) -> Result<Value> {
        let _no_grad = tch::no_grad_guard();
        Ok(self.module.call(method, inputs)?)
    }

    fn device(&self) -> Device {
        self.device
    }
}

//! What tch does not bind: TorchScript modules whose layers can be looked into.
//!
//! * [`Module`]: loads a TorchScript file, describes its methods, calls them, makes a copy for fast inference;
//! * [`Module::build`]: a module of what torch.export saved;
//! * [`Module::layers`] and [`Module::capture`]: the layers of a model, and a copy of its graph that records what they
//!   compute, without any change to the file;
//! * [`Package`]: loads and runs what AOTInductor compiled ahead of time;
//! * [`grad()`]: gradients with respect to what was recorded;
//! * [`jpeg`]: libjpeg-turbo, which decodes a part of a picture;
//! * [`written()`]: a tensor whose memory is written once;
//! * [`Generator`]: random numbers as `torch.Generator` gives them;
//! * the operators that torchvision's scripted detectors need (`nms`, `roi_align`), registered at the first load.
//!
//! This crate holds the only C++ and the only `unsafe` of the project. No C++ exception crosses the boundary and
//! nothing here panics on one: each becomes a [`BridgeError`].
//!
//! ```no_run
//! use torch_bridge::{Module, Tap, Value, grad};
//!
//! let module = Module::load("model.pt".as_ref(), tch::Device::Cpu)?;
//! let capture = module.capture("forward", &[Tap::record("layer4")])?;
//! let image = tch::Tensor::f_zeros([1, 3, 224, 224], (tch::Kind::Float, tch::Device::Cpu))?;
//! let run = capture.run(&[Value::Tensor(image)])?;
//! let activation = &run.recorded[0][0][0];
//! let logits = run.output.into_tensor()?;
//! let gradient = grad(&logits.f_get(0)?.f_get(285)?, &[activation], false)?;
//! # Ok::<(), torch_bridge::BridgeError>(())
//! ```

#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod blocks;
mod capture;
mod cuda;
mod describe;
mod error;
mod exit;
mod exported;
mod ffi;
mod grad;
pub mod jpeg;
mod memory;
mod module;
mod package;
mod random;
#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod region;
mod specialised;
mod value;
mod weights;
mod words;
mod written;

pub use capture::{Capture, Given, Run, Tap};
pub use cuda::{CudaDevice, CudaDriver, allow_tf32, load_cuda, pinned, use_own_stream};
pub use describe::{ArgumentInfo, Layer, MethodInfo};
pub use error::{BridgeError, Result};
pub use exit::exit_now;
pub use grad::grad;
pub use memory::{keep_large_blocks, release_heap, release_unused, share_blocks, share_heaps};
pub use module::{Module, Preparation};
pub use package::Package;
pub use random::Generator;
pub use specialised::{Cut, Specialised};
pub use value::Value;
pub use words::{Brief, Misfit};
pub use written::{Slots, written};

//! Where a model computes, and on how many threads.
//!
//! What CUDA there is gets looked at once a process, when the first model asks for it. From then on a device is used
//! or refused by that list alone, so that tests can place instances on devices that no machine has.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::OnceLock;

use tch::{Device, Kind, Tensor};
use torch_bridge::{CudaDriver, load_cuda};

use super::fault::raised;
use crate::error::{Error, Result};
use crate::manifest::DeviceChoice;

/// A GPU that the driver names.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Gpu {
    /// With compute capability and memory.
    description: String,
    /// Why libtorch cannot compute on it.
    trouble: Option<String>,
}

/// What CUDA there is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Inventory {
    /// `cuda:0`, `cuda:1` …
    gpus: Vec<Gpu>,
    /// Why there is none, or none that could work.
    trouble: Option<String>,
}

impl Inventory {
    /// Looks at this machine, once a process.
    pub fn of_this_machine() -> &'static Self {
        static FOUND: OnceLock<Inventory> = OnceLock::new();
        FOUND.get_or_init(|| {
            let (library, driver) = (load_cuda(), CudaDriver::ask("libcuda.so.1"));
            let has_driver = driver.is_ok() || Path::new("/dev/nvidiactl").exists();
            let found = Self::of(library, &driver, probe);
            found.announce(library.is_ok() || has_driver);
            found
        })
    }

    /// What libtorch's `library` and the `driver` make possible; `probe` computes something on one device.
    fn of(
        library: Result<(), &str>,
        driver: &Result<CudaDriver, String>,
        probe: impl Fn(usize) -> Result<()>,
    ) -> Self {
        let version = |(major, minor): (u32, u32)| format!("{major}.{minor}");
        let trouble = match (&library, driver) {
            (Err(reason), _) => Some(format!(
                "libtorch has no CUDA libraries here ({reason}); a build or an image made with CUDA=1 has them"
            )),
            (Ok(()), Err(reason)) => Some(reason.clone()),
            (Ok(()), Ok(driver)) if driver.devices.is_empty() => Some(format!(
                "NVIDIA's driver for CUDA {} sees no GPU",
                version(driver.version)
            )),
            _ => None,
        };
        let devices = driver.as_ref().map_or(&[][..], |driver| &driver.devices);
        let gpu = |(index, device): (usize, &torch_bridge::CudaDevice)| Gpu {
            description: format!(
                "{}, compute capability {}, {:.0} GB, driver for CUDA {}",
                device.name,
                version(device.capability),
                device.memory as f64 / 1e9,
                driver
                    .as_ref()
                    .map_or_else(Clone::clone, |driver| version(driver.version)),
            ),
            trouble: match &trouble {
                Some(trouble) => Some(trouble.clone()),
                None => probe(index).err().map(|e| e.to_string()),
            },
        };
        Self {
            gpus: devices.iter().enumerate().map(gpu).collect(),
            trouble,
        }
    }

    /// Says what was found; loudly where someone meant to have a GPU, and has none that works.
    fn announce(&self, is_meant: bool) {
        for (index, gpu) in self.gpus.iter().enumerate() {
            match &gpu.trouble {
                None => tracing::info!(
                    device = format!("cuda:{index}"),
                    gpu = gpu.description,
                    "GPU is ready"
                ),
                Some(reason) => {
                    tracing::warn!(
                        device = format!("cuda:{index}"),
                        gpu = gpu.description,
                        reason,
                        "GPU cannot be used"
                    );
                }
            }
        }
        if self.working().is_empty() {
            let reason = self.trouble.as_deref().unwrap_or("no GPU works");
            if is_meant {
                tracing::warn!(reason, "NO GPU: models with device = \"auto\" run on the CPU");
            } else {
                tracing::info!(reason, "no GPU; models with device = \"auto\" run on the CPU");
            }
        }
    }

    /// The devices that compute.
    fn working(&self) -> Vec<usize> {
        let works = |(index, gpu): (usize, &Gpu)| gpu.trouble.is_none().then_some(index);
        self.gpus.iter().enumerate().filter_map(works).collect()
    }

    /// A device for each of `count` instances (at least one): of several GPUs, one after the other.
    ///
    /// # Errors
    /// [`Error::NotReady`] when CUDA is asked for by name and is not there; it names device, driver and reason.
    pub fn place(&self, choice: DeviceChoice, count: usize) -> Result<Vec<Device>> {
        let working = self.working();
        let devices = match choice {
            DeviceChoice::Cpu => vec![Device::Cpu],
            DeviceChoice::Auto if working.is_empty() => vec![Device::Cpu],
            DeviceChoice::AnyCuda if working.is_empty() => return Err(self.refusal("cuda", 0)),
            DeviceChoice::Auto | DeviceChoice::AnyCuda => working.into_iter().map(Device::Cuda).collect(),
            DeviceChoice::Cuda(index) if working.contains(&index) => vec![Device::Cuda(index)],
            DeviceChoice::Cuda(index) => return Err(self.refusal(&format!("cuda:{index}"), index)),
        };
        Ok(devices.into_iter().cycle().take(count.max(1)).collect())
    }

    /// Why the device `name`, which would be the one at `index`, cannot be used.
    fn refusal(&self, name: &str, index: usize) -> Error {
        let reason = match (self.gpus.get(index), &self.trouble) {
            (Some(gpu), _) => {
                let reason = gpu.trouble.as_deref().unwrap_or_default();
                format!("{}: {reason}", gpu.description)
            }
            (None, Some(trouble)) => trouble.clone(),
            (None, None) => format!("the driver sees {} GPUs, counted from cuda:0", self.gpus.len()),
        };
        Error::NotReady(format!(
            "device = \"{name}\" cannot be used: {reason}. Mend that, or write device = \"auto\" to run on the CPU"
        ))
    }
}

/// Computes something small on `cuda:index`: a driver that is too old, a GPU that libtorch has no kernels for, one that
/// is full or lost all show here.
fn probe(index: usize) -> Result<()> {
    raised(|| {
        let twos = Tensor::f_full([4], 2.0, (Kind::Float, Device::Cuda(index)))?.f_square()?;
        let sum = Vec::<f32>::try_from(twos)?.iter().sum::<f32>();
        if sum == 16.0 {
            return Ok(());
        }
        Err(Error::InferenceFailed(format!("it computed {sum} instead of 16")))
    })
}

/// Whether `device` computes nothing any more. A CUDA error that spoils the context makes every later call fail.
#[must_use]
pub fn is_lost(device: Device) -> bool {
    match device {
        Device::Cuda(index) => matches!(probe(index), Err(error) if !matches!(error, Error::OutOfMemory(_))),
        _ => false,
    }
}

/// The devices for `count` instances of a model on this machine. The CPU is taken without a look at CUDA.
///
/// # Errors
/// As [`Inventory::place`].
pub fn place(choice: DeviceChoice, count: usize) -> Result<Vec<Device>> {
    match choice {
        DeviceChoice::Cpu => Inventory::default().place(choice, count),
        _ => Inventory::of_this_machine().place(choice, count),
    }
}

/// One `T` for each device, by its name.
pub type Each<T> = BTreeMap<String, T>;

/// One `T` for each device in `devices`, made once.
///
/// # Errors
/// The first of `make`.
pub fn each<T>(devices: &[Device], make: impl Fn(Device) -> Result<T>) -> Result<Each<T>> {
    let mut made = BTreeMap::new();
    for device in devices {
        if let std::collections::btree_map::Entry::Vacant(place) = made.entry(name(*device)) {
            place.insert(make(*device)?);
        }
    }
    Ok(made)
}

/// Threads for each of `count` instances that share `cores` cores; `asked` = 0 shares them evenly.
#[must_use]
pub fn threads_each(asked: usize, count: usize, cores: usize) -> usize {
    let share = cores / count.max(1);
    if asked == 0 {
        share.max(1)
    } else {
        asked.min(cores).max(1)
    }
}

/// The names of `devices`, each once: `cuda:0, cuda:1`.
#[must_use]
pub fn names(devices: &[Device]) -> String {
    let mut names: Vec<String> = devices.iter().copied().map(name).collect();
    names.sort();
    names.dedup();
    names.join(", ")
}

/// A short name as model.toml writes it: `cpu`, `cuda:0`.
#[must_use]
pub fn name(device: Device) -> String {
    match device {
        Device::Cuda(index) => format!("cuda:{index}"),
        Device::Cpu => "cpu".into(),
        other => format!("{other:?}").to_lowercase(),
    }
}

#[cfg(test)]
mod tests {
    use torch_bridge::CudaDevice;

    use super::*;

    fn driver(gpus: usize) -> CudaDriver {
        let gpu = CudaDevice {
            name: "NVIDIA Test".into(),
            capability: (8, 6),
            memory: 24_000_000_000,
        };
        CudaDriver {
            version: (13, 0),
            devices: vec![gpu; gpus],
        }
    }

    /// A machine with `gpus` GPUs, of which `broken` do not compute.
    fn machine(gpus: usize, broken: &[usize]) -> Inventory {
        Inventory::of(Ok(()), &Ok(driver(gpus)), |index| {
            if broken.contains(&index) {
                return Err(Error::InferenceFailed("no kernel image is available".into()));
            }
            Ok(())
        })
    }

    fn placed(inventory: &Inventory, choice: DeviceChoice, count: usize) -> Vec<String> {
        let devices = inventory.place(choice, count).expect("there is a place");
        devices.into_iter().map(name).collect()
    }

    fn refused(inventory: &Inventory, choice: DeviceChoice) -> String {
        inventory
            .place(choice, 1)
            .expect_err("there is no such device")
            .to_string()
    }

    #[test]
    fn instances_go_round_the_gpus() {
        let two = machine(2, &[]);
        assert_eq!(
            placed(&two, DeviceChoice::Auto, 5),
            ["cuda:0", "cuda:1", "cuda:0", "cuda:1", "cuda:0"]
        );
        assert_eq!(placed(&two, DeviceChoice::AnyCuda, 2), ["cuda:0", "cuda:1"]);
        assert_eq!(placed(&two, DeviceChoice::Cuda(1), 2), ["cuda:1", "cuda:1"]);
        assert_eq!(placed(&two, DeviceChoice::Cpu, 2), ["cpu", "cpu"]);
        assert_eq!(
            names(&[Device::Cuda(1), Device::Cuda(0), Device::Cuda(1)]),
            "cuda:0, cuda:1"
        );
    }

    #[test]
    fn a_gpu_that_does_not_compute_is_passed_over_and_named_where_it_is_asked_for() {
        let one_broken = machine(3, &[1]);
        assert_eq!(
            placed(&one_broken, DeviceChoice::Auto, 3),
            ["cuda:0", "cuda:2", "cuda:0"]
        );
        let words = refused(&one_broken, DeviceChoice::Cuda(1));
        for part in [
            "cuda:1",
            "NVIDIA Test",
            "capability 8.6",
            "driver for CUDA 13.0",
            "no kernel image",
        ] {
            assert!(words.contains(part), "{words}");
        }
        assert!(refused(&one_broken, DeviceChoice::Cuda(3)).contains("sees 3 GPUs"));
        assert!(refused(&machine(1, &[0]), DeviceChoice::AnyCuda).contains("no kernel image"));
    }

    #[test]
    fn without_a_gpu_auto_takes_the_cpu_and_cuda_says_what_is_missing() {
        let never = |_| unreachable!("there is nothing to probe");
        let no_libraries = Inventory::of(
            Err("libtorch_cuda.so: not found"),
            &Err("no driver".into()),
            never,
        );
        let no_driver = Inventory::of(
            Ok(()),
            &Err("there is no NVIDIA driver (libcuda.so.1)".into()),
            never,
        );
        let no_gpu = Inventory::of(Ok(()), &Ok(driver(0)), never);
        let cases = [
            (&no_libraries, "libtorch_cuda.so: not found"),
            (&no_driver, "libcuda.so.1"),
            (&no_gpu, "driver for CUDA 13.0 sees no GPU"),
        ];
        for (inventory, part) in cases {
            assert_eq!(placed(inventory, DeviceChoice::Auto, 2), ["cpu", "cpu"]);
            for choice in [DeviceChoice::AnyCuda, DeviceChoice::Cuda(0)] {
                let words = refused(inventory, choice);
                assert!(
                    words.contains(part) && words.contains("device = \"cuda"),
                    "{words}"
                );
            }
        }
    }

    #[test]
    fn each_device_is_made_once() {
        let made = each(&[Device::Cpu, Device::Cuda(1), Device::Cpu], |device| {
            Ok(name(device))
        });
        let made = made.expect("nothing fails");
        assert_eq!(made.into_values().collect::<Vec<_>>(), ["cpu", "cuda:1"]);
    }

    #[test]
    fn instances_share_the_cores() {
        assert_eq!(threads_each(0, 1, 8), 8);
        assert_eq!(threads_each(0, 3, 8), 2);
        assert_eq!(threads_each(0, 4, 2), 1);
        assert_eq!(threads_each(16, 1, 8), 8, "never more than there are");
    }
}

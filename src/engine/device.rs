//! Where a model computes, and on how many threads.

use tch::Device;

use crate::error::{Error, Result};
use crate::repository::manifest::DeviceChoice;

/// The device for `choice`: `auto` takes the first CUDA device when there is one, else the CPU.
///
/// # Errors
/// [`Error::NotReady`] when a CUDA device is asked for by name and is not there.
pub fn resolve(choice: DeviceChoice) -> Result<Device> {
    if choice == DeviceChoice::Cpu {
        return Ok(Device::Cpu);
    }
    if let Err(reason) = torch_bridge::load_cuda() {
        tracing::debug!(reason, "no CUDA build of libtorch; computing on the CPU");
    }
    let found = if tch::Cuda::is_available() {
        tch::Cuda::device_count()
    } else {
        0
    };
    place(choice, usize::try_from(found).unwrap_or(0))
}

/// [`resolve`] on a machine with `found` CUDA devices.
fn place(choice: DeviceChoice, found: usize) -> Result<Device> {
    match choice {
        DeviceChoice::Cpu => Ok(Device::Cpu),
        DeviceChoice::Auto if found > 0 => Ok(Device::Cuda(0)),
        DeviceChoice::Auto => Ok(Device::Cpu),
        DeviceChoice::Cuda(index) if index < found => Ok(Device::Cuda(index)),
        DeviceChoice::Cuda(index) => Err(Error::NotReady(format!(
            "device = \"cuda:{index}\" is asked for, but libtorch sees {found} CUDA devices; \
             install the driver and a CUDA build of libtorch, or write device = \"auto\""
        ))),
    }
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
    use super::*;

    #[test]
    fn auto_prefers_cuda_and_a_named_device_must_exist() {
        assert_eq!(place(DeviceChoice::Auto, 0), Ok(Device::Cpu));
        assert_eq!(place(DeviceChoice::Auto, 2), Ok(Device::Cuda(0)));
        assert_eq!(place(DeviceChoice::Cpu, 2), Ok(Device::Cpu));
        assert_eq!(place(DeviceChoice::Cuda(1), 2), Ok(Device::Cuda(1)));
        let missing = place(DeviceChoice::Cuda(2), 2).expect_err("there is no third");
        assert!(missing.to_string().contains("cuda:2"));
    }

    #[test]
    fn instances_share_the_cores() {
        assert_eq!(threads_each(0, 1, 8), 8);
        assert_eq!(threads_each(0, 3, 8), 2);
        assert_eq!(threads_each(0, 4, 2), 1);
        assert_eq!(threads_each(16, 1, 8), 8, "never more than there are");
    }
}

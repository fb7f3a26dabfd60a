//! NVIDIA's driver as a library of our own that answers what a driver answers: no machine needs a GPU for this.

use std::path::{Path, PathBuf};
use std::process::Command;

use torch_bridge::{CudaDevice, CudaDriver, use_own_stream};

const DRIVER: &str = r#"
#include <stddef.h>
#include <string.h>
int cuInit(unsigned flags) { (void)flags; return INIT; }
int cuDriverGetVersion(int *version) { *version = 12040; return 0; }
int cuDeviceGetCount(int *count) { *count = 2; return 0; }
int cuDeviceGet(int *device, int index) { *device = index + 7; return 0; }
int cuDeviceGetName(char *name, int length, int device) {
  strncpy(name, device == 7 ? "NVIDIA First" : "NVIDIA Second", (size_t)length);
  return 0;
}
int cuDeviceTotalMem_v2(size_t *bytes, int device) { *bytes = (size_t)device << 30; return 0; }
int cuDeviceGetAttribute(int *value, int which, int device) { *value = which == 75 ? 8 : device; return 0; }
int cuGetErrorString(int code, const char **text) { *text = code == 999 ? "unknown error" : ""; return 0; }
"#;

/// A driver whose `cuInit` answers `init`.
fn driver(folder: &Path, init: i32) -> PathBuf {
    let (source, library) = (folder.join("driver.c"), folder.join(format!("libcuda{init}.so")));
    std::fs::write(&source, DRIVER).expect("writable");
    let compiled = Command::new("cc")
        .args(["-shared", "-fPIC", &format!("-DINIT={init}"), "-o"])
        .args([&library, &source])
        .status();
    assert!(compiled.expect("there is a C compiler").success());
    library
}

#[test]
fn the_driver_names_its_gpus() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let found = CudaDriver::ask(driver(folder.path(), 0)).expect("it answers");
    let gpu = |name: &str, minor: u32| CudaDevice {
        name: name.into(),
        capability: (8, minor),
        memory: u64::from(minor) << 30,
    };
    assert_eq!(found.version, (12, 4));
    assert_eq!(found.devices, [gpu("NVIDIA First", 7), gpu("NVIDIA Second", 8)]);
}

#[test]
fn a_driver_that_fails_or_is_not_there_says_so() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let failed = CudaDriver::ask(driver(folder.path(), 999)).expect_err("it fails");
    assert_eq!(
        failed,
        "NVIDIA's driver failed at cuInit: error 999, unknown error"
    );
    let missing = CudaDriver::ask("libno-such-driver.so").expect_err("it is not there");
    assert!(missing.starts_with("there is no NVIDIA driver ("), "{missing}");
}

#[test]
fn a_stream_without_a_gpu_is_an_error() {
    assert!(use_own_stream(0).is_err());
}

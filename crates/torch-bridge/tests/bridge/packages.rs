//! Packages that are none. Those that are run only on processors like the one they were compiled on, so that
//! `make aoti` and `bench/forward.rs` hold them against the TorchScript, not the files here.

use std::num::NonZeroUsize;

use tch::Device;
use torch_bridge::{BridgeError, Package};

#[test]
fn what_is_no_package_is_refused() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("model.b1.pt2");
    std::fs::write(&file, "no zip file").expect("writable");
    for path in [file, folder.path().join("missing.pt2")] {
        assert!(matches!(Package::metadata(&path), Err(BridgeError::Torch(_))));
        let loaded = Package::load(&path, NonZeroUsize::MIN, Device::Cpu);
        assert!(matches!(loaded, Err(BridgeError::Torch(_))));
    }
}

//! Lets every program of this package find libtorch with no environment variable set, from any folder.

use std::env;
use std::path::PathBuf;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // A file that comes or goes; what is in them is known to the compiler.
    println!("cargo::rerun-if-changed=page");
    println!("cargo::rerun-if-env-changed=LIBTORCH");
    println!("cargo::rerun-if-env-changed=LIBTORCH_LIB");

    // Installed, the program stands in bin/ and libtorch beside it in lib/; in a checkout libtorch is where the build
    // found it. torch-sys reads the same two variables.
    println!("cargo::rustc-link-arg=-Wl,-rpath,$ORIGIN/../lib");
    if let Some(root) = env::var_os("LIBTORCH_LIB").or_else(|| env::var_os("LIBTORCH")) {
        println!(
            "cargo::rustc-link-arg=-Wl,-rpath,{}",
            PathBuf::from(root).join("lib").display()
        );
    }

    // libtorch.so has no symbols of its own, so the linker would leave it out; but it is what names the CUDA
    // libraries where set-up has put them, and so one program serves both.
    println!("cargo::rustc-link-arg=-Wl,--no-as-needed");
    println!("cargo::rustc-link-arg=-ltorch");
}

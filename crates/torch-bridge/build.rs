//! Compiles the C++ half against the libtorch that torch-sys found, and links it in.

use std::path::PathBuf;
use std::{env, fs};

fn main() {
    if is_clippy() {
        return;
    }
    // torch-sys tells its dependents where the libraries are; the headers stand beside them.
    let lib = PathBuf::from(env::var("DEP_TCH_LIBTORCH_LIB").expect("torch-sys names libtorch's lib folder"));
    println!("cargo:rerun-if-env-changed=LIBTORCH_INCLUDE");
    let root = env::var("LIBTORCH_INCLUDE").map_or_else(
        |_| {
            lib.parent()
                .expect("libtorch's lib folder has a parent")
                .to_path_buf()
        },
        PathBuf::from,
    );
    let include = root.join("include");

    println!("cargo:rerun-if-changed=cpp");
    let sources = fs::read_dir("cpp")
        .expect("the folder cpp stands beside build.rs")
        .map(|entry| entry.expect("an entry of cpp can be read").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "cpp"));

    let mut build = cc::Build::new();
    build
        .cpp(true)
        .std("c++17")
        // libtorch's own headers are not free of warnings.
        .flag("-isystem")
        .flag(include.display().to_string())
        .flag("-isystem")
        .flag(include.join("torch/csrc/api/include").display().to_string())
        .flag("-fvisibility=hidden")
        .flag_if_supported("-Wno-stringop-overflow")
        .opt_level(2)
        .debug(false);
    if let Some(header) = precompiled(&build) {
        build.flag("-include").flag(header.display().to_string());
    }
    build.files(sources).compile("torch_bridge");

    // Tests and binaries of this crate find libtorch without an environment variable.
    println!("cargo:rustc-link-arg=-Wl,-rpath,{}", lib.display());
}

/// Whether clippy reads the Rust half, for which nothing is linked. Cargo keeps its results apart from those of a build.
fn is_clippy() -> bool {
    let wrapper = env::var_os("RUSTC_WORKSPACE_WRAPPER").map(PathBuf::from);
    wrapper.is_some_and(|wrapper| wrapper.file_stem().is_some_and(|name| name == "clippy-driver"))
}

/// The header that every file includes, and libtorch's with it, parsed once; nothing where the compiler cannot. What is to be
/// included is the path without `.gch`.
fn precompiled(build: &cc::Build) -> Option<PathBuf> {
    let compiler = build.get_compiler();
    if !compiler.is_like_gnu() {
        return None;
    }
    let folder = PathBuf::from(env::var_os("OUT_DIR")?).join("precompiled");
    let header = folder.join("bridge.h");
    fs::create_dir_all(&folder).ok()?;
    let status = compiler
        .to_command()
        .args(["-x", "c++-header", "cpp/bridge.h", "-o"])
        .arg(folder.join("bridge.h.gch"))
        .status()
        .ok()?;
    status.success().then_some(header)
}

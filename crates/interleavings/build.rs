//! Has the engine's sources wait for each other with shuttle's locks: see `src/engine/sync.rs`.

fn main() {
    println!("cargo::rustc-cfg=interleaved");
    println!("cargo::rerun-if-changed=build.rs");
}

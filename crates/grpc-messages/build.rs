//! Makes the types of `proto/`, without a compiler of protocol buffers on the machine.

use std::env;
use std::io::{Error, Result};
use std::path::PathBuf;

use prost::Message;

const FILES: [&str; 4] = [
    "health.proto",
    "inference.proto",
    "reflection.proto",
    "reflection_v1alpha.proto",
];

fn main() -> Result<()> {
    println!("cargo::rerun-if-changed=proto");
    let files = protox::compile(FILES, ["proto"]).map_err(Error::other)?;
    let out = env::var_os("OUT_DIR").map(PathBuf::from);
    let out = out.ok_or_else(|| Error::other("cargo names OUT_DIR"))?;
    std::fs::write(out.join("descriptors.bin"), files.encode_to_vec())?;
    // Bytes share the body that they came in.
    let mut config = prost_build::Config::new();
    config.bytes(["."]).btree_map(["."]).compile_fds(files)
}

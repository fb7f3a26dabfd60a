use std::io::Write;

use super::*;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/foreign/");

fn of_file(name: &str) -> Option<Foreign> {
    let mut file = File::open(Path::new(FOLDER).join(name)).expect("a file of make_files.py");
    recognise(&mut file).expect("it can be read")
}

fn of_bytes(bytes: &[u8]) -> Option<Foreign> {
    let mut file = tempfile::tempfile().expect("a file");
    file.write_all(bytes).expect("writable");
    recognise(&mut file).expect("it can be read")
}

#[test]
fn what_python_s_libraries_write_is_told_apart() {
    let pickle = |pickle| Some(Foreign::Pickle(pickle));
    let linear = || Pickle::Module("torch.nn.modules.linear.Linear".into());
    let checkpoint = |key, holds_module| Pickle::Checkpoint { key, holds_module };
    for (name, expected) in [
        ("state_dict.pt", pickle(Pickle::Weights)),
        ("state_dict_protocol_4.pt", pickle(Pickle::Weights)),
        ("state_dict_legacy.pt", pickle(Pickle::Weights)),
        ("dict_of_tensors.pt", pickle(Pickle::Weights)),
        ("module.pt", pickle(linear())),
        ("module_legacy.pt", pickle(linear())),
        ("checkpoint.pt", pickle(checkpoint("model_state_dict", false))),
        ("checkpoint_of_a_module.pt", pickle(checkpoint("model", true))),
        ("lightning.ckpt", pickle(Pickle::Lightning)),
        ("ultralytics.pt", pickle(Pickle::Ultralytics)),
        ("tensor.pt", pickle(Pickle::Other)),
        ("plain.pkl", pickle(Pickle::Other)),
        ("exported_program.pt", Some(Foreign::Exported)),
        ("bytecode_alone.ptl", Some(Foreign::Mobile)),
        ("zipped.zip", Some(Foreign::Archive(Some("mine/model.pt".into())))),
        ("arrays.npz", Some(Foreign::Numpy)),
        ("scripted.pt", None),
    ] {
        assert_eq!(of_file(name), expected, "{name}");
    }
}

#[test]
fn what_others_write_is_told_apart() {
    let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n";
    for (bytes, expected) in [
        (&b""[..], Some(Foreign::Empty)),
        (&pointer[..], Some(Foreign::LfsPointer)),
        (b"<!DOCTYPE html>\n<html><head>", Some(Foreign::Page)),
        (b"\n <HTML><body>404", Some(Foreign::Page)),
        (b"Entry not found", Some(Foreign::Text("Entry not found".into()))),
        (
            b"\x2c\0\0\0\0\0\0\0{\"w\":{\"dtype\":\"F32\"",
            Some(Foreign::Safetensors),
        ),
        (b"\x08\x08\x12\x07pytorch", Some(Foreign::Onnx)),
        (b"\x89HDF\r\n\x1a\n", Some(Foreign::Keras)),
        (b"\x1c\0\0\0TFL3", Some(Foreign::TfLite)),
        (b"\x1f\x8b\x08", Some(Foreign::Compressed)),
        (b"\x93NUMPY\x01\0", Some(Foreign::Numpy)),
        (b"\xff\xd8\xff\xe0", None),
        (b"\0\x01\x02", None),
    ] {
        assert_eq!(of_bytes(bytes), expected, "{}", bytes.escape_ascii());
    }
}

#[test]
fn an_archive_that_was_cut_is_said_to_be_cut_wherever_that_happened() {
    let whole = std::fs::read(Path::new(FOLDER).join("scripted.pt")).expect("a file of make_files.py");
    for length in [4, whole.len() / 3, whole.len() / 2, whole.len() - 30] {
        assert_eq!(of_bytes(&whole[..length]), Some(Foreign::CutArchive), "{length}");
    }
}

#[test]
fn an_archive_of_torch_export_without_its_program_is_said_to_be_incomplete() {
    let mut bytes =
        std::fs::read(Path::new(FOLDER).join("exported_program.pt")).expect("a file of make_files.py");
    let (program, other) = (b"/models/model.json", b"/others/model.json");
    while let Some(at) = bytes.windows(program.len()).position(|window| window == program) {
        bytes[at..at + other.len()].copy_from_slice(other);
    }
    let found = of_bytes(&bytes);
    assert_eq!(found, Some(Foreign::Unfinished));
    let words = Foreign::Unfinished.described("model.pt2");
    assert!(
        words.contains("models/model.json is not in it") && words.contains("NamedTuple"),
        "{words}"
    );
}

#[test]
fn a_directory_that_lies_about_itself_is_read_within_bounds() {
    let whole = std::fs::read(Path::new(FOLDER).join("state_dict.pt")).expect("a file of make_files.py");
    let is_end = |window: &[u8]| window == b"PK\x05\x06";
    let end = whole.windows(4).rposition(is_end).expect("a directory");
    for (from, to) in [(12, 16), (16, 20), (12, 20)] {
        for byte in [0, 0x7f, 0xff] {
            let mut spoiled = whole.clone();
            spoiled[end + from..end + to].fill(byte);
            // Whatever is said of it, nothing panics, and nothing is read for ever.
            of_bytes(&spoiled);
        }
    }
    for length in 1..whole.len() {
        of_bytes(&whole[..length]);
    }
}

#[test]
fn a_cure_is_a_line_of_python_with_the_name_of_the_file() {
    let weights = Foreign::Pickle(Pickle::Weights).described("w.pt");
    assert_eq!(
        weights,
        "this is no TorchScript file, but a state dict, weights without their network; in Python, where the network is \
         made: net.load_state_dict(torch.load(\"w.pt\")); torch.jit.trace(net.eval(), torch.zeros(1, 3, 224, \
         224)).save(\"model.pt\")"
    );
    let module = Foreign::Pickle(Pickle::Module("net.Net".into())).described("m.pt");
    assert!(
        module.contains("torch.jit.trace(torch.load(\"m.pt\", weights_only=False).eval(), "),
        "{module}"
    );
}

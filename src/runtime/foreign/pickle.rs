//! What Python's pickles hold, told by their first bytes: weights, a whole module, a training library's checkpoint. No
//! pickle is run.

use super::cures::{but, traced};
use crate::error::excerpt;

/// How `torch.save` began a file before it wrote archives.
const LEGACY: &[u8] = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.";

/// Keys under which checkpoints keep what was trained.
const KEYS: [&str; 6] = [
    "state_dict",
    "model_state_dict",
    "model_state",
    "net",
    "network",
    "model",
];

/// What is in a pickle.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Pickle {
    /// Weights by name.
    Weights,
    /// Weights, or a module, under a key.
    Checkpoint { key: &'static str, holds_module: bool },
    /// Of PyTorch Lightning.
    Lightning,
    /// Of Ultralytics.
    Ultralytics,
    /// A module of this class.
    Module(String),
    /// Something else.
    Other,
}

/// What the pickle that begins with `bytes` holds.
pub(super) fn recognise(bytes: &[u8]) -> Pickle {
    let has = |words: &[u8]| bytes.windows(words.len()).any(|window| window == words);
    if has(b"ultralytics.") {
        return Pickle::Ultralytics;
    }
    if has(b"pytorch-lightning_version") {
        return Pickle::Lightning;
    }
    let holds_module = has(b"torch.nn.modules.");
    match top(bytes) {
        Top::Class(class) if class == "collections.OrderedDict" => Pickle::Weights,
        Top::Class(class) if holds_module => Pickle::Module(class),
        Top::Class(_) | Top::Other => Pickle::Other,
        Top::Dict => match KEYS
            .into_iter()
            .find(|key| has(&as_text(key)) || has(&as_short_text(key)))
        {
            Some(key) => Pickle::Checkpoint { key, holds_module },
            None if has(b"_rebuild_tensor_v2") || has(b"storage") => Pickle::Weights,
            None => Pickle::Other,
        },
    }
}

/// What the outermost object is.
enum Top {
    Dict,
    Class(String),
    Other,
}

/// The opcodes are those of CPython's Lib/pickle.py.
fn top(bytes: &[u8]) -> Top {
    let bytes = match bytes.strip_prefix(LEGACY) {
        Some(rest) => behind_preface(rest),
        None => bytes,
    };
    let opcodes = match bytes {
        // PROTO and FRAME.
        [0x80, _, 0x95, rest @ ..] => rest.get(8..).unwrap_or_default(),
        [0x80, _, rest @ ..] => rest,
        _ => return Top::Other,
    };
    match opcodes {
        [b'}', ..] => Top::Dict,
        [b'c', rest @ ..] => global(rest),
        // A class with its source, as old files hold modules.
        [b'(', b'X', 6, 0, 0, 0, rest @ ..] if rest.starts_with(b"module") => {
            let at = rest.iter().position(|byte| *byte == b'c');
            at.map_or(Top::Other, |at| global(&rest[at + 1..]))
        }
        [0x8c, ..] => short_global(opcodes).map_or(Top::Other, Top::Class),
        _ => Top::Other,
    }
}

/// What follows the two pickles (the version, the machine) that stand before the object in a file of the old form.
fn behind_preface(bytes: &[u8]) -> &[u8] {
    const END_OF_SIZES: &[u8] = b"uu.";
    let end = bytes
        .windows(END_OF_SIZES.len())
        .position(|window| window == END_OF_SIZES);
    end.map_or(&[], |end| &bytes[end + END_OF_SIZES.len()..])
}

/// Module and name, each up to the end of a line.
fn global(bytes: &[u8]) -> Top {
    let mut lines = bytes.splitn(3, |byte| *byte == b'\n');
    match (lines.next(), lines.next(), lines.next()) {
        (Some(module), Some(name), Some(_)) => Top::Class(joined(module, name)),
        _ => Top::Other,
    }
}

/// The same where both are short texts, each of which is remembered.
fn short_global(opcodes: &[u8]) -> Option<String> {
    let text = |bytes: &[u8]| -> Option<(Vec<u8>, usize)> {
        let [0x8c, length, rest @ ..] = bytes else {
            return None;
        };
        let length = usize::from(*length);
        Some((rest.get(..length)?.to_vec(), 2 + length + 1))
    };
    let (module, next) = text(opcodes)?;
    let (name, _) = text(opcodes.get(next..)?)?;
    Some(joined(&module, &name))
}

fn joined(module: &[u8], name: &[u8]) -> String {
    let text = String::from_utf8_lossy(module) + "." + String::from_utf8_lossy(name);
    excerpt(&text).into_owned()
}

/// A key as the opcode BINUNICODE has it.
fn as_text(key: &str) -> Vec<u8> {
    [b"X", &(key.len() as u32).to_le_bytes()[..], key.as_bytes()].concat()
}

/// As SHORT_BINUNICODE.
fn as_short_text(key: &str) -> Vec<u8> {
    [&[0x8c, key.len() as u8], key.as_bytes()].concat()
}

impl Pickle {
    /// What it is, and the line that mends it; `name` is that of the file.
    pub(super) fn described(&self, name: &str) -> String {
        let load = format!("torch.load(\"{name}\", weights_only=False)");
        let made = "in Python, where the network is made";
        let what = match self {
            Self::Weights => format!(
                "a state dict, weights without their network; {made}: net.load_state_dict(torch.load(\"{name}\")); {}",
                traced("net.eval()")
            ),
            Self::Checkpoint {
                key,
                holds_module: true,
            } => format!(
                "a checkpoint with a module under \"{key}\"; in Python: {}",
                traced(&format!("{load}[\"{key}\"].float().eval()"))
            ),
            Self::Checkpoint { key, .. } => format!(
                "a checkpoint with weights under \"{key}\"; {made}: net.load_state_dict({load}[\"{key}\"]); {}",
                traced("net.eval()")
            ),
            Self::Lightning => format!(
                "a checkpoint of PyTorch Lightning; in Python: {}",
                traced(&format!(
                    "YourModule.load_from_checkpoint(\"{name}\", map_location=\"cpu\").eval()"
                ))
            ),
            Self::Ultralytics => format!(
                "a checkpoint of Ultralytics; in Python: ultralytics.YOLO(\"{name}\").export(format=\"torchscript\"), \
                 which writes a file that ends in .torchscript"
            ),
            Self::Module(class) => format!(
                "a pickled module, {class}; in Python: {}",
                traced(&format!("{load}.eval()"))
            ),
            Self::Other => format!(
                "a pickle of something else than a network; export the network: {}",
                traced("net.eval()")
            ),
        };
        but(&what)
    }
}

//! What the server sees of picture files: the decoder that requests go through, on its own, for whoever compares it with
//! another. Reads a path a line, and answers each with a line of JSON: the upright picture's size, which its RGB bytes
//! follow, or the code and the reason of the refusal. `panicked` says whether foreign code gave up inside.
//!
//! `cargo run --release --example pixels < paths`

use std::io::{BufRead, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use lucarne::image::{Limits, decode};
use serde_json::json;

/// A panic is caught where pictures are decoded, so that its hook alone learns of it.
static PANICKED: AtomicBool = AtomicBool::new(false);

fn main() -> std::io::Result<()> {
    std::panic::set_hook(Box::new(|_| PANICKED.store(true, Ordering::Relaxed)));
    let limits = Limits::default();
    let mut answers = std::io::stdout().lock();
    for path in std::io::stdin().lock().lines() {
        let decoded = decode(&std::fs::read(path?)?, &limits);
        let panicked = PANICKED.swap(false, Ordering::Relaxed);
        let head = match &decoded {
            Ok(picture) => {
                json!({"width": picture.width(), "height": picture.height(), "panicked": panicked})
            }
            Err(error) => json!({"code": error.code(), "reason": error.to_string(), "panicked": panicked}),
        };
        writeln!(answers, "{head}")?;
        if let Ok(picture) = decoded {
            answers.write_all(picture.data())?;
        }
        answers.flush()?;
    }
    Ok(())
}

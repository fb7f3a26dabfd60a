//! Words that several messages share.

/// What is there instead.
pub(super) fn but(what: &str) -> String {
    format!("this is no TorchScript file, but {what}")
}

/// The line of Python that writes `net`, with an example of what it takes.
pub(super) fn traced(net: &str) -> String {
    format!("torch.jit.trace({net}, torch.zeros(1, 3, 224, 224)).save(\"model.pt\")")
}

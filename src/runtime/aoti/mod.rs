//! AOTInductor packages, compiled ahead of time.

mod packages;

pub(super) use packages::Packages;

//! What an engine tells the outside about itself; the metrics are behind it.

use std::time::Duration;

/// Hears of everything that happens in one queue. Every method is called from hot paths: it must not block.
pub trait Observer: Send + Sync {
    /// Items that wait now.
    fn depth(&self, waiting: usize);
    /// A batch was computed.
    fn batch(&self, size: usize, compute: Duration);
    /// One item waited this long before its batch began.
    fn queued(&self, queue: Duration);
    /// Places that were asked for and refused.
    fn rejected(&self, places: usize);
    /// One item's deadline passed in the queue; it was not computed.
    fn expired(&self);
    /// One item's client left while it was in the queue; it was not computed.
    fn cancelled(&self);
}

/// For tests and the command line: nobody listens.
#[derive(Debug, Clone, Copy)]
pub struct Silent;

impl Observer for Silent {
    fn depth(&self, _: usize) {}
    fn batch(&self, _: usize, _: Duration) {}
    fn queued(&self, _: Duration) {}
    fn rejected(&self, _: usize) {}
    fn expired(&self) {}
    fn cancelled(&self) {}
}

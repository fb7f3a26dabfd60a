//! A body that is decompressed as it arrives, a little at a time: what its client wrote may be work without end for few bytes,
//! and may be work that gives nothing.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use axum::body::Bytes;
use futures_util::stream::{Fuse, Stream, StreamExt};
use tokio::io::{AsyncRead, ReadBuf};
use tokio_util::io::StreamReader;

/// Compressed bytes that a decoder gets before other tasks have their turn. A decoder reads on, within one poll, until
/// something comes out.
const PIECE: usize = 4 << 10;

/// So many compressed bytes may come beyond twice what they expand to: headers, checksums, the ends of blocks in a body that was
/// flushed often, and what cannot be compressed.
const MOST_BEYOND: u64 = 1 << 20;

/// A compressed body is longer by [`MOST_BEYOND`] than twice what it holds.
#[derive(Debug, thiserror::Error)]
#[error("1 MiB of it and more says nothing: empty streams, frames or blocks")]
pub(super) struct SaysNothing;

/// Compressed bytes in pieces, which are counted.
pub(super) struct Pieces<S> {
    stream: Fuse<S>,
    rest: Bytes,
    counted: Arc<AtomicU64>,
    /// Whether the next piece waits until other tasks had their turn.
    is_next_turn: bool,
}

/// What `decoder` makes of a body.
pub(super) struct Expansion<D> {
    decoder: D,
    taken: Arc<AtomicU64>,
    given: u64,
}

impl<D: AsyncRead + Send + Unpin + 'static> Expansion<D> {
    /// What the decoder that `over` makes reads in `stream`.
    pub(super) fn of<S>(
        stream: S,
        over: impl FnOnce(StreamReader<Pieces<S>, Bytes>) -> D,
    ) -> Box<dyn AsyncRead + Send + Unpin>
    where
        S: Stream<Item = io::Result<Bytes>> + Unpin,
    {
        let taken = Arc::new(AtomicU64::new(0));
        let pieces = Pieces {
            stream: stream.fuse(),
            rest: Bytes::new(),
            counted: Arc::clone(&taken),
            is_next_turn: false,
        };
        Box::new(Self {
            decoder: over(StreamReader::new(pieces)),
            taken,
            given: 0,
        })
    }
}

impl<S: Stream<Item = io::Result<Bytes>> + Unpin> Stream for Pieces<S> {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if std::mem::take(&mut self.is_next_turn) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        if self.rest.is_empty() {
            match ready!(self.stream.poll_next_unpin(context)) {
                Some(Ok(bytes)) => self.rest = bytes,
                ended => return Poll::Ready(ended),
            }
        }
        let length = self.rest.len().min(PIECE);
        let piece = self.rest.split_to(length);
        self.counted.fetch_add(length as u64, Ordering::Relaxed);
        self.is_next_turn = true;
        Poll::Ready(Some(Ok(piece)))
    }
}

impl<D: AsyncRead + Unpin> AsyncRead for Expansion<D> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.decoder).poll_read(context, buffer);
        self.given += (buffer.filled().len() - before) as u64;
        if self.taken.load(Ordering::Relaxed) > 2 * self.given + MOST_BEYOND {
            return Poll::Ready(Err(io::Error::other(SaysNothing)));
        }
        read
    }
}

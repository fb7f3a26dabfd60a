//! A socket that tells what happens on it, and which version of HTTP its client speaks.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::activity::Activity;

/// A socket that tells its connection's activity of what was read, written and held up.
#[derive(Debug)]
pub(super) struct Watched<S> {
    socket: S,
    activity: Arc<Activity>,
    /// How much of [`PREFACE`] has come; `None` once it is known whether all of it does.
    preface: Option<usize>,
}

/// What a client of HTTP/2 says first: RFC 9113, 3.4.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

impl<S> Watched<S> {
    pub(super) fn new(socket: S, activity: Arc<Activity>) -> Self {
        Self {
            socket,
            activity,
            preface: Some(0),
        }
    }

    fn heard(&mut self, bytes: &[u8]) {
        if let Some(seen) = self.preface {
            let expected = &PREFACE[seen..];
            let length = bytes.len().min(expected.len());
            self.preface = (bytes[..length] == expected[..length]).then_some(seen + length);
            if self.preface == Some(PREFACE.len()) {
                self.preface = None;
                self.activity.share();
            }
        }
        self.activity.heard(bytes.len());
    }

    fn tell(&self, written: &Poll<io::Result<usize>>) {
        match written {
            Poll::Ready(Ok(bytes)) => self.activity.wrote(*bytes),
            Poll::Ready(Err(_)) => {}
            Poll::Pending => self.activity.blocked(),
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.socket).poll_read(cx, buffer);
        if buffer.filled().len() > before {
            self.heard(&buffer.filled()[before..]);
        } else if read.is_pending() {
            self.activity.fell_silent();
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write(cx, bytes);
        self.tell(&written);
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write_vectored(cx, slices);
        self.tell(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn http_2_is_known_by_its_preface_however_it_comes() {
        let shared = |pieces: &[&[u8]]| {
            let activity = Activity::new(Arc::default());
            let mut socket = Watched::new((), Arc::clone(&activity));
            pieces.iter().for_each(|piece| socket.heard(piece));
            activity.is_shared()
        };
        assert!(shared(&[PREFACE]));
        assert!(shared(&[&PREFACE[..5], &[&PREFACE[5..], b"SETTINGS"].concat()]));
        assert!(!shared(&[&PREFACE[..23]]));
        assert!(!shared(&[b"GET / HTTP/1.1\r\n", PREFACE]));
    }
}

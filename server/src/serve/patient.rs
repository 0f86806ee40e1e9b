//! A stream that gives up on a peer that takes nothing, or does not begin.
//!
//! What a peer is slow to *send* is bounded by hyper (heads) and by the time of a request (bodies),
//! but not before hyper knows which protocol it is: somebody who says nothing at all would hold a
//! connection for ever. So would one who does not take an answer hold its memory.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

/// Bytes after which the protocol is known: the preface of HTTP/2.
const PREFACE_BYTES: usize = 24;

/// Fails a write that made no progress for `patience`, and reading if the first bytes are not there
/// by then.
pub(super) struct Patient<S> {
    stream: S,
    read: usize,
    begin: Pin<Box<Sleep>>,
    patience: Duration,
    sleep: Pin<Box<Sleep>>,
    waiting: bool,
}

impl<S> Patient<S> {
    pub(super) fn new(stream: S, patience: Duration) -> Self {
        let sleep = Box::pin(tokio::time::sleep(patience));
        let begin = Box::pin(tokio::time::sleep(patience));
        Patient { stream, read: 0, begin, patience, sleep, waiting: false }
    }

    /// Passes on what a write gave; while that is nothing, the clock runs.
    fn watch<T>(
        &mut self,
        result: Poll<io::Result<T>>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        if result.is_ready() {
            self.waiting = false;
            return result;
        }
        if !self.waiting {
            self.waiting = true;
            self.sleep.as_mut().reset(Instant::now() + self.patience);
        }
        ready!(self.sleep.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let result = Pin::new(&mut self.stream).poll_read(cx, buf);
        if self.read >= PREFACE_BYTES {
            return result;
        }
        if result.is_ready() {
            self.read += buf.filled().len() - before;
            return result;
        }
        ready!(self.begin.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.watch(result, cx)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.stream).poll_flush(cx);
        self.watch(result, cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.watch(result, cx)
    }
}

//! A producer as a sink.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_sink::Sink;

use super::ends::{Sender, Writing};
use crate::error::{PushError, TryPushError};

/// Takes values for a ring: made by `sink` and `into_sink`.
///
/// A value goes into the ring at once if there is room. If there is none, it waits in the sink, which then takes no other
/// before it is sent; flushing sends it. It is dropped with the sink, so flush first. The sink keeps its place among
/// the waiters from poll to poll.
///
/// Closing the sink flushes it and lets go of the producer, as if that had been dropped: the ring is closed if it was the last
/// of its ring and the sink owned it. A value that comes after that, or that finds the ring closed, is given back with the error.
///
/// # Examples
///
/// ```
/// use covet_queue::spsc;
/// use futures_util::{SinkExt, StreamExt, stream};
/// # let block_on = futures_executor::block_on;
///
/// let (producer, mut consumer) = spsc::bounded(4);
/// let numbers = stream::iter(1..=3).map(Ok);
/// block_on(numbers.forward(producer.into_sink())).unwrap(); // flushes and closes
/// let received: Vec<i32> = std::iter::from_fn(|| consumer.pop().ok()).collect();
/// assert_eq!(received, [1, 2, 3]);
/// ```
#[must_use = "sinks do nothing unless polled"]
pub struct SendSink<P: Sender> {
    /// Until the sink is closed.
    writing: Option<Writing<P>>,
    /// What was taken while the ring was full.
    waiting: Option<P::Item>,
}

impl<P: Sender> SendSink<P> {
    pub(crate) fn new(producer: P) -> Self {
        Self {
            writing: Some(Writing::new(producer)),
            waiting: None,
        }
    }
}

impl<P: Sender> Sink<P::Item> for SendSink<P> {
    type Error = PushError<P::Item>;

    fn poll_ready(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), Self::Error>> {
        self.poll_flush(context)
    }

    /// # Panics
    ///
    /// If a value still waits, which `poll_ready` would have told.
    fn start_send(mut self: Pin<&mut Self>, value: P::Item) -> Result<(), Self::Error> {
        assert!(self.waiting.is_none(), "the sink is not ready");
        let Some(writing) = &self.writing else {
            return Err(PushError(value));
        };
        match writing.writer().push(value) {
            Ok(()) => Ok(()),
            Err(TryPushError::Closed(value)) => Err(PushError(value)),
            Err(TryPushError::Full(value)) => {
                self.waiting = Some(value);
                Ok(())
            }
        }
    }

    fn poll_flush(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), Self::Error>> {
        let this = &mut *self;
        match &mut this.writing {
            Some(writing) if this.waiting.is_some() => {
                writing.poll_push(context, &mut this.waiting)
            }
            _ => Poll::Ready(Ok(())),
        }
    }

    fn poll_close(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), Self::Error>> {
        let flushed = ready!(self.as_mut().poll_flush(context));
        self.writing = None;
        Poll::Ready(flushed)
    }
}

// Nothing is pinned: the value that waits is moved into the ring.
impl<P: Sender> Unpin for SendSink<P> {}

//! A consumer as a stream.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::stream::{FusedStream, Stream};

use super::ends::{Reading, Receiver};

/// The elements of a ring, until it is closed and drained: made by `stream` and `into_stream`.
///
/// It keeps its place among the waiters from poll to poll, whatever becomes of the futures that `next()` makes.
///
/// # Examples
///
/// ```
/// use covet_queue::spsc;
/// use futures_util::StreamExt;
/// # let block_on = futures_executor::block_on;
///
/// let (mut producer, consumer) = spsc::bounded(4);
/// producer.push_batch(1..=3).unwrap();
/// drop(producer);
/// let doubled: Vec<i32> = block_on(consumer.into_stream().map(|n| 2 * n).collect());
/// assert_eq!(doubled, [2, 4, 6]);
/// ```
#[must_use = "streams do nothing unless polled"]
pub struct RecvStream<C: Receiver> {
    reading: Reading<C>,
    ended: bool,
}

impl<C: Receiver> RecvStream<C> {
    pub(crate) fn new(consumer: C) -> Self {
        Self {
            reading: Reading::new(consumer),
            ended: false,
        }
    }
}

impl<C: Receiver> Stream for RecvStream<C> {
    type Item = C::Item;

    #[inline]
    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<C::Item>> {
        let received = ready!(self.reading.poll(context, |reader| reader.pop()));
        self.ended = received.is_err();
        Poll::Ready(received.ok())
    }
}

impl<C: Receiver> FusedStream for RecvStream<C> {
    fn is_terminated(&self) -> bool {
        self.ended
    }
}

// Nothing is pinned: elements leave as they are received.
impl<C: Receiver> Unpin for RecvStream<C> {}

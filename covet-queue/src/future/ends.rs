//! The handles as futures hold them: owned or lent, of any kind of ring.

use std::task::{Context, Poll, ready};

use crate::claim::Claim;
use crate::error::{PopError, PushError, TryClaimError, TryPopError, TryPushError};
use crate::wait::{EventCount, Place};
use crate::{mpmc, mpsc, spsc};

use super::{RecvBatchFuture, RecvFuture, RecvStream, SendBatchFuture, SendFuture, SendSink};

/// A consumer that can be awaited: any consumer, a `&mut` to one, or a `&` to one of [`mpmc`]. For code that does not care
/// which; each consumer has methods of the same names.
///
/// # Examples
///
/// ```
/// use covet_queue::future::{Receiver, Sender};
/// use covet_queue::spsc;
/// # let block_on = futures_executor::block_on;
///
/// async fn relay<T>(mut from: impl Receiver<Item = T>, mut to: impl Sender<Item = T>) {
///     while let Ok(value) = from.recv().await {
///         if to.send(value).await.is_err() {
///             break;
///         }
///     }
/// }
///
/// let (mut first, from) = spsc::bounded(4);
/// let (to, mut last) = spsc::bounded(4);
/// first.push(1)?;
/// drop(first);
/// block_on(relay(from, to));
/// assert_eq!(last.pop(), Ok(1));
/// # Ok::<(), covet_queue::PushError<i32>>(())
/// ```
pub trait Receiver {
    /// What the ring carries.
    type Item;

    /// Receives the oldest element, waiting while there is none.
    fn recv(&mut self) -> RecvFuture<&mut Self> {
        RecvFuture::new(self)
    }

    /// Receives up to `most` elements, waiting while there is none.
    fn recv_batch<F: FnMut(Self::Item)>(
        &mut self,
        most: usize,
        each: F,
    ) -> RecvBatchFuture<&mut Self, F> {
        RecvBatchFuture::new(self, most, each)
    }

    /// Returns a stream of the elements, as long as it lives.
    fn stream(&mut self) -> RecvStream<&mut Self> {
        RecvStream::new(self)
    }

    #[doc(hidden)]
    fn reader(&self) -> Reader<'_, Self::Item>;
}

/// A producer that can be awaited: any producer, a `&mut` to one, or a `&` to one of [`mpmc`]. For code that does not care
/// which; each producer has methods of the same names. See [`Receiver`] for an example.
pub trait Sender {
    /// What the ring carries.
    type Item;

    /// Sends a value, waiting while the ring is full.
    fn send(&mut self, value: Self::Item) -> SendFuture<&mut Self> {
        SendFuture::new(self, value)
    }

    /// Sends all values of an iterator, waiting whenever the ring is full.
    fn send_batch<I: IntoIterator<Item = Self::Item>>(
        &mut self,
        values: I,
    ) -> SendBatchFuture<&mut Self, I::IntoIter> {
        SendBatchFuture::new(self, values.into_iter())
    }

    /// Returns a sink for values, as long as it lives.
    fn sink(&mut self) -> SendSink<&mut Self> {
        SendSink::new(self)
    }

    #[doc(hidden)]
    fn writer(&self) -> Writer<'_, Self::Item>;
}

/// A consumer of any kind, for the futures alone: they have the handle to themselves, so a shared reference is enough.
pub enum Reader<'a, T> {
    Spsc(&'a spsc::Consumer<T>),
    Mpsc(&'a mpsc::Consumer<T>),
    Mpmc(&'a mpmc::Consumer<T>),
}

/// A producer of any kind, for the futures alone: they have the handle to themselves, so a shared reference is enough.
pub enum Writer<'a, T> {
    Spsc(&'a spsc::Producer<T>),
    Mpmc(&'a mpmc::Producer<T>),
}

impl<T> Reader<'_, T> {
    #[inline]
    pub(super) fn pop(&self) -> Result<T, TryPopError> {
        match self {
            Self::Spsc(consumer) => consumer.pop_now(),
            Self::Mpsc(consumer) => consumer.pop_now(),
            Self::Mpmc(consumer) => consumer.pop_now(),
        }
    }

    #[inline]
    pub(super) fn pop_batch(&self, most: usize, each: impl FnMut(T)) -> Result<usize, TryPopError> {
        match self {
            Self::Spsc(consumer) => consumer.try_pop_each(most, each),
            Self::Mpsc(consumer) => consumer.try_pop_each(most, each),
            Self::Mpmc(consumer) => consumer.try_pop_each(most, each),
        }
    }

    fn not_empty(&self) -> &EventCount {
        match self {
            Self::Spsc(consumer) => consumer.not_empty(),
            Self::Mpsc(consumer) => consumer.ring().not_empty(),
            Self::Mpmc(consumer) => consumer.ring().not_empty(),
        }
    }

    /// Does what a woken consumer owes to the others.
    fn pass_on(&self) {
        match self {
            // There are no others.
            Self::Spsc(_) => {}
            Self::Mpsc(consumer) => consumer.ring().pass_on_values(),
            Self::Mpmc(consumer) => consumer.ring().pass_on_values(),
        }
    }
}

impl<T> Writer<'_, T> {
    #[inline]
    pub(super) fn push(&self, value: T) -> Result<(), TryPushError<T>> {
        match self {
            Self::Spsc(producer) => producer.push_now(value),
            Self::Mpmc(producer) => producer.push_now(value),
        }
    }

    #[inline]
    pub(super) fn claim(&self, most: usize) -> Result<Claim<'_, T>, TryClaimError> {
        match self {
            Self::Spsc(producer) => {
                let (start, count) = producer.try_reserve(most)?;
                Ok(producer.claimed(start, count))
            }
            Self::Mpmc(producer) => producer.try_claim(most),
        }
    }

    fn not_full(&self) -> &EventCount {
        match self {
            Self::Spsc(producer) => producer.not_full(),
            Self::Mpmc(producer) => producer.ring().not_full(),
        }
    }

    /// Does what a woken producer owes to the others.
    fn pass_on(&self) {
        match self {
            // There are no others.
            Self::Spsc(_) => {}
            Self::Mpmc(producer) => producer.ring().pass_on_room(),
        }
    }
}

macro_rules! ends {
    ($($trait:ident for $handle:ty: $as:ident $end:ident $kind:ident;)*) => {$(
        impl<T> $trait for $handle {
            type Item = T;

            #[inline(always)]
            fn $as(&self) -> $end<'_, T> {
                $end::$kind(self)
            }
        }
    )*};
}

ends! {
    Receiver for spsc::Consumer<T>: reader Reader Spsc;
    Receiver for mpsc::Consumer<T>: reader Reader Mpsc;
    Receiver for mpmc::Consumer<T>: reader Reader Mpmc;
    Receiver for &mpmc::Consumer<T>: reader Reader Mpmc;
    Sender for spsc::Producer<T>: writer Writer Spsc;
    Sender for mpmc::Producer<T>: writer Writer Mpmc;
    Sender for &mpmc::Producer<T>: writer Writer Mpmc;
}

impl<C: Receiver + ?Sized> Receiver for &mut C {
    type Item = C::Item;

    #[inline(always)]
    fn reader(&self) -> Reader<'_, C::Item> {
        (**self).reader()
    }
}

impl<P: Sender + ?Sized> Sender for &mut P {
    type Item = P::Item;

    #[inline(always)]
    fn writer(&self) -> Writer<'_, P::Item> {
        (**self).writer()
    }
}

/// A consumer, and the place of the task that waits with it.
pub(super) struct Reading<C: Receiver> {
    consumer: C,
    place: Place,
}

impl<C: Receiver> Reading<C> {
    pub(super) fn new(consumer: C) -> Self {
        Self {
            consumer,
            place: Place::new(),
        }
    }

    /// Polls until `attempt` says anything but that the ring is empty.
    #[inline]
    pub(super) fn poll<R>(
        &mut self,
        context: &Context<'_>,
        mut attempt: impl FnMut(&Reader<'_, C::Item>) -> Result<R, TryPopError>,
    ) -> Poll<Result<R, PopError>> {
        let reader = self.consumer.reader();
        let attempt = || match attempt(&reader) {
            Ok(value) => Some(Ok(value)),
            Err(TryPopError::Closed) => Some(Err(PopError)),
            Err(TryPopError::Empty) => None,
        };
        let events = reader.not_empty();
        let (result, notified) = ready!(events.poll_until(&mut self.place, context, attempt));
        if notified {
            reader.pass_on();
        }
        Poll::Ready(result)
    }
}

impl<C: Receiver> Drop for Reading<C> {
    fn drop(&mut self) {
        let reader = self.consumer.reader();
        reader.not_empty().leave(&mut self.place);
    }
}

/// A producer, and the place of the task that waits with it.
pub(super) struct Writing<P: Sender> {
    producer: P,
    place: Place,
}

impl<P: Sender> Writing<P> {
    pub(super) fn new(producer: P) -> Self {
        Self {
            producer,
            place: Place::new(),
        }
    }

    /// Polls until `attempt` returns a result.
    #[inline]
    pub(super) fn poll<R>(
        &mut self,
        context: &Context<'_>,
        mut attempt: impl FnMut(&Writer<'_, P::Item>) -> Option<R>,
    ) -> Poll<R> {
        let writer = self.producer.writer();
        let events = writer.not_full();
        let found = events.poll_until(&mut self.place, context, || attempt(&writer));
        let (result, notified) = ready!(found);
        if notified {
            writer.pass_on();
        }
        Poll::Ready(result)
    }

    /// Pushes what is in `value`, which is empty afterwards, unless the ring stays full.
    #[inline]
    pub(super) fn poll_push(
        &mut self,
        context: &Context<'_>,
        value: &mut Option<P::Item>,
    ) -> Poll<Result<(), PushError<P::Item>>> {
        self.poll(context, |writer| match writer.push(value.take()?) {
            Ok(()) => Some(Ok(())),
            Err(TryPushError::Closed(value)) => Some(Err(PushError(value))),
            Err(TryPushError::Full(full)) => {
                *value = Some(full);
                None
            }
        })
    }

    pub(super) fn writer(&self) -> Writer<'_, P::Item> {
        self.producer.writer()
    }
}

impl<P: Sender> Drop for Writing<P> {
    fn drop(&mut self) {
        let writer = self.producer.writer();
        writer.not_full().leave(&mut self.place);
    }
}

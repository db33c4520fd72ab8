//! The methods that all kinds of rings have in common, written once.
//!
//! A kind brings what is its own (`try_push`, `try_reserve`, `claimed`, `wait_for_room`; `try_pop`, `try_pop_each`,
//! `wait_for_value`), which needs no more than `&self` inside the crate. What its users see takes `&self` or `&mut self`:
//! the macros' argument is the receiver.

/// Inherent methods of a producer, and its [`Producer`](crate::Producer).
macro_rules! producer_methods {
    ($self:ident $($mut:ident)?) => {
        /// Pushes a value, waiting while the ring is full.
        ///
        /// Costs a `try_push` if there is room. Otherwise waits as [`set_wait`](Self::set_wait) says.
        ///
        /// # Errors
        ///
        /// Gives the value back if the ring is or becomes closed.
        #[inline]
        pub fn push(&$($mut)? $self, value: T) -> Result<(), PushError<T>> {
            match $self.try_push(value) {
                Ok(()) => Ok(()),
                Err(TryPushError::Closed(value)) => Err(PushError(value)),
                Err(TryPushError::Full(value)) => match $self.push_slow(value, None) {
                    Ok(()) => Ok(()),
                    Err(error) => Err(PushError(error.into_inner())),
                },
            }
        }

        /// Pushes a value, waiting while the ring is full, but no longer than `timeout`.
        ///
        /// # Errors
        ///
        /// Gives the value back: [`PushTimeoutError::Timeout`] if there was no room in time, [`PushTimeoutError::Closed`]
        /// if the ring is or becomes closed.
        #[cfg(feature = "std")]
        pub fn push_timeout(&$($mut)? $self, value: T, timeout: Duration) -> Result<(), PushTimeoutError<T>> {
            match $self.try_push(value) {
                Ok(()) => Ok(()),
                Err(TryPushError::Closed(value)) => Err(PushTimeoutError::Closed(value)),
                // A time too long for the clock is no limit.
                Err(TryPushError::Full(value)) => $self.push_slow(value, Deadline::now().checked_add(timeout)),
            }
        }

        #[cold]
        fn push_slow(&$self, value: T, deadline: Option<Deadline>) -> Result<(), PushTimeoutError<T>> {
            let mut waiting = Some(value);
            let result = $self.wait_for_room(deadline, || match $self.push_now(waiting.take()?) {
                Ok(()) => Some(Ok(())),
                Err(TryPushError::Closed(value)) => Some(Err(PushTimeoutError::Closed(value))),
                Err(TryPushError::Full(value)) => {
                    waiting = Some(value);
                    None
                }
            });
            match (result, waiting) {
                (Some(result), _) => result,
                (None, Some(value)) => Err(PushTimeoutError::Timeout(value)),
                (None, None) => unreachable!("a value leaves only with a result"),
            }
        }

        /// Claims up to `most` free slots at the tail, to write them in place. The claim has at least one, unless `most` is 0,
        /// and never more than the capacity.
        ///
        /// # Errors
        ///
        /// [`TryClaimError::Full`] if no slot is free now, [`TryClaimError::Closed`] if the ring is closed.
        #[inline]
        pub fn try_claim(&$($mut)? $self, most: usize) -> Result<Claim<'_, T>, TryClaimError> {
            let (start, count) = $self.try_reserve(most)?;
            Ok($self.claimed(start, count))
        }

        /// Claims up to `most` free slots, waiting while the ring is full; see [`try_claim`](Self::try_claim).
        ///
        /// # Errors
        ///
        /// If the ring is or becomes closed.
        pub fn claim(&$($mut)? $self, most: usize) -> Result<Claim<'_, T>, ClaimError> {
            let (start, count) = $self.reserve(most)?;
            Ok($self.claimed(start, count))
        }

        fn reserve(&$self, most: usize) -> Result<(usize, usize), ClaimError> {
            match $self.try_reserve(most) {
                Ok(place) => Ok(place),
                Err(TryClaimError::Closed) => Err(ClaimError),
                Err(TryClaimError::Full) => $self
                    .wait_for_room(None, || match $self.try_reserve(most) {
                        Ok(place) => Some(Ok(place)),
                        Err(TryClaimError::Closed) => Some(Err(ClaimError)),
                        Err(TryClaimError::Full) => None,
                    })
                    .unwrap_or(Err(ClaimError)),
            }
        }

        /// Pushes values from an iterator as long as there is room now, and returns how many. The rest stay in the iterator.
        ///
        /// Claims as many slots at once as the iterator promises with its `size_hint`, at least one, and goes on if it has
        /// more. A promise that is too high leaves slots that are aborted; see [`Claim`]. If the iterator panics, what it gave
        /// before is pushed.
        ///
        /// # Errors
        ///
        /// If not even one slot could be claimed: [`TryClaimError::Full`] or [`TryClaimError::Closed`]. Then nothing was
        /// taken from the iterator.
        #[inline]
        pub fn try_push_batch(&$($mut)? $self, values: &mut impl Iterator<Item = T>) -> Result<usize, TryClaimError> {
            let mut pushed = 0;
            loop {
                let hint = values.size_hint();
                if hint.1 == Some(0) {
                    return Ok(pushed);
                }
                let most = hint.0.max(1);
                match $self.try_claim(most) {
                    Ok(claim) => {
                        let room = claim.len();
                        let filled = claim.fill(values.by_ref());
                        pushed += filled;
                        if filled < room {
                            return Ok(pushed);
                        }
                    }
                    Err(_) if pushed > 0 => return Ok(pushed),
                    Err(error) => return Err(error),
                }
            }
        }

        /// Pushes all values of an iterator, waiting whenever the ring is full, and returns how many that were.
        ///
        /// # Errors
        ///
        /// If the ring is or becomes closed: says how many were pushed, and gives the iterator with the others back.
        pub fn push_batch<I: IntoIterator<Item = T>>(
            &$($mut)? $self,
            values: I,
        ) -> Result<usize, PushBatchError<I::IntoIter>> {
            let mut rest = values.into_iter();
            let mut pushed = 0;
            loop {
                let hint = rest.size_hint();
                if hint.1 == Some(0) {
                    return Ok(pushed);
                }
                let Ok(claim) = $self.claim(hint.0.max(1)) else {
                    return Err(PushBatchError { pushed, rest });
                };
                let room = claim.len();
                let filled = claim.fill(rest.by_ref());
                pushed += filled;
                if filled < room {
                    return Ok(pushed);
                }
            }
        }

        #[cfg(feature = "async")]
        $crate::methods::awaited_producer_methods!($self $($mut)?);

        $crate::methods::common_methods!();
    };
}

/// Inherent methods of a consumer, and its [`Consumer`](crate::Consumer).
macro_rules! consumer_methods {
    ($self:ident $($mut:ident)?) => {
        /// Pops the oldest element, waiting while the ring is empty.
        ///
        /// Costs a `try_pop` if there is one. Otherwise waits as [`set_wait`](Self::set_wait) says.
        ///
        /// # Errors
        ///
        /// [`PopError`] if the ring is closed and drained.
        #[inline]
        pub fn pop(&$($mut)? $self) -> Result<T, PopError> {
            match $self.try_pop() {
                Ok(value) => Ok(value),
                Err(TryPopError::Closed) => Err(PopError),
                Err(TryPopError::Empty) => $self.pop_slow(None).map_err(|_| PopError),
            }
        }

        /// Pops the oldest element, waiting while the ring is empty, but no longer than `timeout`.
        ///
        /// # Errors
        ///
        /// [`PopTimeoutError::Timeout`] if nothing came in time, [`PopTimeoutError::Closed`] if the ring is closed and
        /// drained.
        #[cfg(feature = "std")]
        pub fn pop_timeout(&$($mut)? $self, timeout: Duration) -> Result<T, PopTimeoutError> {
            match $self.try_pop() {
                Ok(value) => Ok(value),
                Err(TryPopError::Closed) => Err(PopTimeoutError::Closed),
                // A time too long for the clock is no limit.
                Err(TryPopError::Empty) => $self.pop_slow(Deadline::now().checked_add(timeout)),
            }
        }

        #[cold]
        fn pop_slow(&$self, deadline: Option<Deadline>) -> Result<T, PopTimeoutError> {
            $self
                .wait_for_value(deadline, || match $self.pop_now() {
                    Ok(value) => Some(Ok(value)),
                    Err(TryPopError::Closed) => Some(Err(PopTimeoutError::Closed)),
                    Err(TryPopError::Empty) => None,
                })
                .unwrap_or(Err(PopTimeoutError::Timeout))
        }

        /// Pops up to `most` elements that are there now, the oldest first, hands each to `each`, and returns how many: at
        /// least one, unless `most` is 0, and no more than the capacity.
        ///
        #[doc = $crate::methods::batch_panic!($($mut)?)]
        ///
        /// # Errors
        ///
        /// As `try_pop`, if there was not even one.
        #[inline]
        pub fn try_pop_batch(&$($mut)? $self, most: usize, each: impl FnMut(T)) -> Result<usize, TryPopError> {
            $self.try_pop_each(most, each)
        }

        /// Pops up to `most` elements, waiting while there is none; see [`try_pop_batch`](Self::try_pop_batch).
        ///
        /// # Errors
        ///
        /// [`PopError`] if the ring is closed and drained.
        pub fn pop_batch(&$($mut)? $self, most: usize, mut each: impl FnMut(T)) -> Result<usize, PopError> {
            match $self.try_pop_each(most, &mut each) {
                Ok(count) => Ok(count),
                Err(TryPopError::Closed) => Err(PopError),
                Err(TryPopError::Empty) => $self
                    .wait_for_value(None, || match $self.try_pop_each(most, &mut each) {
                        Ok(count) => Some(Ok(count)),
                        Err(TryPopError::Closed) => Some(Err(PopError)),
                        Err(TryPopError::Empty) => None,
                    })
                    .unwrap_or(Err(PopError)),
            }
        }

        /// Pops up to `most` elements to the end of `values`, waiting while there is none.
        ///
        /// # Errors
        ///
        /// [`PopError`] if the ring is closed and drained.
        pub fn pop_into(&$($mut)? $self, values: &mut Vec<T>, most: usize) -> Result<usize, PopError> {
            // Before anything is popped, so that a lack of memory costs no element.
            values.reserve(most.min($self.len()));
            $self.pop_batch(most, |value| values.push(value))
        }

        #[cfg(feature = "async")]
        $crate::methods::awaited_consumer_methods!($self $($mut)?);

        $crate::methods::common_methods!();
    };
}

/// What happens to a batch when the closure panics.
macro_rules! batch_panic {
    (mut) => {
        "If `each` panics, the elements that it has not seen stay in the ring."
    };
    () => {
        "The elements are claimed together, with one compare-and-swap. If `each` panics, those of the claim that it has not \
         seen are dropped: other consumers may already have taken what follows."
    };
}

/// Inherent methods of a producer that wait as a task.
#[cfg(feature = "async")]
macro_rules! awaited_producer_methods {
    ($self:ident $($mut:ident)?) => {
        /// Sends a value, waiting as a task while the ring is full: what [`push`](Self::push) is to a thread.
        ///
        /// Costs a `try_push` if there is room. The future can be dropped at any time; see [`future`](crate::future).
        ///
        /// # Errors
        ///
        /// Gives the value back if the ring is or becomes closed.
        #[inline]
        pub fn send(&$($mut)? $self, value: T) -> $crate::future::SendFuture<&$($mut)? Self> {
            $crate::future::SendFuture::new($self, value)
        }

        /// Sends all values of an iterator, waiting as a task whenever the ring is full, and returns how many that were. If
        /// the future is dropped, what was sent so far stays sent; give it `iterator.by_ref()` to keep the rest.
        ///
        /// # Errors
        ///
        /// If the ring is or becomes closed: says how many were sent, and gives the iterator with the others back.
        pub fn send_batch<I: IntoIterator<Item = T>>(
            &$($mut)? $self,
            values: I,
        ) -> $crate::future::SendBatchFuture<&$($mut)? Self, I::IntoIter> {
            $crate::future::SendBatchFuture::new($self, values.into_iter())
        }

        /// Returns a sink that sends to this ring.
        pub fn sink(&$($mut)? $self) -> $crate::future::SendSink<&$($mut)? Self> {
            $crate::future::SendSink::new($self)
        }

        /// Turns this handle into a sink.
        pub fn into_sink(self) -> $crate::future::SendSink<Self> {
            $crate::future::SendSink::new(self)
        }
    };
}

/// Inherent methods of a consumer that wait as a task.
#[cfg(feature = "async")]
macro_rules! awaited_consumer_methods {
    ($self:ident $($mut:ident)?) => {
        /// Receives the oldest element, waiting as a task while the ring is empty: what [`pop`](Self::pop) is to a thread.
        ///
        /// Costs a `try_pop` if there is one. The future can be dropped at any time; see [`future`](crate::future).
        ///
        /// # Errors
        ///
        /// [`PopError`] if the ring is closed and drained.
        #[inline]
        pub fn recv(&$($mut)? $self) -> $crate::future::RecvFuture<&$($mut)? Self> {
            $crate::future::RecvFuture::new($self)
        }

        /// Receives up to `most` elements, waiting as a task while there is none, and hands each to `each`; see
        /// [`try_pop_batch`](Self::try_pop_batch). `each` is called only in the poll that ends the future.
        ///
        /// # Errors
        ///
        /// [`PopError`] if the ring is closed and drained.
        #[inline]
        pub fn recv_batch<F: FnMut(T)>(
            &$($mut)? $self,
            most: usize,
            each: F,
        ) -> $crate::future::RecvBatchFuture<&$($mut)? Self, F> {
            $crate::future::RecvBatchFuture::new($self, most, each)
        }

        /// Returns the elements as a stream.
        pub fn stream(&$($mut)? $self) -> $crate::future::RecvStream<&$($mut)? Self> {
            $crate::future::RecvStream::new($self)
        }

        /// Turns this handle into a stream of the elements.
        pub fn into_stream(self) -> $crate::future::RecvStream<Self> {
            $crate::future::RecvStream::new(self)
        }
    };
}

macro_rules! common_methods {
    () => {
        /// Chooses how this handle waits from now on.
        pub fn set_wait(&mut self, wait: Wait) {
            self.wait = wait;
        }

        /// Returns this handle with another way to wait.
        #[must_use]
        pub fn with_wait(mut self, wait: Wait) -> Self {
            self.wait = wait;
            self
        }

        /// Returns whether the ring was closed, from either side. There may still be elements to pop.
        pub fn is_closed(&self) -> bool {
            self.ring.is_closed()
        }

        /// Returns how many elements are in the ring, as far as can be told while others change it.
        ///
        /// With one producer and one consumer that is exact for what this side does. With many producers it counts slots:
        /// those being written, and those of aborted claims that no consumer has stepped over yet, are among them.
        pub fn len(&self) -> usize {
            self.ring.len()
        }

        /// Returns whether the ring holds no element; see [`len`](Self::len).
        pub fn is_empty(&self) -> bool {
            self.len() == 0
        }

        /// Returns whether the ring holds as many elements as it can; see [`len`](Self::len).
        pub fn is_full(&self) -> bool {
            self.len() == self.capacity()
        }

        /// Returns the most elements the ring ever holds: the number it was made with.
        pub fn capacity(&self) -> usize {
            self.ring.capacity()
        }
    };
}

#[cfg(feature = "async")]
pub(crate) use {awaited_consumer_methods, awaited_producer_methods};
pub(crate) use {batch_panic, common_methods, consumer_methods, producer_methods};

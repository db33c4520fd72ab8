//! The writing side: claims, and what becomes of them.

use core::fmt;
use core::marker::PhantomData;
use core::ops::{Deref, DerefMut};
use core::sync::atomic::Ordering;
#[cfg(feature = "std")]
use core::time::Duration;

use super::{BYTES_OFFSET, ClaimError, Ring};
use crate::strategy::Wait;
use crate::sync::{Arc, AtomicUsize, Deadline};

/// How many producers a ring has: [`One`] or [`Many`].
pub trait Mode: sealed::Mode + 'static {}

/// The ring has one producer.
#[derive(Debug)]
pub enum One {}

/// The ring has as many producers as there are clones.
#[derive(Debug)]
pub enum Many {}

impl Mode for One {}
impl Mode for Many {}

pub(super) mod sealed {
    use crate::sync::AtomicUsize;

    pub trait Mode {
        const MANY: bool;

        /// Moves the tail on, unless another producer has done so.
        fn advance(tail: &AtomicUsize, from: usize, to: usize) -> bool;
    }
}

impl sealed::Mode for One {
    const MANY: bool = false;

    #[inline(always)]
    fn advance(tail: &AtomicUsize, _from: usize, to: usize) -> bool {
        // Relaxed: a record is published by its length.
        tail.store(to, Ordering::Relaxed);
        true
    }
}

impl sealed::Mode for Many {
    const MANY: bool = true;

    #[inline(always)]
    fn advance(tail: &AtomicUsize, from: usize, to: usize) -> bool {
        // Relaxed: a record is published by its length.
        tail.compare_exchange(from, to, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok()
    }
}

/// A writing end of a ring of records. Dropping the last one closes the ring.
///
/// With [`Many`] it can be cloned. Each clone's records leave in the order of its claims.
pub struct Producer<M: Mode> {
    ring: Arc<Ring>,
    /// A head that was acquired: everything a capacity behind it is cleared and free.
    head_seen: usize,
    /// The record that was claimed and not finished yet. Still here after the claim was forgotten.
    open: Option<Open>,
    wait: Wait,
    alive: Arc<CloseOnDrop>,
    mode: PhantomData<fn(M)>,
}

#[derive(Clone, Copy)]
struct Open {
    position: usize,
    /// With the header.
    length: i32,
}

/// Shared by all producers: when the last one goes, the ring is closed.
struct CloseOnDrop(Arc<Ring>);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl<M: Mode> Producer<M> {
    pub(super) fn new(ring: Arc<Ring>, start: usize) -> Self {
        Self {
            alive: Arc::new(CloseOnDrop(Arc::clone(&ring))),
            ring,
            head_seen: start,
            open: None,
            wait: Wait::default(),
            mode: PhantomData,
        }
    }

    /// Claims room for a record of `len` bytes, if there is room now. Never waits for a lock.
    ///
    /// The bytes of the claim are all 0. The consumer gets no further than an unfinished claim, so finish it soon.
    ///
    /// # Errors
    ///
    /// [`Full`](ClaimError::Full) if there is not enough room, [`Closed`](ClaimError::Closed) if any handle has closed the
    /// ring, [`TooLong`](ClaimError::TooLong) if `len` is above [`max_record`](Self::max_record),
    /// [`Kind`](ClaimError::Kind) if `kind` is 0 or negative.
    #[inline]
    pub fn try_claim(&mut self, len: usize, kind: i32) -> Result<Claim<'_, M>, ClaimError> {
        let length = self.check(len, kind)?;
        self.reserve(length)?;
        Ok(self.claimed(length, kind))
    }

    /// Claims room for a record of `len` bytes, waiting until there is enough, as [`set_wait`](Self::set_wait) says.
    ///
    /// # Errors
    ///
    /// As [`try_claim`](Self::try_claim), but never `Full`.
    #[inline]
    pub fn claim(&mut self, len: usize, kind: i32) -> Result<Claim<'_, M>, ClaimError> {
        let length = self.check(len, kind)?;
        match self.reserve(length) {
            Err(ClaimError::Full) => self.reserve_slow(length, None)?,
            other => other?,
        }
        Ok(self.claimed(length, kind))
    }

    /// Claims room for a record of `len` bytes, waiting until there is enough, but no longer than `timeout`.
    ///
    /// # Errors
    ///
    /// As [`try_claim`](Self::try_claim), but [`Timeout`](ClaimError::Timeout) instead of `Full`.
    #[cfg(feature = "std")]
    pub fn claim_timeout(
        &mut self,
        len: usize,
        kind: i32,
        timeout: Duration,
    ) -> Result<Claim<'_, M>, ClaimError> {
        let length = self.check(len, kind)?;
        match self.reserve(length) {
            // A time too long for the clock is no limit.
            Err(ClaimError::Full) => {
                self.reserve_slow(length, Deadline::now().checked_add(timeout))?;
            }
            other => other?,
        }
        Ok(self.claimed(length, kind))
    }

    /// Copies `bytes` into a record, if there is room now.
    ///
    /// # Errors
    ///
    /// As [`try_claim`](Self::try_claim).
    #[inline]
    pub fn try_write(&mut self, kind: i32, bytes: &[u8]) -> Result<(), ClaimError> {
        self.try_claim(bytes.len(), kind)?.fill(bytes);
        Ok(())
    }

    /// Copies `bytes` into a record, waiting until there is room.
    ///
    /// # Errors
    ///
    /// As [`claim`](Self::claim).
    #[inline]
    pub fn write(&mut self, kind: i32, bytes: &[u8]) -> Result<(), ClaimError> {
        self.claim(bytes.len(), kind)?.fill(bytes);
        Ok(())
    }

    /// Copies `bytes` into a record, waiting until there is room, but no longer than `timeout`.
    ///
    /// # Errors
    ///
    /// As [`claim_timeout`](Self::claim_timeout).
    #[cfg(feature = "std")]
    pub fn write_timeout(
        &mut self,
        kind: i32,
        bytes: &[u8],
        timeout: Duration,
    ) -> Result<(), ClaimError> {
        self.claim_timeout(bytes.len(), kind, timeout)?.fill(bytes);
        Ok(())
    }

    /// Copies `bytes` into a record, waiting as a task until there is room: what [`write`](Self::write) is to a thread. Room
    /// is claimed only in the poll that ends the future, which can be dropped at any time; see [`future`](crate::future).
    ///
    /// # Errors
    ///
    /// As [`claim`](Self::claim).
    #[cfg(feature = "async")]
    pub async fn send(&mut self, kind: i32, bytes: &[u8]) -> Result<(), ClaimError> {
        let length = self.check(bytes.len(), kind)?;
        let ring = Arc::clone(&self.ring);
        let room = ring.not_full.wait(|| match self.reserve(length) {
            Err(ClaimError::Full) => None,
            other => Some(other),
        });
        room.await?;
        self.claimed(length, kind).fill(bytes);
        Ok(())
    }

    /// Closes the ring: later claims fail, and reads go on until it is drained. Closing again does nothing.
    pub fn close(&mut self) {
        self.finish_open();
        self.ring.close();
    }

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

    /// Returns whether the ring was closed, from either side.
    pub fn is_closed(&self) -> bool {
        self.ring.is_closed()
    }

    /// Returns how many bytes of the ring are in use, counting headers, padding and claims; others may change it meanwhile.
    pub fn len(&self) -> usize {
        self.ring.len()
    }

    /// Returns whether nothing is in the ring, not even a claim.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the size of the ring in bytes, headers included.
    pub fn capacity(&self) -> usize {
        self.ring.capacity()
    }

    /// Returns the most bytes that one record carries: half the capacity, less a header.
    pub fn max_record(&self) -> usize {
        self.ring.max_record()
    }

    /// Returns the length of a record of `len` bytes, header included.
    #[inline(always)]
    fn check(&self, len: usize, kind: i32) -> Result<i32, ClaimError> {
        let max = self.ring.max_record();
        if len > max {
            return Err(ClaimError::TooLong { len, max });
        }
        if kind <= 0 {
            return Err(ClaimError::Kind(kind));
        }
        // Below half the largest capacity.
        Ok((BYTES_OFFSET + len) as i32)
    }

    #[inline(always)]
    fn reserve(&mut self, length: i32) -> Result<(), ClaimError> {
        self.finish_open();
        let position = self.ring.claim::<M>(&mut self.head_seen, length)?;
        self.open = Some(Open { position, length });
        Ok(())
    }

    #[cold]
    fn reserve_slow(&mut self, length: i32, deadline: Option<Deadline>) -> Result<(), ClaimError> {
        let Self {
            ring,
            head_seen,
            wait,
            ..
        } = self;
        let claim = || match ring.claim::<M>(head_seen, length) {
            Err(ClaimError::Full) => None,
            other => Some(other),
        };
        let waited = wait.until(&ring.not_full, deadline, claim);
        let position = waited.unwrap_or(Err(ClaimError::Timeout))?;
        self.open = Some(Open { position, length });
        Ok(())
    }

    /// Finishes the record that was claimed last, as what its kind says. Called by the claim when it ends, and at all later
    /// uses of the producer, where the borrow proves that nobody has the claim any more.
    #[inline(always)]
    fn finish_open(&mut self) {
        if let Some(Open { position, length }) = self.open.take() {
            self.ring.finish(position, length);
        }
    }

    #[inline(always)]
    fn claimed(&mut self, length: i32, kind: i32) -> Claim<'_, M> {
        let position = self.open.expect("just reserved").position;
        Claim {
            producer: self,
            position,
            length,
            kind,
        }
    }
}

impl<M: Mode> Drop for Producer<M> {
    fn drop(&mut self) {
        self.finish_open();
    }
}

impl Clone for Producer<Many> {
    fn clone(&self) -> Self {
        Self {
            ring: Arc::clone(&self.ring),
            head_seen: self.head_seen,
            open: None,
            wait: self.wait,
            alive: Arc::clone(&self.alive),
            mode: PhantomData,
        }
    }
}

/// Room for one record, to be filled and committed. Dropping it aborts it: the consumer steps over the room.
///
/// Dereferences to the bytes of the record, which are 0 at first.
#[must_use = "a claim that is dropped is aborted"]
pub struct Claim<'a, M: Mode> {
    producer: &'a mut Producer<M>,
    position: usize,
    length: i32,
    kind: i32,
}

impl<M: Mode> Claim<'_, M> {
    /// Hands the record to the consumer. It will be read even if the ring was closed since it was claimed.
    #[inline]
    pub fn commit(self) {
        let memory = &self.producer.ring.memory;
        // SAFETY: the claim is not finished, so this producer has the record alone.
        unsafe { memory.set_kind(self.position, self.kind) };
        // Dropping it finishes the record, as what its kind says.
        drop(self);
    }

    /// Gives the record up. The same as dropping the claim.
    pub fn abort(self) {
        drop(self);
    }

    /// Returns the kind that the record will have.
    pub fn kind(&self) -> i32 {
        self.kind
    }

    #[inline(always)]
    fn fill(mut self, bytes: &[u8]) {
        self.copy_from_slice(bytes);
        self.commit();
    }

    #[inline(always)]
    fn len_of_bytes(&self) -> usize {
        self.length as usize - BYTES_OFFSET
    }
}

impl<M: Mode> Drop for Claim<'_, M> {
    #[inline(always)]
    fn drop(&mut self) {
        // The kind says padding unless `commit` has changed it.
        self.producer.finish_open();
    }
}

impl<M: Mode> Deref for Claim<'_, M> {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        let len = self.len_of_bytes();
        // SAFETY: the claim is not finished, so only it reaches these bytes, and writes need it borrowed mutably.
        unsafe { self.producer.ring.memory.bytes(self.position, len) }
    }
}

impl<M: Mode> DerefMut for Claim<'_, M> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [u8] {
        let len = self.len_of_bytes();
        // SAFETY: the claim is not finished, so only it reaches these bytes, and it is borrowed mutably.
        unsafe { self.producer.ring.memory.bytes_mut(self.position, len) }
    }
}

impl<M: Mode> fmt::Debug for Producer<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Producer").finish_non_exhaustive()
    }
}

impl<M: Mode> fmt::Debug for Claim<'_, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claim")
            .field("kind", &self.kind)
            .field("len", &self.len_of_bytes())
            .finish_non_exhaustive()
    }
}

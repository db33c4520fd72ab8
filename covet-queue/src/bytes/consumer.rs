//! The reading side.

use core::fmt;
use core::sync::atomic::Ordering;
#[cfg(feature = "std")]
use core::time::Duration;

use super::{BYTES_OFFSET, CLOSED, PADDING, Ring, aligned};
#[cfg(feature = "std")]
use crate::error::PopTimeoutError;
use crate::error::{PopError, TryPopError};
use crate::strategy::Wait;
use crate::sync::{Arc, Deadline, acquire, release};

/// The reading end of a ring of records. Dropping it closes the ring.
pub struct Consumer {
    ring: Arc<Ring>,
    /// Equal to `Ring::head` outside `try_read`.
    head: usize,
    wait: Wait,
}

impl Consumer {
    pub(super) fn new(ring: Arc<Ring>, start: usize) -> Self {
        Self {
            ring,
            head: start,
            wait: Wait::default(),
        }
    }

    /// Calls `each` with the kind and the bytes of the oldest records that are there now, at most `limit`, and returns how
    /// many they were.
    ///
    /// Records are read where they lie, and their room is freed for producers after some of them (a quarter of the ring) and
    /// in the end. If `each` panics, the record it was called with counts as read; none is read twice, none is lost.
    ///
    /// # Errors
    ///
    /// [`TryPopError::Empty`] if there is none now or the oldest is still being written, [`TryPopError::Closed`] if there
    /// will never be one again. Never if `limit` is 0.
    pub fn try_read(
        &mut self,
        limit: usize,
        mut each: impl FnMut(i32, &[u8]),
    ) -> Result<usize, TryPopError> {
        let mut reading = Reading {
            freed: self.head,
            head: &mut self.head,
            ring: &self.ring,
        };
        let mut count = 0;
        while count < limit {
            let Some((kind, bytes)) = reading.next() else {
                break;
            };
            count += 1;
            each(kind, bytes);
        }
        drop(reading);
        if count == 0 && limit > 0 {
            Err(self.nothing())
        } else {
            Ok(count)
        }
    }

    /// As [`try_read`](Self::try_read), but waits until there is a record.
    ///
    /// # Errors
    ///
    /// [`PopError`] if the ring is closed and drained.
    pub fn read(&mut self, limit: usize, each: impl FnMut(i32, &[u8])) -> Result<usize, PopError> {
        // Without a deadline it does not end before there is an answer.
        self.read_until(None, limit, each).unwrap_or(Err(PopError))
    }

    /// As [`read`](Self::read), but waits no longer than `timeout`.
    ///
    /// # Errors
    ///
    /// [`PopTimeoutError::Timeout`] if nothing came in time, [`PopTimeoutError::Closed`] if the ring is closed and drained.
    #[cfg(feature = "std")]
    pub fn read_timeout(
        &mut self,
        timeout: Duration,
        limit: usize,
        each: impl FnMut(i32, &[u8]),
    ) -> Result<usize, PopTimeoutError> {
        match self.read_until(Deadline::now().checked_add(timeout), limit, each) {
            Some(result) => result.map_err(|PopError| PopTimeoutError::Closed),
            None => Err(PopTimeoutError::Timeout),
        }
    }

    /// Waits until something was read or the ring is closed and drained; returns `None` if `deadline` passes first.
    fn read_until(
        &mut self,
        deadline: Option<Deadline>,
        limit: usize,
        mut each: impl FnMut(i32, &[u8]),
    ) -> Option<Result<usize, PopError>> {
        let (ring, wait) = (Arc::clone(&self.ring), self.wait);
        wait.until(&ring.not_empty, deadline, || {
            match self.try_read(limit, &mut each) {
                Ok(count) => Some(Ok(count)),
                Err(TryPopError::Closed) => Some(Err(PopError)),
                Err(TryPopError::Empty) => None,
            }
        })
    }

    /// As [`try_read`](Self::try_read), but waits as a task until there is a record: what [`read`](Self::read) is to a
    /// thread. `each` is called only in the poll that ends the future, which can be dropped at any time; see
    /// [`future`](crate::future).
    ///
    /// # Errors
    ///
    /// [`PopError`] if the ring is closed and drained.
    #[cfg(feature = "async")]
    pub async fn recv(
        &mut self,
        limit: usize,
        mut each: impl FnMut(i32, &[u8]),
    ) -> Result<usize, PopError> {
        let ring = Arc::clone(&self.ring);
        let records = ring
            .not_empty
            .wait(|| match self.try_read(limit, &mut each) {
                Ok(count) => Some(Ok(count)),
                Err(TryPopError::Closed) => Some(Err(PopError)),
                Err(TryPopError::Empty) => None,
            });
        records.await
    }

    /// Turns the oldest record into padding if it is claimed and not finished, and returns whether it was.
    ///
    /// This is for a claim whose producer is gone without having been dropped: leaked, or in a thread that hangs. A claim that
    /// is merely forgotten needs no such help, its producer aborts it at its next use.
    ///
    /// # Safety
    ///
    /// The claim of the oldest unfinished record, and the producer it was made from, are never used again, not even
    /// dropped: their room belongs to others from now on. All uses of them happened before this call, as whatever told the
    /// caller of the producer's end (a join, a lock) sees to.
    pub unsafe fn unblock(&mut self) -> bool {
        let length = self.ring.memory.length(self.head);
        // Relaxed, both: the caller promises that the claim happened before, and nobody else stores this length.
        let claimed = length.load(Ordering::Relaxed);
        if claimed < 0 {
            length.store(-claimed, Ordering::Relaxed);
        }
        claimed < 0
    }

    /// Closes the ring: later claims fail. What was claimed before can still be committed and read. Closing again does
    /// nothing.
    pub fn close(&mut self) {
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

    /// Returns whether the ring was closed, from either side. There may still be records to read.
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

    /// Tells whether a record may still come at the head.
    fn nothing(&self) -> TryPopError {
        // Acquire: pairs with "bytes: close ends"; the tail read next is then at or beyond the last record.
        let state = self.ring.state.load(acquire!("bytes: read sees close"));
        // Relaxed: ordered by the line above.
        if state == CLOSED && self.ring.tail.load(Ordering::Relaxed) == self.head {
            TryPopError::Closed
        } else {
            TryPopError::Empty
        }
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        self.close();
    }
}

/// Records on their way out. Their room is freed in the end, however that comes.
struct Reading<'a> {
    ring: &'a Ring,
    /// The next position to read.
    head: &'a mut usize,
    /// Equal to `Ring::head`.
    freed: usize,
}

impl Reading<'_> {
    /// Steps past the oldest record and returns it.
    #[inline(always)]
    fn next(&mut self) -> Option<(i32, &[u8])> {
        loop {
            let position = *self.head;
            // Also bounds how far the head runs ahead: never back to lengths that were read and not cleared yet.
            if position.wrapping_sub(self.freed) >= self.ring.capacity() / 4 {
                self.free();
            }
            let memory = &self.ring.memory;
            // Acquire: pairs with "bytes: commit publishes" and "bytes: padding publishes"; kind and bytes are read next.
            let length = memory
                .length(position)
                .load(acquire!("bytes: read sees length"));
            if length <= 0 {
                return None;
            }
            *self.head = position.wrapping_add(aligned(length));
            // SAFETY: a positive length was acquired, so the record is the consumer's until the head is freed.
            let kind = unsafe { memory.kind(position) };
            if kind != PADDING {
                // SAFETY: as above. No record crosses the end.
                let bytes = unsafe { memory.bytes(position, length as usize - BYTES_OFFSET) };
                return Some((kind, bytes));
            }
        }
    }

    /// Clears what was read and gives it back to the producers.
    #[inline]
    fn free(&mut self) {
        let read = self.head.wrapping_sub(self.freed);
        if read == 0 {
            return;
        }
        // SAFETY: everything from the freed head to the next position has been read and is still the consumer's; no
        // record handed out by `next` is borrowed any more.
        unsafe { self.ring.memory.clear(self.freed, read) };
        self.freed = *self.head;
        // Release: pairs with "bytes: claim sees head"; all was read, and cleared.
        let free = release!("bytes: read frees");
        self.ring.head.store(self.freed, free);
        // All of them: room for one may not be room for another.
        self.ring.not_full.notify_all();
    }
}

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        self.free();
    }
}

impl fmt::Debug for Consumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Consumer").finish_non_exhaustive()
    }
}

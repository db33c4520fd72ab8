//! Bytes that several owners share: a view by pointer and length, and what keeps it alive.
//!
//! The idea is that of the crate *bytes*: a view remembers where its bytes are, so reading them costs nothing, and an `Arc` of
//! their owner, so cloning and cutting a view copies none of them. Any owner will do, a `Vec` that was read into above all.

use std::any::Any;
use std::fmt;
use std::ops::{Deref, RangeBounds};
use std::ptr::NonNull;
use std::slice;
use std::sync::Arc;

/// Immutable bytes that any number of holders share, on any thread.
///
/// A clone or a [`slice`](Self::slice) costs an atomic increment and copies no bytes.
#[derive(Clone)]
pub struct Buffer {
    start: NonNull<u8>,
    length: usize,
    owner: Owner,
}

/// What keeps the bytes of a view alive; they are not read through it.
#[derive(Clone)]
#[allow(dead_code, reason = "to be dropped is what owners are for")]
enum Owner {
    /// The bytes live for ever.
    Nobody,
    /// A copy, in one allocation with its counts.
    Copy(Arc<[u8]>),
    Other(Arc<dyn Any + Send + Sync>),
}

// SAFETY: the bytes are only read, by whoever holds a view, and their owner may be dropped on any thread.
unsafe impl Send for Buffer {}
// SAFETY: as above.
unsafe impl Sync for Buffer {}

impl Buffer {
    /// Returns a view of all bytes of an owner, which is moved into one allocation and dropped with the last view.
    ///
    /// `as_ref` is called once.
    pub fn from_owner<T: AsRef<[u8]> + Send + Sync + 'static>(owner: T) -> Self {
        let owner = Arc::new(owner);
        // The owner has reached its place: from here on it neither moves nor changes.
        let bytes: &[u8] = (*owner).as_ref();
        Self {
            start: NonNull::from(bytes).cast(),
            length: bytes.len(),
            owner: Owner::Other(owner),
        }
    }

    /// Returns a view of bytes that live for ever. Copies and allocates nothing.
    #[must_use]
    pub const fn from_static(bytes: &'static [u8]) -> Self {
        Self {
            // SAFETY: a reference is not null.
            start: unsafe { NonNull::new_unchecked(bytes.as_ptr().cast_mut()) },
            length: bytes.len(),
            owner: Owner::Nobody,
        }
    }

    /// Returns a view of a part of these bytes.
    ///
    /// # Panics
    ///
    /// If the range is not within the view, as slicing does.
    #[must_use]
    pub fn slice(&self, range: impl RangeBounds<usize>) -> Self {
        let bytes = &self[(range.start_bound().cloned(), range.end_bound().cloned())];
        Self {
            start: NonNull::from(bytes).cast(),
            length: bytes.len(),
            owner: self.owner.clone(),
        }
    }
}

impl Deref for Buffer {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        // SAFETY: all constructors took pointer and length from a slice that lives, unchanged, as long as the owner, and
        // `slice` takes parts of it; the owner lives as long as this view.
        unsafe { slice::from_raw_parts(self.start.as_ptr(), self.length) }
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl Default for Buffer {
    fn default() -> Self {
        Self::from_static(&[])
    }
}

impl From<Vec<u8>> for Buffer {
    /// Copies nothing; the owner takes one small allocation.
    fn from(bytes: Vec<u8>) -> Self {
        Self::from_owner(bytes)
    }
}

impl From<&[u8]> for Buffer {
    /// Copies the bytes, into one allocation.
    fn from(bytes: &[u8]) -> Self {
        let owner = Arc::<[u8]>::from(bytes);
        Self {
            start: NonNull::from(&*owner).cast(),
            length: owner.len(),
            owner: Owner::Copy(owner),
        }
    }
}

impl PartialEq for Buffer {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Buffer {}

impl fmt::Debug for Buffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "b\"{}\"", self.escape_ascii())
    }
}

#[cfg(test)]
mod tests {
    use super::Buffer;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    struct Owner(Vec<u8>, Arc<AtomicBool>);

    impl AsRef<[u8]> for Owner {
        fn as_ref(&self) -> &[u8] {
            &self.0
        }
    }

    impl Drop for Owner {
        fn drop(&mut self) {
            self.1.store(true, Ordering::Relaxed);
        }
    }

    #[test]
    fn the_owner_lives_as_long_as_any_view() {
        let dropped = Arc::new(AtomicBool::new(false));
        let whole = Buffer::from_owner(Owner(b"abcdef".to_vec(), dropped.clone()));

        let part = whole.slice(1..).slice(..=2);
        drop(whole);
        let part = std::thread::spawn(move || part).join().unwrap();

        assert_eq!(&*part, b"bcd");
        assert!(!dropped.load(Ordering::Relaxed));
        drop(part);
        assert!(dropped.load(Ordering::Relaxed));
    }

    #[test]
    fn views_compare_by_their_bytes() {
        assert_eq!(Buffer::from(b"ab".to_vec()), Buffer::from_static(b"ab"));
        assert_eq!(Buffer::default().len(), 0);
        assert_eq!(format!("{:?}", Buffer::from(&b"a\r"[..])), r#"b"a\r""#);
    }
}

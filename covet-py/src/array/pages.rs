//! Memory for the elements of arrays, recycled.
//!
//! The kernel hands out memory page by page, at the first touch of each: for a result of ten million elements that takes as long as
//! computing it. So large pieces that arrays gave back are kept, by size class, for the next ones, up to [`MOST_KEPT`] bytes in the whole
//! process, for all interpreters. Nobody ever waits here: who finds the shelf taken goes to the allocator, so a fork in the middle
//! of an access does no harm either.
//!
//! An allocator takes longer for a few kilobytes than a kernel does for what is in them, so each thread keeps a few of such pieces.

use std::alloc::{Layout, alloc, alloc_zeroed, dealloc};
use std::cell::RefCell;
use std::ops::RangeInclusive;
use std::ptr::NonNull;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Pieces of at least this size are kept for the whole process.
const LARGE: usize = 256 << 10;

/// Pieces of this size and more, up to so much, are kept by the thread that gave them back. Allocators are quick with smaller ones.
const SMALL: RangeInclusive<usize> = 1 << 10..=64 << 10;

/// How many a thread keeps of one size.
const KEPT_SMALL: usize = 2;

/// How many bytes are kept at most: the largest pieces of a few expressions over arrays of 10^7 elements.
const MOST_KEPT: usize = 256 << 20;

/// Pieces of at least this size, two huge pages, ask for such: a pass over small ones waits for the translation of addresses.
const HUGE: usize = 4 << 20;

/// The alignment of every piece: a cache line, and the widest vector.
const ALIGNMENT: usize = 64;

/// What an allocator gives at no cost.
const PLAIN_ALIGNMENT: usize = 16;

/// Size classes: four for each doubling, from the smallest small piece on, so that at most a fifth of a piece is unused.
const CLASSES: usize = 4 * 32;

/// Those of small pieces.
const SMALL_CLASSES: usize = 4 * 7;

static SHELF: Mutex<Shelf> = Mutex::new(Shelf {
    kept: 0,
    pieces: [const { Vec::new() }; CLASSES],
});

thread_local! {
    static SMALL_SHELF: RefCell<SmallShelf> = const {
        RefCell::new(SmallShelf([const { [None; KEPT_SMALL] }; SMALL_CLASSES]))
    };
}

/// Bytes in pieces that are in use, of any size.
static IN_USE: AtomicUsize = AtomicUsize::new(0);

struct Shelf {
    kept: usize,
    /// By class.
    pieces: [Vec<NonNull<u8>>; CLASSES],
}

// SAFETY: what lies here is memory that nobody uses.
unsafe impl Send for Shelf {}

/// Small pieces of one thread, by class.
struct SmallShelf([[Option<NonNull<u8>>; KEPT_SMALL]; SMALL_CLASSES]);

impl Drop for SmallShelf {
    fn drop(&mut self) {
        for (class, pieces) in self.0.iter().enumerate() {
            for &start in pieces.iter().flatten() {
                // SAFETY: a piece of this class; nobody uses it.
                unsafe { free(start, size_of_class(class)) };
            }
        }
    }
}

/// The class of pieces that have room for `size` bytes, and their size; `None` for what is not recycled.
#[inline]
fn class(size: usize) -> Option<(usize, usize)> {
    if size < *SMALL.start() || (size > *SMALL.end() && size < LARGE) {
        return None;
    }
    // Steps of a quarter of the power of two below, counted from the smallest class.
    let power = (size - 1).ilog2();
    let step = 1usize << (power - 2);
    let steps = size.div_ceil(step);
    let class = (power - SMALLEST_POWER) as usize * 4 + steps - 5;
    (class < CLASSES).then_some((class, steps * step))
}

/// That of the largest size below the smallest small piece.
const SMALLEST_POWER: u32 = (*SMALL.start() - 1).ilog2();

fn size_of_class(class: usize) -> usize {
    let power = class / 4 + SMALLEST_POWER as usize;
    (class % 4 + 5) << (power - 2)
}

/// A piece of memory; dropped, it is recycled.
#[derive(Debug)]
pub(crate) struct Piece {
    start: NonNull<u8>,
    size: usize,
}

// SAFETY: it is memory that belongs to whoever has this, and is only reached by raw pointers.
unsafe impl Send for Piece {}
// SAFETY: as above.
unsafe impl Sync for Piece {}

impl Piece {
    /// A piece of at least so many bytes, which hold anything; `None` when there is no memory.
    #[inline]
    pub(crate) fn new(size: usize) -> Option<Self> {
        Self::with(size, false)
    }

    /// The same, with every byte zero.
    pub(crate) fn zeroed(size: usize) -> Option<Self> {
        Self::with(size, true)
    }

    #[inline]
    fn with(size: usize, zero: bool) -> Option<Self> {
        let piece = match class(size) {
            Some((class, size)) if class < SMALL_CLASSES => Self::small(class, size, zero)?,
            Some((class, size)) => Self::recycled(class, size, zero)?,
            None => Self::fresh(size.max(1), zero)?,
        };
        // Relaxed: a number by itself.
        IN_USE.fetch_add(piece.size, Ordering::Relaxed);
        Some(piece)
    }

    #[inline]
    fn fresh(size: usize, zero: bool) -> Option<Self> {
        let layout = layout(size)?;
        let zero_later = zero && size >= HUGE;
        // SAFETY: the size is not zero.
        let start = unsafe {
            match zero && !zero_later {
                true => alloc_zeroed(layout),
                false => alloc(layout),
            }
        };
        let start = NonNull::new(start)?;
        if size >= HUGE {
            ask_for_huge_pages(start, size);
        }
        if zero_later {
            // SAFETY: the piece has so many bytes, and nobody else uses it. To write here takes pages, so it comes last.
            unsafe { start.write_bytes(0, size) };
        }
        Some(Self { start, size })
    }

    #[inline]
    fn small(class: usize, size: usize, zero: bool) -> Option<Self> {
        // Nobody's, while the thread ends.
        let kept = SMALL_SHELF.try_with(|shelf| {
            let mut shelf = shelf.borrow_mut();
            shelf.0[class].iter_mut().find_map(Option::take)
        });
        match kept {
            Ok(Some(start)) => Some(Self { start, size }.cleared(zero)),
            _ => Self::fresh(size, zero),
        }
    }

    /// The same piece, with every byte zero if so.
    fn cleared(self, zero: bool) -> Self {
        if zero {
            // SAFETY: the piece has so many bytes behind its aligned start, and nobody else uses it.
            unsafe { self.start().write_bytes(0, self.size) };
        }
        self
    }

    #[cold]
    fn recycled(class: usize, size: usize, zero: bool) -> Option<Self> {
        let found = SHELF.try_lock().ok().and_then(|mut shelf| {
            let found = shelf.pieces[class].pop()?;
            shelf.kept -= size;
            Some(found)
        });
        let Some(start) = found else {
            // Where the kept pieces are of other sizes they may be what is missing.
            return Self::fresh(size, zero).or_else(|| {
                forget_kept();
                Self::fresh(size, zero)
            });
        };
        Some(Self { start, size }.cleared(zero))
    }

    #[inline]
    pub(crate) fn start(&self) -> *mut u8 {
        let start = self.start.as_ptr();
        match self.size >= LARGE {
            true => start,
            false => start.wrapping_add(start.align_offset(ALIGNMENT)),
        }
    }
}

impl Drop for Piece {
    #[inline]
    fn drop(&mut self) {
        IN_USE.fetch_sub(self.size, Ordering::Relaxed);
        let kept = match class(self.size) {
            Some((class, _)) if class < SMALL_CLASSES => keep_small(self.start, class),
            Some((class, _)) => keep(self.start, self.size, class),
            None => false,
        };
        if !kept {
            // SAFETY: given up here.
            unsafe { free(self.start, self.size) };
        }
    }
}

/// Gives a piece back to the allocator.
///
/// # Safety
/// `start` was made by [`Piece::fresh`] with this size, and nobody uses it.
unsafe fn free(start: NonNull<u8>, size: usize) {
    if let Some(layout) = layout(size) {
        // SAFETY: as promised.
        unsafe { dealloc(start.as_ptr(), layout) };
    }
}

/// What is asked of the allocator for a piece. A small one gets room to align in it: allocators take much longer to do that.
#[inline]
fn layout(size: usize) -> Option<Layout> {
    match size >= LARGE {
        true => Layout::from_size_align(size, ALIGNMENT).ok(),
        false => Layout::from_size_align(size + ALIGNMENT - PLAIN_ALIGNMENT, PLAIN_ALIGNMENT).ok(),
    }
}

/// Tells the kernel that huge pages would serve a piece that nobody has written to yet. It is free not to listen.
#[cfg(target_os = "linux")]
fn ask_for_huge_pages(start: NonNull<u8>, size: usize) {
    const PAGE: usize = 4096;
    let before = start.align_offset(PAGE);
    // SAFETY: the range lies in the piece, and the advice changes nothing that is in it.
    unsafe {
        libc::madvise(
            start.as_ptr().add(before).cast(),
            size - before,
            libc::MADV_HUGEPAGE,
        )
    };
}

#[cfg(not(target_os = "linux"))]
fn ask_for_huge_pages(_: NonNull<u8>, _: usize) {}

/// Puts a piece on the thread's shelf, if there is room.
#[inline]
fn keep_small(start: NonNull<u8>, class: usize) -> bool {
    let kept = SMALL_SHELF.try_with(|shelf| {
        let mut shelf = shelf.borrow_mut();
        let place = shelf.0[class].iter_mut().find(|place| place.is_none());
        place.map(|place| *place = Some(start)).is_some()
    });
    kept.unwrap_or(false)
}

/// Puts a piece on the shelf of the process, if there is room.
#[cold]
fn keep(start: NonNull<u8>, size: usize, class: usize) -> bool {
    let Ok(mut shelf) = SHELF.try_lock() else {
        return false;
    };
    if shelf.kept + size > MOST_KEPT || shelf.pieces[class].try_reserve(1).is_err() {
        return false;
    }
    shelf.kept += size;
    shelf.pieces[class].push(start);
    true
}

/// Gives what is kept back to the allocator; returns how many bytes that were.
pub(crate) fn forget_kept() -> usize {
    let Ok(mut shelf) = SHELF.try_lock() else {
        return 0;
    };
    let kept = std::mem::take(&mut shelf.kept);
    for class in 0..CLASSES {
        let size = size_of_class(class);
        for start in shelf.pieces[class].drain(..) {
            // SAFETY: a piece of this class; nobody uses it.
            unsafe { free(start, size) };
        }
    }
    kept
}

/// Bytes in use by arrays, and bytes kept for new ones.
pub(crate) fn usage() -> (usize, usize) {
    let kept = SHELF.try_lock().map_or(0, |shelf| shelf.kept);
    (IN_USE.load(Ordering::Relaxed), kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_waste_little_and_agree_with_their_sizes() {
        assert_eq!(class(LARGE - 1), None);
        assert_eq!(class(*SMALL.start() - 1), None);
        assert!(class(*SMALL.end()).is_some_and(|(class, _)| class < SMALL_CLASSES));
        assert!(class(LARGE).is_some_and(|(class, _)| class >= SMALL_CLASSES));
        let (mut size, mut sizes) = (*SMALL.start(), 0);
        while size < 1 << 40 {
            size += size / 7;
            let Some((class, rounded)) = class(size) else {
                assert!(size > *SMALL.end() && size < LARGE, "{size}");
                continue;
            };
            sizes += 1;
            assert!(
                size <= rounded && rounded <= size + size / 4 + 1,
                "{size} in {rounded}"
            );
            assert_eq!(size_of_class(class), rounded);
        }
        assert!(sizes > 100);
    }

    #[test]
    fn large_pieces_come_again_and_zeroed_if_asked() {
        let size = 3 << 20;
        let piece = Piece::new(size).unwrap();
        let start = piece.start();
        // SAFETY: the piece has so many bytes.
        unsafe { start.write_bytes(7, size) };
        drop(piece);
        let again = Piece::zeroed(size).unwrap();
        // SAFETY: as above.
        assert!((0..size).all(|i| unsafe { *again.start().add(i) } == 0));
        assert!((again.start() as usize).is_multiple_of(ALIGNMENT));
    }

    #[test]
    fn no_more_is_kept_than_the_limit() {
        let pieces: Vec<_> = (0..5).map(|_| Piece::new(100 << 20).unwrap()).collect();
        drop(pieces);
        assert!(usage().1 <= MOST_KEPT);
        assert!(forget_kept() > 0);
    }
}

//! What the machine itself allows: two cache lines that two threads take turns on, and a stream over a ring with no queue
//! around it.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use crate::driver::{Pop, Push, Queue};

#[derive(Default)]
#[repr(align(128))]
struct Line(AtomicUsize);

/// A ring without any of a queue's abilities: values are plain words, positions are stored as they are, and each side
/// remembers what it saw of the other.
pub(crate) struct Bare;

struct Shared {
    tail: Line,
    head: Line,
    words: Box<[AtomicU64]>,
}

pub(crate) struct Side {
    shared: Arc<Shared>,
    own: usize,
    seen: usize,
}

impl Queue<u64> for Bare {
    type Push = Side;
    type Pop = Side;

    fn ends(capacity: usize) -> (Side, Side) {
        let shared = Arc::new(Shared {
            tail: Line::default(),
            head: Line::default(),
            words: (0..capacity.next_power_of_two())
                .map(|_| AtomicU64::new(0))
                .collect(),
        });
        let side = || Side {
            shared: Arc::clone(&shared),
            own: 0,
            seen: 0,
        };
        (side(), side())
    }
}

impl Push<u64> for Side {
    fn try_push(&mut self, value: u64) -> bool {
        self.try_push_batch(value..value + 1) == 1
    }

    #[inline(always)]
    fn try_push_batch(&mut self, numbers: Range<u64>) -> u64 {
        let words = &self.shared.words;
        let wanted = (numbers.end - numbers.start) as usize;
        if words.len() - (self.own - self.seen) < wanted {
            self.seen = self.shared.head.0.load(Ordering::Acquire);
        }
        let at = self.own & (words.len() - 1);
        let room = words.len() - (self.own - self.seen);
        let count = wanted.min(room).min(words.len() - at);
        if count > 0 {
            for (word, number) in words[at..at + count].iter().zip(numbers) {
                word.store(number, Ordering::Relaxed);
            }
            self.own += count;
            self.shared.tail.0.store(self.own, Ordering::Release);
        }
        count as u64
    }
}

impl Pop<u64> for Side {
    fn try_pop(&mut self) -> Option<u64> {
        let mut value = None;
        self.try_pop_batch(1, &mut |found| value = Some(found));
        value
    }

    #[inline(always)]
    fn try_pop_batch(&mut self, most: u64, each: &mut impl FnMut(u64)) -> u64 {
        if self.own == self.seen {
            self.seen = self.shared.tail.0.load(Ordering::Acquire);
        }
        let words = &self.shared.words;
        let at = self.own & (words.len() - 1);
        let there = self.seen - self.own;
        let count = there.min(most as usize).min(words.len() - at);
        if count > 0 {
            for word in &words[at..at + count] {
                each(word.load(Ordering::Relaxed));
            }
            self.own += count;
            self.shared.head.0.store(self.own, Ordering::Release);
        }
        count as u64
    }
}

/// Two lines, each written by one side: as little as a message can be. What is sent are the numbers from 0 on, and a line holds
/// how many there were.
pub(crate) struct TwoLines;

pub(crate) struct Turn {
    line: Arc<Line>,
    count: usize,
}

impl Queue<u64> for TwoLines {
    type Push = Turn;
    type Pop = Turn;

    fn ends(_capacity: usize) -> (Turn, Turn) {
        let line = Arc::new(Line::default());
        let turn = || Turn {
            line: Arc::clone(&line),
            count: 0,
        };
        (turn(), turn())
    }
}

impl Push<u64> for Turn {
    #[inline(always)]
    fn try_push(&mut self, value: u64) -> bool {
        self.count = value as usize + 1;
        self.line.0.store(self.count, Ordering::Release);
        true
    }
}

impl Pop<u64> for Turn {
    #[inline(always)]
    fn try_pop(&mut self) -> Option<u64> {
        let count = self.line.0.load(Ordering::Acquire);
        if count == self.count {
            return None;
        }
        self.count = count;
        Some(count as u64 - 1)
    }
}

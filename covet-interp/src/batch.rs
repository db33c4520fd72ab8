//! One function over many sets of arguments, cut into chunks by time.
//!
//! All arguments that are known lie encoded in blocks. A worker takes as many as it will finish in about half a
//! millisecond ([`TARGET`]), going by what the function has cost so far, runs them attached all the while, hands
//! their results over as one chunk, and comes back for more after the jobs that wait: guided self-scheduling
//! (Polychronopoulos and Kuck, 1987) with the chunk bounded by time instead of by a count. So nothing is decided
//! before something was measured, tiny tasks share one hand-over, and long ones go one by one. Items that take longer than
//! those before them did are noticed on the way: what is left of the chunk is given back.

use crate::borrow::Entered;
use crate::deadline::wait_while;
use crate::error::{Error, PythonError};
use crate::fork::{self, Process};
use crate::function::Function;
use crate::job::{self, Job, Turn};
use crate::message::{Message, MessageRef};
use crate::support;
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The time that a chunk should take.
const TARGET: Duration = Duration::from_micros(500);

/// Messages in one: each ends where the next begins.
#[derive(Debug, Default)]
pub struct Block {
    messages: Message,
    ends: Vec<usize>,
}

impl Block {
    /// Where to append one message; [`Block::end_message`] ends it.
    pub fn buffer(&mut self) -> &mut Message {
        &mut self.messages
    }

    /// Ends the message that was appended.
    pub fn end_message(&mut self) {
        self.ends.push(self.messages.bytes.len());
    }

    /// How many messages there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// How many bytes they have, those included that they only refer to.
    pub fn bytes(&self) -> usize {
        self.messages.size()
    }

    fn message(&self, i: usize) -> MessageRef<'_> {
        let start = if i == 0 { 0 } else { self.ends[i - 1] };
        self.messages.part(start, self.ends[i])
    }
}

/// The results of consecutive items.
#[derive(Debug, Default)]
pub struct Chunk {
    results: Block,
}

/// The first byte of a result: a message follows, or an error.
const OK: u8 = 0;
const RAISED: u8 = 1;

impl Chunk {
    /// How many results there are.
    pub fn len(&self) -> usize {
        self.results.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.results.is_empty()
    }

    /// The message of result `i`, or the exception that the item raised.
    ///
    /// # Errors
    /// The exception that item `i` raised.
    ///
    /// # Panics
    /// When `i` is not below [`Chunk::len`].
    pub fn result(&self, i: usize) -> Result<MessageRef<'_>, PythonError> {
        match self.results.message(i).split_first() {
            Some((OK, message)) => Ok(message),
            Some((_, error)) => Err(PythonError::read(error.bytes())),
            None => Ok(MessageRef::default()),
        }
    }
}

/// One function over many items; results come back in order.
pub struct Batch {
    number: u64,
    function: Arc<Function>,
    /// Workers that share it.
    workers: usize,
    /// Items in a chunk, if the caller has a wish.
    chunk_size: Option<usize>,
    input: Mutex<Input>,
    output: Mutex<Output>,
    ready: Condvar,
    cancelled: AtomicBool,
    process: Process,
}

#[derive(Default)]
struct Input {
    blocks: VecDeque<Arc<Block>>,
    /// What was taken and given back, by the number of its first item: before what is in `blocks`.
    given_back: BTreeMap<usize, Taken>,
    /// Items of the front block that are taken.
    taken: usize,
    /// The number of the next item.
    next: usize,
    /// Items not taken yet.
    left: usize,
    /// Jobs that are in the ring, or run by a worker: each comes back as long as there are items. A guest is none, it may leave.
    runners: usize,
}

#[derive(Default)]
struct Output {
    chunks: BTreeMap<usize, Chunk>,
    waiting: bool,
    failure: Option<Error>,
}

impl Batch {
    /// An empty batch for a pool with `workers` workers.
    pub(crate) fn new(
        function: Arc<Function>,
        workers: usize,
        chunk_size: Option<usize>,
    ) -> Arc<Self> {
        Arc::new(Self {
            number: job::next_number(),
            function,
            workers,
            chunk_size,
            input: Mutex::default(),
            output: Mutex::default(),
            ready: Condvar::new(),
            cancelled: AtomicBool::new(false),
            process: Process::this(),
        })
    }

    /// The number by which what runs of it can be interrupted.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The function that it calls.
    pub fn function(&self) -> &Arc<Function> {
        &self.function
    }

    fn input(&self) -> MutexGuard<'_, Input> {
        self.input.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn output(&self) -> MutexGuard<'_, Output> {
        self.output.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds items.
    pub(crate) fn append(&self, block: Block) {
        let mut input = self.input();
        input.left += block.len();
        if !block.is_empty() {
            input.blocks.push_back(Arc::new(block));
        }
    }

    /// Counts one more runner, if there is work for one. `Some(true)` says that it is the only one.
    pub(crate) fn wants_runner(&self) -> Option<bool> {
        let mut input = self.input();
        (input.runners < self.workers.min(input.left)).then(|| {
            input.runners += 1;
            input.runners == 1
        })
    }

    /// A runner that was counted does not run.
    pub(crate) fn lose_runner(&self) {
        self.input().runners -= 1;
    }

    /// Takes items that should take [`TARGET`] together, and leaves each worker its share. If there are none, and it is `by` a
    /// worker, there is a runner less.
    fn take(&self, by: Who) -> Option<Taken> {
        let mut input = self.input();
        if self.cancelled.load(Ordering::Relaxed) {
            input.blocks.clear();
            input.given_back.clear();
            input.left = 0;
        }
        if let Some((_, mut taken)) = input.given_back.pop_first() {
            if let Some(rest) = taken.split_off(self.share(input.left)) {
                input.given_back.insert(rest.first, rest);
            }
            input.left -= taken.count;
            return Some(taken);
        }
        let Some(block) = input.blocks.front().cloned() else {
            if by == Who::Worker {
                input.runners -= 1;
            }
            return None;
        };
        let start = input.taken;
        let count = self.share(input.left).min(block.len() - start);
        let first = input.next;
        input.next += count;
        input.left -= count;
        input.taken += count;
        if input.taken == block.len() {
            input.blocks.pop_front();
            input.taken = 0;
        }
        Some(Taken {
            block,
            start,
            count,
            first,
        })
    }

    /// How many items to take while so many are left, at least one.
    fn share(&self, left: usize) -> usize {
        let share = self.chunk_size.unwrap_or_else(|| {
            let affordable = match self.function.cost() {
                None => 1,
                Some(cost) => (TARGET.as_nanos() / cost.as_nanos().max(1)).min(1 << 16) as usize,
            };
            affordable.min(left.div_ceil(2 * self.workers))
        });
        share.max(1)
    }

    /// Leaves items that were taken to others, and to more of them if there are. Returns them if there is nobody: a guest has them,
    /// no worker is at it, and the ring is full or closed.
    fn give_back(self: &Arc<Self>, items: Taken, here: &Entered<'_>) -> Option<Taken> {
        let first = items.first;
        let mut input = self.input();
        input.left += items.count;
        input.given_back.insert(first, items);
        drop(input);
        if self.wants_runner().is_none() || here.shared().put_back(Arc::clone(self) as _).is_none()
        {
            return None;
        }
        let mut input = self.input();
        input.runners -= 1;
        if input.runners > 0 {
            return None;
        }
        // Another guest may have them by now.
        let items = input.given_back.remove(&first)?;
        input.left -= items.count;
        Some(items)
    }

    /// Takes the chunk that begins with item `first`; waits for it until the deadline. `None` when that has passed.
    ///
    /// Waits detached or not at all: a thread that waits attached keeps its GIL.
    ///
    /// # Errors
    /// Why the batch will not be finished: cancelled, or the pool broke or was shut down.
    pub fn chunk(&self, first: usize, deadline: Option<Instant>) -> Result<Option<Chunk>, Error> {
        if !self.process.is_this() {
            return Err(fork::refusal());
        }
        let mut output = wait_while(&self.ready, self.output(), deadline, |output| {
            let waits = !output.chunks.contains_key(&first) && output.failure.is_none();
            output.waiting |= waits;
            waits
        });
        match (output.chunks.remove(&first), &output.failure) {
            (None, Some(failure)) => Err(failure.clone()),
            (chunk, _) => Ok(chunk),
        }
    }

    /// Begins no more items.
    pub fn cancel(&self) {
        self.fail(Error::Cancelled);
    }

    /// Runs one chunk on a thread that is no worker's. `Again` if there was one.
    pub(crate) fn run_as_guest(self: &Arc<Self>, here: &mut Entered<'_>) -> Turn {
        self.run_chunk(Who::Guest, here)
    }

    /// Runs one chunk, if there is one.
    fn run_chunk(self: &Arc<Self>, by: Who, here: &mut Entered<'_>) -> Turn {
        let Some(mut taken) = self.take(by) else {
            return Turn::Done;
        };
        // The clock is read sixteen times in a chunk.
        let stride = taken.count.div_ceil(16);
        let mut results = Block::default();
        here.begin(Arc::clone(self) as Arc<dyn Job>);
        let began = here.open(&self.function);
        let mut failed = 0;
        for done in 0..taken.count {
            if self.cancelled.load(Ordering::Relaxed) {
                break;
            }
            if self.chunk_size.is_none()
                && done > 0
                && done.is_multiple_of(stride)
                && began.elapsed() > 2 * TARGET
                && let Some(rest) = taken.split_off(done)
            {
                match self.give_back(rest, here) {
                    None => break,
                    Some(rest) => taken.count += rest.count,
                }
            }
            let message = taken.block.message(taken.start + done);
            here.advance();
            let out = results.buffer();
            let start = out.mark();
            if let Some(error) = support::read_failure(message) {
                out.bytes.push(RAISED);
                out.bytes.extend_from_slice(error);
                failed += 1;
            } else {
                out.bytes.push(OK);
                if let Err(error) = here.call(&self.function, message, out) {
                    out.truncate(start);
                    out.bytes.push(RAISED);
                    error.write(&mut out.bytes);
                    failed += 1;
                }
            }
            results.end_message();
        }
        here.finish();
        let ran = began.elapsed();
        here.count(results.len() as u64 - failed, failed, ran, Duration::ZERO);
        if results.len() == taken.count {
            self.function.took(ran / taken.count as u32);
            self.publish(taken.first, Chunk { results });
        }
        Turn::Again
    }

    pub(crate) fn fail(&self, why: Error) {
        if !self.process.is_this() {
            return;
        }
        // Relaxed: read again under the input's lock, or only to stop early.
        self.cancelled.store(true, Ordering::Relaxed);
        let mut output = self.output();
        output.failure.get_or_insert(why);
        drop(output);
        self.ready.notify_all();
    }

    fn publish(&self, first: usize, chunk: Chunk) {
        let mut output = self.output();
        output.chunks.insert(first, chunk);
        let waiting = std::mem::take(&mut output.waiting);
        drop(output);
        if waiting {
            self.ready.notify_all();
        }
    }
}

/// Who runs a chunk.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Who {
    Worker,
    Guest,
}

/// Consecutive items of a block.
struct Taken {
    block: Arc<Block>,
    /// The place of the first one in the block.
    start: usize,
    count: usize,
    /// Its number in the batch.
    first: usize,
}

impl Taken {
    /// Keeps `count` items, and returns the others, if there are some.
    fn split_off(&mut self, count: usize) -> Option<Self> {
        let rest = self.count.checked_sub(count).filter(|&rest| rest > 0)?;
        self.count = count;
        Some(Self {
            block: Arc::clone(&self.block),
            start: self.start + count,
            count: rest,
            first: self.first + count,
        })
    }
}

impl Job for Batch {
    fn number(&self) -> u64 {
        self.number
    }

    fn is_wanted(&self) -> bool {
        true
    }

    fn run(self: Arc<Self>, here: &mut Entered<'_>) -> Turn {
        self.run_chunk(Who::Worker, here)
    }

    fn abandon(&self, why: &Error) {
        self.lose_runner();
        self.fail(why.clone());
    }

    fn lose(&self, ran: Duration) {
        self.fail(Error::Lost {
            what: self.function.to_string(),
            ran,
        });
    }
}

impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch")
            .field("number", &self.number)
            .field("left", &self.input().left)
            .finish_non_exhaustive()
    }
}

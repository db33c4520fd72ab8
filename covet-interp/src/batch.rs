//! One function over many sets of arguments, cut into chunks by time.
//!
//! All arguments that are known lie encoded in blocks. A worker takes as many as it will finish in about half a
//! millisecond ([`TARGET`]), going by what the function has cost so far, runs them attached all the while, hands
//! their results over as one chunk, and comes back for more after the jobs that wait: guided self-scheduling
//! (Polychronopoulos and Kuck, 1987) with the chunk bounded by time instead of by a count. So nothing is decided
//! before something was measured, tiny tasks share one hand-over, and long ones go one by one.

use crate::borrow::Entered;
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
    /// Items of the front block that are taken.
    taken: usize,
    /// The number of the next item.
    next: usize,
    /// Items not taken yet.
    left: usize,
    /// Jobs that are in the ring or run.
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

    /// Takes items that should take [`TARGET`] together, and leaves each worker its share.
    fn take(&self) -> Option<Taken> {
        let mut input = self.input();
        if self.cancelled.load(Ordering::Relaxed) {
            input.blocks.clear();
            input.left = 0;
        }
        let Some(block) = input.blocks.front().cloned() else {
            input.runners -= 1;
            return None;
        };
        let wish = self.chunk_size.unwrap_or_else(|| {
            let affordable = match self.function.cost() {
                None => 1,
                Some(cost) => {
                    (TARGET.as_nanos() / cost.as_nanos().max(1)).clamp(1, 1 << 16) as usize
                }
            };
            affordable.min(input.left.div_ceil(2 * self.workers))
        });
        let start = input.taken;
        let count = wish.clamp(1, block.len() - start);
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
        let mut output = self.output();
        loop {
            if let Some(chunk) = output.chunks.remove(&first) {
                return Ok(Some(chunk));
            }
            if let Some(failure) = &output.failure {
                return Err(failure.clone());
            }
            output.waiting = true;
            output = match deadline {
                None => self
                    .ready
                    .wait(output)
                    .unwrap_or_else(PoisonError::into_inner),
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return Ok(None);
                    }
                    self.ready
                        .wait_timeout(output, left)
                        .unwrap_or_else(PoisonError::into_inner)
                        .0
                }
            };
        }
    }

    /// Begins no more items.
    pub fn cancel(&self) {
        self.fail(Error::Cancelled);
    }

    /// Runs one chunk on a thread that is no worker's. `Again` if there was one.
    pub(crate) fn run_as_guest(self: &Arc<Self>, here: &mut Entered<'_>) -> Turn {
        self.input().runners += 1;
        let turn = Arc::clone(self).run(here);
        if turn == Turn::Again {
            self.lose_runner();
        }
        turn
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

struct Taken {
    block: Arc<Block>,
    start: usize,
    count: usize,
    first: usize,
}

impl Job for Batch {
    fn number(&self) -> u64 {
        self.number
    }

    fn is_wanted(&self) -> bool {
        true
    }

    fn run(self: Arc<Self>, here: &mut Entered<'_>) -> Turn {
        let Some(Taken {
            block,
            start,
            count,
            first,
        }) = self.take()
        else {
            return Turn::Done;
        };
        let mut results = Block::default();
        here.begin(Arc::clone(&self) as Arc<dyn Job>);
        let began = here.open(&self.function);
        let mut failed = 0;
        for i in start..start + count {
            if self.cancelled.load(Ordering::Relaxed) {
                break;
            }
            here.advance();
            let out = results.buffer();
            let start = out.mark();
            if let Some(error) = support::read_failure(block.message(i)) {
                out.bytes.push(RAISED);
                out.bytes.extend_from_slice(error);
                failed += 1;
            } else {
                out.bytes.push(OK);
                if let Err(error) = here.call(&self.function, block.message(i), out) {
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
        if results.len() == count {
            self.function.took(ran / count as u32);
            self.publish(first, Chunk { results });
        }
        Turn::Again
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

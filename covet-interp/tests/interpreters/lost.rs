//! Tasks that do not stop: their handles, their workers, the pool.

use crate::common::{on_big_stack, pool, runtime};
use covet_interp::{
    Block, Builder, Error, Function, Pool, Stats, Strategy, Task, TaskHandle, TaskState, Value,
};
use std::sync::Mutex;
use std::time::Duration;

/// Short, so that a test need not wait for long; nothing here has to be done within it.
const GRACE: Duration = Duration::from_millis(50);

fn impatient() -> Builder {
    Pool::builder().workers(2).grace(GRACE)
}

/// A pipe whose reading end a task reads: blocked in C, without the GIL, until [`Stuck::end`].
struct Stuck {
    reader: i32,
    writer: i32,
}

impl Stuck {
    fn new() -> Self {
        let mut ends = [0; 2];
        // SAFETY: `pipe` fills two descriptors in.
        assert_eq!(unsafe { libc::pipe(ends.as_mut_ptr()) }, 0);
        Self {
            reader: ends[0],
            writer: ends[1],
        }
    }

    fn task(&self) -> Task {
        Task::import("os:read", &self.arguments())
    }

    fn arguments(&self) -> [Value; 2] {
        [self.reader.into(), 1.into()]
    }

    /// Has a worker of the pool read, and waits until it does.
    fn block(&self, pool: &Pool) -> TaskHandle {
        let task = pool.submit_task(self.task()).unwrap();
        begun(&task);
        task
    }

    /// Lets it go on.
    fn end(&self) {
        // SAFETY: the descriptor is ours, and one byte is read.
        let written = unsafe { libc::write(self.writer, b"x".as_ptr().cast(), 1) };
        assert_eq!(written, 1);
    }
}

impl Drop for Stuck {
    fn drop(&mut self) {
        // SAFETY: the descriptor is ours. A task that still reads finds the end of the file.
        unsafe { libc::close(self.writer) };
    }
}

fn begun(task: &TaskHandle) {
    while task.state() == TaskState::Queued {
        std::thread::yield_now();
    }
}

fn assert_lost(outcome: Result<Value, Error>) {
    match outcome {
        Err(Error::Lost { what, ran }) => {
            assert_eq!(what, "os.read");
            assert!(ran >= GRACE, "{ran:?}");
        }
        other => panic!("expected a lost task, found {other:?}"),
    }
}

/// Waits until no worker of the process is lost any more. One test at a time looks.
fn all_back() {
    while covet_interp::lost_workers() > 0 {
        std::thread::yield_now();
    }
}

static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

#[test]
fn a_task_that_is_blocked_in_c_is_lost_and_its_worker_replaced() {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(|e| e.into_inner());
    let pool = impatient().workers(1).build(&runtime()).unwrap();
    let stuck = Stuck::new();
    let task = stuck.block(&pool);
    let waiting = pool.submit_task(Task::source("result = 1", &[])).unwrap();
    task.interrupt();
    assert_lost(task.result());
    assert_eq!(covet_interp::lost_workers(), 1);
    assert_eq!(
        waiting.result(),
        Ok(1.into()),
        "the new worker runs what is queued"
    );
    let Stats {
        lost,
        lives,
        workers,
        ..
    } = pool.stats();
    assert_eq!((lost, lives, workers.len()), (1, 2, 1));
    pool.close();
    assert!(pool.wait_ended(None), "nobody waits for the lost one");
    stuck.end();
    all_back();
    assert_lost(task.result());
}

#[test]
fn a_runaway_loop_is_stopped_and_its_worker_used_again() {
    let pool = pool();
    for _ in 0..5 {
        let task = pool
            .submit_task(Task::source("while True: pass", &[]))
            .unwrap();
        begun(&task);
        task.interrupt();
        assert_eq!(
            crate::common::raised(task.result()).kind,
            "KeyboardInterrupt"
        );
    }
    let stats = pool.stats();
    assert_eq!((stats.lost, stats.failed), (0, 5));
    assert!(stats.lives <= 2);
}

#[test]
fn a_task_with_a_time_limit_is_interrupted_when_it_has_run_for_so_long() {
    let pool = Pool::builder().workers(1).build(&runtime()).unwrap();
    let endless = Task::source("while True: pass", &[]).limit(Duration::from_millis(300));
    let quick = Task::source("result = 1", &[]).limit(Duration::from_millis(200));
    let patient = Task::source("result = 2", &[]).limit(Duration::MAX);
    for _ in 0..2 {
        // Waiting does not count: the second waits longer than it may run.
        let tasks =
            [&endless, &quick, &patient].map(|task| pool.submit_task(task.clone()).unwrap());
        let error = crate::common::raised(tasks[0].result());
        assert_eq!(error.kind, "TimeoutError");
        assert!(error.message.contains("300ms"), "{}", error.message);
        assert!(error.traceback.contains("<covet>"), "{}", error.traceback);
        assert_eq!(tasks[1].result(), Ok(1.into()));
        assert_eq!(tasks[2].result(), Ok(2.into()));
    }
    assert_eq!((pool.stats().lost, pool.stats().lives), (0, 1));
}

#[test]
fn limits_end_in_their_own_order() {
    let pool = pool();
    let endless = |millis| {
        let task = Task::source("while True: pass", &[]);
        pool.submit_task(task.limit(Duration::from_millis(millis)))
            .unwrap()
    };
    let (long, short) = (endless(3_600_000), endless(10));
    assert_eq!(crate::common::raised(short.result()).kind, "TimeoutError");
    assert_eq!(long.state(), TaskState::Running);
    long.interrupt();
    assert_eq!(
        crate::common::raised(long.result()).kind,
        "KeyboardInterrupt"
    );
}

#[test]
fn a_task_that_does_not_stop_at_its_limit_is_given_up() {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(|e| e.into_inner());
    let pool = impatient().workers(1).build(&runtime()).unwrap();
    let stuck = Stuck::new();
    let task = stuck.task().limit(Duration::from_millis(10));
    let error = crate::common::raised(pool.submit_task(task).unwrap().result());
    assert_eq!(error.kind, "TimeoutError");
    assert!(
        error.message.contains("blocked in C code"),
        "{}",
        error.message
    );
    assert_eq!(pool.stats().lost, 1);
    stuck.end();
    all_back();
}

#[test]
fn a_worker_stuck_in_the_interpreter_of_another_is_replaced_as_well() {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(|e| e.into_inner());
    let pool = impatient().build(&runtime()).unwrap();
    if pool.decision().strategy != Strategy::Subinterpreters {
        // All workers share one interpreter, which a calling thread would keep from them by waiting in it.
        return;
    }
    let stuck = [Stuck::new(), Stuck::new()];
    on_big_stack(|| {
        pool.wait_ready(None).unwrap();
        let first = pool.enter().unwrap();
        let second = pool.try_enter().unwrap();
        let tasks = stuck
            .each_ref()
            .map(|stuck| pool.submit_task(stuck.task()).unwrap());
        // Each worker has a task and waits for an interpreter: whichever comes, its own or the other.
        while pool.stats().queued > 0 {
            std::thread::yield_now();
        }
        drop(second);
        while tasks.iter().all(|task| task.state() == TaskState::Queued) {
            std::thread::yield_now();
        }
        drop(first);
        tasks.iter().for_each(begun);
        tasks.iter().for_each(TaskHandle::interrupt);
        for task in &tasks {
            assert_lost(task.result());
        }
        for _ in 0..10 {
            let task = pool.submit_task(Task::source("result = 1", &[])).unwrap();
            assert_eq!(task.result(), Ok(1.into()));
        }
    });
    pool.close();
    assert!(pool.wait_ended(None));
    stuck.iter().for_each(Stuck::end);
    all_back();
}

#[test]
fn a_calling_thread_that_is_stuck_keeps_its_interpreter_and_nothing_else() {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(|e| e.into_inner());
    let pool = impatient().workers(1).build(&runtime()).unwrap();
    let stuck = Stuck::new();
    pool.wait_ready(None).unwrap();
    // Never queued: only the thread that helps can run it.
    let task = pool.prepare(stuck.task()).unwrap();
    std::thread::scope(|scope| {
        let helper = std::thread::Builder::new().stack_size(16 << 20);
        let helped = helper
            .spawn_scoped(scope, || pool.help_task(&task))
            .unwrap();
        begun(&task);
        task.interrupt();
        assert_lost(task.result());
        let next = pool.submit_task(Task::source("result = 1", &[])).unwrap();
        assert_eq!(next.result(), Ok(1.into()));
        stuck.end();
        assert!(helped.join().unwrap());
    });
    all_back();
    pool.close();
    assert!(pool.wait_ended(None));
}

#[test]
fn a_batch_that_is_stuck_fails_as_lost() {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(|e| e.into_inner());
    let pool = impatient().workers(1).build(&runtime()).unwrap();
    let stuck = Stuck::new();
    let batch = pool.batch(Function::reference("os", "read"), None);
    let mut block = Block::default();
    for _ in 0..3 {
        Value::write_call(&stuck.arguments(), block.buffer()).unwrap();
        block.end_message();
    }
    pool.append(&batch, block).unwrap();
    pool.start(&batch, None).unwrap();
    while pool.stats().running == 0 {
        std::thread::yield_now();
    }
    // Again and again: the first look may be before it begins.
    let error = loop {
        pool.interrupt(Some(batch.number()));
        match batch.chunk(0, Some(std::time::Instant::now() + GRACE)) {
            Ok(None) => {}
            other => break other.map(|_| ()).unwrap_err(),
        }
    };
    assert_lost(Err(error));
    stuck.end();
    all_back();
}

#[test]
fn a_shutdown_with_a_limit_ends_whatever_runs() {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(|e| e.into_inner());
    // Long enough for the loop to stop on a busy machine.
    let grace = Duration::from_secs(2);
    let pool = impatient().grace(grace).build(&runtime()).unwrap();
    let stuck = Stuck::new();
    let blocked = stuck.block(&pool);
    let endless = pool
        .submit_task(Task::source("while True: pass", &[]))
        .unwrap();
    begun(&endless);
    let queued = pool.submit_task(Task::source("result = 1", &[])).unwrap();
    assert!(!pool.shutdown(Duration::ZERO));
    assert_lost(blocked.result());
    assert_eq!(
        crate::common::raised(endless.result()).kind,
        "KeyboardInterrupt"
    );
    assert_eq!(queued.result(), Err(Error::Cancelled));
    assert_eq!(pool.stats().cancelled, 1);
    stuck.end();
    all_back();
    let idle = impatient().build(&runtime()).unwrap();
    assert!(idle.shutdown(Duration::MAX));
}

#[test]
fn an_initializer_that_hangs_is_told_by_whoever_waits_and_can_be_stopped() {
    let pool = Pool::builder()
        .workers(2)
        .initializer(Task::source("while True: pass", &[]))
        .build(&runtime())
        .unwrap();
    let early = pool.wait_ready(Some(std::time::Instant::now() + GRACE));
    assert!(matches!(early, Err(Error::TimedOut(_))), "{early:?}");
    let task = pool.submit_task(Task::source("result = 1", &[])).unwrap();
    // Again and again: the first look may be before it begins.
    while !pool.is_closed() {
        pool.interrupt(None);
        std::thread::sleep(Duration::from_millis(5));
    }
    match task.result() {
        Err(Error::Broken(why)) => {
            assert!(why.contains("the initializer, source text that begins with \"while True: pass\", raised KeyboardInterrupt"), "{why}");
        }
        other => panic!("expected a broken pool, found {other:?}"),
    }
    // The other worker may have begun after the pool broke.
    pool.shutdown(Duration::ZERO);
}

#[test]
fn an_initializer_that_is_blocked_in_c_breaks_the_pool() {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(|e| e.into_inner());
    let stuck = Stuck::new();
    let pool = impatient()
        .workers(1)
        .initializer(stuck.task())
        .build(&runtime())
        .unwrap();
    while pool.stats().running == 0 {
        std::thread::yield_now();
    }
    assert!(!pool.shutdown(Duration::ZERO));
    assert!(matches!(pool.refusal(), Error::Broken(why) if why.contains("blocked in C code")));
    stuck.end();
    all_back();
}

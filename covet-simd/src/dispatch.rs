//! Which instruction set runs: found once, kept in one byte, and read once by each call.
//!
//! A kernel is a value that knows its operands and is generic over the set. Running it is one load, one jump and one call of
//! a function compiled for that set, with the whole loop in it. The environment variable `COVET_SIMD` chooses a lesser set than
//! the best: `scalar`, `avx2` or `avx512`.

use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use crate::arch;
use crate::error::Error;
use crate::vector::Set;

/// A family of instruction sets, the better the greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
#[repr(u8)]
pub enum Level {
    /// Plain Rust, on every processor. Correct and slow where the processor has no FMA: each is then a function call.
    Scalar = 1,
    /// AVX2 and FMA.
    Avx2 = 2,
    /// AVX-512 F, BW, DQ and VL.
    Avx512 = 3,
}

impl Level {
    /// All of them, the least first.
    pub const ALL: &'static [Self] = &[Self::Scalar, Self::Avx2, Self::Avx512];

    /// Returns the best that this processor has.
    pub fn best() -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            if arch::avx512::is_available() {
                return Self::Avx512;
            }
            if arch::avx2::is_available() {
                return Self::Avx2;
            }
        }
        Self::Scalar
    }

    /// Returns those that this processor has, the least first.
    pub fn available() -> impl Iterator<Item = Self> {
        let best = Self::best();
        Self::ALL
            .iter()
            .copied()
            .filter(move |&level| level <= best)
    }

    /// Returns its name, as `COVET_SIMD` takes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
        }
    }

    fn check(self) -> Result<Self, Error> {
        let best = Self::best();
        if self <= best {
            Ok(self)
        } else {
            Err(Error::UnavailableLevel { asked: self, best })
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Level {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        let named = Self::ALL.iter().find(|level| level.name() == name);
        named
            .copied()
            .ok_or_else(|| Error::UnknownLevel(name.to_owned()))
    }
}

/// What runs now; 0 until somebody asks.
static CURRENT: AtomicU8 = AtomicU8::new(0);

/// Returns the instruction set that calls use: the best there is, unless `COVET_SIMD` or [`force`] says otherwise.
#[inline]
pub fn level() -> Level {
    // Relaxed: the byte stands for itself. Nothing is published with it.
    match CURRENT.load(Ordering::Relaxed) {
        1 => Level::Scalar,
        2 => Level::Avx2,
        3 => Level::Avx512,
        _ => first(),
    }
}

/// Returns the set that `COVET_SIMD` asks for, or the best there is where it is unset or empty.
///
/// The variable is read once. A program that wants to stop where it is wrong calls this when it starts; one that does not ask
/// goes on with the best set, after one line on standard error.
///
/// # Errors
///
/// [`Error::UnknownLevel`] and [`Error::UnavailableLevel`].
pub fn from_environment() -> Result<Level, Error> {
    static ANSWER: OnceLock<Result<Level, Error>> = OnceLock::new();
    let answer = ANSWER.get_or_init(|| match std::env::var_os("COVET_SIMD") {
        Some(name) if !name.is_empty() => name.to_string_lossy().parse::<Level>()?.check(),
        _ => Ok(Level::best()),
    });
    answer.clone()
}

#[cold]
fn first() -> Level {
    let level = from_environment().unwrap_or_else(|error| {
        static ONCE: std::sync::Once = std::sync::Once::new();
        ONCE.call_once(|| eprintln!("covet-simd: {error}; using {}", Level::best()));
        Level::best()
    });
    // Whoever forced another meanwhile stays.
    match CURRENT.compare_exchange(0, level as u8, Ordering::Relaxed, Ordering::Relaxed) {
        Ok(_) => level,
        Err(_) => self::level(),
    }
}

/// Makes all calls of the process use this set until the guard is dropped: for tests and benchmarks.
///
/// Whoever else forces a set waits until then. Calls that run meanwhile in other threads may use either.
///
/// # Errors
///
/// [`Error::UnavailableLevel`]: this processor lacks it.
pub fn force(level: Level) -> Result<Forced, Error> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    level.check()?;
    let turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let before = self::level();
    CURRENT.store(level as u8, Ordering::Relaxed);
    Ok(Forced {
        before,
        _turn: turn,
    })
}

/// Keeps a set forced; see [`force`].
#[derive(Debug)]
pub struct Forced {
    before: Level,
    _turn: MutexGuard<'static, ()>,
}

impl Drop for Forced {
    fn drop(&mut self) {
        CURRENT.store(self.before as u8, Ordering::Relaxed);
    }
}

/// A computation that can be compiled for any set. `run` must be `#[inline(always)]`, and so must all that it calls with
/// vectors: what is not inlined is not compiled for the set.
pub(crate) trait Kernel {
    /// What comes out.
    type Output;

    /// # Safety
    ///
    /// The set must be available, and the kernel's pointers must be good for what it does.
    unsafe fn run<S: Set>(self) -> Self::Output;
}

/// Runs a kernel with a set.
///
/// # Safety
///
/// `level` must come from [`level`] or [`Level::available`], and the kernel's pointers must be good for what it does.
#[inline]
pub(crate) unsafe fn run<K: Kernel>(level: Level, kernel: K) -> K::Output {
    match level {
        // SAFETY: available, says the caller, who answers for the pointers as well.
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 => unsafe { arch::avx512::run(kernel) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => unsafe { arch::avx2::run(kernel) },
        // SAFETY: as above.
        _ => unsafe { arch::scalar::run(kernel) },
    }
}

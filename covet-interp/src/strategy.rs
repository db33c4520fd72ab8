//! How Python gets onto several cores here: a pure decision over facts that were looked up.

use crate::error::Error;
use crate::ffi;
use std::fmt;
use std::str::FromStr;

/// Where the tasks of a pool run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Strategy {
    /// Threads of the main interpreter, one GIL: one core at a time.
    MainOnly,
    /// One interpreter with a GIL of its own for each worker (PEP 684).
    Subinterpreters,
    /// Threads of the main interpreter, no GIL (PEP 703).
    FreeThreading,
}

impl Strategy {
    /// The name used in options and reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::MainOnly => "main-only",
            Self::Subinterpreters => "subinterpreters",
            Self::FreeThreading => "free-threading",
        }
    }

    /// What it means for tasks, in one sentence. [`Decision`] says why a pool has it.
    pub const fn explain(self) -> &'static str {
        match self {
            Self::MainOnly => {
                "tasks run in threads of the main interpreter under its one GIL: one core at a time, and every module works"
            }
            Self::Subinterpreters => {
                "each worker has an interpreter with a GIL of its own: all cores, modules are imported once for each worker, and \
                 extension modules must support it"
            }
            Self::FreeThreading => {
                "tasks run in threads of the main interpreter without a GIL: all cores, modules are imported once, and an \
                 extension module that needs the GIL switches it on for all"
            }
        }
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { strategy, reason } = self;
        write!(f, "{strategy} ({reason}): {}", strategy.explain())
    }
}

impl fmt::Display for Strategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Strategy {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        [Self::MainOnly, Self::Subinterpreters, Self::FreeThreading]
            .into_iter()
            .find(|strategy| strategy.name() == name)
            .ok_or_else(|| {
                Error::Strategy(format!(
                    "expected the strategy \"auto\", \"subinterpreters\", \"free-threading\" or \"main-only\", found {name:?}"
                ))
            })
    }
}

/// What a strategy is chosen from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    /// Python's version, as `(major, minor)`.
    pub version: (u8, u8),
    /// Whether interpreters can have a GIL of their own.
    pub own_gil: bool,
    /// Whether this is a free-threaded build.
    pub free_threaded_build: bool,
    /// Whether the GIL of the main interpreter is on now. On a free-threaded build an extension module or
    /// `PYTHON_GIL=1` can have switched it on.
    pub gil_enabled: bool,
}

/// A strategy, and why it was chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// The strategy.
    pub strategy: Strategy,
    /// The reason, one sentence.
    pub reason: String,
}

impl Facts {
    /// Looks the facts up.
    ///
    /// # Safety
    /// A thread state is attached.
    pub(crate) unsafe fn look_up() -> Self {
        // SAFETY: attached, as promised; references are borrowed from `sys` or owned here, and errors are cleared.
        let gil_enabled = unsafe {
            let ask = ffi::PySys_GetObject(c"_is_gil_enabled".as_ptr());
            if ask.is_null() {
                true
            } else {
                let answer = ffi::PyObject_CallNoArgs(ask);
                let enabled = answer != ffi::Py_False();
                ffi::Py_XDECREF(answer);
                ffi::PyErr_Clear();
                enabled
            }
        };
        Self {
            version: ffi::VERSION,
            own_gil: ffi::OWN_GIL,
            free_threaded_build: ffi::FREE_THREADED_BUILD,
            gil_enabled,
        }
    }

    /// Chooses, or checks what was asked for.
    ///
    /// # Errors
    /// [`Error::Strategy`] when `wish` cannot work here.
    pub fn decide(&self, wish: Option<Strategy>) -> Result<Decision, Error> {
        let (major, minor) = self.version;
        let python = format!("Python {major}.{minor}");
        if let Some(strategy) = wish {
            let obstacle = match strategy {
                Strategy::Subinterpreters if !self.own_gil => {
                    Some("has one GIL for all interpreters; use 3.12 or later, or \"main-only\"")
                }
                Strategy::FreeThreading if !self.free_threaded_build => Some(
                    "is not a free-threaded build; use one (python3.14t), or \"subinterpreters\"",
                ),
                Strategy::FreeThreading if self.gil_enabled => Some(
                    "has its GIL switched on, by PYTHON_GIL or by an extension module that needs it",
                ),
                _ => None,
            };
            return match obstacle {
                Some(why) => Err(Error::Strategy(format!(
                    "the strategy {strategy} cannot work: this {python} {why}"
                ))),
                None => Ok(Decision {
                    strategy,
                    reason: "asked for".to_owned(),
                }),
            };
        }
        let (strategy, why) = if self.free_threaded_build
            && !self.gil_enabled
            && self.version >= (3, 14)
        {
            (
                Strategy::FreeThreading,
                "is a free-threaded build with its GIL off: threads run on every core",
            )
        } else if self.free_threaded_build && self.own_gil {
            let why = if self.gil_enabled {
                "is a free-threaded build whose GIL was switched on: interpreters with a GIL each run on every core"
            } else {
                "is free-threaded but specialises no bytecode once threads run: interpreters are the faster way"
            };
            (Strategy::Subinterpreters, why)
        } else if self.own_gil {
            (
                Strategy::Subinterpreters,
                "gives every interpreter a GIL of its own",
            )
        } else {
            (
                Strategy::MainOnly,
                "has one GIL for all interpreters: use 3.12 or later for more than one core",
            )
        };
        Ok(Decision {
            strategy,
            reason: format!("{python} {why}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(minor: u8, free_threaded_build: bool, gil_enabled: bool) -> Facts {
        Facts {
            version: (3, minor),
            own_gil: minor >= 12,
            free_threaded_build,
            gil_enabled,
        }
    }

    #[test]
    fn each_kind_of_python_gets_the_strategy_that_uses_its_cores() {
        for (facts, expected) in [
            (facts(11, false, true), Strategy::MainOnly),
            (facts(12, false, true), Strategy::Subinterpreters),
            (facts(15, false, true), Strategy::Subinterpreters),
            (facts(13, true, false), Strategy::Subinterpreters),
            (facts(14, true, false), Strategy::FreeThreading),
            (facts(14, true, true), Strategy::Subinterpreters),
        ] {
            let decision = facts.decide(None).unwrap();
            assert_eq!(decision.strategy, expected, "{facts:?}");
            assert!(
                decision.reason.starts_with("Python 3."),
                "{}",
                decision.reason
            );
        }
    }

    #[test]
    fn a_wish_that_cannot_work_is_refused_with_the_reason() {
        let refusal = |facts: Facts, wish| facts.decide(Some(wish)).unwrap_err().to_string();
        assert!(
            refusal(facts(11, false, true), Strategy::Subinterpreters)
                .contains("one GIL for all interpreters")
        );
        assert!(
            refusal(facts(13, false, true), Strategy::FreeThreading)
                .contains("not a free-threaded build")
        );
        assert!(refusal(facts(14, true, true), Strategy::FreeThreading).contains("switched on"));
        assert_eq!(
            facts(13, true, false)
                .decide(Some(Strategy::FreeThreading))
                .unwrap()
                .reason,
            "asked for"
        );
        assert_eq!(
            facts(14, false, true)
                .decide(Some(Strategy::MainOnly))
                .unwrap()
                .strategy,
            Strategy::MainOnly
        );
    }

    #[test]
    fn a_decision_tells_what_why_and_what_it_means() {
        for (facts, parts) in [
            (
                facts(11, false, true),
                ["main-only (Python 3.11 has one GIL", "one core at a time"],
            ),
            (
                facts(14, false, true),
                [
                    "subinterpreters (Python 3.14 gives",
                    "a GIL of its own: all cores",
                ],
            ),
            (
                facts(14, true, false),
                ["free-threading (Python 3.14 is", "without a GIL"],
            ),
        ] {
            let text = facts.decide(None).unwrap().to_string();
            assert!(parts.iter().all(|part| text.contains(part)), "{text}");
        }
    }

    #[test]
    fn names_round_trip() {
        for strategy in [
            Strategy::MainOnly,
            Strategy::Subinterpreters,
            Strategy::FreeThreading,
        ] {
            assert_eq!(strategy.name().parse(), Ok(strategy));
        }
        assert!(
            "threads"
                .parse::<Strategy>()
                .unwrap_err()
                .to_string()
                .contains("found \"threads\"")
        );
    }
}

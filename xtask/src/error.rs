//! What a command that could not do its work says: one sentence, and an exit code.

use std::fmt;
use std::process::ExitCode;

pub(crate) type Result<T> = std::result::Result<T, Error>;

#[derive(Debug)]
pub(crate) enum Error {
    /// The command line is wrong: exit code 2, and the usage text below the sentence.
    Usage { usage: &'static str, what: String },
    /// Anything else: exit code 1.
    Failed(String),
}

impl Error {
    pub(crate) fn usage(usage: &'static str, what: impl Into<String>) -> Self {
        let what = what.into();
        Self::Usage { usage, what }
    }

    pub(crate) fn failed(what: impl Into<String>) -> Self {
        Self::Failed(what.into())
    }

    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Self::Usage { .. } => ExitCode::from(2),
            Self::Failed(_) => ExitCode::from(1),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage { usage, what } => write!(f, "{what}\n\n{}", usage.trim_end()),
            Self::Failed(what) => f.write_str(what),
        }
    }
}

/// Says what was being done when an operating system call failed.
pub(crate) trait Context<T> {
    fn context(self, doing: impl FnOnce() -> String) -> Result<T>;
}

impl<T, E: fmt::Display> Context<T> for std::result::Result<T, E> {
    fn context(self, doing: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|error| Error::failed(format!("{}: {error}", doing())))
    }
}

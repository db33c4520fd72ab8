//! A head, or a trailer section, that comes in pieces.

use std::mem::MaybeUninit;

use crate::config::Config;
use crate::error::Error;
use crate::head::{self, Progress, StartLine};
use crate::headers::{Slot, written};
use crate::message::most_fields;

/// What is known of a head so far, with slots of its own.
#[derive(Debug, Default)]
pub(crate) struct Partial<S> {
    progress: Progress<S>,
    slots: Vec<MaybeUninit<Slot>>,
}

impl<S: StartLine> Partial<S> {
    /// Goes on where it stopped, and returns the length of the head once it is complete. `bytes` are all that came, from the
    /// beginning of the head.
    pub(crate) fn parse(&mut self, bytes: &[u8], config: &Config) -> Result<Option<usize>, Error> {
        let most = most_fields(bytes.len().min(S::limit(&config.limits) as usize), config);
        if self.slots.len() < most {
            self.slots.resize(most, MaybeUninit::uninit());
        }
        head::parse(bytes, config, &mut self.progress, &mut self.slots)
    }

    /// Forgets the head, but not the memory of its slots.
    pub(crate) fn restart(&mut self) {
        self.progress = Progress::default();
    }

    pub(crate) fn progress(&self) -> &Progress<S> {
        &self.progress
    }

    pub(crate) fn slots(&self) -> &[Slot] {
        // SAFETY: the parser has written the first `progress.fields` slots, in this vector, which moves all when it grows.
        unsafe { written(&self.slots, self.progress.fields) }
    }
}

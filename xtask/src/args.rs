//! The words of a command line: `--name value`, `--name=value`, and what follows `--`.

use std::collections::VecDeque;
use std::ffi::OsString;

use crate::error::{Error, Result};

pub(crate) struct Args {
    words: VecDeque<OsString>,
}

impl Args {
    pub(crate) fn new(words: Vec<OsString>) -> Self {
        Self {
            words: words.into(),
        }
    }

    /// Takes the next word; `--name=value` becomes two.
    pub(crate) fn next_word(&mut self) -> Option<String> {
        let word = self.words.pop_front()?.to_string_lossy().into_owned();
        if word.starts_with("--")
            && let Some((name, value)) = word.split_once('=')
        {
            self.words.push_front(value.into());
            return Some(name.to_owned());
        }
        Some(word)
    }

    /// Takes the value of the option just read.
    pub(crate) fn value(&mut self, option: &str, usage: &'static str) -> Result<String> {
        self.next_value()
            .ok_or_else(|| Error::usage(usage, format!("{option} expects a value; found none")))
    }

    fn next_value(&mut self) -> Option<String> {
        Some(self.words.pop_front()?.to_string_lossy().into_owned())
    }

    /// Looks at the next word without taking it.
    pub(crate) fn peek(&self) -> Option<&str> {
        self.words.front()?.to_str()
    }

    pub(crate) fn into_rest(self) -> Vec<OsString> {
        self.words.into()
    }
}

#[cfg(test)]
mod tests {
    use super::Args;

    fn args(words: &[&str]) -> Args {
        Args::new(words.iter().map(Into::into).collect())
    }

    #[test]
    fn a_value_may_follow_an_equals_sign_or_stand_alone() {
        for words in [&["--python=/a=b"][..], &["--python", "/a=b"]] {
            let mut args = args(words);
            assert_eq!(args.next_word().as_deref(), Some("--python"));
            assert_eq!(args.value("--python", "").unwrap(), "/a=b");
        }
        assert!(args(&[]).value("--python", "").is_err());
    }
}

//! The first line of a response: version, status, reason.

use std::fmt;

use crate::config::Config;
use crate::error::{Error, Rule};
use crate::framing::{Framing, Section, Seen};
use crate::head::{Input, Line, StartLine, Stop};
use crate::message::MessageLine;
use crate::request_line::{missing, version};
use crate::scan::{Kernel, Scan};

/// What a status line says, and where its reason lies.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct StatusLine {
    reason: u32,
    reason_end: u32,
    pub(crate) status: u16,
    pub(crate) is_http_1_0: bool,
}

impl StatusLine {
    pub(crate) fn reason<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        &bytes[self.reason as usize..self.reason_end as usize]
    }
}

impl StartLine for StatusLine {
    const SECTION: Section = Section::Response;

    #[inline(always)]
    fn parse<K: Kernel>(
        &mut self,
        input: Input<'_, K>,
        scan: &mut K::Scan,
        line: &mut Line,
    ) -> Result<usize, Stop> {
        let bytes = input.bytes;
        let is_http_1_0 = version(bytes, line.start)?;
        let after_version = line.start + 8;
        if bytes.get(after_version) != Some(&b' ') {
            return missing(Rule::Version, bytes, after_version);
        }
        let digits = after_version + 1;
        let mut status = 0;
        for at in digits..digits + 3 {
            match bytes.get(at) {
                // The first digit is not 0.
                Some(digit @ b'0'..=b'9') if at > digits || *digit > b'0' => {
                    status = status * 10 + u16::from(digit - b'0');
                }
                _ => return missing(Rule::StatusCode, bytes, at),
            }
        }
        let mut reason = digits + 3;
        match bytes.get(reason) {
            Some(b' ') => reason += 1,
            Some(b'\r' | b'\n') if input.config.policy.missing_reason_space => {}
            _ => return missing(Rule::StatusCode, bytes, reason),
        }
        let reason_end = scan.value_end(bytes, reason.max(line.scanned));
        line.scanned = reason_end;
        let next = input.line_end(reason_end, Rule::Reason)?;
        *self = Self {
            reason: reason as u32,
            reason_end: reason_end as u32,
            status,
            is_http_1_0,
        };
        Ok(next)
    }

    #[inline(always)]
    fn is_http_1_0(&self) -> bool {
        self.is_http_1_0
    }
}

impl MessageLine for StatusLine {
    /// The method of the request.
    type Context<'c> = &'c str;

    fn framing(&self, seen: &Seen, _: &Config, method: &str, _: usize) -> Result<Framing, Error> {
        Ok(seen.of_response(method, self.status))
    }

    fn describe<'f, 'w>(
        &self,
        bytes: &[u8],
        f: &'f mut fmt::Formatter<'w>,
    ) -> fmt::DebugStruct<'f, 'w> {
        let mut response = f.debug_struct("Response");
        response
            .field("status", &self.status)
            .field("reason", &self.reason(bytes).escape_ascii().to_string());
        response
    }
}

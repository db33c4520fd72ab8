//! The parser of heads: a start line, fields, an empty line.
//!
//! One pass from the first byte to the last. What is known so far lies in [`Progress`], in positions, so a head that is not
//! complete yet is continued where it stopped once there are more bytes: each byte is classified once, however the
//! head was cut. A rule is judged at the first byte that breaks it, or at the end of a line, and never by how many
//! bytes there happened to be: that is why every split gives the same verdict.

use std::mem::MaybeUninit;

use crate::config::Config;
use crate::error::{Error, Rule};
use crate::field::tag;
use crate::framing::{CONTENT_LENGTH, HOST, Section, Seen, TRANSFER_ENCODING};
use crate::headers::Slot;
use crate::limits::Limits;
use crate::scan::{self, Kernel, Scan};

/// What is known of a head so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Progress<S> {
    stage: Stage,
    line: Line,
    empty_lines: u32,
    /// How many slots are filled.
    pub(crate) fields: usize,
    pub(crate) start: S,
    pub(crate) seen: Seen,
}

/// A line that may not be complete.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Line {
    pub(crate) start: usize,
    /// Bytes before this one have been looked at.
    pub(crate) scanned: usize,
    /// Where the name ends, or the method; 0 while that was not reached.
    pub(crate) name_end: usize,
}

impl Line {
    #[inline(always)]
    fn at(start: usize) -> Self {
        Self {
            start,
            scanned: start,
            name_end: 0,
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    StartLine,
    Fields,
}

/// The first line of a head.
pub(crate) trait StartLine: Copy + Default {
    const SECTION: Section;
    /// What a head longer than the limit breaks.
    const TOO_LONG: Rule = Rule::HeadTooLong;

    fn limit(limits: &Limits) -> u32 {
        limits.head
    }

    /// Reads the line and returns where the next one begins.
    fn parse<K: Kernel>(
        &mut self,
        input: Input<'_, K>,
        scan: &mut K::Scan,
        line: &mut Line,
    ) -> Result<usize, Stop>;

    fn is_http_1_0(&self) -> bool;
}

/// Why parsing stopped before the end of the head.
pub(crate) enum Stop {
    Incomplete,
    Error(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

/// What the parser reads, and how.
#[derive(Clone, Copy)]
pub(crate) struct Input<'a, K> {
    pub(crate) kernel: K,
    pub(crate) config: &'a Config,
    pub(crate) bytes: &'a [u8],
}

/// Parses as much of a head as there is, and returns its length once it is complete.
///
/// `bytes` begins with the head, however often it is continued; `slots` keep what was written into them.
pub(crate) fn parse<S: StartLine>(
    bytes: &[u8],
    config: &Config,
    progress: &mut Progress<S>,
    slots: &mut [MaybeUninit<Slot>],
) -> Result<Option<usize>, Error> {
    #[cfg(target_arch = "x86_64")]
    if let Some(avx2) = scan::avx2::Avx2::new() {
        // SAFETY: `avx2` proves that the machine has what the function is compiled for.
        return unsafe { parse_avx2(avx2, bytes, config, progress, slots) };
    }
    parse_baseline(bytes, config, progress, slots)
}

/// Apart, so that the choice is all that [`parse`] costs.
#[inline(never)]
fn parse_baseline<S: StartLine>(
    bytes: &[u8],
    config: &Config,
    progress: &mut Progress<S>,
    slots: &mut [MaybeUninit<Slot>],
) -> Result<Option<usize>, Error> {
    parse_with(scan::Baseline, bytes, config, progress, slots)
}

/// # Safety
///
/// The machine has AVX2, BMI1 and BMI2.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,bmi1,bmi2")]
unsafe fn parse_avx2<S: StartLine>(
    kernel: scan::avx2::Avx2,
    bytes: &[u8],
    config: &Config,
    progress: &mut Progress<S>,
    slots: &mut [MaybeUninit<Slot>],
) -> Result<Option<usize>, Error> {
    parse_with(kernel, bytes, config, progress, slots)
}

#[inline(always)]
fn parse_with<K: Kernel, S: StartLine>(
    kernel: K,
    bytes: &[u8],
    config: &Config,
    progress: &mut Progress<S>,
    slots: &mut [MaybeUninit<Slot>],
) -> Result<Option<usize>, Error> {
    let limit = S::limit(&config.limits) as usize;
    let input = Input {
        kernel,
        config,
        bytes: &bytes[..bytes.len().min(limit)],
    };
    match head(input, progress, slots) {
        Ok(end) => Ok(Some(end)),
        Err(Stop::Incomplete) if bytes.len() > limit => Err(Error::at(S::TOO_LONG, bytes, limit)),
        Err(Stop::Incomplete) => Ok(None),
        Err(Stop::Error(error)) => Err(error),
    }
}

#[inline(always)]
fn head<K: Kernel, S: StartLine>(
    input: Input<'_, K>,
    progress: &mut Progress<S>,
    slots: &mut [MaybeUninit<Slot>],
) -> Result<usize, Stop> {
    if S::SECTION == Section::Request && progress.stage == Stage::StartLine {
        skip_empty_lines(input, progress)?;
    }
    let mut line = progress.line;
    let mut scan = input.kernel.scan(input.bytes, line.start.max(line.scanned));
    if progress.stage == Stage::StartLine {
        match progress.start.parse(input, &mut scan, &mut line) {
            Ok(next) => line = Line::at(next),
            Err(stop) => {
                progress.line = line;
                return Err(stop);
            }
        }
        progress.stage = Stage::Fields;
    }
    let most = slots.len().min(input.config.limits.fields as usize);
    let mut table = Table {
        slots: &mut slots[..most],
        filled: progress.fields,
    };
    let is_http_1_0 = progress.start.is_http_1_0();
    let seen = &mut progress.seen;
    let result = fields(
        input,
        &mut scan,
        S::SECTION,
        is_http_1_0,
        &mut line,
        &mut table,
        seen,
    );
    progress.line = line;
    progress.fields = table.filled;
    result
}

/// Empty lines are not part of the message: the first line begins after them.
#[inline(always)]
fn skip_empty_lines<K: Kernel, S>(
    input: Input<'_, K>,
    progress: &mut Progress<S>,
) -> Result<(), Stop> {
    while let Some(b'\r' | b'\n') = input.bytes.get(progress.line.start) {
        if progress.empty_lines == input.config.limits.empty_lines {
            return Err(Error::at(Rule::EmptyLines, input.bytes, progress.line.start).into());
        }
        progress.line = Line::at(input.line_end(progress.line.start, Rule::BareLf)?);
        progress.empty_lines += 1;
    }
    Ok(())
}

/// Slots, of which the first are filled.
struct Table<'s> {
    slots: &'s mut [MaybeUninit<Slot>],
    filled: usize,
}

impl Table<'_> {
    #[inline(always)]
    fn push(&mut self, slot: Slot) -> bool {
        let Some(free) = self.slots.get_mut(self.filled) else {
            return false;
        };
        free.write(slot);
        self.filled += 1;
        true
    }
}

/// Parses fields up to the empty line, and returns where it ends.
#[inline(always)]
fn fields<K: Kernel>(
    input: Input<'_, K>,
    scan: &mut K::Scan,
    section: Section,
    is_http_1_0: bool,
    line: &mut Line,
    table: &mut Table<'_>,
    seen: &mut Seen,
) -> Result<usize, Stop> {
    let bytes = input.bytes;
    loop {
        let start = line.start;
        if line.name_end == 0 {
            let end = scan.token_end(bytes, line.scanned);
            if bytes.get(end) != Some(&b':') || end == start {
                line.scanned = end;
                if end == start && bytes[end..].starts_with(b"\r\n") {
                    return Ok(end + 2);
                }
                return no_field(input, start, end);
            }
            line.name_end = end;
            line.scanned = end + 1;
        }
        let colon = line.name_end;
        let end = scan.value_end(bytes, line.scanned);
        line.scanned = end;
        let next = input.line_end(end, Rule::FieldValue)?;

        let name = &bytes[start..colon];
        let (value, value_end) = trimmed(bytes, colon + 1, end);
        let tag = tag(name);
        let name_length =
            u16::try_from(name.len()).map_err(|_| Error::new(Rule::HeadTooLong, start))?;
        if !table.push(Slot::new(start, name_length, tag, value, value_end)) {
            return Err(Error::new(Rule::TooManyFields, start).into());
        }
        if section != Section::Trailers
            && (tag == HOST || tag == CONTENT_LENGTH || tag == TRANSFER_ENCODING)
        {
            let at = (value, value_end);
            seen.note(input, section, is_http_1_0, tag, name, at)?;
        }
        *line = Line::at(next);
    }
}

/// What stands at the beginning of a line that is no name with a colon: an odd end of the head, or an error.
#[cold]
#[inline(never)]
fn no_field<K: Kernel>(input: Input<'_, K>, start: usize, end: usize) -> Result<usize, Stop> {
    let Some(&found) = input.bytes.get(end) else {
        return Err(Stop::Incomplete);
    };
    let rule = match found {
        b'\r' | b'\n' if end == start => return input.line_end(end, Rule::BareLf),
        b' ' | b'\t' if end == start => Rule::Folding,
        b' ' | b'\t' => Rule::SpaceBeforeColon,
        _ => Rule::FieldName,
    };
    Err(Error::at(rule, input.bytes, end).into())
}

/// Where a value begins and ends without the spaces and tabs around it.
#[inline(always)]
fn trimmed(bytes: &[u8], mut start: usize, mut end: usize) -> (usize, usize) {
    let is_space = |byte: u8| byte == b' ' || byte == b'\t';
    while start < end && is_space(bytes[start]) {
        start += 1;
    }
    while start < end && is_space(bytes[end - 1]) {
        end -= 1;
    }
    (start, end)
}

impl<K: Kernel> Input<'_, K> {
    /// Returns where the next line begins, if the line end stands at `at`; another byte breaks `rule`.
    #[inline(always)]
    pub(crate) fn line_end(self, at: usize, rule: Rule) -> Result<usize, Stop> {
        if let Some(b"\r\n") = self.bytes.get(at..at + 2) {
            return Ok(at + 2);
        }
        self.odd_line_end(at, rule)
    }

    #[cold]
    #[inline(never)]
    fn odd_line_end(self, at: usize, rule: Rule) -> Result<usize, Stop> {
        let (rule, at) = match (self.bytes.get(at), self.bytes.get(at + 1)) {
            (None, _) | (Some(b'\r'), None) => return Err(Stop::Incomplete),
            (Some(b'\n'), _) if self.config.policy.bare_lf => return Ok(at + 1),
            (Some(b'\n'), _) => (Rule::BareLf, at),
            (Some(b'\r'), _) => (Rule::BareCr, at + 1),
            _ => (rule, at),
        };
        Err(Error::at(rule, self.bytes, at).into())
    }
}

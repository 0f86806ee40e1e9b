//! Several JSON lines files read as one.

use std::collections::VecDeque;
use std::path::PathBuf;

use super::jsonl::{Lines, ReadMeter};
use crate::failure::{Failure, Result};

/// Where lines come from.
#[derive(Clone, Debug)]
pub(crate) enum LineFile<'a> {
    Path(PathBuf),
    Stdin,
    /// A file in memory, and its name.
    Bytes(&'static str, &'a [u8]),
}

impl<'a> LineFile<'a> {
    fn open(&self, meter: &ReadMeter) -> Result<Lines<'a>> {
        match self {
            LineFile::Path(path) => Lines::open(path, meter),
            LineFile::Stdin => Lines::new("standard input".to_owned(), std::io::stdin(), meter),
            LineFile::Bytes(name, bytes) => Lines::new((*name).to_owned(), *bytes, meter),
        }
    }

    /// Length in bytes; `None` if it is not known beforehand.
    fn bytes(&self) -> Result<Option<u64>> {
        match self {
            LineFile::Path(path) => {
                let metadata = std::fs::metadata(path);
                let metadata = metadata.map_err(|e| Failure::io(path.display(), &e))?;
                Ok(metadata.is_file().then_some(metadata.len()))
            }
            LineFile::Stdin => Ok(None),
            LineFile::Bytes(_, bytes) => Ok(Some(bytes.len() as u64)),
        }
    }
}

/// The lines of several files, one after the other; one file is open at a time.
pub(crate) struct LineFiles<'a> {
    waiting: VecDeque<LineFile<'a>>,
    current: Option<Lines<'a>>,
    meter: ReadMeter,
    bytes: Option<u64>,
}

impl<'a> LineFiles<'a> {
    /// The lines of `files`. Fails if one of them is not there.
    pub(crate) fn new(files: Vec<LineFile<'a>>) -> Result<Self> {
        let mut bytes = Some(0);
        for file in &files {
            bytes = match (bytes, file.bytes()?) {
                (Some(sum), Some(n)) => Some(sum + n),
                _ => None,
            };
        }
        let meter = ReadMeter::default();
        Ok(LineFiles { waiting: files.into(), current: None, meter, bytes })
    }

    /// How much of the files was read, from 0 to 1; `None` if their length is not known.
    pub(crate) fn fraction(&self) -> Option<f64> {
        let bytes = self.bytes.filter(|&n| n > 0)?;
        Some(self.meter.bytes() as f64 / bytes as f64)
    }

    /// Where the line that was read last is, for messages.
    pub(crate) fn place(&self) -> String {
        self.current.as_ref().map_or_else(|| "the records".to_owned(), Lines::place)
    }

    /// Goes to the next line that is not blank. `None` at the end of the last file.
    pub(crate) fn next_line(&mut self) -> Result<Option<&[u8]>> {
        loop {
            // Asked first, so that the line itself need not be borrowed across the loop.
            let more = match &mut self.current {
                Some(lines) => lines.advance()?,
                None => false,
            };
            if more {
                return Ok(self.current.as_ref().map(Lines::line));
            }
            match self.waiting.pop_front() {
                Some(file) => self.current = Some(file.open(&self.meter)?),
                None => return Ok(None),
            }
        }
    }

    /// Passes over `n` lines; fewer, if there are no more. Returns how many it were.
    pub(crate) fn skip(&mut self, n: u64) -> Result<u64> {
        for done in 0..n {
            if self.next_line()?.is_none() {
                return Ok(done);
            }
        }
        Ok(n)
    }
}

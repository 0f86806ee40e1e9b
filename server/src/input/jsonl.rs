//! Lines of a JSON lines file, plain or gzip.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::rc::Rc;

use flate2::bufread::MultiGzDecoder;

use crate::failure::{Failure, Result};

/// Longest line. A vector of 16,384 components and metadata of 1 MiB stay far below it.
const LINE_BYTES_MAX: u64 = 16 << 20;
const READ_BYTES: usize = 1 << 18;

/// Bytes taken from a file so far, for a progress bar; clones share the count.
#[derive(Clone, Debug, Default)]
pub(crate) struct ReadMeter(Rc<Cell<u64>>);

impl ReadMeter {
    /// Bytes read so far, as they are in the file (compressed ones if it is compressed).
    pub(crate) fn bytes(&self) -> u64 {
        self.0.get()
    }
}

/// Counts what is read through it.
struct Metered<R> {
    input: R,
    meter: ReadMeter,
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.input.read(buffer)?;
        self.meter.0.set(self.meter.0.get() + n as u64);
        Ok(n)
    }
}

/// Reads lines in order, holding one. Blank lines are passed over, but counted.
pub(crate) struct Lines<'a> {
    name: String,
    input: Box<dyn BufRead + 'a>,
    line: Vec<u8>,
    number: u64,
}

impl<'a> Lines<'a> {
    /// Opens a file; gzip is recognised by its first bytes, whatever the name.
    pub(crate) fn open(path: &Path, meter: &ReadMeter) -> Result<Self> {
        let file = File::open(path).map_err(|e| Failure::io(path.display(), &e))?;
        Lines::new(path.display().to_string(), file, meter)
    }

    /// Reads from anything; `name` is what errors call it.
    pub(crate) fn new(name: String, input: impl Read + 'a, meter: &ReadMeter) -> Result<Self> {
        let metered = Metered { input, meter: meter.clone() };
        let mut input = BufReader::with_capacity(READ_BYTES, metered);
        let start = input.fill_buf().map_err(|e| Failure::io(&name, &e))?;
        let input: Box<dyn BufRead + 'a> = if start.starts_with(b"\x1f\x8b") {
            Box::new(BufReader::with_capacity(READ_BYTES, MultiGzDecoder::new(input)))
        } else {
            Box::new(input)
        };
        Ok(Lines { name, input, line: Vec::new(), number: 0 })
    }

    /// Where the line that was read last is, for messages: `records.jsonl line 7`.
    pub(crate) fn place(&self) -> String {
        format!("{} line {}", self.name, self.number)
    }

    /// The line that was read last, without blanks around it.
    pub(crate) fn line(&self) -> &[u8] {
        self.line.trim_ascii()
    }

    /// Goes to the next line that is not blank. `false` if there is none.
    pub(crate) fn advance(&mut self) -> Result<bool> {
        loop {
            self.line.clear();
            self.number += 1;
            let read = (&mut self.input).take(LINE_BYTES_MAX + 1).read_until(b'\n', &mut self.line);
            let read = read.map_err(|e| {
                let failure = Failure::io(self.place(), &e);
                match e.kind() {
                    io::ErrorKind::UnexpectedEof => failure.with_note("the file is cut short"),
                    io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => {
                        failure.with_note("the compressed data is damaged")
                    }
                    _ => failure,
                }
            })?;
            if read == 0 {
                self.number -= 1;
                return Ok(false);
            }
            if self.line.len() as u64 > LINE_BYTES_MAX {
                return Err(Failure::invalid(format!(
                    "{}: longer than {LINE_BYTES_MAX} bytes, is this a JSON lines file?",
                    self.place()
                )));
            }
            if self.number == 1 && self.line.starts_with(b"\xef\xbb\xbf") {
                self.line.drain(..3);
            }
            if !self.line().is_empty() {
                return Ok(true);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use std::io::Write;

    fn all(bytes: &[u8]) -> Result<Vec<(String, String)>> {
        let mut lines = Lines::new("x".to_owned(), bytes, &ReadMeter::default())?;
        let mut out = Vec::new();
        while lines.advance()? {
            out.push((lines.place(), String::from_utf8_lossy(lines.line()).into_owned()));
        }
        Ok(out)
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut gz = GzEncoder::new(Vec::new(), Compression::fast());
        gz.write_all(bytes).unwrap();
        gz.finish().unwrap()
    }

    fn pairs(lines: &[(&str, &str)]) -> Vec<(String, String)> {
        lines.iter().map(|&(p, l)| (p.to_owned(), l.to_owned())).collect()
    }

    #[test]
    fn blank_lines_are_counted_but_not_given() {
        let expected = pairs(&[("x line 1", "{}"), ("x line 4", "[1]")]);
        let text = b"\xef\xbb\xbf{}\r\n\n  \n[1]";
        assert_eq!(all(text).unwrap(), expected);
        assert_eq!(all(&gzip(text)).unwrap(), expected);
        assert_eq!(all(b"").unwrap(), []);
    }

    #[test]
    fn concatenated_gzip_members_are_one_file() {
        let bytes = [gzip(b"a\n"), gzip(b"b\n")].concat();
        assert_eq!(all(&bytes).unwrap(), pairs(&[("x line 1", "a"), ("x line 2", "b")]));
    }

    #[test]
    fn damage_is_reported_with_its_place() {
        let text: String = (0..50_000).map(|n| format!("{{\"n\": {n}}}\n")).collect();
        let bytes = gzip(text.as_bytes());
        let error = all(&bytes[..bytes.len() / 2]).unwrap_err().to_string();
        assert!(
            error.starts_with("x line ") && error.ends_with("; the file is cut short"),
            "{error}"
        );
    }

    #[test]
    fn endless_lines_are_refused() {
        let bytes = vec![b'a'; LINE_BYTES_MAX as usize + 2];
        assert_eq!(
            all(&bytes).unwrap_err().to_string(),
            "x line 1: longer than 16777216 bytes, is this a JSON lines file?"
        );
    }
}

//! Files of many measurements: one document a line; and files of one, over as many lines as it likes.

use std::io::{self, BufRead, Read};

use super::Refusal;

/// Largest document that is read, in bytes: bodies of fetched pages are cut at a megabyte by the programs that
/// write them, and a run fetches some twenty.
pub const DOCUMENT_BYTES_MAX: usize = 64 << 20;

/// The documents of a file, one after the other, in memory for one of them.
#[derive(Debug)]
pub struct Documents<R> {
    input: R,
    line: Vec<u8>,
    /// A line that was read ahead.
    held: Option<Vec<u8>>,
    is_first: bool,
    /// Bytes that were read so far.
    read: u64,
}

/// One document of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Document<'a> {
    /// Its bytes.
    Bytes(&'a [u8]),
    /// It is larger than [`DOCUMENT_BYTES_MAX`]; what follows on the next line can be read.
    TooLarge,
}

impl<R: BufRead> Documents<R> {
    /// Of a reader.
    pub fn new(input: R) -> Self {
        Documents { input, line: Vec::new(), held: None, is_first: true, read: 0 }
    }

    /// Bytes that were read so far.
    pub fn bytes_read(&self) -> u64 {
        self.read
    }

    /// The next document; nothing at the end.
    ///
    /// # Errors
    /// When the reader has one.
    pub fn next_document(&mut self) -> io::Result<Option<Document<'_>>> {
        loop {
            self.line.clear();
            let is_whole = match self.held.take() {
                Some(held) => {
                    self.line = held;
                    true
                }
                None => self.read_line()?,
            };
            if self.line.is_empty() && is_whole {
                return Ok(None);
            }
            if !is_whole {
                self.skip_line()?;
                self.is_first = false;
                return Ok(Some(Document::TooLarge));
            }
            if self.line.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            // A first line that is no document is the beginning of one that has several.
            if std::mem::take(&mut self.is_first) && !is_document(&self.line) && !self.read_on()? {
                return Ok(Some(Document::TooLarge));
            }
            return Ok(Some(Document::Bytes(&self.line)));
        }
    }

    /// Reads the rest of a document of several lines, unless the next line is one by itself: then the first is
    /// broken, and no more than that. `false` where it is larger than is read.
    fn read_on(&mut self) -> io::Result<bool> {
        let first = std::mem::take(&mut self.line);
        let is_whole = self.read_line()?;
        let next = std::mem::replace(&mut self.line, first);
        if is_whole && next.starts_with(b"{") && is_document(&next) {
            self.held = Some(next);
            return Ok(true);
        }
        self.line.extend(next);
        let room = DOCUMENT_BYTES_MAX.saturating_sub(self.line.len()) as u64 + 1;
        self.read += self.input.by_ref().take(room).read_to_end(&mut self.line)? as u64;
        Ok(self.line.len() <= DOCUMENT_BYTES_MAX)
    }

    /// Reads up to the end of a line; `false` where it is longer than is read.
    fn read_line(&mut self) -> io::Result<bool> {
        let most = DOCUMENT_BYTES_MAX as u64 + 1;
        let count = self.input.by_ref().take(most).read_until(b'\n', &mut self.line)?;
        self.read += count as u64;
        Ok(self.line.len() <= DOCUMENT_BYTES_MAX)
    }

    /// Leaves out the rest of a line.
    fn skip_line(&mut self) -> io::Result<()> {
        self.line.clear();
        loop {
            let buffer = self.input.fill_buf()?;
            if buffer.is_empty() {
                return Ok(());
            }
            let end = buffer.iter().position(|byte| *byte == b'\n');
            let used = end.map_or(buffer.len(), |end| end + 1);
            self.input.consume(used);
            self.read += used as u64;
            if end.is_some() {
                return Ok(());
            }
        }
    }
}

/// Whether bytes are a whole document: what begins a longer one is not.
fn is_document(bytes: &[u8]) -> bool {
    serde_json::from_slice::<serde::de::IgnoredAny>(bytes).is_ok()
}

impl Document<'_> {
    /// The bytes, or why there are none.
    ///
    /// # Errors
    /// When it is too large.
    pub fn bytes(&self) -> Result<&[u8], Refusal> {
        match self {
            Document::Bytes(bytes) => Ok(bytes),
            Document::TooLarge => Err(Refusal::TooLarge),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str) -> Vec<String> {
        let mut documents = Documents::new(text.as_bytes());
        let mut found = Vec::new();
        while let Some(document) = documents.next_document().expect("bytes") {
            let Document::Bytes(bytes) = document else { panic!("too large") };
            found.push(String::from_utf8_lossy(bytes).trim().to_owned());
        }
        assert_eq!(documents.bytes_read(), text.len() as u64);
        found
    }

    #[test]
    fn documents_stand_on_lines_or_alone() {
        assert_eq!(all("{\"a\":1}\n\n{\"b\":2}"), ["{\"a\":1}", "{\"b\":2}"]);
        assert_eq!(all("{\n \"a\": 1\n}\n"), ["{\n \"a\": 1\n}"]);
        assert_eq!(all(""), Vec::<String>::new());
        // One that is broken costs itself only.
        assert_eq!(all("{\"a\":\n{\"b\":2}\n{\"c\":3}"), ["{\"a\":", "{\"b\":2}", "{\"c\":3}"]);
        assert_eq!(all("{\"a\":1}\n{\"b\":\n{\"c\":3}\n"), ["{\"a\":1}", "{\"b\":", "{\"c\":3}"]);
    }

    #[test]
    fn a_line_without_an_end_is_refused_and_the_next_is_read() {
        let long = vec![b'x'; DOCUMENT_BYTES_MAX + 10];
        let text = [b"{}\n".as_slice(), &long, b"\n{\"a\":1}\n"].concat();
        let mut documents = Documents::new(text.as_slice());
        assert_eq!(documents.next_document().expect("bytes"), Some(Document::Bytes(b"{}\n")));
        assert_eq!(documents.next_document().expect("bytes"), Some(Document::TooLarge));
        assert_eq!(documents.next_document().expect("bytes"), Some(Document::Bytes(b"{\"a\":1}\n")));
        assert_eq!(documents.next_document().expect("bytes"), None);
    }
}

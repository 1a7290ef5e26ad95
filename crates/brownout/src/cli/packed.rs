//! Files that may be gzipped, and how much of them was read.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::rc::Rc;

use flate2::read::MultiGzDecoder;

/// Bytes that are read at once.
const BUFFER_BYTES: usize = 1 << 16;

/// How many bytes of a file were read, as they lie on disk.
#[derive(Clone, Debug, Default)]
pub(super) struct BytesRead(Rc<Cell<u64>>);

impl BytesRead {
    /// Those since it was last asked.
    pub(super) fn take(&self) -> u64 {
        self.0.take()
    }
}

struct Counted<R> {
    input: R,
    read: BytesRead,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.input.read(buffer)?;
        self.read.0.set(self.read.0.get() + count as u64);
        Ok(count)
    }
}

/// A file, or standard input for `-`, unpacked where it is packed.
pub(super) fn open(file: &Path) -> io::Result<(Box<dyn BufRead>, BytesRead)> {
    let input: Box<dyn Read> = match file.as_os_str() == "-" {
        true => Box::new(io::stdin()),
        false => Box::new(File::open(file)?),
    };
    let read = BytesRead::default();
    let mut input = BufReader::with_capacity(BUFFER_BYTES, Counted { input, read: read.clone() });
    let is_packed = input.fill_buf()?.starts_with(&[0x1f, 0x8b]);
    let input: Box<dyn BufRead> = match is_packed {
        true => Box::new(BufReader::with_capacity(BUFFER_BYTES, MultiGzDecoder::new(input))),
        false => Box::new(input),
    };
    Ok((input, read))
}

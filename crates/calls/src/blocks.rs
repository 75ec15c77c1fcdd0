//! A log, cut into blocks of whole lines.

use std::io::{self, Read};

/// Bytes of a block; also the longest line that is read.
pub(crate) const BLOCK: usize = 1 << 20;

/// Reads blocks one after the other. Whoever takes one brings the buffer.
pub(crate) struct Blocks<R> {
    reader: R,
    /// The beginning of a line whose end is still to come.
    tail: Vec<u8>,
    ended: bool,
    in_long_line: bool,
    /// Where the next block begins in the log.
    at: u64,
}

/// What a buffer was filled with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Block {
    /// Bytes of the buffer that count. They end with a line.
    pub(crate) len: usize,
    /// Where it begins in the log, in bytes.
    pub(crate) at: u64,
    /// Its last line is the log's last and has no line break.
    pub(crate) is_open: bool,
    /// Lines before it that were longer than a block, and are skipped.
    pub(crate) too_long: u64,
}

impl<R: Read> Blocks<R> {
    pub(crate) fn new(reader: R) -> Self {
        Self {
            reader,
            tail: Vec::new(),
            ended: false,
            in_long_line: false,
            at: 0,
        }
    }

    /// Fills `buffer`, which has [`BLOCK`] bytes, with whole lines; `None` at the end.
    pub(crate) fn next(&mut self, buffer: &mut [u8]) -> io::Result<Option<Block>> {
        let mut too_long = 0;
        loop {
            if self.ended && self.tail.is_empty() {
                return Ok((too_long > 0).then_some(Block {
                    len: 0,
                    at: self.at,
                    is_open: false,
                    too_long,
                }));
            }
            let mut filled = self.tail.len();
            buffer[..filled].copy_from_slice(&self.tail);
            self.tail.clear();
            while filled < buffer.len() && !self.ended {
                match self.reader.read(&mut buffer[filled..]) {
                    Ok(0) => self.ended = true,
                    Ok(read) => filled += read,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
            let mut begin = 0;
            if self.in_long_line {
                // What is left of a line that was counted already.
                begin = memchr::memchr(b'\n', &buffer[..filled]).map_or(filled, |end| end + 1);
                self.in_long_line = begin == filled && !buffer[..filled].ends_with(b"\n");
                if begin == filled {
                    self.at += filled as u64;
                    continue;
                }
            }
            let end = if self.ended {
                filled
            } else if let Some(last) = memchr::memrchr(b'\n', &buffer[begin..filled]) {
                begin + last + 1
            } else if begin == 0 {
                too_long += 1;
                self.in_long_line = true;
                self.at += filled as u64;
                continue;
            } else {
                self.tail.extend_from_slice(&buffer[begin..filled]);
                self.at += begin as u64;
                continue;
            };
            self.tail.extend_from_slice(&buffer[end..filled]);
            buffer.copy_within(begin..end, 0);
            let at = self.at + begin as u64;
            self.at += end as u64;
            return Ok(Some(Block {
                len: end - begin,
                at,
                is_open: self.ended && end > begin && buffer[end - begin - 1] != b'\n',
                too_long,
            }));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives a few bytes at a time, as a pipe may.
    struct Drip<'a>(&'a [u8], usize);

    impl Read for Drip<'_> {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            let len = self.1.min(self.0.len()).min(out.len());
            out[..len].copy_from_slice(&self.0[..len]);
            self.0 = &self.0[len..];
            Ok(len)
        }
    }

    fn lines(log: &[u8], block: usize, drip: usize) -> (Vec<String>, u64, bool) {
        let mut blocks = Blocks::new(Drip(log, drip));
        let mut buffer = vec![0; block];
        let (mut lines, mut too_long, mut is_open) = (Vec::new(), 0, false);
        while let Some(block) = blocks.next(&mut buffer).unwrap() {
            let bytes = &buffer[..block.len];
            assert_eq!(bytes, &log[block.at as usize..][..block.len]);
            let text = String::from_utf8(bytes.to_vec()).unwrap();
            lines.extend(text.lines().map(str::to_owned));
            too_long += block.too_long;
            is_open |= block.is_open;
        }
        (lines, too_long, is_open)
    }

    #[test]
    fn lines_are_whole_whatever_the_blocks_and_long_ones_are_skipped() {
        let log = b"one\ntwo\n\nthree is much too long\nfour\nfive";
        for drip in [1, 3, 100] {
            for block in [9, 10, 16] {
                let (lines, too_long, is_open) = lines(log, block, drip);
                assert_eq!(lines, ["one", "two", "", "four", "five"], "{drip} {block}");
                assert_eq!((too_long, is_open), (1, true));
            }
            assert_eq!(lines(log, 64, drip).0.len(), 6);
        }
        assert_eq!(lines(b"", 8, 1), (vec![], 0, false));
        assert_eq!(lines(b"0123456789abcdef", 8, 5), (vec![], 1, false));
        assert_eq!(
            lines(b"0123456789abcdef\na\n", 8, 8),
            (vec!["a".to_owned()], 1, false)
        );
    }
}

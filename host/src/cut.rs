//! The cut stage: from an object's text to batches of whole records.
//!
//! A batch holds about as many bytes as asked for, more only if a single record does. A record over the cap is not kept:
//! the batch says that it was there, and how long it was, so that it is counted and reported.

use std::io;

use bytes::{BufMut, Bytes, BytesMut};
use tokio::io::{AsyncBufRead, AsyncBufReadExt};

/// Which lines are no records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Header {
    /// None.
    None,
    /// The first.
    FirstLine,
    /// Those that begin with this.
    Prefix(Vec<u8>),
}

/// How to cut.
#[derive(Clone, Debug)]
pub struct Cut {
    /// Which lines are no records.
    pub header: Header,
    /// About how many bytes a batch has.
    pub batch_bytes: usize,
    /// The longest record, its newline not counted.
    pub max_record: usize,
}

/// Whole records, in the order of the object.
#[derive(Debug, Default)]
pub struct Batch {
    /// The records, each followed by a newline.
    pub records: Bytes,
    /// How many they are.
    pub count: u32,
    /// Records over the cap, which are not among them.
    pub oversize: Vec<Oversize>,
    /// Lines that are no records.
    pub header_lines: u64,
}

/// A record over the cap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Oversize {
    /// Where it begins in the text.
    pub offset: u64,
    /// How long it is, its newline not counted.
    pub bytes: u64,
}

/// Cuts a text into batches.
pub struct Cutter<R> {
    text: R,
    cut: Cut,
    /// How much of the text was read.
    offset: u64,
    at_first_line: bool,
}

impl<R: AsyncBufRead + Unpin> Cutter<R> {
    /// Cuts `text` from its beginning.
    pub fn new(text: R, cut: Cut) -> Self {
        Self { text, cut, offset: 0, at_first_line: true }
    }

    /// How many bytes of text were read.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The next batch, or `None` after the last. Dropping the future loses what it has read.
    pub async fn next(&mut self) -> io::Result<Option<Batch>> {
        let mut records = BytesMut::with_capacity(self.cut.batch_bytes + (self.cut.batch_bytes >> 3));
        let mut batch = Batch::default();
        while records.len() < self.cut.batch_bytes {
            if !self.whole_lines(&mut records, &mut batch).await? && !self.line(&mut records, &mut batch).await? {
                break;
            }
        }
        batch.records = records.freeze();
        let is_empty = batch.count == 0 && batch.oversize.is_empty() && batch.header_lines == 0;
        Ok((!is_empty).then_some(batch))
    }

    /// The quick way: takes the whole lines at the front of the buffer at once. Answers whether it took any, which it
    /// does not where a line may be a header, or longer than the cap.
    async fn whole_lines(&mut self, records: &mut BytesMut, batch: &mut Batch) -> io::Result<bool> {
        if self.cut.header != Header::None {
            return Ok(false);
        }
        let room = self.cut.batch_bytes - records.len();
        let max_record = self.cut.max_record;
        let buffer = self.text.fill_buf().await?;
        // Lines within a piece that is no longer than the cap cannot be over it.
        let piece = &buffer[..buffer.len().min(room).min(max_record)];
        let Some(end) = memchr::memrchr(b'\n', piece) else {
            return Ok(false);
        };
        let lines = &piece[..=end];
        batch.count += memchr::memchr_iter(b'\n', lines).count() as u32;
        records.put_slice(lines);
        let taken = lines.len();
        self.text.consume(taken);
        self.offset += taken as u64;
        self.at_first_line = false;
        Ok(true)
    }

    /// Takes one line, wherever it ends. Answers whether there was one.
    async fn line(&mut self, records: &mut BytesMut, batch: &mut Batch) -> io::Result<bool> {
        let begin = self.offset;
        let kept_before = records.len();
        let mut length = 0_u64;
        let mut ended = false;
        while !ended {
            let buffer = self.text.fill_buf().await?;
            if buffer.is_empty() {
                break;
            }
            let newline = memchr::memchr(b'\n', buffer);
            ended = newline.is_some();
            let part = &buffer[..newline.unwrap_or(buffer.len())];
            length += part.len() as u64;
            if length <= self.cut.max_record as u64 {
                records.put_slice(part);
            } else {
                records.truncate(kept_before);
            }
            let taken = part.len() + usize::from(ended);
            self.text.consume(taken);
            self.offset += taken as u64;
        }
        if self.offset == begin {
            return Ok(false);
        }
        let is_first = std::mem::take(&mut self.at_first_line);
        if length > self.cut.max_record as u64 {
            batch.oversize.push(Oversize { offset: begin, bytes: length });
        } else if self.is_header(&records[kept_before..], is_first) {
            records.truncate(kept_before);
            batch.header_lines += 1;
        } else {
            records.put_u8(b'\n');
            batch.count += 1;
        }
        Ok(true)
    }

    fn is_header(&self, line: &[u8], is_first: bool) -> bool {
        match &self.cut.header {
            Header::None => false,
            Header::FirstLine => is_first,
            Header::Prefix(prefix) => line.starts_with(prefix),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio::io::BufReader;

    use super::*;

    fn cut(text: &[u8], buffer: usize, cut: &Cut) -> Vec<Batch> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut cutter = Cutter::new(BufReader::with_capacity(buffer, text), cut.clone());
            let mut batches = Vec::new();
            while let Some(batch) = cutter.next().await.unwrap() {
                batches.push(batch);
            }
            assert_eq!(cutter.offset(), text.len() as u64);
            batches
        })
    }

    /// What a plain loop over the lines makes of it: records, oversize ones, header lines.
    fn expected(text: &[u8], cut: &Cut) -> (Vec<u8>, Vec<Oversize>, u64) {
        let (mut records, mut oversize, mut headers, mut offset) = (Vec::new(), Vec::new(), 0, 0);
        for (index, line) in text.split_inclusive(|b| *b == b'\n').enumerate() {
            let begin = offset;
            offset += line.len() as u64;
            let line = line.strip_suffix(b"\n").unwrap_or(line);
            if line.len() > cut.max_record {
                oversize.push(Oversize { offset: begin, bytes: line.len() as u64 });
            } else if match &cut.header {
                Header::None => false,
                Header::FirstLine => index == 0,
                Header::Prefix(prefix) => line.starts_with(prefix),
            } {
                headers += 1;
            } else {
                records.extend(line);
                records.push(b'\n');
            }
        }
        (records, oversize, headers)
    }

    fn any_header() -> impl Strategy<Value = Header> {
        prop_oneof![Just(Header::None), Just(Header::FirstLine), Just(Header::Prefix(b"#".to_vec()))]
    }

    proptest! {
        #[test]
        fn every_line_comes_out_once(
            text in proptest::collection::vec(prop_oneof![Just(b'\n'), Just(b'#'), Just(b'a'), Just(b'\r'), any::<u8>()], 0..400),
            header in any_header(),
            buffer in 1_usize..50,
            batch_bytes in 1_usize..60,
            max_record in 1_usize..30,
        ) {
            let how = Cut { header, batch_bytes, max_record };
            let batches = cut(&text, buffer, &how);
            let (records, oversize, headers) = expected(&text, &how);
            let got: Vec<u8> = batches.iter().flat_map(|b| b.records.to_vec()).collect();
            prop_assert_eq!(got, records);
            let got: Vec<Oversize> = batches.iter().flat_map(|b| b.oversize.clone()).collect();
            prop_assert_eq!(got, oversize);
            prop_assert_eq!(batches.iter().map(|b| b.header_lines).sum::<u64>(), headers);
            for batch in &batches {
                prop_assert_eq!(batch.count as usize, batch.records.iter().filter(|b| **b == b'\n').count());
                prop_assert!(batch.records.len() < batch_bytes + max_record + 1);
            }
        }
    }
}

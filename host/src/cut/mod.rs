//! The cut stage: from an object's text to batches of whole records.
//!
//! A batch holds about as many bytes as asked for, more only if a single record does. A record over the cap is not kept:
//! the batch says that it was there, and how long it was, so that it is counted and reported.

mod json;

use std::io;
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use tokio::io::{AsyncBufRead, AsyncBufReadExt};
use tokio::time::timeout;

/// How long whole records wait for others to make a full batch. A file never makes them wait; a pipe may.
const LINGER: Duration = Duration::from_millis(200);

pub use json::Place;
use json::{Part, Walk};

/// What a record is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Framing {
    /// A line, unless it belongs to the header.
    Lines(Header),
    /// A JSON value.
    Json(Place),
}

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
    /// What a record is.
    pub framing: Framing,
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
    /// Where each begins in the text.
    pub offsets: Vec<u64>,
    /// Records over the cap, which are not among them.
    pub oversize: Vec<Oversize>,
    /// Lines that are no records.
    pub header_lines: u64,
}

impl Batch {
    /// Leaves out what begins before this place of the text.
    pub fn skip_to(&mut self, offset: u64) {
        self.oversize.retain(|record| record.offset >= offset);
        let skipped = self.offsets.partition_point(|begin| *begin < offset);
        if let Some(last) = skipped.checked_sub(1) {
            let end = memchr::memchr_iter(b'\n', &self.records).nth(last).map_or(self.records.len(), |end| end + 1);
            self.records.advance(end);
            self.offsets.drain(..skipped);
        }
    }
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
    /// How much of the text was taken.
    offset: u64,
    /// What was taken of a line whose end is still to come; no more than the cap is kept.
    partial: BytesMut,
    /// How long that line is so far.
    partial_bytes: u64,
    at_first_line: bool,
    /// Where the values are, for JSON.
    walk: Option<Walk>,
    /// The batch that is being gathered, and its records.
    batch: Batch,
    records: BytesMut,
    /// What ended the text, while the records before it are on their way.
    error: Option<io::Error>,
}

impl<R: AsyncBufRead + Unpin> Cutter<R> {
    /// Cuts `text` from its beginning.
    pub fn new(text: R, cut: Cut) -> Self {
        let walk = match &cut.framing {
            Framing::Lines(_) => None,
            Framing::Json(place) => Some(Walk::new(place.clone())),
        };
        Self {
            text,
            cut,
            offset: 0,
            partial: BytesMut::new(),
            partial_bytes: 0,
            at_first_line: true,
            walk,
            batch: Batch::default(),
            records: BytesMut::new(),
            error: None,
        }
    }

    /// How many bytes of text were taken.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The next batch, or `None` after the last. Where the text breaks, the records before come first, and then the error.
    /// Dropping the future loses nothing: see [`Self::take_gathered`].
    pub async fn next(&mut self) -> io::Result<Option<Batch>> {
        if let Some(error) = self.error.take() {
            return Err(error);
        }
        self.records.reserve(self.cut.batch_bytes + (self.cut.batch_bytes >> 3));
        while self.records.len() < self.cut.batch_bytes {
            let has_some = !self.batch.offsets.is_empty() || !self.batch.oversize.is_empty();
            let step = match has_some {
                true => match timeout(LINGER, self.step()).await {
                    Ok(step) => step,
                    Err(_) => break,
                },
                false => self.step().await,
            };
            match step {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    self.error = Some(error);
                    break;
                }
            }
        }
        match (self.take_gathered(), self.error.take()) {
            (None, Some(error)) => Err(error),
            (batch, error) => {
                self.error = error;
                Ok(batch)
            }
        }
    }

    /// What was gathered until now of the next batch, if anything was.
    pub fn take_gathered(&mut self) -> Option<Batch> {
        let batch = Batch { records: self.records.split().freeze(), ..std::mem::take(&mut self.batch) };
        let is_empty = batch.offsets.is_empty() && batch.oversize.is_empty() && batch.header_lines == 0;
        (!is_empty).then_some(batch)
    }

    /// Takes what is at the front of the buffer: several whole lines, one record, or a part of one. `false` at the end of
    /// the text. Waits only before it takes anything, so that dropping the future loses nothing.
    async fn step(&mut self) -> io::Result<bool> {
        let buffer = self.text.fill_buf().await?;
        if buffer.is_empty() {
            let has_last_record = match &mut self.walk {
                Some(walk) => walk.finish()?,
                None => self.partial_bytes > 0,
            };
            if has_last_record {
                self.end_record(0);
            }
            return Ok(has_last_record);
        }
        if let Some(walk) = &mut self.walk {
            let (taken, part) = walk.advance(buffer)?;
            if part != Part::Between {
                // A line break between the parts of a value means what a space does.
                let is_kept = keep(&mut self.partial, &mut self.partial_bytes, &buffer[..taken], self.cut.max_record);
                let new = if is_kept { self.partial.len() - taken } else { 0 };
                self.partial[new..].iter_mut().filter(|byte| **byte == b'\n').for_each(|byte| *byte = b' ');
            }
            self.text.consume(taken);
            self.offset += taken as u64;
            if part == Part::Last {
                self.end_record(0);
            }
            return Ok(true);
        }
        let room = self.cut.batch_bytes - self.records.len();
        let lines = match self.cut.framing {
            Framing::Lines(Header::None) if self.partial_bytes == 0 => {
                whole_lines(buffer, room.min(self.cut.max_record))
            }
            // Each line has to be looked at.
            _ => &[],
        };
        if !lines.is_empty() {
            let begin = self.offset;
            self.batch.offsets.push(begin);
            self.batch.offsets.extend(memchr::memchr_iter(b'\n', lines).map(|newline| begin + newline as u64 + 1));
            // The last newline ends the last line, and begins none.
            self.batch.offsets.pop();
            self.records.put_slice(lines);
            let taken = lines.len();
            self.text.consume(taken);
            self.offset += taken as u64;
            return Ok(true);
        }
        let newline = memchr::memchr(b'\n', buffer);
        let part = &buffer[..newline.unwrap_or(buffer.len())];
        keep(&mut self.partial, &mut self.partial_bytes, part, self.cut.max_record);
        let taken = part.len() + usize::from(newline.is_some());
        self.text.consume(taken);
        self.offset += taken as u64;
        if newline.is_some() {
            self.end_record(1);
        }
        Ok(true)
    }

    /// Books the record that was taken bit by bit, and that ended so many bytes ago.
    fn end_record(&mut self, bytes_since: u64) {
        let is_first = std::mem::take(&mut self.at_first_line);
        let bytes = std::mem::take(&mut self.partial_bytes);
        let line = self.partial.split();
        let offset = self.offset - bytes_since - bytes;
        if bytes > self.cut.max_record as u64 {
            self.batch.oversize.push(Oversize { offset, bytes });
        } else if self.is_header(&line, is_first) {
            self.batch.header_lines += 1;
        } else {
            self.records.put_slice(&line);
            self.records.put_u8(b'\n');
            self.batch.offsets.push(offset);
        }
    }

    fn is_header(&self, line: &[u8], is_first: bool) -> bool {
        match &self.cut.framing {
            Framing::Json(_) | Framing::Lines(Header::None) => false,
            Framing::Lines(Header::FirstLine) => is_first,
            Framing::Lines(Header::Prefix(prefix)) => line.starts_with(prefix),
        }
    }
}

/// Adds to a partial record, of which no more than the cap is kept. Answers whether it is kept.
fn keep(partial: &mut BytesMut, partial_bytes: &mut u64, part: &[u8], max_record: usize) -> bool {
    *partial_bytes += part.len() as u64;
    let is_kept = *partial_bytes <= max_record as u64;
    match is_kept {
        true => partial.put_slice(part),
        false => partial.clear(),
    }
    is_kept
}

/// The whole lines within the first bytes of a buffer. Lines within a piece that is no longer than the cap of a record
/// cannot be over it.
fn whole_lines(buffer: &[u8], most: usize) -> &[u8] {
    let piece = &buffer[..buffer.len().min(most)];
    memchr::memrchr(b'\n', piece).map_or(&[], |end| &piece[..=end])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio::io::{AsyncWriteExt, BufReader};

    use super::*;

    fn cut(text: &[u8], buffer: usize, cut: &Cut) -> Vec<Batch> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
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
    fn expected(text: &[u8], cut: &Cut, header: &Header) -> (Vec<u8>, Vec<Oversize>, u64) {
        let (mut records, mut oversize, mut headers, mut offset) = (Vec::new(), Vec::new(), 0, 0);
        for (index, line) in text.split_inclusive(|b| *b == b'\n').enumerate() {
            let begin = offset;
            offset += line.len() as u64;
            let line = line.strip_suffix(b"\n").unwrap_or(line);
            if line.len() > cut.max_record {
                oversize.push(Oversize { offset: begin, bytes: line.len() as u64 });
            } else if match header {
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

    #[tokio::test]
    async fn records_do_not_wait_for_a_slow_writer() {
        let (mut writer, reader) = tokio::io::duplex(64);
        let how = Cut { framing: Framing::Lines(Header::None), batch_bytes: 1 << 20, max_record: 1 << 20 };
        let mut cutter = Cutter::new(BufReader::new(reader), how);
        writer.write_all(b"one\ntwo\nhal").await.unwrap();
        let first = cutter.next().await.unwrap().unwrap();
        writer.write_all(b"f\n").await.unwrap();
        drop(writer);
        let second = cutter.next().await.unwrap().unwrap();
        assert_eq!([first.records, second.records], [&b"one\ntwo\n"[..], b"half\n"]);
    }

    #[test]
    fn json_values_become_lines_and_their_cap_holds() {
        let text = b"{\"Records\": [{\"a\":\n1}, \"0123456789\", [2]]}";
        let how = Cut { framing: Framing::Json(Place::Array("Records".into())), batch_bytes: 100, max_record: 8 };
        for buffer in 1..20 {
            let batches = cut(text, buffer, &how);
            assert_eq!(batches.len(), 1);
            assert_eq!(batches[0].records, &b"{\"a\": 1}\n[2]\n"[..]);
            assert_eq!(
                (&batches[0].offsets[..], &batches[0].oversize[..]),
                (&[13, 37][..], &[Oversize { offset: 23, bytes: 12 }][..])
            );
        }
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
            let how = Cut { framing: Framing::Lines(header.clone()), batch_bytes, max_record };
            let batches = cut(&text, buffer, &how);
            let (records, oversize, headers) = expected(&text, &how, &header);
            let got: Vec<u8> = batches.iter().flat_map(|b| b.records.to_vec()).collect();
            prop_assert_eq!(got, records);
            let got: Vec<Oversize> = batches.iter().flat_map(|b| b.oversize.clone()).collect();
            prop_assert_eq!(got, oversize);
            prop_assert_eq!(batches.iter().map(|b| b.header_lines).sum::<u64>(), headers);
            for batch in &batches {
                prop_assert_eq!(batch.offsets.len(), batch.records.iter().filter(|b| **b == b'\n').count());
                for (record, offset) in batch.records.split(|b| *b == b'\n').zip(&batch.offsets) {
                    prop_assert!(text[*offset as usize..].starts_with(record));
                    prop_assert!(*offset == 0 || text[*offset as usize - 1] == b'\n');
                }
                prop_assert!(batch.records.len() < batch_bytes + max_record + 1);
            }
        }
    }
}

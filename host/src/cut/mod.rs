//! The cut stage: from an object's text to batches of whole records.
//!
//! A batch holds about as many bytes as asked for, more only if a single record does. Of a record over the cap only the
//! beginning is kept: the batch says that it was there, and how long it was, so that it is counted and reported.

mod ahead;
mod header;
mod json;
mod lines_from;

use std::io;
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use tokio::io::AsyncBufRead;
use tokio::time::timeout;

pub use ahead::Ahead;
pub use header::Header;
use header::{Headers, Kind};
pub use json::Place;
use json::{Part, Walk};
use lines_from::LinesFrom;

/// How long whole records wait for others to make a full batch. A file never makes them wait; a pipe may.
const LINGER: Duration = Duration::from_millis(200);

/// What a record is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Framing {
    /// A line, unless it belongs to the header.
    Lines(Header),
    /// A line that begins with this shape, in which `0` stands for any digit, with the lines behind it that do not, as long
    /// as a quote is open. Any other line.
    LinesFrom(Vec<u8>),
    /// A JSON value.
    Json(Place),
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
    /// Where the text has the line breaks within them, which are `\x0A` in them.
    pub breaks: Vec<u64>,
    /// Records over the cap, which are not among them.
    pub oversize: Vec<Oversize>,
    /// Lines that are no records.
    pub header_lines: u64,
    /// If other columns were named before these records: the first bytes of the text from that header on.
    pub head: Option<Vec<u8>>,
}

impl Batch {
    /// Leaves out what begins before this place of the text.
    pub fn skip_to(&mut self, offset: u64) {
        self.oversize.retain(|record| record.offset >= offset);
        self.breaks.retain(|place| *place >= offset);
        let skipped = self.offsets.partition_point(|begin| *begin < offset);
        if let Some(last) = skipped.checked_sub(1) {
            let end = memchr::memchr_iter(b'\n', &self.records).nth(last).map_or(self.records.len(), |end| end + 1);
            self.records.advance(end);
            self.offsets.drain(..skipped);
        }
    }
}

/// A record over the cap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Oversize {
    /// Where it begins in the text.
    pub offset: u64,
    /// How long it is, its newline not counted.
    pub bytes: u64,
    /// What it begins with, to tell it by: at most [`Oversize::KEPT`] bytes, and of the first [`Oversize::MOST_KEPT`] of a text
    /// only.
    pub start: Option<Bytes>,
}

impl Oversize {
    /// How many bytes of it are kept.
    pub const KEPT: usize = 4 << 10;

    /// Of how many.
    pub const MOST_KEPT: u64 = 1000;
}

/// Cuts a text into batches.
pub struct Cutter<R> {
    text: Ahead<R>,
    cut: Cut,
    /// How much of the text was taken.
    offset: u64,
    /// What was taken of a line whose end is still to come; beyond the cap, only what it begins with.
    partial: BytesMut,
    /// How long that line is so far.
    partial_bytes: u64,
    /// How many records were over the cap.
    oversize: u64,
    state: State,
    /// The batch that is being gathered, and its records.
    batch: Batch,
    records: BytesMut,
    /// A line that names other columns, while the records before it are on their way.
    new_header: Option<BytesMut>,
    /// What ended the text, while the records before it are on their way.
    error: Option<io::Error>,
}

/// What the records of a text so far mean for those to come.
enum State {
    Lines(Box<Headers>),
    LinesFrom(LinesFrom),
    Json(Walk),
}

impl State {
    /// Puts whole lines, which begin at this place, up to the first that may be no record by itself. Answers how many bytes
    /// they have.
    fn put_plain(&mut self, lines: &[u8], begin: u64, batch: &mut Batch, records: &mut BytesMut) -> usize {
        let mut taken = 0;
        let mut last = 0;
        for newline in memchr::memchr_iter(b'\n', lines) {
            let is_plain = match self {
                Self::Lines(headers) => headers.is_record(lines[taken]),
                Self::LinesFrom(from) => from.is_first_line(&lines[taken..newline]),
                Self::Json(_) => false,
            };
            if !is_plain {
                break;
            }
            batch.offsets.push(begin + taken as u64);
            last = taken;
            taken = newline + 1;
        }
        let start = records.len();
        records.put_slice(&lines[..taken]);
        match self {
            Self::Lines(headers) if taken > 0 => headers.skip(),
            Self::LinesFrom(from) if taken > 0 => from.put(records, start + last),
            _ => {}
        }
        taken
    }
}

impl<R: AsyncBufRead + Unpin> Cutter<R> {
    /// Cuts `text` from its beginning.
    pub fn new(text: Ahead<R>, cut: Cut) -> Self {
        let state = match cut.framing.clone() {
            Framing::Lines(header) => State::Lines(Box::new(Headers::new(header))),
            Framing::LinesFrom(shape) => State::LinesFrom(LinesFrom::new(shape)),
            Framing::Json(place) => State::Json(Walk::new(place)),
        };
        Self {
            text,
            cut,
            offset: 0,
            partial: BytesMut::new(),
            partial_bytes: 0,
            oversize: 0,
            state,
            batch: Batch::default(),
            records: BytesMut::new(),
            new_header: None,
            error: None,
        }
    }

    /// How many bytes of text were taken.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The next batch, or `None` after the last. Where the text breaks, the records before come first, and then the error.
    /// All records of a batch are under the same header. Dropping the future loses nothing: see [`Self::take_gathered`].
    pub async fn next(&mut self) -> io::Result<Option<Batch>> {
        if let Some(error) = self.error.take() {
            return Err(error);
        }
        if let Some(header) = &self.new_header {
            self.batch.head = Some(self.text.head(header).await?);
            self.new_header = None;
        }
        self.records.reserve(self.cut.batch_bytes + (self.cut.batch_bytes >> 3));
        while self.settled() < self.cut.batch_bytes && self.new_header.is_none() {
            let has_some = self.settled() > 0 || !self.batch.oversize.is_empty();
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
        let settled = self.settled();
        let records = self.records.split_to(settled).freeze();
        let mut batch = Batch { records, ..std::mem::take(&mut self.batch) };
        if !self.records.is_empty()
            && let Some(open) = batch.offsets.pop()
        {
            self.batch.offsets.push(open);
            self.batch.breaks = batch.breaks.split_off(batch.breaks.partition_point(|place| *place < open));
        }
        if let State::LinesFrom(lines) = &mut self.state {
            lines.take_settled();
        }
        if batch.offsets.is_empty() && batch.oversize.is_empty() && batch.header_lines == 0 {
            self.batch.head = batch.head;
            return None;
        }
        Some(batch)
    }

    /// How many bytes of the records are whole ones. The last may wait for its next line.
    fn settled(&self) -> usize {
        match &self.state {
            State::LinesFrom(lines) => lines.settled(&self.records),
            State::Lines(_) | State::Json(_) => self.records.len(),
        }
    }

    /// Takes what is at the front of the buffer: several whole lines, one record, or a part of one. `false` at the end of
    /// the text. Waits only before it takes anything, so that dropping the future loses nothing.
    async fn step(&mut self) -> io::Result<bool> {
        let buffer = self.text.fill_buf().await?;
        if buffer.is_empty() {
            return self.finish();
        }
        if let State::Json(walk) = &mut self.state {
            let (taken, part) = walk.advance(buffer)?;
            if part != Part::Between {
                // A line break between the parts of a value means what a space does.
                let added = keep(&mut self.partial, &mut self.partial_bytes, &buffer[..taken], self.cut.max_record);
                let new = self.partial.len() - added;
                self.partial[new..].iter_mut().filter(|byte| **byte == b'\n').for_each(|byte| *byte = b' ');
            }
            self.text.consume(taken);
            self.offset += taken as u64;
            if part == Part::Last {
                self.end_record(0);
            }
            return Ok(true);
        }
        if self.partial_bytes == 0 {
            let room = self.cut.batch_bytes.saturating_sub(self.records.len());
            let lines = whole_lines(buffer, room.min(self.cut.max_record));
            let taken = self.state.put_plain(lines, self.offset, &mut self.batch, &mut self.records);
            if taken > 0 {
                self.text.consume(taken);
                self.offset += taken as u64;
                return Ok(true);
            }
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

    /// The end of the text, which may end a record too. Answers whether it does.
    fn finish(&mut self) -> io::Result<bool> {
        let has_last_record = match &mut self.state {
            State::Json(walk) => walk.finish()?,
            State::Lines(_) | State::LinesFrom(_) => self.partial_bytes > 0,
        };
        if has_last_record {
            self.end_record(0);
        }
        if let State::LinesFrom(lines) = &mut self.state {
            lines.close();
        }
        Ok(has_last_record)
    }

    /// Books the record that was taken bit by bit, and that ended so many bytes ago.
    fn end_record(&mut self, bytes_since: u64) {
        let bytes = std::mem::take(&mut self.partial_bytes);
        let line = self.partial.split();
        let offset = self.offset - bytes_since - bytes;
        if bytes > self.cut.max_record as u64 {
            // Copied, or it might keep a larger allocation.
            let start = (self.oversize < Oversize::MOST_KEPT).then(|| Bytes::copy_from_slice(&line));
            self.oversize += 1;
            self.batch.oversize.push(Oversize { offset, bytes, start });
            match &mut self.state {
                State::Lines(headers) => headers.skip(),
                State::LinesFrom(lines) => lines.close(),
                State::Json(_) => {}
            }
            return;
        }
        match &mut self.state {
            State::Json(_) => put_record(&mut self.records, &mut self.batch, &line, offset),
            State::Lines(headers) => match headers.look(&line) {
                Kind::Record => put_record(&mut self.records, &mut self.batch, &line, offset),
                Kind::HeaderLine => self.batch.header_lines += 1,
                Kind::NewHeader => {
                    self.batch.header_lines += 1;
                    let mut line = line;
                    line.put_bytes(b'\n', usize::from(bytes_since > 0));
                    self.new_header = Some(line);
                }
            },
            State::LinesFrom(lines) => {
                let is_first_line = lines.is_first_line(&line);
                if !is_first_line && lines.add(&mut self.records, &line, self.cut.max_record) {
                    self.batch.breaks.push(offset - 1);
                } else {
                    let start = self.records.len();
                    put_record(&mut self.records, &mut self.batch, &line, offset);
                    match is_first_line {
                        true => lines.put(&self.records, start),
                        false => lines.close(),
                    }
                }
            }
        }
    }
}

fn put_record(records: &mut BytesMut, batch: &mut Batch, record: &[u8], offset: u64) {
    records.put_slice(record);
    records.put_u8(b'\n');
    batch.offsets.push(offset);
}

/// Adds to a partial record, of which beyond the cap only the beginning is kept. Answers how many bytes were added.
fn keep(partial: &mut BytesMut, partial_bytes: &mut u64, part: &[u8], max_record: usize) -> usize {
    *partial_bytes += part.len() as u64;
    let added = match *partial_bytes <= max_record as u64 {
        true => part.len(),
        false => Oversize::KEPT.saturating_sub(partial.len()).min(part.len()),
    };
    partial.put_slice(&part[..added]);
    if *partial_bytes > max_record as u64 && partial.len() > Oversize::KEPT {
        // Not only the length: it may hold a cap's worth of memory.
        *partial = BytesMut::from(&partial[..Oversize::KEPT]);
    }
    added
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
            let mut cutter = Cutter::new(Ahead::new(BufReader::with_capacity(buffer, text)), cut.clone());
            let mut batches = Vec::new();
            while let Some(batch) = cutter.next().await.unwrap() {
                batches.push(batch);
            }
            assert_eq!(cutter.offset(), text.len() as u64);
            batches
        })
    }

    /// What a plain loop over the lines makes of a text.
    #[derive(Debug, Default, PartialEq)]
    struct Expected {
        /// Each with its place, and that of the header which is not the first.
        records: Vec<(u64, Vec<u8>, Option<u64>)>,
        oversize: Vec<Oversize>,
        header_lines: u64,
        /// Line breaks within records.
        breaks: Vec<u64>,
    }

    fn expected(text: &[u8], cut: &Cut) -> Expected {
        let mut expected = Expected::default();
        let (mut names, mut section, mut is_open) = (None, None, false);
        let mut offset = 0;
        for (index, line) in text.split_inclusive(|b| *b == b'\n').enumerate() {
            let begin = offset;
            offset += line.len() as u64;
            let line = line.strip_suffix(b"\n").unwrap_or(line);
            if line.len() > cut.max_record {
                let start = Some(Bytes::copy_from_slice(&line[..line.len().min(Oversize::KEPT)]));
                expected.oversize.push(Oversize { offset: begin, bytes: line.len() as u64, start });
                is_open = false;
                continue;
            }
            let is_same =
                |names: &Option<&[u8]>| !line.trim_ascii_end().is_empty() && *names == Some(line.trim_ascii_end());
            let (is_header, names_columns) = match &cut.framing {
                Framing::Lines(Header::Prefix(prefix)) => (line.starts_with(prefix), false),
                Framing::Lines(Header::W3c) => (line.starts_with(b"#"), line.starts_with(b"#Fields:")),
                Framing::Lines(Header::FirstLine(_)) => {
                    let words: Vec<&[u8]> = line.split(u8::is_ascii_whitespace).collect();
                    let count =
                        |known| words.iter().filter(|w| !w.is_empty() && (**w == b"#" || **w == b"a") == known).count();
                    let is_names = matches!(words[0], b"#" | b"a") && count(true) > count(false);
                    (index == 0 || is_names || is_same(&names), true)
                }
                _ => (false, false),
            };
            if is_header {
                expected.header_lines += 1;
                if names_columns && !is_same(&names) {
                    let is_first = match &cut.framing {
                        Framing::Lines(Header::W3c) => names.is_none(),
                        _ => index == 0,
                    };
                    section = if is_first { section } else { Some(begin) };
                    names = Some(line.trim_ascii_end());
                }
                continue;
            }
            let is_first_line = matches!(line, [digit, b'a', ..] if digit.is_ascii_digit());
            if let (Framing::LinesFrom(_), Some((_, record, _)), true) =
                (&cut.framing, expected.records.last_mut(), is_open && !is_first_line && !matches!(line, b"" | b"\r"))
                && record.len() + 4 + line.len() <= cut.max_record
            {
                record.extend([b"\\x0A", line].concat());
                expected.breaks.push(begin - 1);
                is_open = record.iter().filter(|b| **b == b'"').count() % 2 == 1;
                continue;
            }
            is_open = is_first_line && line.iter().filter(|b| **b == b'"').count() % 2 == 1;
            expected.records.push((begin, line.to_vec(), section));
        }
        expected
    }

    /// The same of batches.
    fn found(text: &[u8], batches: &[Batch]) -> Expected {
        let mut found = Expected::default();
        let mut section = None;
        for batch in batches {
            if let Some(head) = &batch.head {
                assert!(text.ends_with(head));
                section = Some((text.len() - head.len()) as u64);
            }
            let records =
                batch.records.split_inclusive(|b| *b == b'\n').map(|record| record[..record.len() - 1].to_vec());
            let records: Vec<_> = records.collect();
            assert_eq!(records.len(), batch.offsets.len());
            found.records.extend(batch.offsets.iter().zip(records).map(|(offset, record)| (*offset, record, section)));
            found.breaks.extend(&batch.breaks);
            found.oversize.extend(batch.oversize.iter().cloned());
            found.header_lines += batch.header_lines;
        }
        let lines = text.split_inclusive(|b| *b == b'\n').count() as u64;
        let others = found.records.len() + found.oversize.len() + found.breaks.len();
        assert_eq!(others as u64 + found.header_lines, lines);
        found
    }

    fn any_framing() -> impl Strategy<Value = Framing> {
        prop_oneof![
            Just(Framing::Lines(Header::None)),
            Just(Framing::Lines(Header::FirstLine(vec!["a".into(), "#".into()]))),
            Just(Framing::Lines(Header::W3c)),
            Just(Framing::Lines(Header::Prefix(b"#".to_vec()))),
            Just(Framing::LinesFrom(b"0a".to_vec())),
        ]
    }

    fn any_text() -> impl Strategy<Value = Vec<u8>> {
        const KNOWN: &[&str] = &["\n", "\n", "\n", "\n1a", "\n2a\"", "#", "#Fields:", "a", "b", " ", "\"", "\r"];
        let part = prop_oneof![
            9 => proptest::sample::select(KNOWN).prop_map(|part| part.as_bytes().to_vec()),
            1 => any::<u8>().prop_map(|byte| vec![byte]),
        ];
        proptest::collection::vec(part, 0..200).prop_map(|parts| parts.concat())
    }

    fn lines_from(shape: &str) -> Cut {
        Cut { framing: Framing::LinesFrom(shape.into()), batch_bytes: 1 << 20, max_record: 1 << 20 }
    }

    #[tokio::test]
    async fn records_do_not_wait_for_a_slow_writer() {
        let (mut writer, reader) = tokio::io::duplex(64);
        let how = Cut { framing: Framing::Lines(Header::None), batch_bytes: 1 << 20, max_record: 1 << 20 };
        let mut cutter = Cutter::new(Ahead::new(BufReader::new(reader)), how);
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
            let oversize = Oversize { offset: 23, bytes: 12, start: Some(Bytes::from_static(b"\"0123456789\"")) };
            assert_eq!((&batches[0].offsets[..], &batches[0].oversize[..]), (&[13, 37][..], &[oversize][..]));
        }
    }

    #[test]
    fn of_a_record_over_the_cap_the_beginning_is_kept() {
        let long = format!("{}\n", "0123456789".repeat(1000));
        let text = format!("{long}short\n{long}");
        for (buffer, max_record) in [(1, 10), (7, 5000), (64, 9999), (100_000, 4096)] {
            let how = Cut { framing: Framing::Lines(Header::None), batch_bytes: 1 << 20, max_record };
            let batches = cut(text.as_bytes(), buffer, &how);
            let oversize: Vec<&Oversize> = batches.iter().flat_map(|batch| &batch.oversize).collect();
            assert_eq!(oversize.iter().map(|record| record.offset).collect::<Vec<_>>(), [0, 10_007]);
            let start = Some(Bytes::copy_from_slice(&long.as_bytes()[..Oversize::KEPT]));
            assert!(oversize.iter().all(|record| record.bytes == 10_000 && record.start == start));
            // Of JSON, with spaces for line breaks.
            let text = format!("[{}]", "[1,\n2]".repeat(2000));
            let how = Cut { framing: Framing::Json(Place::TopLevel), batch_bytes: 1 << 20, max_record };
            let batches = cut(text.as_bytes(), buffer, &how);
            let start = text.replace('\n', " ").into_bytes();
            assert_eq!(batches[0].oversize[0].start.as_deref(), Some(&start[..Oversize::KEPT]));
        }
    }

    #[test]
    fn beginnings_take_no_more_than_a_few_megabytes() {
        let how = Cut { framing: Framing::Lines(Header::None), batch_bytes: 1 << 20, max_record: 1 };
        let batches = cut(&b"ab\n".repeat(Oversize::MOST_KEPT as usize + 5), 64, &how);
        let oversize = batches.iter().flat_map(|batch| &batch.oversize);
        let starts: Vec<_> = oversize.map(|record| record.start.is_some()).collect();
        assert_eq!(starts.iter().filter(|has_start| **has_start).count() as u64, Oversize::MOST_KEPT);
        assert_eq!(starts.len() as u64, Oversize::MOST_KEPT + 5);
    }

    #[tokio::test]
    async fn only_a_record_with_an_open_quote_waits_for_its_next_line() {
        let (mut writer, reader) = tokio::io::duplex(64);
        let mut cutter = Cutter::new(Ahead::new(BufReader::new(reader)), lines_from("0 "));
        writer.write_all(b"1 a\n2 \"b\n").await.unwrap();
        let first = cutter.next().await.unwrap().unwrap();
        // It stays where it is, too, when the reader is told to stop.
        assert!(cutter.take_gathered().is_none());
        writer.write_all(b"c\"\n").await.unwrap();
        drop(writer);
        let second = cutter.next().await.unwrap().unwrap();
        assert_eq!([first.records, second.records], [&b"1 a\n"[..], b"2 \"b\\x0Ac\"\n"]);
        assert_eq!([first.offsets, second.offsets], [[0], [4]]);
    }

    #[test]
    fn a_record_grows_by_eight_kib_at_most() {
        for (more, records) in [(8190, 1), (8191, 2)] {
            let text = format!("1 \"\n{}\n{}\n2 \"", "x".repeat(4000), "y".repeat(more - 4000));
            let batches = cut(text.as_bytes(), 100, &lines_from("0 "));
            let last = text.len() - 3;
            assert_eq!(batches[0].offsets.len(), records + 1, "{more}");
            assert_eq!(batches[0].offsets.last(), Some(&(last as u64)));
        }
    }

    proptest! {
        #[test]
        fn every_line_comes_out_once(
            text in any_text(),
            framing in any_framing(),
            buffer in 1_usize..50,
            batch_bytes in 1_usize..60,
            max_record in 1_usize..30,
        ) {
            let how = Cut { framing, batch_bytes, max_record };
            let batches = cut(&text, buffer, &how);
            prop_assert_eq!(found(&text, &batches), expected(&text, &how));
            for batch in &batches {
                // The last may have been open, until the next was there.
                prop_assert!(batch.records.len() < batch_bytes + 2 * (max_record + 1));
            }
        }

        #[test]
        fn what_was_settled_is_left_out(text in any_text(), framing in any_framing(), batch_bytes in 1_usize..60, from in 0_u64..200) {
            let how = Cut { framing, batch_bytes, max_record: 20 };
            let mut batches = cut(&text, 10, &how);
            batches.iter_mut().for_each(|batch| batch.skip_to(from));
            let mut expected = expected(&text, &how);
            expected.records.retain(|(offset, ..)| *offset >= from);
            expected.oversize.retain(|record| record.offset >= from);
            let records: Vec<u64> = batches.iter().flat_map(|batch| batch.offsets.clone()).collect();
            prop_assert_eq!(records, expected.records.iter().map(|(offset, ..)| *offset).collect::<Vec<_>>());
            let bytes: Vec<u8> = batches.iter().flat_map(|batch| batch.records.to_vec()).collect();
            let whole = expected.records.iter().flat_map(|(_, record, _)| [record, &b"\n"[..]].concat());
            prop_assert_eq!(bytes, whole.collect::<Vec<_>>());
            let oversize: Vec<Oversize> = batches.iter().flat_map(|batch| batch.oversize.clone()).collect();
            prop_assert_eq!(oversize, expected.oversize);
        }
    }
}

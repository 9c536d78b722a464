//! Records that may have several lines: one that begins with a shape, and those behind it, as long as a quote is open.
//!
//! What a text is cut into depends on nothing but the text: a record whose quote is open waits for the next line, or for the
//! end of the text, however long that takes. (Ids of events and continuations rest on this.)

use bytes::{BufMut, BytesMut};

/// How many bytes of lines behind its first a record may have.
const MOST_ADDED: usize = 8 << 10;

/// What a line break within a record becomes: as AWS writes a control character.
const LINE_BREAK: &[u8] = b"\\x0A";

/// The lines of a text, as far as it was cut.
pub(super) struct LinesFrom {
    /// How the first line of a record begins; `0` stands for any digit.
    shape: Vec<u8>,
    /// The last record of the batch, if the next line may belong to it.
    open: Option<Open>,
}

struct Open {
    /// Where it begins among the records of the batch.
    start: usize,
    /// How many bytes its lines behind the first have.
    added: usize,
}

impl LinesFrom {
    pub(super) fn new(shape: Vec<u8>) -> Self {
        Self { shape, open: None }
    }

    /// Whether a line begins as a record does.
    #[inline]
    pub(super) fn is_first_line(&self, line: &[u8]) -> bool {
        let Some(begin) = line.get(..self.shape.len()) else { return false };
        let fits = |byte: u8, shape: u8| (byte == shape) | ((shape == b'0') & byte.is_ascii_digit());
        // Without a branch for each byte: this is done for each line of an object.
        begin.iter().zip(&self.shape).fold(true, |all, (byte, shape)| all & fits(*byte, *shape))
    }

    /// Notes the record that begins here among the records, and is their last.
    pub(super) fn put(&mut self, records: &[u8], start: usize) {
        self.open = has_open_quote(&records[start..]).then_some(Open { start, added: 0 });
    }

    /// Notes that the next line belongs to no record before it.
    pub(super) fn close(&mut self) {
        self.open = None;
    }

    /// Adds a line to the record before it, if it belongs to that.
    pub(super) fn add(&mut self, records: &mut BytesMut, line: &[u8], max_record: usize) -> bool {
        let Some(open) = &mut self.open else { return false };
        let added = open.added + 1 + line.len();
        let bytes = records.len() - 1 - open.start + LINE_BREAK.len() + line.len();
        let is_empty = matches!(line, b"" | b"\r");
        if is_empty || added > MOST_ADDED || bytes > max_record {
            return false;
        }
        records.truncate(records.len() - 1);
        records.put_slice(LINE_BREAK);
        records.put_slice(line);
        records.put_u8(b'\n');
        open.added = added;
        if has_open_quote(line) {
            // The one that was open is closed.
            self.open = None;
        }
        true
    }

    /// How many bytes of the records no line can be added to any more.
    pub(super) fn settled(&self, records: &[u8]) -> usize {
        self.open.as_ref().map_or(records.len(), |open| open.start)
    }

    /// Notes that the settled records were taken.
    pub(super) fn take_settled(&mut self) {
        if let Some(open) = &mut self.open {
            open.start = 0;
        }
    }
}

fn has_open_quote(text: &[u8]) -> bool {
    memchr::memchr_iter(b'"', text).count() % 2 == 1
}

//! What the targets of the framing share.
#![cfg(feature = "host")]

use elbow::cut::{Ahead, Batch, Cut, Cutter, Framing};
use tokio::io::BufReader;

/// Everything that a text was cut into, in its order.
#[derive(Debug, Default, PartialEq)]
pub struct Cuts {
    /// Each record with its place in the text.
    pub records: Vec<(u64, Vec<u8>)>,
    /// Where records over the cap begin, and how long they are.
    pub oversize: Vec<(u64, u64)>,
    /// Where the text has the line breaks within records.
    pub breaks: Vec<u64>,
    /// Lines that are no records.
    pub header_lines: u64,
    /// Where headers begin that name other columns than those before them.
    pub sections: Vec<u64>,
    /// Whether the text ended with an error, as JSON that is cut off does.
    pub is_broken: bool,
}

/// Cuts a text that arrives in pieces of so many bytes into batches of about so many.
pub fn cut(text: &[u8], framing: &Framing, piece: usize, batch_bytes: usize, max_record: usize) -> Cuts {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let how = Cut { framing: framing.clone(), batch_bytes, max_record };
    let mut cutter = Cutter::new(Ahead::new(BufReader::with_capacity(piece, text)), how);
    let mut cuts = Cuts::default();
    loop {
        match runtime.block_on(cutter.next()) {
            Ok(Some(batch)) => cuts.add(batch, text),
            Ok(None) => return cuts,
            Err(_) => return Cuts { is_broken: true, ..cuts },
        }
    }
}

impl Cuts {
    fn add(&mut self, batch: Batch, text: &[u8]) {
        let records = batch.records.split_inclusive(|byte| *byte == b'\n');
        let records: Vec<&[u8]> =
            records.map(|record| record.strip_suffix(b"\n").expect("a newline ends it")).collect();
        assert_eq!(records.len(), batch.offsets.len());
        self.records.extend(batch.offsets.iter().zip(records).map(|(offset, record)| (*offset, record.to_vec())));
        self.oversize.extend(batch.oversize.iter().map(|record| (record.offset, record.bytes)));
        self.breaks.extend(batch.breaks);
        self.header_lines += batch.header_lines;
        self.sections.extend(batch.head.map(|head| {
            assert!(text.ends_with(&head), "what follows a header is the rest of the text");
            (text.len() - head.len()) as u64
        }));
    }
}

/// Whether the same records come out however the text arrives, in their order, and begin where they are said to.
pub fn cut_alike(text: &[u8], framing: &Framing, max_record: usize) -> Cuts {
    let whole = cut(text, framing, 1 << 16, 1 << 16, max_record);
    for (piece, batch_bytes) in [(1, 1), (7, 40), (64, 1 << 16)] {
        assert_eq!(cut(text, framing, piece, batch_bytes, max_record), whole, "in pieces of {piece}");
    }
    assert!(whole.records.is_sorted_by_key(|(offset, _)| *offset));
    for (offset, record) in &whole.records {
        let there = &text[*offset as usize..];
        assert!(record.is_empty() || record.first() == there.first(), "a record is said to begin elsewhere");
    }
    whole
}

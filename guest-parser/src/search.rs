//! Bytes and texts within a batch, found 16 or 32 bytes at a time.

use elbow_guest::scan::{Bytes16, Span};

/// Whether these bytes, at most 16, stand at this position of the batch.
#[inline(always)]
pub fn begins(batch: &[u8], start: usize, with: &str) -> bool {
    let Some(bytes) = batch.get(start..).and_then(<[u8]>::first_chunk::<16>) else {
        return batch.get(start..).is_some_and(|rest| rest.starts_with(with.as_bytes()));
    };
    let mut wanted = [0; 16];
    wanted[..with.len()].copy_from_slice(with.as_bytes());
    let all = (1 << with.len()) - 1;
    Bytes16::load(bytes).equal_each(&wanted) & all == all
}

/// Whether a value is this text of at most 16 bytes.
#[inline(always)]
pub fn is(batch: &[u8], value: Span, text: &str) -> bool {
    value.len as usize == text.len() && begins(batch, value.start as usize, text)
}

/// Whether these bytes of the batch, one at least, are all decimal digits.
#[inline(always)]
pub fn are_digits(batch: &[u8], start: usize, end: usize) -> bool {
    match batch[start..].first_chunk::<16>() {
        Some(bytes) if end - start <= 16 => {
            let all = u32::MAX >> (32 - (end - start));
            Bytes16::load(bytes).digits() & all == all
        }
        _ => batch[start..end].iter().all(u8::is_ascii_digit),
    }
}

/// The position of a byte from `start` up to before `end`.
#[inline(always)]
pub fn find(batch: &[u8], start: usize, end: usize, byte: u8) -> Option<usize> {
    let found = find_any(batch, start, end, [byte]);
    (found < end).then_some(found)
}

/// The position of the first of these bytes from `start` up to before `end`; `end` if there is none.
#[inline(always)]
pub fn find_any<const N: usize>(batch: &[u8], start: usize, end: usize, bytes: [u8; N]) -> usize {
    let mask = |chunk: Bytes16| bytes.iter().fold(0, |found, byte| found | chunk.equal(*byte));
    first(batch, start, end, mask, |byte| bytes.contains(&byte))
}

/// How many bytes are looked at at a time.
pub const PART: usize = 32;

/// Which of the next [`PART`] bytes, up to before `end`, cannot stand in a JSON string as they are, or are this one.
#[inline(always)]
pub fn specials(batch: &[u8], at: usize, end: usize, escape: u8) -> u32 {
    let Some(part) = batch.get(at..).and_then(<[u8]>::first_chunk::<PART>) else {
        let rest = batch.get(at..end).unwrap_or_default().iter().rev();
        return rest.fold(0, |mask, byte| mask << 1 | u32::from(is_special(*byte, escape)));
    };
    let (halves, _) = part.as_chunks::<16>();
    let [low, high] = [0, 1].map(|half| Bytes16::load(&halves[half]).special(escape));
    let all = low | high << 16;
    match end.saturating_sub(at) {
        len @ ..PART => all & ((1 << len) - 1),
        _ => all,
    }
}

fn is_special(byte: u8, escape: u8) -> bool {
    !(0x20..0x80).contains(&byte) || matches!(byte, b'"' | b'\\') || byte == escape
}

/// Whether a part has no such byte.
pub fn is_plain(batch: &[u8], span: Span, escape: u8) -> bool {
    let (start, end) = (span.start as usize, span.end());
    (start..end).step_by(PART).all(|at| specials(batch, at, end, escape) == 0)
}

/// Whether a part is short, not at the very end of the batch, and has no such byte.
#[inline(always)]
pub fn is_short_and_plain(batch: &[u8], span: Span, escape: u8) -> bool {
    let reaches = batch.len() >= PART && span.start as usize <= batch.len() - PART;
    reaches && span.len as usize <= PART && specials(batch, span.start as usize, span.end(), escape) == 0
}

/// The first position from `start` up to before `end` that the mask has, 32 bytes at a time; `end` if there is none.
#[inline(always)]
fn first(batch: &[u8], start: usize, end: usize, mask: impl Fn(Bytes16) -> u32, is_one: impl Fn(u8) -> bool) -> usize {
    let mut at = start;
    while at < end {
        let Some(chunk) = batch[at..].first_chunk::<32>() else {
            return batch[at..end].iter().position(|byte| is_one(*byte)).map_or(end, |position| at + position);
        };
        let (halves, _) = chunk.as_chunks::<16>();
        let [low, high] = [0, 1].map(|half| mask(Bytes16::load(&halves[half])));
        let found = low | high << 16;
        if found != 0 {
            return (at + found.trailing_zeros() as usize).min(end);
        }
        at += 32;
    }
    end
}

/// The last position of a byte in a part, 16 bytes at a time.
#[inline(always)]
pub fn rfind(batch: &[u8], span: Span, byte: u8) -> Option<usize> {
    let start = span.start as usize;
    let mut end = span.end();
    while end > start {
        let Some(bytes) = batch[..end].last_chunk::<16>() else {
            return batch[start..end].iter().rposition(|b| *b == byte).map(|position| start + position);
        };
        let found = Bytes16::load(bytes).equal(byte);
        if found != 0 {
            let position = end - 16 + (31 - found.leading_zeros() as usize);
            return (position >= start).then_some(position);
        }
        end = end.saturating_sub(16);
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_byte_is_found_where_a_plain_loop_finds_it(
            batch in proptest::collection::vec(0_u8..20, 0..80), start in 0_usize..80, len in 0_usize..80,
        ) {
            let start = start.min(batch.len());
            let end = (start + len).min(batch.len());
            let part = &batch[start..end];
            let first = part.iter().position(|byte| *byte == 7).map(|position| start + position);
            let last = part.iter().rposition(|byte| *byte == 7).map(|position| start + position);
            prop_assert_eq!(find(&batch, start, end, 7), first);
            prop_assert_eq!(find_any(&batch, start, end, [7]), first.unwrap_or(end));
            prop_assert_eq!(rfind(&batch, Span::between(start, end), 7), last);
        }

        #[test]
        fn what_is_special_is_found_where_a_plain_loop_finds_it(
            batch in proptest::collection::vec(prop_oneof![20 => Just(b'a'), 1 => any::<u8>()], 0..120),
            start in 0_usize..120, len in 0_usize..120,
        ) {
            let start = start.min(batch.len());
            let end = (start + len).min(batch.len());
            for escape in [b'%', b'\\'] {
                let part = &batch[start..end.min(start + PART)];
                let mask = part.iter().rev().fold(0, |mask, byte| mask << 1 | u32::from(is_special(*byte, escape)));
                prop_assert_eq!(specials(&batch, start, end, escape), mask);
                let whole = Span::between(start, end);
                prop_assert_eq!(is_plain(&batch, whole, escape), !batch[start..end].iter().any(|byte| is_special(*byte, escape)));
                let is_short = end - start <= PART && batch.len() - start >= PART;
                prop_assert_eq!(is_short_and_plain(&batch, whole, escape), is_short && mask == 0);
            }
            prop_assert!(!is_short_and_plain(&batch, Span::NONE, b'%'));
        }
    }
}

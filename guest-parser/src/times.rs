//! Times: the forms in which logs write them, and ISO 8601, in which events do.

use elbow_guest::Buffer;
use elbow_guest::scan::{Bytes16, Span};

/// The time of a CloudFront record: a date and a time, else milliseconds, else seconds or milliseconds since 1970.
pub fn cloudfront_time(date: &[u8], time: &[u8], timestamp: &[u8], milliseconds: &[u8]) -> Option<String> {
    if !date.is_empty() || !time.is_empty() {
        let joined = [date, b"T", time, b"Z"].concat();
        let is_time = date.len() == 10 && is_whole_timestamp(&joined);
        return String::from_utf8(joined).ok().filter(|_| is_time);
    }
    if !milliseconds.is_empty() {
        return epoch_time(milliseconds, true);
    }
    // Seconds have ten digits, milliseconds thirteen.
    epoch_time(timestamp, timestamp.len() > 11)
}

/// What `is_timestamp` accepts, for an error.
pub const A_TIME: &str = "a time, as `2026-10-05T08:15:30.120450Z`";

/// What stands behind a time: `Z`, where it has no zone, and the closing quote. Answers whether it has one.
#[inline(always)]
pub fn end_of_time(out: &mut Buffer) -> bool {
    let has_zone = out.last() == Some(b'Z');
    if !has_zone {
        out.push(b'Z');
    }
    out.push(b'"');
    has_zone
}

/// Whether a part is `YYYY-MM-DDTHH:MM:SS` with any or no fraction, and `Z` or nothing after it.
#[inline(always)]
pub fn is_timestamp(batch: &[u8], span: Span) -> bool {
    /// `YYYY-MM-DDTHH:MM`, its digits.
    const FIRST: u32 = 0b1101_1011_0110_1111;
    let start = span.start as usize;
    let len = span.len as usize;
    let Some(bytes) = batch.get(start..).and_then(<[u8]>::first_chunk::<32>) else {
        return is_timestamp_at_the_end(span.of(batch));
    };
    let (halves, _) = bytes.as_chunks::<16>();
    let separators =
        bytes[4] == b'-' && bytes[7] == b'-' && bytes[10] == b'T' && bytes[13] == b':' && bytes[16] == b':';
    if !(19..=30).contains(&len) || !separators || Bytes16::load(&halves[0]).digits() != FIRST {
        return false;
    }
    // `:SS`, then perhaps a point and digits, then perhaps `Z`.
    let end = len - usize::from(bytes[len - 1] == b'Z') - 16;
    let digits = Bytes16::load(&halves[1]).digits();
    match end {
        3 => digits & 0b110 == 0b110,
        5..=13 => {
            let wanted = ((1 << end) - 1) & !0b1001;
            bytes[19] == b'.' && digits & wanted == wanted
        }
        _ => false,
    }
}

/// Whether a part is `YYYY-MM-DD`. At the very end of the batch, none is.
#[inline(always)]
pub fn is_date(batch: &[u8], span: Span) -> bool {
    let bytes = batch.get(span.start as usize..).and_then(<[u8]>::first_chunk::<16>);
    bytes.is_some_and(|bytes| {
        span.len == 10
            && bytes[4] == b'-'
            && bytes[7] == b'-'
            && Bytes16::load(bytes).digits() & 0b11_1111_1111 == 0b11_0110_1111
    })
}

/// Whether a part is `HH:MM:SS`. At the very end of the batch, none is.
#[inline(always)]
pub fn is_time_of_day(batch: &[u8], span: Span) -> bool {
    let bytes = batch.get(span.start as usize..).and_then(<[u8]>::first_chunk::<16>);
    bytes.is_some_and(|bytes| {
        span.len == 8
            && bytes[2] == b':'
            && bytes[5] == b':'
            && Bytes16::load(bytes).digits() & 0b1111_1111 == 0b1101_1011
    })
}

/// Whether a text that stands alone is what [`is_timestamp`] accepts.
pub fn is_whole_timestamp(text: &[u8]) -> bool {
    is_timestamp(text, Span::between(0, text.len()))
}

#[inline(never)]
fn is_timestamp_at_the_end(text: &[u8]) -> bool {
    if text.len() > 30 {
        return false;
    }
    let mut padded = [0; 32];
    padded[..text.len()].copy_from_slice(text);
    is_timestamp(&padded, Span::between(0, text.len()))
}

/// `[05/Oct/2026:08:15:30` and `+0000]` as `2026-10-05T08:15:30Z`.
pub fn bracket_time(date: &[u8], zone: &[u8]) -> Option<String> {
    const MONTHS: &[u8] = b"JanFebMarAprMayJunJulAugSepOctNovDec";
    let number = |digits: &[u8]| {
        std::str::from_utf8(digits).ok().filter(|_| digits.iter().all(u8::is_ascii_digit))?.parse::<i64>().ok()
    };
    let [b'[', d1, d2, b'/', m1, m2, m3, b'/', y1, y2, y3, y4, b':', h1, h2, b':', n1, n2, b':', s1, s2] = date else {
        return None;
    };
    let [sign @ (b'+' | b'-'), z1, z2, z3, z4, b']'] = zone else { return None };
    let month = MONTHS.chunks(3).position(|name| name == [*m1, *m2, *m3])? as i64 + 1;
    let offset = (number(&[*z1, *z2])? * 60 + number(&[*z3, *z4])?) * 60;
    let seconds = seconds_since_1970(number(&[*y1, *y2, *y3, *y4])?, month, number(&[*d1, *d2])?)
        + number(&[*h1, *h2])? * 3600
        + number(&[*n1, *n2])? * 60
        + number(&[*s1, *s2])?;
    Some(iso(if *sign == b'+' { seconds - offset } else { seconds + offset }))
}

/// Seconds since 1970 as ISO 8601, or milliseconds with three decimals more.
pub fn epoch_time(digits: &[u8], is_milliseconds: bool) -> Option<String> {
    // Years from 1970 to 9999.
    let most = if is_milliseconds { 15 } else { 12 };
    if digits.is_empty() || digits.len() > most || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number: i64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    let (seconds, milliseconds) = if is_milliseconds { (number / 1000, Some(number % 1000)) } else { (number, None) };
    if seconds >= 253_402_300_800 {
        return None;
    }
    let time = iso(seconds);
    Some(match milliseconds {
        Some(milliseconds) => format!("{}.{milliseconds:03}Z", time.trim_end_matches('Z')),
        None => time,
    })
}

/// Days since 1970 of a date of the Gregorian calendar, in seconds. After Howard Hinnant, "chrono-Compatible Low-Level Date
/// Algorithms", `days_from_civil`.
fn seconds_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    (era * 146_097 + day_of_era - 719_468) * 86_400
}

/// The same page, `civil_from_days`.
fn iso(seconds: i64) -> String {
    let (days, time) = (seconds.div_euclid(86_400) + 719_468, seconds.rem_euclid(86_400));
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", time / 3600, time / 60 % 60, time % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_time(text: &str) -> [bool; 2] {
        let more = format!("{text} and more of the line behind it, thirty bytes");
        [text, &more].map(|batch| is_timestamp(batch.as_bytes(), Span::between(0, text.len())))
    }

    #[test]
    fn a_timestamp_has_up_to_nine_digits_of_fraction() {
        for text in
            ["2026-10-05T08:15:30Z", "2026-10-05T08:15:30", "2026-10-05T08:15:30.1Z", "2026-10-05T08:15:30.123456789Z"]
        {
            assert_eq!(is_time(text), [true; 2], "{text}");
        }
        for text in [
            "",
            "2026-10-05",
            "2026-10-05 08:15:30Z",
            "2026-10-05T08:15:30.Z",
            "2026-10-05T08:15:3",
            "2026-10-05T08:15:30x",
            "2026-10-05T08:15:30.12x4Z",
            "2026-10-05T08:15:30.1234567890Z",
            "2026-10-05T08:15:30+01:00",
        ] {
            assert_eq!(is_time(text), [false; 2], "{text}");
        }
    }

    #[test]
    fn times_of_all_kinds_are_iso_times() {
        assert_eq!(bracket_time(b"[05/Oct/2026:08:15:30", b"+0000]").unwrap(), "2026-10-05T08:15:30Z");
        assert_eq!(bracket_time(b"[01/Mar/2024:00:30:00", b"+0100]").unwrap(), "2024-02-29T23:30:00Z");
        assert_eq!(bracket_time(b"[05/Okt/2026:08:15:30", b"+0000]"), None);
        assert_eq!(epoch_time(b"0", false).unwrap(), "1970-01-01T00:00:00Z");
        assert_eq!(epoch_time(b"1791188100", false).unwrap(), "2026-10-05T08:15:00Z");
        assert_eq!(epoch_time(b"1791188130120", true).unwrap(), "2026-10-05T08:15:30.120Z");
        assert_eq!(epoch_time(b"-1", false), None);
    }
}

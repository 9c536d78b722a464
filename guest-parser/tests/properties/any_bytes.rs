//! Golden logs, with bytes put in, taken out and moved about where it hurts.

use std::path::Path;
use std::sync::LazyLock;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use crate::invariants;

/// A format, and a log of it.
type Log = (String, Vec<u8>);

/// The golden logs of all formats, as they are in `tests/cases`.
static GOLDEN: LazyLock<Vec<Log>> = LazyLock::new(|| {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/cases");
    let entries = |folder: &Path| std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let folders = entries(&cases).filter(|entry| entry.is_dir());
    let files = folders.flat_map(|folder| entries(&folder).collect::<Vec<_>>());
    let logs = files.filter(|file| file.extension().is_some_and(|ending| ending == "log"));
    let format = |log: &Path| log.parent().unwrap().file_name().unwrap().to_str().unwrap().to_owned();
    let mut logs: Vec<Log> = logs.map(|log| (format(&log), std::fs::read(&log).unwrap())).collect();
    assert!(logs.len() > 100);
    logs.sort();
    logs
});

/// What may stand where nobody expects it.
const TOKENS: [&[u8]; 40] = [
    b"\"",
    b"\" ",
    b" \"",
    b"\" \"",
    b"\"\"",
    b"\"-\"",
    b"\\",
    b"\\\"",
    b"\\x22",
    b"\\x",
    b"\\xE6\\x97\\xA5",
    b"%22",
    b"%2520",
    b"%",
    b" ",
    b"  ",
    b" - ",
    b" -1 ",
    b"-",
    b"\t",
    b"\r",
    b"\r\n",
    b"\n",
    b"\0",
    b"\x7F",
    b"\xFF",
    b"\xC3",
    b"\xE2\x80\xA8",
    b"\xF0\x9F\x98\x80",
    b"1e999",
    b"007",
    b"#",
    b"?token=1&",
    b"://",
    b"/",
    b":",
    b"{",
    b"}",
    b"[",
    b",",
];

#[derive(Clone, Debug)]
enum Change {
    PutIn(Index, &'static [u8]),
    PutInAny(Index, Vec<u8>),
    TakeOut(Index, usize),
    Repeat(Index, usize),
}

fn any_change() -> impl Strategy<Value = Change> {
    prop_oneof![
        4 => (any::<Index>(), select(&TOKENS[..])).prop_map(|(at, token)| Change::PutIn(at, token)),
        1 => (any::<Index>(), vec(any::<u8>(), 1..70)).prop_map(|(at, bytes)| Change::PutInAny(at, bytes)),
        2 => (any::<Index>(), 1_usize..40).prop_map(|(at, len)| Change::TakeOut(at, len)),
        1 => (any::<Index>(), 1_usize..200).prop_map(|(at, len)| Change::Repeat(at, len)),
    ]
}

fn change(log: &mut Vec<u8>, change: &Change) {
    let at = |index: &Index| index.index(log.len() + 1);
    let part = |index: &Index, len: usize| (at(index), (at(index) + len).min(log.len()));
    match change {
        Change::PutIn(index, token) => {
            let at = at(index);
            log.splice(at..at, token.iter().copied());
        }
        Change::PutInAny(index, bytes) => {
            let at = at(index);
            log.splice(at..at, bytes.iter().copied());
        }
        Change::TakeOut(index, len) => {
            let (start, end) = part(index, *len);
            log.drain(start..end);
        }
        Change::Repeat(index, len) => {
            let (start, end) = part(index, *len);
            log.splice(end..end, log[start..end].to_vec());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn every_record_has_a_fate_and_every_event_is_json(
        golden in any::<Index>(),
        changes in vec(any_change(), 0..8),
        style in select(&["flat", "ecs", "elb-processor"][..]),
        settings in 0..invariants::SETTINGS,
    ) {
        let (format, mut log) = golden.get(&GOLDEN).clone();
        changes.iter().for_each(|one| change(&mut log, one));
        invariants::hold(&format, style, settings, &log).map_err(TestCaseError::fail)?;
    }
}

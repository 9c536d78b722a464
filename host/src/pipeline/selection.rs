//! Which of the objects that are listed are wanted, and which are settled already.

use std::collections::HashSet;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::SystemTime;

use anyhow::{Context, Result, ensure};
use sha2::{Digest, Sha256};

use crate::object::Object;

/// Which objects of a listing are wanted. The default is all.
#[derive(Default)]
pub struct Selection {
    /// Last modified at this time or later.
    since: Option<String>,
    /// Last modified before this time.
    until: Option<String>,
    /// What is settled already is left out, and what gets settled is noted.
    pub(super) checkpoint: Option<Checkpoint>,
    /// An object with rejected records is not noted, though it is settled.
    pub(super) notes_no_rejects: bool,
}

impl Selection {
    /// What was last modified at a time or later, and before another.
    pub fn between(since: Option<SystemTime>, until: Option<SystemTime>) -> Self {
        // Texts of one format, which sort as the times do.
        let text = |time: SystemTime| humantime::format_rfc3339_seconds(time.max(SystemTime::UNIX_EPOCH)).to_string();
        Self { since: since.map(text), until: until.map(text), ..Self::default() }
    }

    /// What a checkpoint does not note yet. With `notes_no_rejects`, objects with rejected records do not get noted.
    pub fn with_checkpoint(self, checkpoint: Option<Checkpoint>, notes_no_rejects: bool) -> Self {
        Self { checkpoint, notes_no_rejects, ..self }
    }

    /// Whether an object is wanted. One whose time is not known, since it was named and not listed, is.
    pub fn takes(&self, object: &Object) -> bool {
        let is_in_time = object.last_modified.as_ref().is_none_or(|modified| {
            self.since.as_ref().is_none_or(|since| modified >= since)
                && self.until.as_ref().is_none_or(|until| modified < until)
        });
        is_in_time && !self.checkpoint.as_ref().is_some_and(|checkpoint| checkpoint.has(object))
    }
}

/// A file with the objects that are settled, a line each: `s3://bucket/key`, with control characters and `%` written as
/// in a URI, a tab, the etag. It only ever grows, and a line is written when its object is settled, so that a process
/// which is killed has to send again only what was under way.
pub struct Checkpoint {
    path: PathBuf,
    file: Mutex<File>,
    /// Hashes of the lines.
    settled: HashSet<[u8; 16]>,
    left_out: AtomicU64,
}

impl Checkpoint {
    /// Reads a file, or begins it.
    pub fn open(path: &Path) -> Result<Self> {
        let name = path.display();
        let bytes = match std::fs::read(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            read => read.with_context(|| format!("failed to read the checkpoint {name}"))?,
        };
        // A line without its end was being written when the process ended.
        let (whole, torn) = bytes.split_at(memchr::memrchr(b'\n', &bytes).map_or(0, |end| end + 1));
        let mut settled = HashSet::new();
        for (number, line) in whole.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).enumerate() {
            ensure!(
                line.contains(&b'\t'),
                "{name}, line {}: expected `OBJECT`, a tab, and its etag: is it a checkpoint?",
                number + 1
            );
            settled.insert(hash(line));
        }
        ensure!(!whole.is_empty() || torn.is_empty() || torn.starts_with(b"s3://"), "{name} is no checkpoint");
        let file = File::options().create(true).append(true).open(path);
        let mut file = file.with_context(|| format!("failed to write to the checkpoint {name}"))?;
        if !torn.is_empty() {
            file.set_len(whole.len() as u64).context("failed to mend the checkpoint")?;
            file.flush().context("failed to mend the checkpoint")?;
        }
        Ok(Self { path: path.into(), file: Mutex::new(file), settled, left_out: AtomicU64::new(0) })
    }

    fn has(&self, object: &Object) -> bool {
        // One whose etag is not known yet may be another by now: it is sent again.
        let is_settled = object.etag.is_some() && self.settled.contains(&hash(line(object).as_bytes()));
        self.left_out.fetch_add(u64::from(is_settled), Relaxed);
        is_settled
    }

    /// How many objects were left out.
    pub fn left_out(&self) -> u64 {
        self.left_out.load(Relaxed)
    }

    /// Notes that an object is settled.
    pub fn note(&self, object: &Object) -> Result<()> {
        let mut file = self.file.lock().expect("no holder of this lock panics");
        // In one call, so that no other process writes in between.
        file.write_all(format!("{}\n", line(object)).as_bytes())
            .with_context(|| format!("failed to write to the checkpoint {}", self.path.display()))
    }
}

fn line(object: &Object) -> String {
    let name: String = object.to_string().chars().map(escaped).collect();
    format!("{name}\t{}", object.etag.as_deref().unwrap_or_default())
}

/// A key may have any character, a newline too.
fn escaped(c: char) -> String {
    match c {
        '%' | '\0'..' ' | '\u{7f}' => format!("%{:02X}", c as u32),
        _ => c.into(),
    }
}

fn hash(line: &[u8]) -> [u8; 16] {
    let digest = Sha256::digest(line);
    std::array::from_fn(|index| digest[index])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(key: &str, etag: Option<&str>, modified: &str) -> Object {
        Object {
            etag: etag.map(Into::into),
            last_modified: Some(modified.into()),
            ..Object::named(Some("b".into()), key)
        }
    }

    #[test]
    fn times_are_compared() {
        let time = |text| Some(humantime::parse_rfc3339(text).unwrap());
        let selection = Selection::between(time("2026-10-05T00:00:00Z"), time("2026-10-06T00:00:00Z"));
        for (modified, expected) in [
            ("2026-10-04T23:59:59Z", false),
            ("2026-10-05T00:00:00Z", true),
            ("2026-10-05T23:59:59Z", true),
            ("2026-10-06T00:00:00Z", false),
        ] {
            assert_eq!(selection.takes(&object("k", None, modified)), expected, "{modified}");
        }
        assert!(selection.takes(&Object::named(Some("b".into()), "k")), "one that was named");
    }

    #[test]
    fn what_is_settled_is_left_out_unless_it_was_replaced() {
        let folder = std::env::temp_dir().join(format!("elbow-checkpoint-{}", std::process::id()));
        let now = "2026-10-05T00:00:00Z";
        let checkpoint = Checkpoint::open(&folder).unwrap();
        checkpoint.note(&object("a b\u{fc}", Some("1"), now)).unwrap();
        std::fs::OpenOptions::new().append(true).open(&folder).unwrap().write_all(b"s3://b/to\xc3").unwrap();
        let checkpoint = Checkpoint::open(&folder).unwrap();
        checkpoint.note(&object("c\n%", Some("2"), now)).unwrap();
        assert_eq!(std::fs::read_to_string(&folder).unwrap(), "s3://b/a b\u{fc}\t1\ns3://b/c%0A%25\t2\n");
        let selection = Selection::default().with_checkpoint(Some(Checkpoint::open(&folder).unwrap()), false);
        std::fs::remove_file(&folder).unwrap();
        assert!(!selection.takes(&object("a b\u{fc}", Some("1"), now)));
        assert!(selection.takes(&object("a b\u{fc}", None, now)), "nobody knows yet whether it is the same");
        assert!(selection.takes(&object("a b\u{fc}", Some("9"), now)), "it was replaced");
        assert!(selection.takes(&object("b", Some("1"), now)));
        assert_eq!(selection.checkpoint.unwrap().left_out(), 1);
    }
}

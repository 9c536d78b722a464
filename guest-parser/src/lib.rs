//! elbow's built-in mapping of AWS access logs, and the reference that teams copy.
//!
//! Plain Rust: a record goes in, an event comes out, and the tests call the same functions natively. The component is the
//! thin shell that [`elbow_guest::export!`] makes.
//!
//! A record takes two steps. Its format ([`classic_elb`], [`alb`]) splits the line into [`values::Values`], slices of the
//! line in numbered slots; nothing is copied or converted. Then a [`program::Program`], compiled once from the format's
//! table of fields and the settings, writes the slots as JSON. So the names, types and order of the output come from one
//! table, which is also what [`Mapping::formats`] promises.
//!
//! | module | |
//! |---|---|
//! | [`settings`] | the settings, and what each does |
//! | [`recognise`] | which format an object has, by its key, else by its first line |
//! | [`values`] | the slots, and the parts that formats share: addresses, request lines, times |
//! | [`classic_elb`], [`alb`] | a format each: columns in, fields out |
//! | [`program`] | fields and style, compiled into the steps that write an event |

pub mod alb;
pub mod classic_elb;
pub mod program;
pub mod recognise;
pub mod settings;
pub mod values;

use elbow_guest::{Events, Fate, Format, Mapping, Object, Plan, Reject};

use program::Program;
use recognise::Kind;
use settings::Settings;
use values::{Slot, Values};

/// The mapping `aws`.
pub struct Aws {
    settings: Settings,
    classic_elb: Program,
    alb: Program,
    /// Set by `begin`.
    kind: Kind,
    bucket: Option<String>,
    key: String,
}

impl Mapping for Aws {
    type Settings = Settings;
    const NAME: &'static str = "aws";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");

    fn configure(settings: Settings) -> Result<Self, String> {
        Ok(Self {
            classic_elb: Program::compile(classic_elb::FIELDS, &settings),
            alb: Program::compile(alb::FIELDS, &settings),
            kind: settings.format.unwrap_or(Kind::ClassicElb),
            settings,
            bucket: None,
            key: String::new(),
        })
    }

    fn formats(&self) -> Vec<Format> {
        let all = [(Kind::ClassicElb, classic_elb::SUMMARY, &self.classic_elb), (Kind::Alb, alb::SUMMARY, &self.alb)];
        let fixed = self.settings.format;
        let wanted = all.into_iter().filter(|(kind, ..)| fixed.is_none_or(|f| f == *kind));
        let mut formats: Vec<Format> =
            wanted.map(|(kind, summary, program)| Format::new(kind.name(), summary, program.promises())).collect();
        if fixed.is_none_or(|f| f == Kind::TestFile) {
            formats.push(Format::new(Kind::TestFile.name(), recognise::TEST_FILE_SUMMARY, vec![]));
        }
        formats
    }

    fn begin(&mut self, object: &Object) -> Result<Plan, String> {
        self.kind = match self.settings.format {
            Some(kind) => kind,
            None => recognise::recognise(&object.key, &object.head)?,
        };
        self.bucket = object.bucket.clone();
        self.key = object.key.clone();
        Ok(Plan::lines(self.kind.name()))
    }

    fn map(&self, record: &[u8], events: &mut Events) -> Result<Fate, Reject> {
        if self.kind == Kind::TestFile || record.is_empty() {
            return Ok(Fate::Dropped);
        }
        let mut values = Values::new(record);
        values.set(Slot::Bucket, self.bucket.as_ref().map(String::as_bytes));
        values.set(Slot::Key, self.bucket.is_some().then_some(self.key.as_bytes()));
        let program = match self.kind {
            Kind::Alb => {
                alb::parse(record, &mut values)?;
                &self.alb
            }
            _ => {
                classic_elb::parse(record, &mut values)?;
                &self.classic_elb
            }
        };
        events.push_written(|out| program.write(&values, out))
    }
}

elbow_guest::export!(Aws);

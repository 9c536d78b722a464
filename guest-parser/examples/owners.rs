//! A mapping that looks something up: who owns the host that a request went to.
//!
//!     shop.example.com 200 /cart
//!
//! becomes `{"host":"shop.example.com","status":200,"path":"/cart","owner":{"team":"shop","contact":"#shop"}}`. The owners
//! are a table of elbow's config, here a CSV with the columns `host`, `team` and `contact`, which elbow reads again when
//! it has changed:
//!
//!     [lookups.owners]
//!     source = "owners.csv"
//!
//!     [mappings.requests]
//!     component = "target/guest/wasm32-wasip2/guest/examples/owners.wasm"
//!     lookups = ["owners"]

use elbow_guest::mapping::NoSettings;
use elbow_guest::{Events, Fate, Field, Format, JsonType, Mapping, Reject, host};
use serde::Deserialize;

/// The table's name in the config.
const OWNERS: &str = "owners";

/// What it knows of a host.
#[derive(Deserialize)]
struct Owner {
    team: String,
    contact: String,
}

struct Requests;

impl Mapping for Requests {
    type Settings = NoSettings;
    const NAME: &'static str = "requests";
    const VERSION: &'static str = "1.0.0";

    fn configure(_: NoSettings) -> Result<Self, String> {
        // Asked for here, a table that is missing stops elbow before the first record.
        match host::lookup(OWNERS, "") {
            Ok(_) => Ok(Self),
            Err(host::NotGranted) => Err(format!("it needs the table `{OWNERS}`: add `lookups = [\"{OWNERS}\"]`")),
        }
    }

    fn formats(&self) -> Vec<Format> {
        let fields = vec![
            Field::text("host", "whom the request was for"),
            Field::number("status", "of the answer"),
            Field::text("path", "of the request"),
            Field::new("owner", JsonType::Object, "who owns the host; left out where nobody is known"),
        ];
        vec![Format::new("requests", "`<host> <status> <path>`, a line for each request", fields)]
    }

    fn map(&self, record: &[u8], events: &mut Events) -> Result<Fate, Reject> {
        let line = std::str::from_utf8(record).map_err(|_| "the line is not UTF-8")?;
        let mut fields = line.splitn(3, ' ');
        let (Some(host), Some(status), Some(path)) = (fields.next(), fields.next(), fields.next()) else {
            return Err("expected `<host> <status> <path>`".into());
        };
        let status: u64 = status.parse().map_err(|_| "status: expected a whole number")?;
        let owner: Option<Owner> = host::lookup_as(OWNERS, host)?;
        Ok(events.push(|event| {
            event.text("host", host);
            event.unsigned("status", status);
            event.text("path", path);
            if let Some(owner) = &owner {
                event.object("owner", |out| {
                    out.text("team", &owner.team);
                    out.text("contact", &owner.contact);
                });
            }
        }))
    }
}

elbow_guest::export!(Requests);

#[cfg(test)]
mod tests {
    use elbow_guest::host::TestTables;

    use super::*;

    #[test]
    fn the_owner_of_the_host_is_in_the_event() {
        let shop = r##"{"host":"shop.example.com","team":"shop","contact":"#shop"}"##;
        let _tables = TestTables::new().grant(OWNERS, [("shop.example.com", shop)]);
        let mapping = Requests::configure(NoSettings {}).unwrap();
        let mapped = elbow_guest::map_batch(&mapping, b"shop.example.com 200 /cart\nother.example.com 404 /\n");
        let expected = concat!(
            r##"{"host":"shop.example.com","status":200,"path":"/cart","owner":{"team":"shop","contact":"#shop"}}"##,
            "\n",
            r#"{"host":"other.example.com","status":404,"path":"/"}"#,
            "\n",
        );
        assert_eq!(String::from_utf8(mapped.events).unwrap(), expected);
    }

    #[test]
    fn without_its_table_it_does_not_begin() {
        let error = Requests::configure(NoSettings {}).err().unwrap();
        assert_eq!(error, "it needs the table `owners`: add `lookups = [\"owners\"]`");
    }
}

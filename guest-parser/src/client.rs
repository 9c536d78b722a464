//! What lookup tables of the host know of the client's address: where it is, whose network it is in, who owns it.

use std::cell::RefCell;
use std::collections::HashMap;

use elbow_guest::JsonType::{Number, Text};
use elbow_guest::{JsonType, host};
use serde_json::{Value, json};

use crate::settings::{Settings, Style};
use crate::source::Source;
use crate::styles::Named;
use crate::table::Table;

/// Something that a row of a table may say of an address: its place in the table below.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fact(usize);

struct About {
    setting: Setting,
    /// Its name in ECS, below `source` or `client`.
    name: &'static str,
    json_type: JsonType,
    meaning: &'static str,
    find: Find,
}

/// How a fact is found in a row.
enum Find {
    /// At this JSON pointer, if what is there is of the fact's type.
    At(&'static str),
    By(fn(&Value) -> Option<Value>),
    /// It is the row, as it is.
    Row,
}

/// The settings that name a table.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Setting {
    Geo,
    Network,
    Owner,
}

const SETTINGS: [Setting; 3] = [Geo, Network, Owner];

use Find::{At, By};
use Setting::{Geo, Network, Owner};

const fn fact(setting: Setting, name: &'static str, json_type: JsonType, meaning: &'static str, find: Find) -> About {
    About { setting, name, json_type, meaning, find }
}

/// The facts, in the order of the output. The rows of `geo` and `network` are those of MaxMind's databases and of others with
/// the same layout.
#[rustfmt::skip]
static FACTS: [About; 12] = [
    fact(Geo, "geo.continent_code", Text, "continent of the client's address, as `EU`", At("/continent/code")),
    fact(Geo, "geo.country_iso_code", Text, "country of the client's address, as `DE`", At("/country/iso_code")),
    fact(Geo, "geo.country_name", Text, "the same, in English", At("/country/names/en")),
    fact(Geo, "geo.region_iso_code", Text, "region of the client's address, as `DE-BE`", By(region)),
    fact(Geo, "geo.region_name", Text, "the same, in English", At("/subdivisions/0/names/en")),
    fact(Geo, "geo.city_name", Text, "city of the client's address, in English", At("/city/names/en")),
    fact(Geo, "geo.postal_code", Text, "postal code of the client's address", At("/postal/code")),
    fact(Geo, "geo.timezone", Text, "time zone of the client's address, as `Europe/Berlin`", At("/location/time_zone")),
    fact(Geo, "geo.location", JsonType::Object, "about where the client's address is: `lat` and `lon`, in degrees", By(location)),
    fact(Network, "as.number", Number, "number of the autonomous system of the client's address", At("/autonomous_system_number")),
    fact(Network, "as.organization.name", Text, "whose autonomous system that is", At("/autonomous_system_organization")),
    fact(Owner, "owner", JsonType::Object, "the table's row for the client's address, as it is", Find::Row),
];

fn region(row: &Value) -> Option<Value> {
    let part = |path| row.pointer(path).and_then(Value::as_str);
    Some(format!("{}-{}", part("/country/iso_code")?, part("/subdivisions/0/iso_code")?).into())
}

fn location(row: &Value) -> Option<Value> {
    let part = |path| row.pointer(path).filter(|value| value.is_number());
    Some(json!({ "lat": part("/location/latitude")?, "lon": part("/location/longitude")? }))
}

impl Setting {
    /// The name of its table.
    fn table(self, settings: &Settings) -> Option<&str> {
        match self {
            Self::Geo => settings.geo.as_deref(),
            Self::Network => settings.network.as_deref(),
            Self::Owner => settings.owner.as_deref(),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Geo => "geo",
            Self::Network => "network",
            Self::Owner => "owner",
        }
    }
}

/// What is wrong with the settings of tables: one that is not granted, or a style that has no names for it.
pub fn mistake(settings: &Settings) -> Option<String> {
    SETTINGS.into_iter().find_map(|setting| {
        let (table, name) = (setting.table(settings)?, setting.name());
        if settings.style == Style::ElbProcessor {
            return Some(format!("{name}: the style `elb-processor` has no field for it; use `ecs` or `flat`"));
        }
        host::lookup(table, "").err().map(|host::NotGranted| {
            format!(
                "{name}: the config does not grant the table `{table}` to this mapping; add it to the mapping's `lookups`"
            )
        })
    })
}

/// The fields that the settings ask for, of a format that has a client's address. One that the log has itself stays.
pub fn fields(table: &Table, settings: &Settings, present: &[Named]) -> Vec<Named> {
    let address = |place: &str| {
        let field = table.fields.iter().find(|field| field.ecs.contains(&format!("{place}.ip").as_str()))?;
        Some((field.source.slot()?, place.to_owned()))
    };
    let Some((slot, place)) = address("source").or_else(|| address("client")) else { return vec![] };
    let facts = FACTS.iter().enumerate().filter(|(_, fact)| fact.setting.table(settings).is_some());
    let named = facts.map(|(index, fact)| {
        let source = Source::Known(slot, Fact(index));
        match settings.style {
            Style::Flat => Named::top(format!("client_{}", fact.name.replace('.', "_")), source, fact.meaning),
            _ => Named::nested(&format!("{place}.{}", fact.name), source, fact.meaning),
        }
    });
    named.filter(|new| present.iter().all(|other| other.path != new.path)).collect()
}

impl Fact {
    /// Its type.
    pub fn json_type(self) -> JsonType {
        FACTS[self.0].json_type
    }
}

/// What the tables say of the addresses in an object. Each is asked about an address once.
pub struct Facts {
    tables: [Option<String>; SETTINGS.len()],
    rows: RefCell<[HashMap<Box<[u8]>, Row>; SETTINGS.len()]>,
}

/// What a row says, as JSON, in the order of [`FACTS`].
type Row = [Option<Box<[u8]>>; FACTS.len()];

/// How many addresses are remembered for each table; then all are forgotten.
const REMEMBERED: usize = 10_000;

impl Facts {
    /// From the tables of the settings.
    pub fn new(settings: &Settings) -> Self {
        Self { tables: SETTINGS.map(|setting| setting.table(settings).map(str::to_owned)), rows: RefCell::default() }
    }

    /// Writes what is known of an address, as JSON, or nothing.
    pub fn write(&self, fact: Fact, address: &[u8], out: &mut Vec<u8>) {
        let setting = FACTS[fact.0].setting;
        let Some(table) = &self.tables[setting as usize] else { return };
        let rows = &mut self.rows.borrow_mut()[setting as usize];
        let known = match rows.get(address) {
            Some(row) => row,
            None => {
                if rows.len() >= REMEMBERED {
                    rows.clear();
                }
                rows.entry(address.into()).or_insert_with(|| row(table, address, setting))
            }
        };
        out.extend_from_slice(known[fact.0].as_deref().unwrap_or_default());
    }
}

/// Asks the host. That the table is granted, `configure` has seen to.
fn row(table: &str, address: &[u8], setting: Setting) -> Row {
    let address = std::str::from_utf8(address).ok();
    let text = address.and_then(|address| host::lookup(table, address).ok().flatten()).unwrap_or_default();
    let row: Value = serde_json::from_str(&text).unwrap_or_default();
    std::array::from_fn(|index| {
        let fact = FACTS.get(index).filter(|fact| fact.setting == setting)?;
        let found = match fact.find {
            At(pointer) => row.pointer(pointer).filter(|value| fact.json_type.fits(value))?.to_string(),
            By(find) => find(&row)?.to_string(),
            Find::Row => row.is_object().then(|| text.replace(['\n', '\r'], " "))?,
        };
        Some(found.into_bytes().into())
    })
}

#[cfg(test)]
mod tests {
    use elbow_guest::Mapping;
    use elbow_guest::host::TestTables;
    use serde_json::{Value, json};

    use crate::Aws;

    /// As the rows of MaxMind's databases look.
    const CITY: &str = r#"{"city":{"geoname_id":2950159,"names":{"de":"Berlin","en":"Berlin"}},"continent":{"code":"EU"},
        "country":{"iso_code":"DE","names":{"en":"Germany"}},"location":{"accuracy_radius":20,"latitude":52.52,
        "longitude":13.405,"time_zone":"Europe/Berlin"},"subdivisions":[{"iso_code":"BE","names":{"en":"Land Berlin"}}]}"#;
    const AS: &str = r#"{"autonomous_system_number":64496,"autonomous_system_organization":"Example"}"#;
    const LINE: &str = "2026-10-05T08:15:30.120450Z shop 192.0.2.10:51000 - 0.1 0.1 0.1 200 - 0 42 \
        \"GET http://h:80/a HTTP/1.1\" \"demo/1.0\" - -\n";

    fn granted() -> TestTables {
        let owner = ("192.0.2.10", r#"{"cidr":"192.0.2.0/24","team":"shop"}"#);
        TestTables::new()
            .grant("city", [("192.0.2.10", CITY)])
            .grant("asn", [("192.0.2.10", AS)])
            .grant("teams", [owner])
    }

    fn event(format: &str, settings: Value, lines: &str) -> Value {
        let mut settings = settings;
        settings["format"] = format.into();
        serde_json::from_slice(&crate::mapped(settings, lines, lines).events).unwrap()
    }

    #[test]
    fn the_clients_address_is_looked_up() {
        let _tables = granted();
        let settings = |style: &str| json!({ "style": style, "geo": "city", "network": "asn", "owner": "teams" });
        let source = &event("classic-elb", settings("ecs"), LINE)["source"];
        let geo = json!({
            "continent_code": "EU", "country_iso_code": "DE", "country_name": "Germany", "region_iso_code": "DE-BE",
            "region_name": "Land Berlin", "city_name": "Berlin", "timezone": "Europe/Berlin",
            "location": { "lat": 52.52, "lon": 13.405 },
        });
        assert_eq!(source["geo"], geo);
        assert_eq!(source["as"], json!({ "number": 64496, "organization": { "name": "Example" } }));
        assert_eq!(source["owner"], json!({ "cidr": "192.0.2.0/24", "team": "shop" }));
        let flat = event("classic-elb", settings("flat"), LINE);
        assert_eq!(flat["client_geo_city_name"], "Berlin");
        assert_eq!(flat["client_as_number"], 64496);
        assert_eq!(flat["client_owner"]["team"], "shop");
    }

    #[test]
    fn what_nobody_knows_is_left_out() {
        let _tables = granted();
        let line = LINE.replace("192.0.2.10", "198.51.100.7");
        let event = event("classic-elb", json!({ "geo": "city", "owner": "teams" }), &line);
        assert_eq!(event["source"], json!({ "address": "198.51.100.7", "ip": "198.51.100.7", "port": 51000 }));
    }

    #[test]
    fn only_so_many_addresses_are_remembered() {
        let _tables = granted();
        let settings = serde_json::from_value(json!({ "geo": "city" })).unwrap();
        let facts = super::Facts::new(&settings);
        let mut out = Vec::new();
        for number in 0..=super::REMEMBERED {
            facts.write(super::Fact(1), number.to_string().as_bytes(), &mut out);
        }
        facts.write(super::Fact(1), b"192.0.2.10", &mut out);
        assert_eq!(out, b"\"DE\"");
        assert_eq!(facts.rows.borrow()[0].len(), 2);
    }

    #[test]
    fn an_owners_row_is_written_as_it_is() {
        let row = r#"{"z":1.0, "a":[ "b" ]}"#;
        let _tables = TestTables::new().grant("teams", [("192.0.2.10", row)]);
        let settings = json!({ "format": "classic-elb", "style": "flat", "owner": "teams" });
        let events = String::from_utf8(crate::mapped(settings, LINE, LINE).events).unwrap();
        assert!(events.contains(&format!("\"client_owner\":{row}")), "{events}");
    }

    #[test]
    fn a_fact_of_the_log_itself_stays() {
        let _tables = granted();
        let waf = "{\"timestamp\":1791188130120,\"httpRequest\":{\"clientIp\":\"192.0.2.10\",\"country\":\"FR\"}}\n";
        let geo = &event("waf", json!({ "geo": "city" }), waf)["source"]["geo"];
        assert_eq!((&geo["country_iso_code"], &geo["city_name"]), (&json!("FR"), &json!("Berlin")));
    }

    #[test]
    fn facts_have_all_settings_of_fields() {
        let _tables = granted();
        let settings = json!({
            "style": "flat", "geo": "city", "network": "asn", "drop": ["client_geo_location"],
            "rename": { "client_geo_city_name": "city" }, "only": ["client_as_number = 64496"],
        });
        let event = event("classic-elb", settings, LINE);
        assert_eq!(event["city"], "Berlin");
        assert!(event.get("client_geo_location").is_none());
    }

    #[test]
    fn a_table_that_is_not_granted_is_a_mistake() {
        let _tables = granted();
        let mistake = |settings: Value| Aws::configure(serde_json::from_value(settings).unwrap()).err().unwrap();
        let error = mistake(json!({ "geo": "citys" }));
        assert!(error.starts_with("geo: the config does not grant the table `citys`"), "{error}");
        let error = mistake(json!({ "owner": "teams", "style": "elb-processor" }));
        assert!(error.starts_with("owner: the style `elb-processor` has no field"), "{error}");
    }
}

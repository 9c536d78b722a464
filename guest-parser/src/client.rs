//! What lookup tables of the host know of the client's address: where it is, whose network it is in, who owns it.

use std::cell::RefCell;
use std::collections::HashMap;

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
    /// Finds it in a row.
    find: fn(&Value) -> Option<Value>,
}

/// The settings that name a table.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Setting {
    Geo,
    Network,
    Owner,
}

const SETTINGS: [Setting; 3] = [Setting::Geo, Setting::Network, Setting::Owner];

const fn text(setting: Setting, name: &'static str, meaning: &'static str, find: fn(&Value) -> Option<Value>) -> About {
    About { setting, name, json_type: JsonType::Text, meaning, find }
}

/// The facts, in the order of the output. The rows of the first two are those of MaxMind's databases and of those with the
/// same layout.
static FACTS: [About; 12] = [
    text(Setting::Geo, "geo.continent_code", "continent of the client's address, as `EU`", |row| {
        of_type(row.pointer("/continent/code"), Value::is_string)
    }),
    text(Setting::Geo, "geo.country_iso_code", "country of the client's address, as `DE`", |row| {
        of_type(row.pointer("/country/iso_code"), Value::is_string)
    }),
    text(Setting::Geo, "geo.country_name", "the same, in English", |row| {
        of_type(row.pointer("/country/names/en"), Value::is_string)
    }),
    text(Setting::Geo, "geo.region_iso_code", "region of the client's address, as `DE-BE`", |row| {
        let part = |path| row.pointer(path).and_then(Value::as_str);
        Some(format!("{}-{}", part("/country/iso_code")?, part("/subdivisions/0/iso_code")?).into())
    }),
    text(Setting::Geo, "geo.region_name", "the same, in English", |row| {
        of_type(row.pointer("/subdivisions/0/names/en"), Value::is_string)
    }),
    text(Setting::Geo, "geo.city_name", "city of the client's address, in English", |row| {
        of_type(row.pointer("/city/names/en"), Value::is_string)
    }),
    text(Setting::Geo, "geo.postal_code", "postal code of the client's address", |row| {
        of_type(row.pointer("/postal/code"), Value::is_string)
    }),
    text(Setting::Geo, "geo.timezone", "time zone of the client's address, as `Europe/Berlin`", |row| {
        of_type(row.pointer("/location/time_zone"), Value::is_string)
    }),
    About {
        setting: Setting::Geo,
        name: "geo.location",
        json_type: JsonType::Object,
        meaning: "about where the client's address is: `lat` and `lon`, in degrees",
        find: |row| {
            let part = |path| of_type(row.pointer(path), Value::is_number);
            Some(json!({ "lat": part("/location/latitude")?, "lon": part("/location/longitude")? }))
        },
    },
    About {
        setting: Setting::Network,
        name: "as.number",
        json_type: JsonType::Number,
        meaning: "number of the autonomous system of the client's address",
        find: |row| of_type(row.get("autonomous_system_number"), Value::is_number),
    },
    text(Setting::Network, "as.organization.name", "whose autonomous system that is", |row| {
        of_type(row.get("autonomous_system_organization"), Value::is_string)
    }),
    About {
        setting: Setting::Owner,
        name: "owner",
        json_type: JsonType::Object,
        meaning: "the table's row for the client's address, as it is",
        find: |row| of_type(Some(row), Value::is_object),
    },
];

fn of_type(value: Option<&Value>, is: fn(&Value) -> bool) -> Option<Value> {
    value.filter(|value| is(value)).cloned()
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
        if rows.len() >= REMEMBERED && !rows.contains_key(address) {
            rows.clear();
        }
        if !rows.contains_key(address) {
            rows.insert(address.into(), row(table, address, setting));
        }
        if let Some(json) = rows.get(address).and_then(|row| row[fact.0].as_deref()) {
            out.extend_from_slice(json);
        }
    }
}

/// Asks the host. That the table is granted, `configure` has seen to.
fn row(table: &str, address: &[u8], setting: Setting) -> Row {
    let address = std::str::from_utf8(address).ok();
    let row = address.and_then(|address| host::lookup(table, address).ok().flatten());
    let row: Option<Value> = row.and_then(|row| serde_json::from_str(&row).ok());
    std::array::from_fn(|index| {
        let fact = &FACTS[index];
        let found = (fact.find)(row.as_ref().filter(|_| fact.setting == setting)?)?;
        Some(found.to_string().into_bytes().into())
    })
}

#[cfg(test)]
mod tests {
    use elbow_guest::host::TestTables;
    use elbow_guest::{Mapping, map_batch};
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
        let mut aws = Aws::configure(serde_json::from_value(settings).unwrap()).unwrap();
        let object = elbow_guest::Object {
            id: "-".into(),
            bucket: None,
            key: "-".into(),
            size: None,
            etag: None,
            last_modified: None,
            captures: vec![],
            head: lines.into(),
        };
        aws.begin(&object).unwrap();
        let outcome = map_batch(&aws, lines.as_bytes());
        serde_json::from_slice(&outcome.events).unwrap()
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

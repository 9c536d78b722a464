//! The settings of the mapping `aws`, in `elbow.toml` below `[mappings.NAME.settings]`.
//!
//! What they name are the fields of the output, in the style that is set. With `format = "auto"` a name must be one of at
//! least one format.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::program::MAX_DEPTH;
use crate::recognise::Kind;
use crate::source::Source;
use crate::styles::Named;

/// What a user can set. Each may be left out.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The format of all objects. Left out, or `"auto"`, each object is recognised by its key, else by its first line.
    #[serde(deserialize_with = "auto_or_kind")]
    pub format: Option<Kind>,
    /// The names of the columns, in their order, of files that should name them, but have no header. They count for the format
    /// that knows most of them; a file's own line `#Fields:` goes before.
    pub columns: Vec<String>,
    /// What parts the columns of files that name them in a line `#Fields:`, or whose `columns` are set: a tab, a space, `,`, `;`
    /// or `|`. Left out, a tab or a space: that which gives the first record as many columns as there are names.
    #[serde(deserialize_with = "separator")]
    pub separator: Option<u8>,
    /// The names of the output.
    pub style: Style,
    /// Fields that each event has beside those of its line, with their values.
    pub add: Map<String, Value>,
    /// New names of fields, by their old ones.
    pub rename: BTreeMap<String, String>,
    /// Fields that are left out; the name of an object leaves out all that is in it.
    pub drop: Vec<String>,
    /// Keeps the raw line: as `message`, in the style `ecs` as `event.original`. `elb-processor` always keeps it.
    pub keep_message: bool,
    /// Keeps the record in base64, also where its bytes are no text: as `raw`, in the style `ecs` beside what ECS has no name
    /// for. It is what `message` is, `redact_query` included.
    pub keep_raw: bool,
    /// Names of query parameters whose values are replaced by `REDACTED`, wherever the URL stands, the raw line included.
    pub redact_query: Vec<String>,
    /// Conditions, as `elb_status_code >= 500`, that must all hold: other records are dropped, and counted.
    pub only: Vec<String>,
    /// Conditions none of which may hold: records for which one does are dropped, and counted.
    pub except: Vec<String>,
    /// Keeps one record in so many, by a hash of the record, so that the same one is kept in every replay.
    pub sample: Option<u64>,
    /// The name of a lookup table that says where the client's address is: a MaxMind database of cities or countries.
    pub geo: Option<String>,
    /// The name of a lookup table that says which autonomous system it is in: a MaxMind database of those.
    pub network: Option<String>,
    /// The name of a lookup table that says who owns it: any one whose key is an address, as a CIDR list.
    pub owner: Option<String>,
    /// `elb-processor` only: the values of `Application`, `Environment` and `Component`; left out if not set.
    pub application: Option<String>,
    /// See `application`.
    pub environment: Option<String>,
    /// See `application`.
    pub component: Option<String>,
    /// `elb-processor` only: the value of `SourceModuleName`; `ELB` if not set.
    pub source_module_name: Option<String>,
    /// `elb-processor` only: the value of `type`; `logs` if not set.
    #[serde(rename = "type")]
    pub event_type: Option<String>,
}

/// How the fields of an event are named.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Style {
    /// Elastic Common Schema, as nested objects.
    #[default]
    Ecs,
    /// The names of AWS's columns in snake_case, all at the top level.
    Flat,
    /// The names of the original ELB logs processor.
    ElbProcessor,
}

impl Settings {
    /// Drops, renames and adds fields. An error names the setting.
    pub fn apply(&self, mut fields: Vec<Named>) -> Result<Vec<Named>, String> {
        let names: Vec<String> = fields.iter().map(Named::name).collect();
        let is_within = |name: &str, object: &str| name.strip_prefix(object).is_some_and(|rest| rest.starts_with('.'));
        let mut index = 0;
        fields.retain(|_| {
            let name = &names[index];
            index += 1;
            !self.drop.iter().any(|dropped| dropped == name || is_within(name, dropped))
        });
        for field in &mut fields {
            if let Some(new) = self.rename.get(&field.name()) {
                field.path = self.path(new);
            }
        }
        for (name, value) in &self.add {
            if value.is_null() {
                return Err(format!("add.{name}: null is no value; leave it out"));
            }
            let source = Source::Constant(value.to_string().into());
            fields.push(Named { path: self.path(name), source, meaning: "from the settings".into() });
        }
        let names: Vec<String> = fields.iter().map(Named::name).collect();
        for (index, name) in names.iter().enumerate() {
            if name.is_empty() || name.split('.').any(str::is_empty) && self.style == Style::Ecs {
                return Err(format!("rename, add: `{name}` is no name of a field"));
            }
            if fields[index].path.len() >= MAX_DEPTH {
                return Err(format!("rename, add: `{name}` is nested too deep; it may have {} dots", MAX_DEPTH - 2));
            }
            let is_taken =
                |other: &String| other == name || (self.nests() && (is_within(name, other) || is_within(other, name)));
            if let Some(other) = names[..index].iter().find(|other| is_taken(other)) {
                return Err(format!(
                    "rename, add: there is a field `{other}` already, so there can be no `{name}`; drop or rename it"
                ));
            }
        }
        Ok(fields)
    }

    /// Whether records may be dropped by a condition, or by chance.
    pub fn has_conditions(&self) -> bool {
        !self.only.is_empty() || !self.except.is_empty() || self.sample.is_some()
    }

    /// Whether there is anything that may be wrong with the fields of a format.
    pub fn names_fields(&self) -> bool {
        self.has_conditions()
            || !self.columns.is_empty()
            || !self.add.is_empty()
            || !self.rename.is_empty()
            || !self.drop.is_empty()
    }

    /// Whether a dot in a name nests.
    fn nests(&self) -> bool {
        self.style != Style::Flat
    }

    fn path(&self, name: &str) -> Vec<String> {
        match self.nests() {
            true => name.split('.').map(str::to_owned).collect(),
            false => vec![name.to_owned()],
        }
    }

    /// The names in `rename` and `drop` that none of these fields has.
    pub fn unknown_names(&self, fields: &[String]) -> Option<String> {
        let is_known = |name: &str| {
            let object = format!("{name}.");
            fields.iter().any(|field| field == name || field.starts_with(&object))
        };
        let dropped = self.drop.iter().map(|name| ("drop", name));
        let renamed = self.rename.keys().map(|name| ("rename", name));
        let (setting, name) = dropped.chain(renamed).find(|(_, name)| !is_known(name))?;
        Some(format!("{setting}: no format has a field `{name}`{}", like(name, fields)))
    }
}

/// `, do you mean ...`, if there is a field with a name like this.
pub fn like(name: &str, fields: &[String]) -> String {
    let end = |field: &str| field.rsplit('.').next().unwrap_or(field).to_owned();
    let plain = |field: &str| field.to_ascii_lowercase().replace(['-', '_'], "");
    let found = fields.iter().find(|field| plain(&end(field)) == plain(&end(name)));
    found.map(|field| format!("; there is `{field}`")).unwrap_or_default()
}

fn auto_or_kind<'de, D: serde::Deserializer<'de>>(input: D) -> Result<Option<Kind>, D::Error> {
    let name = String::deserialize(input)?;
    if name == "auto" {
        return Ok(None);
    }
    Kind::named(&name).map(Some).ok_or_else(|| {
        let names: Vec<&str> = Kind::ALL.iter().map(|kind| kind.name()).collect();
        serde::de::Error::custom(format!("unknown format `{name}`, expected `auto` or one of {}", names.join(", ")))
    })
}

fn separator<'de, D: serde::Deserializer<'de>>(input: D) -> Result<Option<u8>, D::Error> {
    let text = String::deserialize(input)?;
    match text.as_bytes() {
        [byte @ (b' ' | b'\t' | b',' | b';' | b'|')] => Ok(Some(*byte)),
        _ => Err(serde::de::Error::custom(format!("expected a tab, a space, `,`, `;` or `|`, found `{text}`"))),
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use elbow_guest::{Mapping, Outcome};
    use serde_json::{Value, json};

    use crate::Aws;

    const LINES: &str = "\
2026-10-05T08:15:30.120450Z shop 192.0.2.10:51000 198.51.100.20:80 0.000051 0.002310 0.000044 200 200 0 42 \"GET http://h:80/a?token=1&b=2 HTTP/1.1\" \"demo/1.0\" - -
2026-10-05T08:15:31.120450Z shop 192.0.2.10:51000 - -1 -1 -1 503 0 0 0 \"GET http://h:80/b HTTP/1.1\" \"ELB-HealthChecker/2.0\" - -
";

    fn configured(settings: Value) -> Result<Aws, String> {
        let mut settings = settings;
        settings["format"] = "classic-elb".into();
        Aws::configure(serde_json::from_value(settings).map_err(|error| error.to_string())?)
    }

    fn mapped(settings: Value) -> Outcome {
        let mut settings = settings;
        settings["format"] = "classic-elb".into();
        crate::mapped(settings, LINES, LINES)
    }

    fn events(settings: Value) -> Vec<Value> {
        let outcome = mapped(settings);
        let text = String::from_utf8(outcome.events).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[track_caller]
    fn expect_mistake(settings: Value, what: &str) {
        let error = configured(settings).err().expect("it is a mistake");
        assert!(error.contains(what), "{error}");
    }

    #[test]
    fn fields_are_added_renamed_and_dropped() {
        let flat = json!({
            "style": "flat",
            "add": { "team": "shop", "labels.tier": 1, "tags": ["a"] },
            "rename": { "user_agent": "agent" },
            "drop": ["elb", "url_port"],
        });
        let event = &events(flat)[0];
        assert_eq!(event["team"], "shop");
        assert_eq!(event["labels.tier"], 1);
        assert_eq!(event["tags"], json!(["a"]));
        assert_eq!(event["agent"], "demo/1.0");
        for gone in ["elb", "url_port", "user_agent"] {
            assert!(event.get(gone).is_none(), "{gone}");
        }
        let ecs =
            json!({ "add": { "labels.tier": "web" }, "rename": { "source.ip": "client.ip" }, "drop": ["aws.elb"] });
        let event = &events(ecs)[0];
        assert_eq!(event["labels"]["tier"], "web");
        assert_eq!(event["client"]["ip"], "192.0.2.10");
        assert!(event.get("aws").is_none());
        assert!(event["source"].get("ip").is_none());
    }

    #[test]
    fn names_that_cannot_be_are_mistakes() {
        let flat = |more: Value| {
            let mut settings = json!({ "style": "flat" });
            settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            settings
        };
        expect_mistake(
            flat(json!({ "drop": ["userAgent"] })),
            "drop: no format has a field `userAgent`; there is `user_agent`",
        );
        expect_mistake(flat(json!({ "rename": { "nothing": "x" } })), "rename: no format has a field `nothing`");
        expect_mistake(flat(json!({ "add": { "elb": "x" } })), "there is a field `elb` already");
        expect_mistake(flat(json!({ "rename": { "elb": "url" } })), "there is a field `url` already");
        expect_mistake(flat(json!({ "add": { "x": null } })), "add.x: null is no value");
        expect_mistake(json!({ "add": { "source": "x" } }), "there can be no `source");
        assert!(configured(json!({ "add": { "a.b.c.d.e.f.g": 1 } })).is_ok());
        expect_mistake(json!({ "add": { "a.b.c.d.e.f.g.h": 1 } }), "nested too deep; it may have 6 dots");
        expect_mistake(flat(json!({ "only": ["elb"] })), "`elb` is no condition");
        expect_mistake(
            flat(json!({ "except": ["nothing = 1"] })),
            "except: `nothing = 1`: no format has a field `nothing`",
        );
        expect_mistake(flat(json!({ "sample": 0 })), "sample: expected a number from 1 up");
        expect_mistake(json!({ "style": "esc" }), "unknown variant `esc`");
        expect_mistake(json!({ "redact_query": ["a", ""] }), "redact_query: expected the names of query parameters");
        expect_mistake(json!({ "redact_query": ["token="] }), "as `token`, found `token=`");
        expect_mistake(json!({ "columns": ["timestamp", "elb", "ELB"] }), "`columns` names `ELB` twice");
        expect_mistake(json!({ "separator": "::" }), "expected a tab, a space, `,`, `;` or `|`, found `::`");
    }

    #[test]
    fn conditions_decide_which_records_are_dropped() {
        for (settings, kept) in [
            (json!({ "only": ["elb_status_code >= 500"] }), vec!["/b"]),
            (json!({ "only": ["http.response.status_code < 500"] }), vec!["/a"]),
            (json!({ "except": ["user_agent ~ ELB-HealthChecker*"] }), vec!["/a"]),
            (json!({ "only": ["backend_ip = 198.51.100.20", "elb_status_code = 200"] }), vec!["/a"]),
            (json!({ "only": ["backend_ip != 198.51.100.20"] }), vec!["/b"]),
            (json!({ "except": ["elb = shop"] }), vec![]),
            (json!({ "only": ["@timestamp > 2026-10-05T08:15:31"] }), vec!["/b"]),
            (json!({ "only": ["request_processing_time ~ *.000051"] }), vec!["/a"]),
            (
                json!({ "rename": { "source.port": "p" }, "drop": ["aws"], "only": ["source.port = 51000", "aws.elb.name = shop"] }),
                vec!["/a", "/b"],
            ),
        ] {
            let outcome = mapped(settings.clone());
            assert_eq!(outcome.dropped as usize, 2 - kept.len(), "{settings}");
            let paths: Vec<Value> = events(settings).iter().map(|event| event["url"]["path"].clone()).collect();
            assert_eq!(paths, kept);
        }
    }

    #[test]
    fn a_sample_keeps_the_same_records_each_time() {
        let first = mapped(json!({ "sample": 2 }));
        assert_eq!(first.events, mapped(json!({ "sample": 2 })).events);
        assert_eq!(first.event_records.len() + first.dropped as usize, 2);
        assert_eq!(mapped(json!({ "sample": 1 })).dropped, 0);
    }

    /// What becomes of an object of another format.
    fn of(format: &str, settings: Value, header: &str, records: &str) -> String {
        let mut settings = settings;
        settings["format"] = format.into();
        String::from_utf8(crate::mapped(settings, &format!("{header}{records}"), records).events).unwrap()
    }

    #[test]
    fn columns_of_ones_own_are_parted_as_one_says() {
        let columns = json!(["timestamp", "c-ip", "cs(User-Agent)"]);
        for (more, line) in [
            (json!({}), "1791188130 192.0.2.1 demo%20one\n"),
            (json!({}), "1791188130\t192.0.2.1\tdemo%20one\n"),
            (json!({ "separator": "|" }), "1791188130|192.0.2.1|demo%20one\n"),
            // A stray line decides nothing.
            (json!({}), "\r\n1791188130\t192.0.2.1\tdemo%20one\n"),
        ] {
            let mut settings = json!({ "style": "flat", "columns": columns });
            settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            let event: Value = serde_json::from_str(&of("cloudfront", settings, "", line)).unwrap();
            assert_eq!((&event["c_ip"], &event["cs_user_agent"]), (&json!("192.0.2.1"), &json!("demo one")), "{event}");
        }
    }

    #[test]
    fn columns_of_ones_own_can_be_named() {
        let settings = json!({
            "style": "flat", "columns": ["timestamp", "elb", "my-col"], "rename": { "my_col": "mine" }, "only": ["my_col = 7"],
        });
        let events =
            of("classic-elb", settings.clone(), "", "2026-10-05T08:15:30Z shop 7\n2026-10-05T08:15:30Z shop 8\n");
        assert_eq!(events, "{\"@timestamp\":\"2026-10-05T08:15:30Z\",\"elb\":\"shop\",\"mine\":\"7\"}\n");
        let promised = configured(settings).unwrap().formats().remove(0).fields;
        assert!(promised.iter().any(|field| field.name == "mine"));
    }

    #[test]
    fn columns_of_one_format_are_not_those_of_another() {
        let settings = json!({ "style": "flat", "separator": "|", "columns": ["date", "time", "c-ip", "x-new"] });
        let outcome = |head: &str, records: &str| {
            String::from_utf8(crate::mapped(settings.clone(), head, records).events).unwrap()
        };
        let vpc = "srcaddr bytes start\n";
        let event = outcome(vpc, "192.0.2.1 7 1791188100\n");
        assert_eq!(
            event,
            "{\"@timestamp\":\"2026-10-05T08:15:00Z\",\"srcaddr\":\"192.0.2.1\",\"bytes\":7,\"start\":1791188100}\n"
        );
        // A header of its own goes before.
        let event = outcome("#Version: 1.0\n#Fields: date time sc-status\n", "2026-10-05|08:15:00|200\n");
        assert_eq!(event, "{\"@timestamp\":\"2026-10-05T08:15:00Z\",\"sc_status\":200}\n");
    }

    #[test]
    fn a_separator_is_for_files_that_name_their_columns() {
        let settings = json!({ "style": "flat", "separator": "|" });
        assert_eq!(mapped(settings).event_records.len(), 2);
    }

    #[test]
    fn a_query_is_redacted_in_the_raw_line_whatever_parts_the_columns() {
        let settings = json!({
            "style": "flat", "separator": "|", "columns": ["date", "time", "cs-uri-query", "x-new", "sc-status"],
            "redact_query": ["token"], "keep_message": true,
        });
        let event =
            of("cloudfront", settings, "", "2026-10-05|08:15:30|token=secret|/b?token=secret&c|200|a?token=secret\n");
        assert!(!event.contains("secret"), "{event}");
        assert_eq!(event.matches("REDACTED").count(), 6, "{event}");
        let waf = "{\"timestamp\":1791188130120,\"httpRequest\":{\"headers\":[{\"name\":\"Referer\",\"value\":\"/?token=secret\"}]},\"new\":\"token=secret\"}\n";
        for style in ["flat", "ecs"] {
            let event = of("waf", json!({ "style": style, "redact_query": ["token"], "keep_message": true }), "", waf);
            assert!(!event.contains("secret"), "{event}");
        }
    }

    #[test]
    fn a_query_that_stands_alone_is_redacted_from_its_first_parameter_on() {
        for style in ["flat", "ecs"] {
            let settings = json!({ "style": style, "redact_query": ["token"], "keep_message": true });
            let cloudfront = of(
                "cloudfront",
                settings.clone(),
                "#Fields: date time cs-uri-query\n",
                "2026-10-05\t08:15:30\ttoken=secret&b=2\n",
            );
            let waf = "{\"timestamp\":1791188130120,\"httpRequest\":{\"args\":\"token=secret&b=2\"}}\n";
            for event in [cloudfront, of("waf", settings, "", waf)] {
                assert!(!event.contains("secret"), "{event}");
                assert_eq!(event.matches("token=REDACTED&b=2").count(), 2, "{event}");
            }
        }
    }

    #[test]
    fn parameters_are_redacted_in_lists_too() {
        let line = "http 2026-10-05T08:15:30.120450Z app/d/0 192.0.2.1:1 - -1 -1 -1 200 - 0 0 \"GET http://h:80/ HTTP/1.1\" \"x\" - - - \
                    \"-\" \"-\" \"-\" - 2026-10-05T08:15:30Z \"waf,/?a=1&token=sec,ret\" \"-\" \"-\" \"192.0.2.2:1 /?token=sec&b ret\" \"200 ?token=sec 4711 ret\"\n";
        let header = "#Fields: timestamp x-forwarded-for\n";
        let forwarded = "1791188130\t192.0.2.1,%20/?token=sec,ret,203.0.113.9\n";
        let settings = json!({ "style": "flat", "redact_query": ["token"], "keep_raw": true });
        let alb: Value = serde_json::from_str(&of("alb", settings.clone(), "", line)).unwrap();
        assert_eq!(alb["actions_executed"], json!(["waf", "/?a=1&token=REDACTED", "REDACTED"]));
        assert_eq!(alb["target_port_list"], json!(["192.0.2.2:1", "/?token=REDACTED&b", "ret"]));
        assert_eq!(alb["target_status_code_list"], json!([200, "?token=REDACTED", "REDACTED", "REDACTED"]));
        let cloudfront: Value = serde_json::from_str(&of("cloudfront", settings, header, forwarded)).unwrap();
        assert_eq!(cloudfront["x_forwarded_for"], json!(["192.0.2.1", "/?token=REDACTED", "REDACTED", "203.0.113.9"]));
    }

    #[test]
    fn the_bytes_of_a_line_can_be_had_back() {
        let line = &LINES[..LINES.find('\n').unwrap()];
        let raw = |settings: Value| STANDARD.decode(events(settings)[0]["raw"].as_str().unwrap()).unwrap();
        assert_eq!(raw(json!({ "style": "flat", "keep_raw": true })), line.as_bytes());
        let redacted = raw(json!({ "style": "elb-processor", "keep_raw": true, "redact_query": ["token"] }));
        assert_eq!(String::from_utf8(redacted).unwrap(), line.replace("token=1", "token=REDACTED"));
    }

    #[test]
    fn what_is_behind_a_redacted_value_stays() {
        let raw = |settings: Value| events(settings)[0]["message"].as_str().unwrap().to_owned();
        let without = raw(json!({ "style": "flat", "keep_message": true }));
        let with = raw(json!({ "style": "flat", "keep_message": true, "redact_query": ["token", "b"] }));
        assert_eq!(with, without.replace("token=1&b=2", "token=REDACTED&b=REDACTED"));
        let trail = "{\"eventTime\":\"2026-10-05T08:15:30Z\",\"requestParameters\":{\"u\":\"/?token=1\",\"k\":2}}\n";
        let event = of("cloudtrail", json!({ "style": "flat", "redact_query": ["token"] }), "", trail);
        assert!(event.contains(r#""request_parameters":"{\"u\":\"/?token=REDACTED\",\"k\":2}""#), "{event}");
    }

    #[test]
    fn parameters_are_redacted_wherever_the_url_stands() {
        for style in ["flat", "ecs", "elb-processor"] {
            let settings = json!({ "style": style, "redact_query": ["token"], "keep_message": true });
            let text = events(settings)[0].to_string();
            assert!(!text.contains("token=1"), "{text}");
            assert!(text.contains("token=REDACTED"), "{text}");
        }
    }
}

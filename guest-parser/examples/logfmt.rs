//! A mapping of a team's own log, in a screenful: `key=value` pairs, as many services write them.
//!
//!     level=warn msg="cart is full" items=12
//!
//! becomes `{"team":"shop","level":"warn","msg":"cart is full","items":12}`. Build it with `make guests`, and try it with
//!
//!     elbow forward --mapping target/guest/wasm32-wasip2/guest/examples/logfmt.wasm --set team=shop app.log

use elbow_guest::{Events, Fate, Field, Format, Mapping, Reject, json};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// Put into each event.
    team: String,
    /// Lines of these levels are dropped.
    #[serde(default)]
    drop_levels: Vec<String>,
}

struct Logfmt(Settings);

impl Mapping for Logfmt {
    type Settings = Settings;
    const NAME: &'static str = "logfmt";
    const VERSION: &'static str = "1.0.0";

    fn configure(settings: Settings) -> Result<Self, String> {
        match settings.team.is_empty() {
            true => Err("team: expected a name".into()),
            false => Ok(Self(settings)),
        }
    }

    fn formats(&self) -> Vec<Format> {
        let fields = vec![Field::text("team", "from the settings"), Field::text("level", "how much it matters")];
        vec![Format::new("logfmt", "`key=value` pairs, parted by spaces", fields)]
    }

    fn map(&self, record: &[u8], events: &mut Events) -> Result<Fate, Reject> {
        let pairs = pairs(std::str::from_utf8(record).map_err(|_| "the line is not UTF-8")?)?;
        let level = pairs.iter().find(|(key, _)| *key == "level").map_or("", |(_, level)| level);
        if pairs.is_empty() || self.0.drop_levels.iter().any(|dropped| dropped == level) {
            return Ok(Fate::Dropped);
        }
        Ok(events.push(|event| {
            event.text("team", &self.0.team);
            for (key, value) in pairs.iter().filter(|(key, _)| *key != "team") {
                match json::as_number(value.as_bytes()) {
                    Some(digits) => drop(event.number(key, digits)),
                    None => event.text(key, value),
                }
            }
        }))
    }
}

/// Keys and values; a value with spaces stands in quotes.
fn pairs(mut line: &str) -> Result<Vec<(&str, &str)>, Reject> {
    let mut pairs = Vec::new();
    while !line.trim_start().is_empty() {
        let (key, rest) = line.trim_start().split_once('=').ok_or("expected `key=value`")?;
        let (value, rest) = match rest.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').ok_or("a quote is not closed")?,
            None => rest.split_once(' ').unwrap_or((rest, "")),
        };
        pairs.push((key, value));
        line = rest;
    }
    Ok(pairs)
}

elbow_guest::export!(Logfmt);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_become_fields() {
        let settings = Settings { team: "shop".into(), drop_levels: vec!["debug".into()] };
        let mapping = Logfmt::configure(settings).unwrap();
        let mapped =
            elbow_guest::map_batch(&mapping, b"level=warn msg=\"cart is full\" items=12\nlevel=debug\nnonsense\n");
        let event = "{\"team\":\"shop\",\"level\":\"warn\",\"msg\":\"cart is full\",\"items\":12}\n";
        assert_eq!(String::from_utf8(mapped.events).unwrap(), event);
        assert_eq!((mapped.dropped, mapped.rejects.len()), (1, 1));
    }
}

//! Columns made up at random: how AWS writes each, and the fields of the style `flat` that are to come of it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

/// A column of a line.
#[derive(Clone, Debug)]
pub(crate) struct Column {
    /// As it stands in the line.
    pub(crate) raw: String,
    /// What is to come of it.
    pub(crate) fields: Vec<(String, Value)>,
}

pub(crate) type Any = BoxedStrategy<Column>;

/// How a format writes a text, quotes around it included.
pub(crate) type Writing = fn(&str) -> String;

fn column(raw: impl Into<String>, name: &str, value: impl Into<Value>) -> Column {
    Column { raw: raw.into(), fields: vec![(name.into(), value.into())] }
}

fn nothing(raw: &str) -> Column {
    Column { raw: raw.into(), fields: vec![] }
}

/// The column, or a dash.
pub(crate) fn or_dash(any: Any) -> Any {
    prop_oneof![3 => any, 1 => Just(nothing("-"))].boxed()
}

/// The column, or a dash in quotes.
pub(crate) fn or_quoted_dash(any: Any) -> Any {
    prop_oneof![3 => any, 1 => Just(nothing("\"-\""))].boxed()
}

/// A word without anything that would have to be written in another way.
pub(crate) fn word(name: &'static str) -> Any {
    any_word().prop_map(move |word| column(&word, name, word.as_str())).boxed()
}

pub(crate) fn any_word() -> impl Strategy<Value = String> {
    "[A-Za-z0-9][A-Za-z0-9_.:/+=@-]{0,30}"
}

/// A word that is one of these.
pub(crate) fn one_of(name: &'static str, words: &'static [&'static str]) -> Any {
    select(words).prop_map(move |word| column(word, name, word)).boxed()
}

/// Text of any characters, but for a lone dash, which is no value.
pub(crate) fn any_text() -> impl Strategy<Value = String> {
    let char = prop_oneof![8 => proptest::char::range(' ', '~'), 1 => Just('"'), 1 => Just('\\'), 1 => Just('%'), 1 => any::<char>()];
    vec(char, 0..40).prop_map(String::from_iter).prop_filter("a dash", |text| text != "-")
}

/// A text, as the format writes it.
pub(crate) fn text(name: &'static str, write: Writing) -> Any {
    text_of(any_text().boxed(), name, write)
}

/// One of these texts, as the format writes it.
pub(crate) fn text_of(any_text: BoxedStrategy<String>, name: &'static str, write: Writing) -> Any {
    any_text.prop_map(move |text| column(write(&text), name, text)).boxed()
}

/// In quotes, with `\xHH` for a quote, a backslash and each byte outside of printable ASCII.
pub(crate) fn escaped(text: &str) -> String {
    format!("\"{}\"", hexed(text, "\\x", |byte| (b' '..=b'~').contains(&byte) && byte != b'"' && byte != b'\\'))
}

/// The same, but for a quote, which is `\"`.
pub(crate) fn escaped_with_backslash(text: &str) -> String {
    escaped(text).replace("\\x22", "\\\"")
}

/// Percent-encoded, without quotes.
pub(crate) fn percent(text: &str) -> String {
    hexed(text, "%", |byte| byte.is_ascii_alphanumeric() || b"-_.~/*:;=&?".contains(&byte))
}

fn hexed(text: &str, sign: &str, is_plain: impl Fn(u8) -> bool) -> String {
    let bytes = text.bytes();
    bytes.map(|byte| if is_plain(byte) { char::from(byte).to_string() } else { format!("{sign}{byte:02X}") }).collect()
}

/// In quotes, as it is.
pub(crate) fn in_quotes(text: &str) -> String {
    format!("\"{text}\"")
}

/// Text in which [`in_quotes`] leaves no doubt where it ends.
pub(crate) fn any_plain_text() -> impl Strategy<Value = String> {
    any_text().prop_map(|text| text.replace(['"', '\\', '\n'], "/")).prop_filter("a dash", |text| text != "-")
}

/// Such a text in quotes.
pub(crate) fn plain_text(name: &'static str) -> Any {
    text_of(any_plain_text().boxed(), name, in_quotes)
}

/// A whole number.
pub(crate) fn number(name: &'static str) -> Any {
    prop_oneof![0_u64..1000, any::<u64>()].prop_map(move |number| column(number.to_string(), name, number)).boxed()
}

/// A number with decimals.
pub(crate) fn decimal(name: &'static str) -> Any {
    let digits = "(0|[1-9][0-9]{0,4})\\.[0-9]{1,9}";
    digits.prop_map(move |digits| column(&digits, name, digits.parse::<f64>().unwrap())).boxed()
}

/// Seconds with decimals, or -1, which is no value.
pub(crate) fn seconds(name: &'static str) -> Any {
    prop_oneof![4 => decimal(name), 1 => Just(nothing("-1"))].boxed()
}

/// A date and a time of day: year, month, day, hour, minute, second.
pub(crate) type Moment = [u32; 6];

pub(crate) fn any_moment() -> impl Strategy<Value = Moment> {
    (1970_u32..2100, 1_u32..=12, 1_u32..=28, 0_u32..24, 0_u32..60, 0_u32..60).prop_map(Into::into)
}

pub(crate) fn iso([year, month, day, hour, minute, second]: Moment) -> String {
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")
}

/// Seconds since 1970, counted day by day.
pub(crate) fn since_1970([year, month, day, hour, minute, second]: Moment) -> u64 {
    let is_leap = |year: u32| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let length = |year: u32, month: u32| match month {
        2 => 28 + u64::from(is_leap(year)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    let years = (1970..year).flat_map(|year| (1..=12).map(move |month| (year, month)));
    let months = years.chain((1..month).map(|month| (year, month)));
    let days = months.map(|(year, month)| length(year, month)).sum::<u64>() + u64::from(day) - 1;
    days * 86_400 + u64::from(hour * 3600 + minute * 60 + second)
}

/// The same, from seconds to a moment: the last that has not come after.
pub(crate) fn moment_at(seconds: u64) -> Moment {
    let time = seconds % 86_400;
    let day = |year, month, day| since_1970([year, month, day, 0, 0, 0]) <= seconds;
    let year = (1970..2200).rev().find(|year| day(*year, 1, 1)).unwrap();
    let month = (1..=12).rev().find(|month| day(year, *month, 1)).unwrap();
    let day = (1..=31).rev().find(|date| day(year, month, *date)).unwrap();
    [year, month, day, (time / 3600) as u32, (time / 60 % 60) as u32, (time % 60) as u32]
}

/// A time with any decimals, that says that it is in UTC.
pub(crate) fn time(name: &'static str) -> Any {
    (any_moment(), "(\\.[0-9]{1,9})?")
        .prop_map(move |(moment, decimals)| {
            let time = format!("{}{decimals}Z", iso(moment));
            column(&time, name, time.as_str())
        })
        .boxed()
}

/// A time that does not say that it is in UTC.
pub(crate) fn time_without_zone(name: &'static str) -> Any {
    any_moment().prop_map(move |moment| column(iso(moment), name, format!("{}Z", iso(moment)))).boxed()
}

pub(crate) fn any_address() -> impl Strategy<Value = IpAddr> {
    let v4 = any::<u32>().prop_map(|bits| IpAddr::from(Ipv4Addr::from(bits)));
    prop_oneof![v4, any::<u128>().prop_map(|bits| IpAddr::from(Ipv6Addr::from(bits)))]
}

/// `address:port`, without brackets around an IPv6 address.
pub(crate) fn endpoint(ip: &'static str, port: &'static str) -> Any {
    (any_address(), any::<u16>())
        .prop_map(move |(address, number)| Column {
            raw: format!("{address}:{number}"),
            fields: vec![(ip.into(), address.to_string().into()), (port.into(), number.into())],
        })
        .boxed()
}

/// Texts parted by a character that none of them has.
pub(crate) fn list(name: &'static str, by: &'static str, write: Writing) -> Any {
    let item = any_text().prop_map(move |text| text.replace(by, "_")).prop_filter("empty", |text| !text.is_empty());
    vec(item, 1..5).prop_map(move |items| column(write(&items.join(by)), name, items)).boxed()
}

/// Statuses parted by spaces, some of which are missing.
pub(crate) fn statuses(name: &'static str) -> Any {
    let status = prop_oneof![4 => (100_u32..600).prop_map(Value::from), 1 => Just(json!("-"))];
    let raw = |status: &Value| status.to_string().replace('"', "");
    (100_u32..600, vec(status, 0..4))
        .prop_map(move |(first, others)| {
            let all: Vec<Value> = std::iter::once(first.into()).chain(others).collect();
            column(in_quotes(&all.iter().map(raw).collect::<Vec<_>>().join(" ")), name, all)
        })
        .boxed()
}

/// A request line. Each form of URL has the parts that it is made of.
pub(crate) fn request(any_text: BoxedStrategy<String>, write: Writing) -> Any {
    let part = move |avoided: &'static [char]| {
        // White space at the end of a URL does not count.
        any_text.clone().prop_map(move |text| text.replace(avoided, "_") + "x")
    };
    let host = prop_oneof![
        "[a-z][a-z0-9.-]{0,20}".prop_map(|host| (host.clone(), host)),
        any::<u128>().prop_map(|bits| (format!("[{}]", Ipv6Addr::from(bits)), Ipv6Addr::from(bits).to_string())),
    ];
    let scheme = select(&["http", "https", "ws"][..]);
    let path = part(&['?', '#']).prop_map(|path| format!("/{path}"));
    let behind = (proptest::option::of(part(&['#'])), proptest::option::of(part(&[])));
    let authority = (scheme, host.boxed(), proptest::option::of(any::<u16>()));
    let url = (proptest::option::of(authority), path, behind).prop_map(|(authority, path, (query, fragment))| {
        let mut url = String::new();
        let mut fields = vec![("url_path", Value::from(path.as_str()))];
        if let Some((scheme, (written, host), port)) = authority {
            url = format!("{scheme}://{written}");
            fields.extend([("url_scheme", scheme.into()), ("url_host", host.into())]);
            if let Some(port) = port {
                url += &format!(":{port}");
                fields.push(("url_port", port.into()));
            }
        }
        url += &path;
        if let Some(query) = query {
            url += &format!("?{query}");
            fields.push(("url_query", query.into()));
        }
        if let Some(fragment) = fragment {
            url += &format!("#{fragment}");
        }
        (url, fields)
    });
    let url = prop_oneof![
        6 => url,
        1 => select(&["*", "example.com:443"][..]).prop_map(|url| (url.to_owned(), vec![])),
    ];
    let method = prop_oneof![4 => "[A-Z]{3,8}", 1 => Just("-".to_owned())];
    let whole = (method, url, select(&["1.0", "1.1", "2.0"][..])).prop_map(move |(method, (url, parts), version)| {
        let mut fields = vec![("http_version", version.into()), ("url", url.as_str().into())];
        fields.extend(parts);
        if method != "-" {
            fields.push(("http_method", method.as_str().into()));
        }
        let fields = fields.into_iter().map(|(name, value)| (name.to_owned(), value));
        Column { raw: write(&format!("{method} {url} HTTP/{version}")), fields: fields.collect() }
    });
    // What a load balancer writes that has not understood the request.
    prop_oneof![9 => whole, 1 => Just(nothing("\"- - - \"")), 1 => Just(nothing("\"-\""))].boxed()
}

//! Tables that mappings look things up in: formats, grants, refreshes without a restart, and what is wrong with a table.
//!
//! The mapping is the one that misbehaves: it looks up each line in the table that its settings name, and shows the row
//! as text.

use std::fmt::Write;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use elbow::fetch::{Fetcher, Version, s3};
use elbow::lookup::{Format, Table};
use elbow::object::Object;
use elbow::s3_server::{ACCESS_KEY, SECRET_KEY};
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;

use crate::support::elbow::{Elbow, Run};
use crate::support::guests::{self, workspace};
use crate::support::logs::gzip;
use crate::support::moto::Moto;
use crate::support::receiver::{Receiver, free_address};
use crate::support::s3::{BUCKET, Fault, S3};
use crate::support::{eventually, get};

/// A mapping that looks up each line in the table `t`, which is described by `lookup`; `settings` are more of the
/// mapping's, with a comma at the end.
fn config(lookup: &str, settings: &str) -> String {
    format!(
        "[lookups.t]\n{lookup}\n[mappings.lines]\ncomponent = {:?}\nlookups = [\"t\"]\n\
         settings = {{ {settings} table = \"t\" }}\n",
        guests::fault()
    )
}

/// Each line of an output with the row that was found for it, or nothing.
fn rows(ndjson: &[u8]) -> Vec<(String, String)> {
    let events = ndjson.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let row = |line| {
        let event: Value = serde_json::from_slice(line).unwrap();
        (text(&event["line"]), text(&event["row"]))
    };
    events.map(row).collect()
}

/// Looks up keys in a table in a file of this name.
#[track_caller]
fn look_up(name: &str, table: impl AsRef<[u8]>, more: &str, expected: &[(&str, &str)]) {
    let keys: String = expected.iter().map(|(key, _)| format!("{key}\n")).collect();
    let lookup = format!("source = {name:?}\n{more}");
    let run = Elbow::forward().config(&config(&lookup, "")).file(name, table).input("keys", keys).run().expect_code(0);
    let expected: Vec<(String, String)> = expected.iter().map(|(key, row)| ((*key).into(), (*row).into())).collect();
    assert_eq!(rows(&run.stdout), expected);
}

/// A MaxMind database of these networks, written by a program that is not elbow's.
fn maxmind(version: u8, networks: &str) -> Vec<u8> {
    const WRITE: &str = "
import json, sys
from mmdb_writer import MMDBWriter
from netaddr import IPSet
writer = MMDBWriter(ip_version=int(sys.argv[2]), ipv4_compatible=sys.argv[2] == '6', database_type='Test')
for network, record in json.loads(sys.argv[3]).items():
    writer.insert_network(IPSet([network]), record)
writer.to_db_file(sys.argv[1])
";
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("test.mmdb");
    let python = workspace().join("target/tools/bin/python");
    let written = Command::new(python).args(["-c", WRITE]).arg(&file).args([&version.to_string(), networks]).output();
    let written = written.expect("Python is there: `make tools` installs what it needs");
    assert!(written.status.success(), "{}", String::from_utf8_lossy(&written.stderr));
    std::fs::read(file).unwrap()
}

#[test]
fn a_row_of_csv_is_an_object_of_texts() {
    look_up(
        "owners.csv",
        "\u{feff}host,team,note\nshop,checkout,\"a \"\"b\"\"\"\nweb,\"front\nend\",ü\n",
        "",
        &[
            ("shop", r#"{"host":"shop","team":"checkout","note":"a \"b\""}"#),
            ("web", r#"{"host":"web","team":"front\nend","note":"ü"}"#),
            ("other", ""),
        ],
    );
    look_up(
        "owners.data",
        "team,host\na,shop\n",
        "format = \"csv\"\nkey = \"host\"",
        &[("a", ""), ("shop", r#"{"team":"a","host":"shop"}"#)],
    );
}

#[test]
fn a_row_of_json_lines_is_the_object_as_it_is() {
    let text = "{\"id\": 7, \"tags\": [\"a\", null]}\n\n{\"id\":\"b\"}";
    let rows = [("7", "{\"id\": 7, \"tags\": [\"a\", null]}"), ("b", "{\"id\":\"b\"}"), ("8", "")];
    look_up("t.jsonl", text, "key = \"id\"", &rows);
    look_up("t.ndjson.gz", gzip(text.as_bytes()), "key = \"id\"", &rows);
}

#[test]
fn the_most_specific_network_of_a_list_answers() {
    look_up(
        "t.cidr",
        "# ours\ncidr,site\n10.0.0.0/8,office\n10.1.0.0/16,warehouse\n2001:db8::/32,lab\n",
        "",
        &[
            ("10.2.0.1", r#"{"cidr":"10.0.0.0/8","site":"office"}"#),
            ("10.1.0.1", r#"{"cidr":"10.1.0.0/16","site":"warehouse"}"#),
            ("::ffff:10.1.0.1", r#"{"cidr":"10.1.0.0/16","site":"warehouse"}"#),
            ("2001:db8::1", r#"{"cidr":"2001:db8::/32","site":"lab"}"#),
            ("192.0.2.1", ""),
            ("10.1.0.1:80", ""),
            ("office", ""),
        ],
    );
    look_up("t.netset", "10.0.0.0/8\n", "", &[("10.0.0.1", r#"{"cidr":"10.0.0.0/8"}"#)]);
}

#[test]
fn a_record_of_a_maxmind_database_becomes_json() {
    let networks = r#"{"192.0.2.0/24": {"country": {"iso_code": "DE", "names": {"en": "Germany", "de": "Deutschland"}},
        "location": {"latitude": 50.5, "accuracy_radius": 20}, "is_eu": true, "tags": ["a", "b"]},
        "2001:db8::/32": {"country": {"iso_code": "FR"}}}"#;
    let germany = r#"{"country":{"iso_code":"DE","names":{"en":"Germany","de":"Deutschland"}},"location":{"latitude":50.5,"accuracy_radius":20},"is_eu":true,"tags":["a","b"]}"#;
    look_up(
        "t.mmdb",
        maxmind(6, networks),
        "",
        &[
            ("192.0.2.1", germany),
            ("::ffff:192.0.2.255", germany),
            ("2001:db8::1", r#"{"country":{"iso_code":"FR"}}"#),
            ("198.51.100.1", ""),
            ("2001:db9::1", ""),
            ("example.com", ""),
        ],
    );
    let v4 = maxmind(4, r#"{"192.0.2.0/24": {"asn": 64500}}"#);
    look_up("t.mmdb", v4, "", &[("192.0.2.1", r#"{"asn":64500}"#), ("2001:db8::1", "")]);
}

#[test]
fn a_table_may_be_in_s3() {
    let s3 = S3::start();
    let text = "host,team\na,shop\n";
    s3.put("tables/owners.csv.gz", gzip(text.as_bytes()));
    // Its body is resumed as that of any other object.
    s3.fail([Fault::CutBodyAfter(20)]);
    let config = config(&format!("source = \"s3://{BUCKET}/tables/owners.csv.gz\""), "");
    let forward = || s3.command("forward").args(["--event-id", ""]).config(&config).input("keys", "a\n").run();
    let run = forward().expect_code(0);
    assert_eq!(rows(&run.stdout), [("a".into(), r#"{"host":"a","team":"shop"}"#.into())]);
    assert!(run.stderr.contains("resuming"), "{}", run.stderr);

    s3.fail([Fault::Status(403, "AccessDenied")]);
    let run = forward().expect_code(2);
    assert!(run.stderr.contains("elbow.toml: [lookups.t]") && run.stderr.contains("AccessDenied"), "{}", run.stderr);
    assert!(run.stdout.is_empty());
}

#[test]
fn a_table_that_is_not_granted_is_not_granted() {
    let config = format!(
        "[lookups.mine]\nsource = \"a.csv\"\n[lookups.secrets]\nsource = \"a.csv\"\n\
         [mappings.lines]\ncomponent = {:?}\nlookups = [\"mine\"]\nsettings = {{ table = \"secrets\" }}\n\
         [mappings.other]\ncomponent = {0:?}\nlookups = [\"secrets\"]\nsettings = {{ table = \"secrets\" }}\n\
         [[routes]]\nkey = \"other*\"\nmapping = \"other\"\n[[routes]]\nmapping = \"lines\"\n",
        guests::fault()
    );
    let elbow = Elbow::forward().config(&config).file("a.csv", "id\na\n").args(["--concurrency", "1"]);
    let run = elbow.input("mine", "a\n").input("other", "a\n").run().expect_code(0);
    assert_eq!(rows(&run.stdout), [("a".into(), "not granted".into()), ("a".into(), "{\"id\":\"a\"}".into())]);
}

#[test]
fn the_example_looks_up_owners_and_does_not_begin_without_its_table() {
    let requests = |lookups: &str| {
        let component = guests::example("owners");
        let config = format!(
            "[lookups.owners]\nsource = \"owners.csv\"\n[mappings.requests]\ncomponent = {component:?}\n{lookups}"
        );
        let elbow =
            Elbow::forward().config(&config).file("owners.csv", "host,team,contact\nshop.example.com,shop,#shop\n");
        elbow.input("requests.log", "shop.example.com 200 /cart\nother.example.com 404 /\n").run()
    };
    let run = requests("lookups = [\"owners\"]").expect_code(0);
    assert_eq!(
        String::from_utf8(run.stdout).unwrap(),
        "{\"host\":\"shop.example.com\",\"status\":200,\"path\":\"/cart\",\"owner\":{\"team\":\"shop\",\"contact\":\"#shop\"}}\n\
         {\"host\":\"other.example.com\",\"status\":404,\"path\":\"/\"}\n"
    );
    let run = requests("").expect_code(2);
    assert!(run.stderr.contains("elbow.toml") && run.stderr.contains("add `lookups = [\"owners\"]`"), "{}", run.stderr);
}

#[test]
fn the_built_in_mapping_adds_what_tables_know_of_the_client() {
    let city = r#"{"192.0.2.0/24": {"country": {"iso_code": "DE", "names": {"en": "Germany"}}, "city": {"names": {"en": "Berlin"}},
        "location": {"latitude": 52.5, "longitude": 13.25}}}"#;
    let asn = r#"{"192.0.2.0/24": {"autonomous_system_number": 64496, "autonomous_system_organization": "Example"}}"#;
    let config = |style: &str| {
        format!(
            "[lookups.city]\nsource = \"city.mmdb\"\n[lookups.asn]\nsource = \"asn.mmdb\"\n\
             [lookups.offices]\nsource = \"offices.cidr\"\n\
             [mappings.aws]\nlookups = [\"city\", \"asn\", \"offices\"]\n\
             settings = {{ style = {style:?}, geo = \"city\", network = \"asn\", owner = \"offices\" }}\n"
        )
    };
    let line = |client: &str| {
        format!(
            "2026-10-05T08:15:30.120450Z shop {client}:51000 - 0.1 0.1 0.1 200 - 0 42 \"GET http://h:80/ HTTP/1.1\" \"demo/1.0\" - -\n"
        )
    };
    let events = |style: &str| {
        let elbow = Elbow::forward().config(&config(style)).file("city.mmdb", maxmind(6, city));
        let elbow = elbow.file("asn.mmdb", maxmind(6, asn)).file("offices.cidr", "network,name\n192.0.2.0/25,Berlin\n");
        let lines = [line("192.0.2.10"), line("192.0.2.200"), line("198.51.100.7")].concat();
        let run = elbow.input("elb.log", lines).run().expect_code(0);
        let lines = run.stdout.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        lines.map(|line| serde_json::from_slice(line).unwrap()).collect::<Vec<Value>>()
    };
    let ecs = events("ecs");
    let source = |place: Value| {
        let mut source = json!({ "address": place["ip"], "ip": place["ip"], "port": 51000 });
        source.as_object_mut().unwrap().extend(place.as_object().unwrap().clone());
        source
    };
    let geo = json!({ "country_iso_code": "DE", "country_name": "Germany", "city_name": "Berlin", "location": { "lat": 52.5, "lon": 13.25 } });
    let asn = json!({ "number": 64496, "organization": { "name": "Example" } });
    let office = json!({ "cidr": "192.0.2.0/25", "name": "Berlin" });
    assert_eq!(ecs[0]["source"], source(json!({ "ip": "192.0.2.10", "geo": geo, "as": asn, "owner": office })));
    assert_eq!(ecs[1]["source"], source(json!({ "ip": "192.0.2.200", "geo": geo, "as": asn })));
    assert_eq!(ecs[2]["source"], source(json!({ "ip": "198.51.100.7" })));
    let flat = events("flat");
    assert_eq!((&flat[0]["client_as_number"], &flat[0]["client_owner"]["name"]), (&json!(64496), &json!("Berlin")));
    assert!(flat[2].as_object().unwrap().keys().all(|name| !name.starts_with("client_geo")));
    // Without its table, the command does not begin.
    let config = config("flat").replace("lookups = [\"city\", \"asn\", ", "lookups = [\"city\", ");
    let run = Elbow::forward().config(&config).file("city.mmdb", maxmind(6, city)).file("offices.cidr", "");
    let run = run.input("elb.log", line("192.0.2.10")).run().expect_code(2);
    assert!(run.stderr.contains("network: the config does not grant the table `asn`"), "{}", run.stderr);
}

/// Writes a file in one step, as the documentation asks for.
fn replace(path: &Path, text: &str) {
    let new = path.with_extension("new");
    std::fs::write(&new, text).unwrap();
    std::fs::rename(new, path).unwrap();
}

/// The object under way is standard input. A record on which its guest traps costs it an instance: the fresh ones, too,
/// see the table that the object began with.
#[test]
fn a_table_that_changes_is_seen_by_the_next_object_and_not_by_the_one_under_way() {
    const KEYS: usize = 2000;
    let mut config = config("source = \"t.csv\"\nrefresh = \"20ms\"", "fault = \"trap\", on = \"bad\",");
    config += "[limits]\nbatch = \"1KiB\"\n";
    let elbow = Elbow::forward().config(&config).file("t.csv", "host,team\na,old\n").file("next.log", "a\n").args([
        "--concurrency",
        "1",
        "--to",
        "file:out.ndjson",
        "-",
        "next.log",
    ]);
    let (table, out) = (elbow.path("t.csv"), elbow.path("out.ndjson"));
    let mut elbow = elbow.start();
    elbow.write("a\n".repeat(KEYS).as_bytes());
    let written = || std::fs::read(&out).map(|bytes| rows(&bytes[..last_newline(&bytes)])).unwrap_or_default();
    eventually("the first keys are looked up", || !written().is_empty());
    replace(&table, "host,team\na,newer\n");
    elbow.wait_for_log("the table has changed, and was loaded");
    elbow.write(("a\n".repeat(100) + "bad\n" + &"a\n".repeat(KEYS)).as_bytes());
    // The folder goes with the run.
    let kept = std::fs::File::open(&out).unwrap();
    let run = elbow.wait().expect_code(0);
    let bytes = std::io::read_to_string(kept).unwrap().into_bytes();
    assert_eq!(run.records(), [2 * KEYS as u64 + 102, 2 * KEYS as u64 + 101, 1, 0]);
    let found = rows(&bytes);
    let (next, under_way) = found.split_last().unwrap();
    assert_eq!(under_way.len(), 2 * KEYS + 100);
    assert!(under_way.iter().all(|(_, row)| row.contains("old")));
    assert!(next.1.contains("newer"), "{next:?}");
    assert_eq!(run.stderr.matches("the table has changed").count(), 1, "{}", run.stderr);
}

fn last_newline(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |position| position + 1)
}

/// With the table in the bucket that notifies elbow, which a route has it leave alone.
#[test]
fn a_refresh_that_fails_keeps_the_table_and_warns_once() {
    let (moto, receiver, address) = (Moto::start(30), Receiver::plain(), free_address());
    let owners = |text: &str| moto.put("tables/owners.csv", text.to_owned());
    owners("host,team\na,old\n");
    let mut config = config(&format!("source = \"s3://{BUCKET}/tables/owners.csv\"\nrefresh = \"50ms\""), "");
    write!(
        config,
        "[destinations.receiver]\nurl = \"tcp://{}\"\nevent-id = \"\"\nrotate-age = \"200ms\"\n\
         [queues.logs]\nurl = \"{}\"\nwait = \"1s\"\n[service]\nlisten = \"{address}\"\n\
         [[routes]]\nkey = \"tables/**\"\nskip = true\n[[routes]]\nmapping = \"lines\"\n",
        receiver.address, moto.queue
    )
    .unwrap();
    let elbow = moto.command("run").config(&config).start();
    elbow.wait_for_log("consuming");
    let mut objects = 0;
    let mut expect = |team: &str| {
        objects += 1;
        moto.put(&format!("{objects}.log"), "a\n");
        eventually("the event is there", || rows(&receiver.lines()).len() == objects);
        let rows = rows(&receiver.lines());
        assert_eq!(rows[objects - 1].1, format!("{{\"host\":\"a\",\"team\":\"{team}\"}}"));
    };
    let metric = |name: &str| -> f64 {
        let metrics = get(address, "/metrics");
        let line = metrics.lines().find_map(|line| line.strip_prefix(&format!("elbow_{name}{{table=\"t\"}} ")));
        line.unwrap_or_else(|| panic!("no {name} in\n{metrics}")).parse().unwrap()
    };
    expect("old");
    assert_eq!([metric("lookup_rows"), metric("lookup_refresh_failures_total")], [1.0, 0.0]);
    owners("host,team\na,newer\nb,newer\n");
    elbow.wait_for_log("the table has changed, and was loaded");
    expect("newer");
    assert_eq!(metric("lookup_rows"), 2.0);
    owners("host,team\na\n");
    eventually("refreshes fail", || metric("lookup_refresh_failures_total") >= 3.0);
    expect("newer");
    eventually("the table is getting old", || metric("lookup_age_seconds") > 0.5);
    owners("host,team\na,repaired\n");
    elbow.wait_for_log("the table can be refreshed again");
    expect("repaired");
    eventually("the table is as its source", || metric("lookup_age_seconds") < 0.5);
    elbow.signal("TERM");
    let run = elbow.wait().expect_code(0);
    assert_eq!(run.stderr.matches("failed to refresh the table").count(), 1, "{}", run.stderr);
    assert!(run.stderr.contains("line 2 has 1 columns: expected 2"), "{}", run.stderr);
}

#[test]
fn what_is_not_changed_is_not_sent_again() {
    let (moto, s3) = (Moto::start(30), S3::start());
    moto.put("t.csv", "one");
    s3.put("t.csv", "one");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("t.csv");
    std::fs::write(&file, "one").unwrap();
    let timeout = Duration::from_secs(30);
    let in_bucket = || Object::named(Some(BUCKET.into()), "t.csv");
    // Of the two servers, moto honours the condition, and the other one does not know it.
    let sources: [(Fetcher, Object, &dyn Fn()); 3] = [
        (Fetcher::with_s3(s3::S3::at(moto.variables()[0].1, "key", "secret"), timeout), in_bucket(), &|| {
            moto.put("t.csv", "two and more");
        }),
        (Fetcher::with_s3(s3::S3::at(&s3.endpoint(), ACCESS_KEY, SECRET_KEY), timeout), in_bucket(), &|| {
            s3.put("t.csv", "two and more");
        }),
        (Fetcher::new(timeout), Object::named(None, file.display().to_string()), &|| {
            std::fs::write(&file, "two and more").unwrap();
        }),
    ];
    for (fetcher, object, change) in sources {
        let read = |known: Option<Version>| {
            moto.runtime.block_on(async {
                let (version, mut stored) = fetcher.open_if_changed(&object, known.as_ref()).await.unwrap()?;
                let mut text = String::new();
                stored.read_to_string(&mut text).await.unwrap();
                Some((version, text))
            })
        };
        let (first, text) = read(None).unwrap();
        assert_eq!(text, "one");
        assert!(read(Some(first.clone())).is_none());
        change();
        let (second, text) = read(Some(first.clone())).unwrap();
        assert_eq!(text, "two and more");
        assert_ne!(first, second);
        assert!(read(Some(second)).is_none());
    }
}

fn start_with(lookup: &str, file: &str, text: &[u8]) -> Run {
    Elbow::forward().config(&config(lookup, "")).file(file, text).input("keys", "a\n").run()
}

#[test]
fn a_table_that_cannot_be_loaded_stops_the_command_before_it_begins() {
    for (lookup, text, expected) in [
        (
            "source = \"t.csv\"",
            &b"host,team\na\n"[..],
            &["t.csv: line 2 has 1 columns: expected 2, as in the first line"][..],
        ),
        (
            "source = \"t.csv\"\nkey = \"hosts\"",
            b"host,team\n",
            &["t.csv: `key` is `hosts`", "expected one of `host`, `team`"],
        ),
        (
            "source = \"t.csv\"",
            b"host,team\na,b\na,c\n",
            &["t.csv: line 3: the key `a` stands further up, with another row"],
        ),
        (
            "source = \"t.csv\"\nmax-size = \"9B\"",
            b"host,team\n",
            &["t.csv: ", "larger than `max-size` (9 bytes) allows"],
        ),
        ("source = \"t.csv\"", b"\x1F\x8B\x08\x00garbage", &["t.csv: ", "gzip"]),
        ("source = \"other.csv\"", b"", &["failed to open other.csv", "No such file"]),
        (
            "source = \"t.csv\"\nformat = \"json-lines\"\nkey = \"a\"",
            b"{\"a\":1}\n{\"b\":1}\n",
            &["t.csv: line 2: the object has no member `a`"],
        ),
        (
            "source = \"t.csv\"\nformat = \"cidr\"",
            b"10.0.0.0/8\n10.0.0.0/99\n",
            &["t.csv: line 2: `10.0.0.0/99` is no network"],
        ),
        ("source = \"t.csv\"\nformat = \"maxmind\"", b"host,team\n", &["t.csv: it is no MaxMind database"]),
    ] {
        let run = start_with(lookup, "t.csv", text).expect_code(2);
        for part in expected.iter().chain(&["elbow.toml: [lookups.t]: "]) {
            assert!(run.stderr.contains(part), "{part} is not in: {}", run.stderr);
        }
        assert!(run.stdout.is_empty());
    }
}

/// A part of its tree is overwritten; its metadata, at the end, are as they were.
#[test]
fn a_maxmind_database_that_is_broken_inside_is_refused() {
    let mut database = maxmind(4, r#"{"192.0.2.0/24": {"asn": 64500}}"#);
    database[..60].fill(0xEE);
    let run = start_with("source = \"t.mmdb\"", "t.mmdb", &database).expect_code(2);
    assert!(run.stderr.contains("t.mmdb: the MaxMind database is broken"), "{}", run.stderr);
}

#[test]
fn check_loads_the_tables_and_tells_their_size() {
    let s3 = S3::start();
    s3.put("t.cidr", "10.0.0.0/8\n");
    let config = format!(
        "[lookups.owners]\nsource = \"sub/owners.csv\"\n[lookups.nets]\nsource = \"s3://{BUCKET}/t.cidr\"\n\
         [mappings.lines]\ncomponent = {:?}\nlookups = [\"nets\"]\n",
        guests::fault()
    );
    let check = |args: &[&str]| {
        let elbow = s3.command("check").config(&config).args(args);
        std::fs::create_dir(elbow.path("sub")).unwrap();
        let run = elbow.file("sub/owners.csv", "host,team\na,shop\nb,shop\n").run();
        String::from_utf8(run.expect_code(0).stdout).unwrap()
    };
    let told = check(&[]);
    assert!(told.contains("lookup `owners`: sub/owners.csv, 2 rows, "), "{told}");
    assert!(told.contains(&format!("lookup `nets`: s3://{BUCKET}/t.cidr, 1 rows, ")), "{told}");
    let told = check(&["--offline"]);
    assert!(told.contains("lookup `owners`: sub/owners.csv, 2 rows, "), "{told}");
    assert!(told.contains(&format!("lookup `nets`: s3://{BUCKET}/t.cidr, not tried (--offline)")), "{told}");
}

#[test]
fn a_million_rows_take_less_than_three_times_their_file() {
    const ROWS: u32 = 1_000_000;
    let mut csv = String::from("host,team,contact\n");
    let mut networks = String::from("cidr,site\n");
    for row in 0..ROWS {
        writeln!(csv, "host-{row}.example.com,team-{},#contact-{}", row % 1000, row % 100).unwrap();
        writeln!(networks, "{}/24,site-{}", std::net::Ipv4Addr::from(row << 8), row % 1000).unwrap();
    }
    for (format, text, key, expected) in [
        (
            Format::Csv,
            csv,
            "host-4711.example.com",
            r##"{"host":"host-4711.example.com","team":"team-711","contact":"#contact-11"}"##,
        ),
        (Format::Cidr, networks, "0.18.103.1", r#"{"cidr":"0.18.103.0/24","site":"site-711"}"#),
    ] {
        let table = Table::read(text.as_bytes(), format, None, u64::MAX).unwrap();
        assert_eq!(table.rows(), ROWS as usize);
        assert_eq!(table.get(key).unwrap(), expected);
        assert!(table.bytes() < 3 * text.len(), "{format:?}: {} of {}", table.bytes(), text.len());
    }
}

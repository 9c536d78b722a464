//! The config: the example that documents every setting, and mistakes in a config.

use std::collections::BTreeMap;

use elbow::config::{Config, DestinationConfig, Limits, LookupConfig, MappingLimits, QueueConfig};

use crate::support::elbow::Elbow;
use crate::support::guests::workspace;
use crate::support::logs::line;
use crate::support::receiver::Receiver;

fn example() -> String {
    std::fs::read_to_string(workspace().join("host/deploy/elbow.example.toml")).unwrap()
}

fn parse(text: &str) -> anyhow::Result<Config> {
    Config::parse("elbow.toml", text, &BTreeMap::new())
}

#[test]
fn the_example_loads() {
    let config = parse(&example()).unwrap();
    assert!(!config.routes.is_empty());
}

/// The example shows each setting with its default, commented out. With the comments taken off it must still load, and
/// say what is the default anyway.
#[test]
fn the_example_shows_each_setting_with_its_default() {
    let all: String =
        example().lines().map(|line| line.strip_prefix("#= ").unwrap_or(line).to_owned() + "\n").collect();
    let config = parse(&all).unwrap();
    let shown = &config.destinations["logstash"];
    let default = DestinationConfig::new(shown.url.clone());
    assert_eq!(format!("{shown:?}"), format!("{default:?}"));
    assert_eq!(format!("{:?}", config.limits), format!("{:?}", Limits::default()));
    assert_eq!(format!("{:?}", config.mappings["aws"].limits), format!("{:?}", MappingLimits::default()));
    // Each field of the settings is named.
    let queue = &config.queues["logs"];
    assert_eq!(format!("{queue:?}"), format!("{:?}", QueueConfig::new(queue.url.clone())));
    let lookup = &config.lookups["owners"];
    assert_eq!(format!("{lookup:?}"), format!("{:?}", LookupConfig::new(lookup.source.clone(), lookup.format)));
    let debug = format!(
        "{shown:?} {:?} {:?} {:?} {queue:?} {lookup:?} {:?} {:?}",
        config.limits, config.mappings["orders"], config.routes[0], config.service, config.lambda
    );
    for field in debug
        .split([' ', '{'])
        .filter_map(|word| word.strip_suffix(':'))
        .filter(|word| word.chars().all(|c| c.is_ascii_lowercase() || c == '_'))
    {
        let key = field.replace('_', "-");
        let is_key = |line: &str| {
            line.trim_start_matches(['#', '=', ' ']).starts_with(&key) || line.contains(&format!("[mappings.aws.{key}"))
        };
        let is_known = all.lines().any(is_key) || ["host", "port", "span", "start", "end", "value"].contains(&field);
        assert!(is_known, "the example does not show `{key}`");
    }
}

#[test]
fn a_mistake_is_named_with_its_file_its_line_and_what_would_be_right() {
    for (text, expected) in [
        (
            "[destinations.a]\nurl = \"tcp://h:1\"\nwrite-timout = \"1s\"",
            &["line 3", "unknown field `write-timout`", "did you mean `write-timeout`?"][..],
        ),
        ("[destination.a]", &["line 1", "did you mean `destinations`?"]),
        ("[destinations.a]\nurl = \"tcp://h\"", &["line 2", "the port is missing"]),
        (
            "[destinations.a]\nurl = \"tcp://h:1\"\nwrite-timeout = \"1 fortnight\"",
            &["line 3", "no duration", "\"30s\""],
        ),
        ("[destinations.a]\nurl = \"tcp://h:1\"\nwrite-timeout = 5", &["line 3", "a duration in quotes with its unit"]),
        ("[destinations.a]\nurl = \"tcp://h:1\"\nmax-unconfirmed = \"5 apples\"", &["line 3", "no size", "\"256KiB\""]),
        ("[destinations.a]\nurl = \"tcp://h:1\"\nmax-unconfirmed = \"5\"", &["line 3", "no size"]),
        (
            "[destinations.a]\nurl = \"tcp://h:1\"\nconfirm = \"seen\"",
            &["line 3", "unknown variant `seen`", "`received`"],
        ),
        ("[destinations.a]\nurl = \"stdout:\"\nrequire = \"closed\"", &["[destinations.a]", "`require` is `closed`"]),
        ("[destinations.a]\nurl = \"stdout:\"\nconfirm = \"closed\"", &["[destinations.a]", "can prove is `written`"]),
        ("[destinations.a]\nconnections = 1", &["line 1", "missing field `url`"]),
        ("[destinations.a]\nurl = \"tcp://h:1\"\nconnections = 0", &["line 3", "expected a number from 1 up"]),
        ("[queues.a]\nurl = \"elbow\"", &["[queues.a]", "`url` is `elbow`", "https://sqs.REGION"]),
        (
            "[queues.a]\nurl = \"https://q\"\nwait = \"30s\"",
            &["[queues.a]", "SQS waits for whole seconds, from 1 to 20"],
        ),
        (
            "[mappings.orders]\n[[routes]]\nmapping = \"order\"",
            &["line 3", "mapping `order` is not defined", "did you mean `orders`?"],
        ),
        (
            "[destinations.main]\nurl = \"stdout:\"\n[[routes]]\n\ndestination = \"xyz\"",
            &["line 5", "destination `xyz`", "expected one of `main`"],
        ),
        (
            "[mappings.orders]\nlookups = [\n\"owner\"]\n[lookups.owners]\nsource = \"a.csv\"",
            &["line 3", "lookup `owner` is not defined", "did you mean `owners`?"],
        ),
        ("[mappings.orders]\nlookups = [\"owners\"]", &["line 2", "there is no [lookups.NAME] in the file"]),
        ("[lookups.a]\nsource = \"a.csv\"\nformat = \"cvs\"", &["line 3", "did you mean `csv`?"]),
        (
            "[lookups.a]\nsource = \"a.txt\"",
            &["line 1", "`a.txt` does not say the format", "`csv`, `json-lines`, `cidr`"],
        ),
        ("[lookups.a]\nsource = \"a.jsonl\"", &["line 1", "has no `key`: name the member"]),
        ("[lookups.a]\nsource = \"a.mmdb\"\nkey = \"ip\"", &["line 1", "a MaxMind database goes by addresses"]),
        ("[lookups.a]\nsource = \"s3://bucket/\"", &["line 2", "expected a path or `s3://bucket/key`"]),
        ("[lookups.a]\nsource = \"-\"", &["line 2", "expected a path or `s3://bucket/key`"]),
        ("[lookups.a]\nkey = \"a\"", &["line 1", "missing field `source`"]),
        ("[[routes]]\nkey = \"a/{b\"", &["line 2", "a `{` without its `}`"]),
        ("[limits\n", &["line 1"]),
    ] {
        let error = format!("{:#}", parse(text).unwrap_err());
        for part in expected.iter().chain(&["elbow.toml"]) {
            assert!(error.contains(part), "{part} is not in: {error}");
        }
    }
}

#[test]
fn the_environment_overrides_the_file() {
    let text = "[destinations.my_main]\nurl = \"tcp://h:1\"\nconnections = 2";
    let overridden = |variables: &[(&str, &str)]| {
        let variables = variables.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        Config::parse("elbow.toml", text, &variables)
    };
    let config = overridden(&[
        ("ELBOW__DESTINATIONS__MY_MAIN__URL", "tcp://other:2"),
        ("ELBOW__DESTINATIONS__MY_MAIN__CONNECTIONS", "9"),
        ("ELBOW__DESTINATIONS__MY_MAIN__WRITE_TIMEOUT", "7s"),
        ("ELBOW__MAPPINGS__AWS__SETTINGS__STYLE", "flat"),
        ("ELBOW__MAPPINGS__AWS__SETTINGS__KEEP_MESSAGE", "true"),
        ("ELBOW_LOG", "debug"),
    ])
    .unwrap();
    let destination = &config.destinations["my_main"];
    assert_eq!(destination.url.to_string(), "tcp://other:2");
    assert_eq!(destination.connections, 9);
    assert_eq!(destination.write_timeout.as_secs(), 7);
    assert_eq!(config.mappings["aws"].settings["style"], "flat");
    assert_eq!(config.mappings["aws"].settings["keep_message"], true);

    let error = overridden(&[("ELBOW__LIMITS__CONCURENCY", "3")]).unwrap_err().to_string();
    assert!(
        error.contains("environment variable ELBOW__LIMITS__CONCURENCY") && error.contains("unknown field"),
        "{error}"
    );
    let error = overridden(&[("ELBOW__", "3")]).unwrap_err().to_string();
    assert!(error.contains("not complete"), "{error}");
}

#[test]
fn routes_choose_mapping_and_destination() {
    let (orders, others) = (Receiver::plain(), Receiver::plain());
    let run = Elbow::forward()
        .config(&format!(
            "[destinations.orders]\nurl = \"tcp://{}\"\n[destinations.others]\nurl = \"tcp://{}\"\n\
             [mappings.flat.settings]\nstyle = \"flat\"\n\
             [[routes]]\nkey = \"secret*\"\nskip = true\n\
             [[routes]]\nkey = \"orders-{{region}}.log\"\nmapping = \"flat\"\ndestination = \"orders\"\n\
             [[routes]]\nkey = \"other*\"\nmapping = \"aws\"\ndestination = \"others\"\n",
            orders.address, others.address
        ))
        .input("orders-eu.log", line(0))
        .input("other.log", line(1))
        .input("secret.log", line(2))
        .input("unknown.log", line(3))
        .run()
        .expect_code(1);
    assert!(String::from_utf8_lossy(&orders.lines()).contains("\"url_path\":\"/line/0\""));
    assert!(String::from_utf8_lossy(&others.lines()).contains("\"path\":\"/line/1\""));
    assert_eq!(["settled", "failed", "skipped"].map(|status| run.count(&format!("/objects/{status}"))), [2, 1, 1]);
    assert!(run.stderr.contains("unknown.log: no route fits the object"), "{}", run.stderr);
}

#[test]
fn a_components_path_is_relative_to_the_config() {
    let run =
        Elbow::new("check").config("[mappings.a]\ncomponent = \"sub/a.wasm\"").arg("--offline").run().expect_code(2);
    assert!(run.stderr.contains("failed to read the component sub/a.wasm"), "{}", run.stderr);
}

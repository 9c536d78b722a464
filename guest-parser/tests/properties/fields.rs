//! Well-formed lines of each format, from values to a line and back.
//!
//! The formats are written down here a second time, from AWS's pages, without a look at the tables of the mapping: the
//! columns in their order, and what each is to become in the style `flat`.

use elbow_guest::check;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::{Map, Value, json};

use crate::column::*;
use crate::invariants::mapped;

/// A line and the event that is to come of it.
type Record = (String, Map<String, Value>);

/// Lines of so many columns from the front, and of more that AWS may add.
fn records(columns: Vec<Any>, at_least: usize) -> impl Strategy<Value = Vec<Record>> {
    let all = columns.len();
    let record = (columns, at_least..=all, vec(any_word(), 0..3)).prop_map(move |(columns, count, extra)| {
        let extra = if count == all { extra } else { vec![] };
        record(&columns[..count], &extra, " ")
    });
    vec(record, 1..4)
}

fn record(columns: &[Column], extra: &[String], separator: &str) -> Record {
    let raw = columns.iter().map(|column| column.raw.clone()).chain(extra.iter().cloned());
    let line = raw.collect::<Vec<_>>().join(separator);
    let mut event = Map::new();
    for (name, value) in columns.iter().flat_map(|column| column.fields.clone()) {
        assert!(event.insert(name.clone(), value).is_none(), "{name} comes of two columns");
    }
    if let Some(time) = event.remove(OR_TIME) {
        event.entry("@timestamp").or_insert(time);
    }
    if !extra.is_empty() {
        event.insert("extra_fields".into(), json!(extra));
    }
    (line, event)
}

/// What `@timestamp` is, if no other column says it.
const OR_TIME: &str = "or @timestamp";

fn expect(format: &str, header: &str, records: &[Record]) -> Result<(), TestCaseError> {
    let lines = records.iter().map(|(line, _)| format!("{line}\n"));
    let log = header.to_owned() + &lines.collect::<String>();
    let settings = json!({ "style": "flat", "format": format });
    let outcome = mapped(settings, log.as_bytes()).map_err(TestCaseError::fail)?;
    let (_, mapped, outcome) = outcome.expect("the log is one of the format");
    check::outcome(&mapped, &outcome).map_err(TestCaseError::fail)?;
    // Nothing is odd but columns of tomorrow.
    let odd = outcome.unknown.iter().find(|unknown| unknown.name.contains(' ') && !unknown.name.starts_with("column "));
    prop_assert_eq!(odd.map(|odd| &odd.name), None);
    prop_assert_eq!(outcome.rejects.first().map(|reject| &reject.reason), None);
    let events: Vec<Value> = check::events(&outcome).map(|event| check::event(event).unwrap()).collect();
    prop_assert_eq!(events.len(), records.len());
    for (event, (line, expected)) in events.iter().zip(records) {
        let wrong = expected.iter().find(|(name, value)| event.get(name.as_str()) != Some(*value));
        prop_assert_eq!(wrong.map(|(name, value)| (name, Some(value), event.get(name.as_str()))), None, "{}", line);
        let too_many = event.as_object().unwrap().keys().find(|name| !expected.contains_key(name.as_str()));
        prop_assert_eq!(too_many, None, "{}", line);
    }
    Ok(())
}

fn classic_elb() -> Vec<Any> {
    vec![
        time("@timestamp"),
        word("elb"),
        endpoint("client_ip", "client_port"),
        or_dash(endpoint("backend_ip", "backend_port")),
        seconds("request_processing_time"),
        seconds("backend_processing_time"),
        seconds("response_processing_time"),
        or_dash(number("elb_status_code")),
        or_dash(number("backend_status_code")),
        number("received_bytes"),
        number("sent_bytes"),
        request(any_text().boxed(), escaped),
        or_quoted_dash(text("user_agent", escaped_with_backslash)),
        or_dash(word("ssl_cipher")),
        or_dash(word("ssl_protocol")),
    ]
}

fn alb() -> Vec<Any> {
    let elb = word("elb").prop_map(|mut elb| {
        elb.raw.insert_str(0, "app/");
        elb.fields[0].1 = elb.raw.as_str().into();
        elb
    });
    let resumed = Column { raw: "\"session-reused\"".into(), fields: vec![("tls_resumed".into(), true.into())] };
    vec![
        one_of("type", &["http", "https", "h2", "grpcs", "ws", "wss"]),
        time("@timestamp"),
        elb.boxed(),
        endpoint("client_ip", "client_port"),
        or_dash(endpoint("target_ip", "target_port")),
        seconds("request_processing_time"),
        seconds("target_processing_time"),
        seconds("response_processing_time"),
        number("elb_status_code"),
        or_dash(number("target_status_code")),
        number("received_bytes"),
        number("sent_bytes"),
        request(any_text().boxed(), escaped),
        or_quoted_dash(text("user_agent", escaped)),
        or_dash(word("ssl_cipher")),
        or_dash(word("ssl_protocol")),
        or_dash(word("target_group_arn")),
        or_quoted_dash(text("trace_id", escaped)),
        or_quoted_dash(text("domain_name", escaped)),
        or_quoted_dash(prop_oneof![2 => text("chosen_cert_arn", escaped), 1 => Just(resumed)].boxed()),
        or_dash(number("matched_rule_priority")),
        or_dash(time("request_creation_time")),
        or_quoted_dash(list("actions_executed", ",", escaped)),
        or_quoted_dash(text("redirect_url", escaped_with_backslash)),
        or_quoted_dash(text("error_reason", escaped)),
        or_quoted_dash(list("target_port_list", " ", escaped)),
        or_quoted_dash(statuses("target_status_code_list")),
        or_quoted_dash(text("classification", escaped)),
        or_quoted_dash(text("classification_reason", escaped)),
        or_dash(word("conn_trace_id")),
        or_quoted_dash(text("transformed_host", escaped)),
        or_quoted_dash(text("transformed_uri", escaped)),
        or_quoted_dash(text("request_transform_status", escaped)),
        or_dash(word("ip_address")),
    ]
}

fn alb_connection() -> Vec<Any> {
    let validity = (time("leaf_client_cert_validity_not_before"), time("leaf_client_cert_validity_not_after"));
    let validity = validity.prop_map(|(before, after)| Column {
        raw: format!("NotBefore={};NotAfter={}", before.raw, after.raw),
        fields: [before.fields, after.fields].concat(),
    });
    vec![
        time("@timestamp"),
        word("client_ip"),
        number("client_port"),
        number("listener_port"),
        or_dash(word("tls_protocol")),
        or_dash(word("tls_cipher")),
        or_dash(decimal("tls_handshake_latency")),
        or_quoted_dash(text("leaf_client_cert_subject", escaped)),
        or_dash(validity.boxed()),
        or_dash(word("leaf_client_cert_serial_number")),
        or_dash(one_of("tls_verify_status", &["Success", "Failed:ClientCertExpired", "Failed"])),
        or_dash(word("conn_trace_id")),
        or_dash(word("tls_keyexchange")),
        or_dash(word("elb")),
        or_dash(word("ip_address")),
    ]
}

fn alb_health_check() -> Vec<Any> {
    let function = "arn:aws:lambda:us-east-1:111122223333:function:[a-z]{1,8}"
        .prop_map(|arn| Column { raw: arn.clone(), fields: vec![("target_addr".into(), arn.into())] });
    vec![
        one_of("type", &["http", "https", "h2", "grpc"]),
        time("@timestamp"),
        seconds("latency"),
        prop_oneof![2 => endpoint("target_ip", "target_port"), 1 => function].boxed(),
        word("target_group_id"),
        one_of("status", &["PASS", "FAIL"]),
        or_dash(number("status_code")),
        or_dash(word("reason_code")),
        or_dash(word("elb")),
        or_dash(word("ip_address")),
    ]
}

fn nlb() -> Vec<Any> {
    let protocols = vec(any_text().prop_filter("empty", |text| !text.is_empty()), 1..5).prop_map(|protocols| Column {
        raw: protocols.iter().map(|one| in_quotes(&percent(one))).collect::<Vec<_>>().join(","),
        fields: vec![("alpn_client_preference_list".into(), protocols.into())],
    });
    vec![
        one_of("type", &["tls"]),
        one_of("version", &["1.0", "2.0"]),
        time_without_zone("@timestamp"),
        word("elb"),
        word("listener"),
        endpoint("client_ip", "client_port"),
        endpoint("destination_ip", "destination_port"),
        number("connection_time"),
        or_dash(number("tls_handshake_time")),
        number("received_bytes"),
        number("sent_bytes"),
        or_dash(number("incoming_tls_alert")),
        or_dash(word("chosen_cert_arn")),
        or_dash(word("chosen_cert_serial")),
        or_dash(word("tls_cipher")),
        or_dash(word("tls_protocol_version")),
        or_dash(word("tls_named_group")),
        or_dash(text_of(any_text().prop_filter("empty", |text| !text.is_empty()).boxed(), "domain_name", percent)),
        or_dash(word("alpn_fe_protocol")),
        or_dash(word("alpn_be_protocol")),
        or_dash(protocols.boxed()),
        or_dash(time_without_zone("tls_connection_creation_time")),
    ]
}

/// The day and the month as S3 writes them, the time of day, and how far the zone is from UTC.
fn bracket_time() -> Any {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let zones = select(&[("+0000", 0), ("+0100", 3600), ("-0830", -30_600)][..]);
    (any_moment(), zones)
        .prop_filter("before 1970", |(moment, (_, offset))| since_1970(*moment) as i64 >= *offset)
        .prop_map(|([year, month, day, hour, minute, second], (zone, offset))| {
            let month_name = MONTHS[month as usize - 1];
            let instant = since_1970([year, month, day, hour, minute, second]) as i64 - offset;
            Column {
                raw: format!("[{day:02}/{month_name}/{year}:{hour:02}:{minute:02}:{second:02} {zone}]"),
                fields: vec![("@timestamp".into(), format!("{}Z", iso(moment_at(instant as u64))).into())],
            }
        })
        .boxed()
}

/// A key and the request for it: the key's column is encoded once more than the request.
fn s3_key_and_request() -> BoxedStrategy<[Column; 2]> {
    let twice = any_text().prop_filter("empty", |key| !key.is_empty()).prop_map(|key| {
        let path = format!("/bucket/{}", percent(&key).replace('?', "%3F"));
        let request = [("http_method", "GET"), ("http_version", "1.1"), ("url", &path), ("url_path", &path)];
        [
            Column { raw: percent(&percent(&key)), fields: vec![("key".into(), key.into())] },
            Column {
                raw: format!("\"GET {path} HTTP/1.1\""),
                fields: request.map(|(name, value)| (name.to_owned(), Value::from(value))).into(),
            },
        ]
    });
    let once = any_text()
        .prop_filter("empty", |key| !key.is_empty())
        .prop_map(|key| Column { raw: percent(&key).replace("%20", "+"), fields: vec![("key".into(), key.into())] });
    let other =
        (or_dash(once.boxed()), request(any_plain_text().boxed(), in_quotes)).prop_map(|(key, request)| [key, request]);
    prop_oneof![2 => twice, 3 => other].boxed()
}

fn s3_access() -> Vec<Any> {
    let acl = Column { raw: "Yes".into(), fields: vec![("acl_required".into(), true.into())] };
    let key_and_request = s3_key_and_request().prop_map(|[key, request]| Column {
        raw: format!("{} {}", key.raw, request.raw),
        fields: [key.fields, request.fields].concat(),
    });
    vec![
        word("bucket_owner"),
        word("bucket"),
        bracket_time(),
        or_dash(word("remote_ip")),
        or_dash(word("requester")),
        word("request_id"),
        word("operation"),
        key_and_request.boxed(),
        or_dash(number("http_status")),
        or_dash(word("error_code")),
        or_dash(number("bytes_sent")),
        or_dash(number("object_size")),
        or_dash(number("total_time")),
        or_dash(number("turn_around_time")),
        or_quoted_dash(plain_text("referer")),
        or_quoted_dash(plain_text("user_agent")),
        or_dash(word("version_id")),
        or_dash(word("host_id")),
        or_dash(word("signature_version")),
        or_dash(word("cipher_suite")),
        or_dash(word("auth_type")),
        or_dash(word("host_header")),
        or_dash(word("tls_version")),
        or_dash(word("access_point_arn")),
        or_dash(Just(acl).boxed()),
        or_dash(word("source_region")),
    ]
}

/// Columns by the names that a header has for them.
type Named = (&'static str, Any);

/// A header of some of these columns, in any order, and records with those columns. `always` are among them.
fn with_header(always: Vec<Named>, others: Vec<Named>) -> impl Strategy<Value = (Vec<&'static str>, Vec<Vec<Column>>)> {
    let count = others.len();
    subsequence((0..count).collect::<Vec<_>>(), 0..=count)
        .prop_map(move |some| {
            let some = some.into_iter().map(|index| others[index].clone());
            always.iter().cloned().chain(some).collect::<Vec<Named>>()
        })
        .prop_shuffle()
        .prop_flat_map(|columns| {
            let (names, columns): (Vec<_>, Vec<_>) = columns.into_iter().unzip();
            (Just(names), vec(columns, 1..4))
        })
}

fn vpc_flow() -> (Vec<Named>, Vec<Named>) {
    const NUMBERS: [(&str, &str); 14] = [
        ("version", "version"),
        ("srcport", "srcport"),
        ("dstport", "dstport"),
        ("protocol", "protocol"),
        ("packets", "packets"),
        ("bytes", "bytes"),
        ("end", "end"),
        ("tcp-flags", "tcp_flags"),
        ("traffic-path", "traffic_path"),
        ("packets-lost-no-route", "packets_lost_no_route"),
        ("packets-lost-blackhole", "packets_lost_blackhole"),
        ("packets-lost-mtu-exceeded", "packets_lost_mtu_exceeded"),
        ("packets-lost-ttl-expired", "packets_lost_ttl_expired"),
        ("encryption-status", "encryption_status"),
    ];
    const WORDS: [(&str, &str); 19] = [
        ("account-id", "account_id"),
        ("interface-id", "interface_id"),
        ("srcaddr", "srcaddr"),
        ("dstaddr", "dstaddr"),
        ("action", "action"),
        ("log-status", "log_status"),
        ("vpc-id", "vpc_id"),
        ("subnet-id", "subnet_id"),
        ("instance-id", "instance_id"),
        ("type", "type"),
        ("pkt-srcaddr", "pkt_srcaddr"),
        ("pkt-dst-aws-service", "pkt_dst_aws_service"),
        ("flow-direction", "flow_direction"),
        ("tgw-src-vpc-account-id", "tgw_src_vpc_account_id"),
        ("ecs-second-container-id", "ecs_second_container_id"),
        ("reject-reason", "reject_reason"),
        ("asg-tag-2", "asg_tag_2"),
        ("column-of-tomorrow", "column_of_tomorrow"),
        ("Another.New_Column", "another_new_column"),
    ];
    let start = any_moment().prop_map(|moment| Column {
        raw: since_1970(moment).to_string(),
        fields: vec![
            ("@timestamp".into(), format!("{}Z", iso(moment)).into()),
            ("start".into(), since_1970(moment).into()),
        ],
    });
    // The time of a record that does not say when it began is when it ended.
    let end = any_moment().prop_map(|moment| Column {
        raw: since_1970(moment).to_string(),
        fields: vec![(OR_TIME.into(), format!("{}Z", iso(moment)).into()), ("end".into(), since_1970(moment).into())],
    });
    let end = end.boxed();
    let numbers = NUMBERS.iter().map(|(column, name)| match *column {
        "end" => ("end", or_dash(end.clone())),
        column => (column, or_dash(number(name))),
    });
    let words = WORDS.iter().map(|(column, name)| (*column, or_dash(word(name))));
    (vec![("start", or_dash(start.boxed()))], numbers.chain(words).collect())
}

fn cloudfront() -> (Vec<Named>, Vec<Named>) {
    const NUMBERS: [(&str, &str); 8] = [
        ("sc-bytes", "sc_bytes"),
        ("sc-status", "sc_status"),
        ("cs-bytes", "cs_bytes"),
        ("fle-encrypted-fields", "fle_encrypted_fields"),
        ("c-port", "c_port"),
        ("sc-content-len", "sc_content_len"),
        ("sc-range-end", "sc_range_end"),
        ("asn", "asn"),
    ];
    const DECIMALS: [(&str, &str); 4] = [
        ("time-taken", "time_taken"),
        ("time-to-first-byte", "time_to_first_byte"),
        ("origin-fbl", "origin_fbl"),
        ("origin-lbl", "origin_lbl"),
    ];
    const TEXTS: [(&str, &str); 16] = [
        ("x-edge-location", "x_edge_location"),
        ("c-ip", "c_ip"),
        ("cs-method", "cs_method"),
        ("cs(Host)", "cs_host"),
        ("cs-uri-stem", "cs_uri_stem"),
        ("cs(Referer)", "cs_referer"),
        ("cs-uri-query", "cs_uri_query"),
        ("cs(Cookie)", "cs_cookie"),
        ("x-edge-request-id", "x_edge_request_id"),
        ("x-host-header", "x_host_header"),
        ("ssl-protocol", "ssl_protocol"),
        ("cs-protocol-version", "cs_protocol_version"),
        ("sc-content-type", "sc_content_type"),
        ("DistributionId", "distribution_id"),
        ("viewer-request-log-data", "viewer_request_log_data"),
        ("cs(Column-Of-Tomorrow)", "cs_column_of_tomorrow"),
    ];
    let some_text = || any_text().prop_filter("empty", |text| !text.is_empty()).boxed();
    let texts = TEXTS.iter().map(|(column, name)| (*column, or_dash(text_of(some_text(), name, percent))));
    let numbers = NUMBERS.iter().map(|(column, name)| (*column, or_dash(number(name))));
    let decimals = DECIMALS.iter().map(|(column, name)| (*column, or_dash(decimal(name))));
    // Whether it is encoded twice can be seen only where it has a space.
    let user_agent = (some_text(), any::<bool>()).prop_map(|(text, is_twice)| {
        let text = text.replace("%20", "_") + " ";
        let once = percent(&text);
        Column {
            raw: if is_twice { percent(&once) } else { once },
            fields: vec![("cs_user_agent".into(), text.into())],
        }
    });
    let forwarded = (vec(any_address(), 1..4), select(&[",", ",%20", ",\\x20"][..])).prop_map(|(addresses, by)| {
        let addresses: Vec<String> = addresses.iter().map(|address| address.to_string()).collect();
        Column { raw: addresses.join(by), fields: vec![("x_forwarded_for".into(), addresses.into())] }
    });
    let lists = [("cs(User-Agent)", or_dash(user_agent.boxed())), ("x-forwarded-for", or_dash(forwarded.boxed()))];
    (vec![], texts.chain(numbers).chain(decimals).chain(lists).collect())
}

/// The columns of time that a CloudFront log may have, and the time that comes of them.
fn cloudfront_times() -> impl Strategy<Value = (Vec<(&'static str, String)>, String)> {
    (any_moment(), 0_u64..1000, select(&["date", "timestamp", "timestamp(ms)", "all"][..])).prop_map(
        |(moment, milliseconds, which)| {
            let time = iso(moment);
            let (date, time_of_day) = time.split_once('T').unwrap();
            let seconds = ("timestamp", since_1970(moment).to_string());
            let exact = ("timestamp(ms)", (since_1970(moment) * 1000 + milliseconds).to_string());
            let both = [("date", date.to_owned()), ("time", time_of_day.to_owned())];
            match which {
                "timestamp" => (vec![seconds], format!("{time}Z")),
                "timestamp(ms)" => (vec![exact], format!("{time}.{milliseconds:03}Z")),
                "date" => (both.into(), format!("{time}Z")),
                _ => (both.into_iter().chain([seconds, exact]).collect(), format!("{time}Z")),
            }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn a_classic_elb_line_gives_its_fields_back(records in records(classic_elb(), 12)) {
        expect("classic-elb", "", &records)?;
    }

    #[test]
    fn an_alb_line_gives_its_fields_back(records in records(alb(), 18)) {
        expect("alb", "", &records)?;
    }

    #[test]
    fn an_alb_connection_line_gives_its_fields_back(records in records(alb_connection(), 11)) {
        expect("alb-connection", "", &records)?;
    }

    #[test]
    fn an_alb_health_check_line_gives_its_fields_back(records in records(alb_health_check(), 8)) {
        expect("alb-health-check", "", &records)?;
    }

    #[test]
    fn an_nlb_line_gives_its_fields_back(records in records(nlb(), 18)) {
        expect("nlb", "", &records)?;
    }

    #[test]
    fn an_s3_access_line_gives_its_fields_back(records in records(s3_access(), 17)) {
        expect("s3-access", "", &records)?;
    }

    #[test]
    fn a_vpc_flow_line_gives_its_fields_back(
        (names, rows) in with_header(vpc_flow().0, vpc_flow().1),
        extra in vec(any_word(), 0..3),
        ends_early: bool,
    ) {
        let records: Vec<Record> = rows.iter().map(|columns| match ends_early && columns.len() > 1 {
            true => short_record(&columns[..columns.len() - 1], " "),
            false => record(columns, &extra, " "),
        }).collect();
        expect("vpc-flow", &format!("{}\n", names.join(" ")), &records)?;
    }

    #[test]
    fn a_cloudfront_line_gives_its_fields_back(
        (names, rows) in with_header(cloudfront().0, cloudfront().1),
        (times, time) in cloudfront_times(),
        extra in vec(any_word(), 0..3),
        ends_early: bool,
    ) {
        let records: Vec<Record> = rows.iter().map(|columns| {
            let mut all: Vec<Column> =
                times.iter().map(|(_, raw)| Column { raw: raw.clone(), fields: vec![] }).collect();
            all[0].fields.push(("@timestamp".into(), time.as_str().into()));
            all.extend_from_slice(columns);
            match ends_early && columns.len() > 1 {
                true => short_record(&all[..all.len() - 1], "\t"),
                false => record(&all, &extra, "\t"),
            }
        }).collect();
        let names: Vec<&str> = times.iter().map(|(name, _)| *name).chain(names).collect();
        expect("cloudfront", &format!("#Version: 1.0\n#Fields: {}\n", names.join(" ")), &records)?;
    }
}

/// A record with fewer columns than its header.
fn short_record(columns: &[Column], separator: &str) -> Record {
    let (line, mut event) = record(columns, &[], separator);
    event.insert("short_row".into(), true.into());
    (line, event)
}

//! Mappings that misbehave are stopped within their limits, cost no more than what they fail on, and the run goes on.

use std::path::Path;

use sha2::Digest;

use crate::support::elbow::{Elbow, Run};
use crate::support::guests;

/// Three good records, with the one at fault in the middle of them.
const RECORDS: &str = "one\ntwo\nbad three\nfour\n";

fn forward(fault: &str, limits: &str) -> Run {
    Elbow::forward()
        .config(&format!(
            "[mappings.fault]\ncomponent = \"{}\"\nsettings = {{ fault = \"{fault}\", on = \"bad\" }}\n[mappings.fault.limits]\n{limits}",
            guests::fault().display()
        ))
        .input("records", RECORDS)
        .run()
}

#[track_caller]
fn expect_one_reject(run: &Run, reason: &str) {
    assert_eq!(run.records(), [4, 3, 1, 0], "{}", run.stderr);
    let lines = String::from_utf8_lossy(&run.stdout);
    assert_eq!(lines, "{\"line\":\"one\"}\n{\"line\":\"two\"}\n{\"line\":\"four\"}\n");
    let rejected = run.text("/per_object/0/parsing/last/0");
    assert!(rejected.starts_with("record 3: ") && rejected.contains(reason), "{rejected}");
    assert!(run.is("/balanced"));
}

#[test]
fn a_record_on_which_the_guest_fails_costs_one_record() {
    for (fault, reason) in [
        ("reject", "told to"),
        ("trap", "trapped"),
        ("stack", "trapped"),
        ("exit", "trapped"),
        ("error", "told to fail"),
        ("miscount", "of 1 records, 0 have events, 0 are rejected and 0 dropped"),
        ("not-json", "is no line with one JSON object"),
        ("flood", "output-ratio"),
    ] {
        let run = forward(fault, "").expect_code(0);
        expect_one_reject(&run, reason);
    }
}

#[test]
fn a_guest_that_computes_for_ever_is_stopped() {
    let run = forward("loop", "call-timeout = \"100ms\"").expect_code(0);
    expect_one_reject(&run, "computed for longer than `call-timeout` (100ms)");
}

#[test]
fn a_guest_that_sleeps_for_ever_is_stopped() {
    let run = forward("sleep", "call-timeout = \"100ms\"").expect_code(0);
    expect_one_reject(&run, "waited for longer than `call-timeout` (100ms)");
}

#[test]
fn a_guest_that_eats_memory_is_stopped() {
    let run = forward("memory", "memory = \"8MiB\"").expect_code(0);
    expect_one_reject(&run, "more than `memory` (8388608 bytes)");
}

#[test]
fn a_guest_that_fails_on_everything_fails_the_object() {
    let config = format!(
        "[mappings.fault]\ncomponent = \"{}\"\nsettings = {{ fault = \"trap\" }}\nlimits = {{ failures = 2 }}",
        guests::fault().display()
    );
    let run = Elbow::forward().config(&config).input("records", RECORDS).run().expect_code(1);
    let error = run.text("/per_object/0/error");
    assert!(error.contains("failed on more than 2 records") && error.contains("trapped"), "{error}");
    assert!(!run.is("/settled"));
    assert_eq!(run.count("/records/abandoned"), 4);
    assert!(run.is("/balanced"));
}

#[test]
fn each_record_at_fault_costs_one_failure_however_large_its_batch() {
    let records: String =
        (0..2000).map(|n| if n % 100 == 7 { format!("bad {n}\n") } else { format!("{n}\n") }).collect();
    let config = format!(
        "[mappings.fault]\ncomponent = \"{}\"\nsettings = {{ fault = \"trap\", on = \"bad\" }}\nlimits = {{ failures = 20 }}",
        guests::fault().display()
    );
    let run = Elbow::forward().config(&config).input("records", records).run().expect_code(0);
    assert_eq!(run.records(), [2000, 1980, 20, 0]);
}

#[test]
fn the_other_objects_go_on_when_a_guest_fails_one() {
    let run = Elbow::forward()
        .config(&format!(
            "[mappings.fault]\ncomponent = \"{}\"\nsettings = {{ fault = \"begin-loop\" }}\nlimits = {{ call-timeout = \"100ms\" }}\n\
             [mappings.good]\ncomponent = \"{0}\"\n\
             [[routes]]\nkey = \"bad*\"\nmapping = \"fault\"\n[[routes]]\nmapping = \"good\"",
            guests::fault().display()
        ))
        .input("bad", "x\n")
        .input("good", "y\n")
        .run()
        .expect_code(1);
    assert_eq!(run.stdout, b"{\"line\":\"y\"}\n");
    assert_eq!([run.count("/objects/settled"), run.count("/objects/failed")], [1, 1]);
    assert!(run.stderr.contains("call-timeout"), "{}", run.stderr);
}

#[test]
fn a_guest_that_refuses_an_object_fails_it_with_its_reason() {
    let run = forward("begin", "").expect_code(1);
    assert!(run.text("/per_object/0/error").contains("told to refuse the object"), "{:#}", run.summary);
}

#[test]
fn a_guest_that_refuses_its_settings_stops_the_command_before_it_begins() {
    let run = forward("configure", "").expect_code(2);
    assert!(run.stderr.contains("elbow.toml") && run.stderr.contains("told to refuse its settings"), "{}", run.stderr);
    assert!(run.stdout.is_empty());
}

#[test]
fn what_a_guest_logs_is_bounded() {
    for fault in ["log", "print"] {
        let records = "bad\n".repeat(50);
        let run = Elbow::forward()
            .config(&format!(
                "[mappings.fault]\ncomponent = \"{}\"\nsettings = {{ fault = \"{fault}\" }}\nlimits = {{ log-lines = 3 }}",
                guests::fault().display()
            ))
            .input("records", records)
            .run()
            .expect_code(0);
        assert_eq!(run.records(), [50, 50, 0, 0]);
        assert_eq!(run.stderr.matches("told to").count(), 3, "{}", run.stderr);
        assert!(run.stderr.contains("left_out=47"), "{}", run.stderr);
    }
}

#[test]
fn a_table_that_is_not_granted_is_not_there() {
    let run = forward("lookup", "").expect_code(0);
    assert_eq!(run.records(), [4, 4, 0, 0]);
}

#[test]
fn header_lines_are_counted_and_not_mapped() {
    let run = Elbow::forward()
        .args(["--mapping".as_ref(), guests::fault().as_os_str()])
        .args(["--set", "header=#"])
        .input("records", "#Version: 1.0\n#Fields: a\none\n#again\ntwo\n")
        .run()
        .expect_code(0);
    assert_eq!(run.records(), [2, 2, 0, 0]);
    assert_eq!(run.count("/header_lines"), 3);
}

#[test]
fn a_mapping_can_ask_for_json_values() {
    let forward = |name: &str, text: &str| {
        let elbow = Elbow::forward().args(["--mapping".as_ref(), guests::fault().as_os_str()]);
        elbow.args(["--set", &format!("json=\"{name}\"")]).input("records", text).run()
    };
    let run = forward("Records", "{\"v\": 1, \"Records\": [{\"a\":\n 1}, 2]}").expect_code(0);
    assert_eq!(run.stdout, b"{\"line\":\"{\\\"a\\\":  1}\"}\n{\"line\":\"2\"}\n");
    assert_eq!(run.records(), [2, 2, 0, 0]);
    let run = forward("", "{\"a\":1}{\"b\":2}").expect_code(0);
    assert_eq!(run.records(), [2, 2, 0, 0]);
    let run = forward("Records", "{\"Records\": [1, 2").expect_code(1);
    assert!(run.text("/per_object/0/error").contains("the JSON ends in the middle"), "{:#}", run.summary);
    let run = forward("Records", "{\"Other\": []}").expect_code(1);
    assert!(run.text("/per_object/0/error").contains("no array `Records`"), "{:#}", run.summary);
}

#[test]
fn a_component_must_be_the_one_that_the_config_pins() {
    let pinned =
        format!("[mappings.fault]\ncomponent = \"{}\"\nsha256 = \"{}\"", guests::fault().display(), "0".repeat(64));
    let run = Elbow::forward().config(&pinned).input("records", "x\n").run().expect_code(2);
    assert!(run.stderr.contains("but the config pins 0000"), "{}", run.stderr);
}

#[test]
fn what_is_no_component_is_named() {
    let run = Elbow::forward()
        .file("a.wasm", "nonsense")
        .args(["--mapping", "a.wasm"])
        .input("x", "x\n")
        .run()
        .expect_code(2);
    assert!(run.stderr.contains("a.wasm: it is no WebAssembly component"), "{}", run.stderr);
    let run = Elbow::forward().args(["--mapping", "missing.wasm"]).input("x", "x\n").run().expect_code(2);
    assert!(run.stderr.contains("failed to read the component missing.wasm"), "{}", run.stderr);
}

#[test]
fn a_teams_own_mapping_works() {
    let run = Elbow::forward()
        .args(["--mapping".as_ref(), guests::example("logfmt").as_os_str()])
        .args(["--set", "team=shop", "--set", "drop_levels=[\"debug\"]"])
        .input("app.log", "level=warn msg=\"cart is full\" items=12\nlevel=debug\nnonsense\n")
        .run()
        .expect_code(0);
    assert_eq!(run.stdout, b"{\"team\":\"shop\",\"level\":\"warn\",\"msg\":\"cart is full\",\"items\":12}\n");
    assert_eq!(run.records(), [3, 1, 1, 1]);
}

#[test]
fn a_mapping_can_be_compiled_ahead_of_time() {
    let folder = tempfile::tempdir().unwrap();
    let artifact = folder.path().join("fault.cwasm");
    let compile = |component: &str, output: &Path| Elbow::new("compile").args([component, "-o"]).arg(output).run();
    compile(guests::fault().to_str().unwrap(), &artifact).expect_code(0);
    // With other limits than it was compiled with, it is the same code.
    let config = format!(
        "[mappings.lines]\ncomponent = {artifact:?}\n[mappings.lines.limits]\nmemory = \"16MiB\"\n[limits]\nconcurrency = 2"
    );
    let forward = |config: &str| Elbow::forward().config(config).input("a.log", "one\ntwo\n").run();
    assert_eq!(forward(&config).expect_code(0).stdout, b"{\"line\":\"one\"}\n{\"line\":\"two\"}\n");
    // Its digest is that of the component.
    let component = std::fs::read(guests::fault()).unwrap();
    let digest: String = sha2::Sha256::digest(component).iter().map(|byte| format!("{byte:02x}")).collect();
    let pinned = config.replace("[mappings.lines.limits]", &format!("sha256 = \"{digest}\"\n[mappings.lines.limits]"));
    forward(&pinned).expect_code(0);

    // What it is decides its name, not what is in it.
    let disguised = folder.path().join("fault.wasm");
    std::fs::copy(&artifact, &disguised).unwrap();
    let run = forward(&config.replace("fault.cwasm", "fault.wasm")).expect_code(2);
    assert!(run.stderr.contains("no WebAssembly component that elbow can load"), "{}", run.stderr);
    std::fs::copy(guests::fault(), &artifact).unwrap();
    let run = forward(&config).expect_code(2);
    assert!(run.stderr.contains("it is no artifact: make one with `elbow compile`"), "{}", run.stderr);
    std::fs::write(&artifact, format!("elbow artifact 47.0.0 {digest}\n")).unwrap();
    let run = forward(&config).expect_code(2);
    assert!(run.stderr.contains("it was compiled for wasmtime 47.0.0, and this elbow has 48."), "{}", run.stderr);
    let run = compile("aws", &disguised).expect_code(2);
    assert!(run.stderr.contains("ends in `.cwasm`"), "{}", run.stderr);
}

//! Which module may know which: arrows point downward, stages never know each other, each dependency has one door.

use std::path::{Path, PathBuf};

use crate::support::guests::workspace;

const STAGES: [&str; 7] = ["route", "fetch", "decode", "cut", "map", "deliver", "settle"];
const LEAVES: [&str; 17] = [
    "account",
    "aws",
    "bookmark",
    "config",
    "connections",
    "dead_letter",
    "event_id",
    "failures",
    "jitter",
    "ledger",
    "lookup",
    "memory",
    "notification",
    "object",
    "planted",
    "rung",
    "traces",
];

/// Each source file of the library below `host/src`, with the name of its top module.
fn sources() -> Vec<(String, PathBuf, String)> {
    let root = workspace().join("host/src");
    let mut files = Vec::new();
    collect(&root, &mut files);
    files
        .into_iter()
        .map(|path| {
            let inner = path.strip_prefix(&root).unwrap();
            let module = inner.iter().next().unwrap().to_str().unwrap().trim_end_matches(".rs").to_owned();
            let text = std::fs::read_to_string(&path).unwrap();
            (module, inner.to_owned(), text)
        })
        .collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => collect(&path, files),
            false => files.push(path),
        }
    }
}

/// The names that follow `crate::` in a text.
fn known(text: &str) -> Vec<&str> {
    let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    let after = code.flat_map(|line| line.split("crate::").skip(1));
    after.map(|rest| rest.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().unwrap()).collect()
}

#[test]
fn stages_know_leaves_and_never_each_other() {
    let mut checked = 0;
    for (module, path, text) in sources().iter().filter(|(module, ..)| STAGES.contains(&module.as_str())) {
        for name in known(text) {
            checked += 1;
            let is_fine = LEAVES.contains(&name) || name == module || (module == "fetch" && name == "config");
            assert!(is_fine, "{} knows `{name}`", path.display());
        }
    }
    assert!(checked > 20, "the check sees the code");
}

#[test]
fn leaves_know_leaves_only() {
    for (_, path, text) in sources().iter().filter(|(module, ..)| LEAVES.contains(&module.as_str())) {
        for name in known(text) {
            assert!(LEAVES.contains(&name), "{} knows `{name}`", path.display());
        }
    }
}

#[test]
fn each_dependency_has_one_door() {
    let doors: [(&str, &[&str]); 13] = [
        ("wasmtime", &["map"]),
        ("aws_sdk_s3", &["fetch"]),
        ("aws_config::", &["aws"]),
        ("aws_smithy_http_client", &["aws"]),
        ("aws_sdk_sqs", &["consume"]),
        ("maxminddb", &["lookup"]),
        ("prefix_trie", &["lookup"]),
        ("csv::", &["lookup"]),
        ("lambda_runtime", &["lambda"]),
        ("opentelemetry", &["traces"]),
        ("rustls::", &["deliver", "fetch", "traces"]),
        ("net::{Tcp", &["deliver", "s3_server", "cli"]),
        ("env::var", &["config", "planted"]),
    ];
    for (module, path, text) in sources() {
        for (name, allowed) in &doors {
            let names =
                text.lines().filter(|line| !line.trim_start().starts_with("//")).any(|line| line.contains(name));
            assert!(!names || allowed.contains(&module.as_str()), "{} names `{name}`", path.display());
        }
    }
}

#[test]
fn each_module_is_a_stage_or_a_leaf_and_has_its_sentence() {
    let page = std::fs::read_to_string(workspace().join("host/src/lib.rs")).unwrap();
    for (module, path, _) in sources() {
        if ["lib", "main", "cli", "consume", "lambda", "pipeline", "s3_server", "service"].contains(&module.as_str()) {
            continue;
        }
        assert!(STAGES.contains(&module.as_str()) || LEAVES.contains(&module.as_str()), "{}", path.display());
        assert!(page.contains(&format!("//! - [`{module}`]: ")), "lib.rs has no sentence for {module}");
    }
}

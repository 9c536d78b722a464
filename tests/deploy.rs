//! What elbow is deployed with: each file passes the linter of its kind, and fits elbow.
//!
//! The linters are Python packages in `target/tools`, but for systemd's, which comes with it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use elbow::config::{Config, Limits};

use crate::support::guests::workspace;

fn deploy(file: &str) -> PathBuf {
    workspace().join("host/deploy").join(file)
}

fn text(file: &str) -> String {
    std::fs::read_to_string(deploy(file)).unwrap()
}

fn tool(name: &str) -> Command {
    Command::new(workspace().join("target/tools/bin").join(name))
}

/// Runs a linter, which must have nothing to say against the file, and returns what it prints.
#[track_caller]
fn passes(linter: &mut Command) -> String {
    let output = linter.output().unwrap_or_else(|error| panic!("{linter:?}: {error}: `make tools` installs it"));
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{linter:?}\n{stdout}{}", String::from_utf8_lossy(&output.stderr));
    stdout
}

/// The number that stands behind this text in a file.
fn number(file: &str, before: &str) -> u64 {
    let text = text(file);
    let (_, after) = text.split_once(before).unwrap_or_else(|| panic!("{file} has no `{before}`"));
    after.split(|c: char| !c.is_ascii_digit()).next().unwrap().parse().unwrap()
}

/// As CloudFormation sees it, too: the linter carries out SAM's transformation.
#[test]
fn the_sam_template_passes_cfn_lint() {
    passes(tool("cfn-lint").args(["--include-checks", "I", "--"]).arg(deploy("template.yaml")));
}

/// AWS's advice for a queue that a function reads: or a message that waits for a throttled function comes twice.
#[test]
fn a_message_stays_hidden_for_six_times_as_long_as_the_function_may_run() {
    let timeout = number("template.yaml", "\n      Timeout: ");
    assert!(number("template.yaml", "\n      VisibilityTimeout: ") >= 6 * timeout);
}

#[test]
fn the_dockerfile_passes_hadolint() {
    passes(tool("hadolint").args(["--failure-threshold", "style"]).arg(deploy("Dockerfile")));
}

#[test]
fn the_image_is_built_with_the_rust_of_the_toolchain_file() {
    let toolchain = std::fs::read_to_string(workspace().join("rust-toolchain.toml")).unwrap();
    let toolchain: toml::Table = toml::from_str(&toolchain).unwrap();
    let from = format!("FROM rust:{}-", toolchain["toolchain"]["channel"].as_str().unwrap());
    assert!(text("Dockerfile").contains(&from), "the Dockerfile should say `{from}...`");
}

/// What Docker leaves out of the build's context, cargo must not miss.
#[test]
fn the_image_is_built_from_all_that_cargo_asks_for() {
    let ignored = text("Dockerfile.dockerignore");
    let mut lines = ignored.lines().filter(|line| !line.starts_with('#'));
    assert_eq!(lines.next(), Some("*"));
    let copied = lines.map(|line| line.strip_prefix('!').expect("all is ignored but for what has a `!`"));
    let context = tempfile::tempdir().unwrap();
    passes(Command::new("cp").current_dir(workspace()).args(["-r", "--parents"]).args(copied).arg(context.path()));
    let tree = ["tree", "--locked", "--offline", "--package", "elbow", "--no-default-features"];
    passes(Command::new(env!("CARGO")).current_dir(context.path()).args(tree));
}

/// Kubernetes ignores a key that it does not know, so an unknown key is an error here. KEDA's models drop it instead:
/// what they give back must be what they were given. Prints elbow's config.
const CHECK_MANIFESTS: &str = r#"
import sys, kubernetes_validate, yaml
from cloudcoil.models.keda import v1alpha1 as keda

for document in yaml.safe_load_all(open(sys.argv[1])):
    kind = document["kind"]
    if document["apiVersion"] == "keda.sh/v1alpha1":
        model = getattr(keda, kind).model_validate(document)
        known = model.model_dump(mode="json", by_alias=True, exclude_unset=True)
        assert known == document, f"{kind} has keys that KEDA does not know; it would keep {known}"
    else:
        kubernetes_validate.validate(document, kubernetes_validate.latest_version(), strict=True)
    if kind == "ConfigMap":
        print(document["data"]["elbow.toml"])
"#;

#[test]
fn the_kubernetes_manifests_fit_their_schemas_and_hold_a_valid_config() {
    let config = passes(tool("python").args(["-c", CHECK_MANIFESTS]).arg(deploy("kubernetes.yaml")));
    let config = Config::parse("the ConfigMap's elbow.toml", &config, &BTreeMap::new()).unwrap();
    config.validate_routes().unwrap();
}

/// With the path of this build's binary, since the linter asks whether it is there.
#[test]
fn the_systemd_unit_passes_systemd_analyze_and_exposes_little() {
    let folder = tempfile::tempdir().unwrap();
    let unit = folder.path().join("elbow.service");
    let built = text("elbow.service").replace("/usr/local/bin/elbow run", concat!(env!("CARGO_BIN_EXE_elbow"), " run"));
    std::fs::write(&unit, built).unwrap();
    passes(Command::new("systemd-analyze").args(["verify", "--man=no", "--recursive-errors=no"]).arg(&unit));
    // Of 100: network and executable memory, which it needs, come to 11.
    let security = ["security", "--no-pager", "--offline=yes", "--threshold=15"];
    passes(Command::new("systemd-analyze").args(security).arg(&unit));
}

/// Or it would be killed while it delivers what is under way.
#[test]
fn elbow_is_given_longer_to_stop_than_it_takes() {
    let stop_timeout = Limits::default().stop_timeout;
    for (file, setting) in
        [("elbow.service", "TimeoutStopSec="), ("kubernetes.yaml", "terminationGracePeriodSeconds: ")]
    {
        let given = Duration::from_secs(number(file, setting));
        assert!(given > stop_timeout + Duration::from_secs(5), "{file}: {given:?}");
    }
}

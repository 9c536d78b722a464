//! The mapping that misbehaves, built when the first test needs it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The top of the workspace.
pub(crate) fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// The component of `tests/guest-fault`.
pub(crate) fn fault() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| build(&["--package", "guest-fault"], "guest_fault.wasm"))
}

/// The same, compiled ahead of time: for tests that start elbow hundreds of times.
pub(crate) fn compiled_fault() -> &'static Path {
    static COMPILED: OnceLock<PathBuf> = OnceLock::new();
    COMPILED.get_or_init(|| {
        let artifact = Path::new(env!("CARGO_TARGET_TMPDIR")).join("guest_fault.cwasm");
        let mut compile = Command::new(env!("CARGO_BIN_EXE_elbow"));
        let output = compile.arg("compile").arg(fault()).arg("--output").arg(&artifact).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        artifact
    })
}

/// An example of the SDK as a component.
pub(crate) fn example(name: &str) -> PathBuf {
    build(&["--package", "guest-parser", "--example", name], &format!("examples/{}.wasm", name.replace('-', "_")))
}

fn build(args: &[&str], artifact: &str) -> PathBuf {
    let target = workspace().join("target/guest");
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(workspace()).args(["build", "--locked", "--profile", "guest", "--target", "wasm32-wasip2"]);
    cargo.arg("--target-dir").arg(&target).args(args).env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS");
    let output = cargo.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    target.join("wasm32-wasip2/guest").join(artifact)
}

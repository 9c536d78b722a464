//! Builds the built-in mapping for wasm32-wasip2, so that the binary can embed it and works without a file beside it; and
//! learns the version of wasmtime, which the library itself does not tell.
//!
//! A nested cargo, with a target directory of its own (`target/guest`) so that it does not wait for the lock that the
//! outer one holds, and shared by all profiles of the host so that the guest is built once.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

fn main() {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for input in ["guest-parser", "wit", "Cargo.toml", "Cargo.lock", ".cargo/config.toml"] {
        println!("cargo::rerun-if-changed={}", workspace.join(input).display());
    }
    println!("cargo::rustc-env=WASMTIME_VERSION={}", version(&workspace.join("Cargo.lock"), "wasmtime"));
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let target = out
        .ancestors()
        .find(|path| path.ends_with("build"))
        .and_then(|build| build.parent()?.parent())
        .expect("OUT_DIR is target/PROFILE/build/PACKAGE/out")
        .join("guest");

    let status = Command::new(env::var_os("CARGO").expect("cargo sets CARGO"))
        .current_dir(&workspace)
        .args(["build", "--package", "guest-parser", "--lib", "--profile", "guest"])
        .args(["--target", "wasm32-wasip2", "--target-dir"])
        .arg(&target)
        // Flags that were meant for the host's own target.
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env_remove("CARGO_BUILD_TARGET")
        // Or clippy would be run instead of the compiler.
        .env_remove("RUSTC_WORKSPACE_WRAPPER")
        .status();
    if !status.is_ok_and(|status| status.success()) {
        println!(
            "cargo::error=the built-in mapping did not build; if its target is missing: rustup target add wasm32-wasip2"
        );
        return;
    }
    let component = target.join("wasm32-wasip2/guest/guest_parser.wasm");
    fs::copy(&component, out.join("aws.wasm")).expect("cargo has written the component");
}

/// The version of a package, as the lock file has it.
fn version(lock: &Path, package: &str) -> String {
    let text = fs::read_to_string(lock).expect("the workspace has a Cargo.lock");
    let version = text.split_once(&format!("name = \"{package}\"\nversion = \"")).map(|(_, after)| after);
    let version = version.and_then(|version| version.split('"').next()).expect("the package is in Cargo.lock");
    version.to_owned()
}

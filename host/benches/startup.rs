//! How long a Lambda function takes from its process's start to its first request for an event, and what it holds in
//! memory then: with the built-in mapping as it is, and compiled ahead of time.
//!
//! `make bench` runs it. The other side is a listener that takes the request and leaves it without an answer.

use std::io::Read;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

const RUNS: usize = 15;

fn main() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let artifact = folder.path().join("aws.cwasm");
    let compile = Command::new(env!("CARGO_BIN_EXE_elbow")).args(["compile", "aws", "-o"]).arg(&artifact).status();
    assert!(compile.is_ok_and(|status| status.success()), "the mapping compiles");
    let destination = "[destinations.receiver]\nurl = \"tcp://127.0.0.1:9\"\n";
    let config = |name: &str, more: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, format!("{destination}{more}")).expect("the config can be written");
        path
    };
    let plain = config("plain.toml", "");
    let compiled = config("compiled.toml", &format!("[mappings.aws]\ncomponent = {artifact:?}\n"));
    println!("from the process's start to the first request for an event, median of {RUNS}, and resident memory then");
    for (name, config) in [("component, compiled at start", plain), ("compiled ahead of time", compiled)] {
        let mut runs: Vec<(Duration, u64)> = (0..RUNS).map(|_| start(&config)).collect();
        runs.sort_unstable();
        let (time, resident) = runs[RUNS / 2];
        println!("{name:<30} {:>8.1} ms {:>6.1} MiB", time.as_secs_f64() * 1e3, resident as f64 / f64::from(1 << 20));
    }
}

fn start(config: &Path) -> (Duration, u64) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("it has an address").to_string();
    let began = Instant::now();
    let mut function = Command::new(env!("CARGO_BIN_EXE_elbow"))
        .env("AWS_LAMBDA_RUNTIME_API", address)
        .env("AWS_LAMBDA_FUNCTION_NAME", "elbow")
        .env("AWS_LAMBDA_FUNCTION_VERSION", "1")
        .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "512")
        .env("ELBOW_CONFIG", config)
        .spawn()
        .expect("elbow starts");
    let (mut stream, _) = listener.accept().expect("elbow asks for an event");
    let mut request = [0; 64];
    let read = stream.read(&mut request).expect("the request can be read");
    let took = began.elapsed();
    assert!(request[..read].starts_with(b"GET /2018-06-01/runtime/invocation/next"), "it is the first request");
    let resident = resident(function.id());
    function.kill().expect("elbow can be stopped");
    function.wait().expect("elbow ends");
    (took, resident)
}

fn resident(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("this is Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("the kernel tells");
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().expect("it is a number");
    kib * 1024
}

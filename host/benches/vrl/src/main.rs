//! CPU seconds that `vrl` takes for lines of an ALB's access log: `vrl-alb FILE`. An event goes in, as Vector has it, with
//! the line as its `message`; `parse_aws_alb_log` replaces it by what it finds; JSON comes out. One thread.

use std::hint::black_box;

use rustix::time::{ClockId, clock_gettime};
use vrl::compiler::state::RuntimeState;
use vrl::compiler::{Context, TargetValue, TimeZone, compile};
use vrl::value::{Secrets, Value};

fn main() {
    let path = std::env::args().nth(1).expect("the first argument is a file");
    let text = std::fs::read_to_string(path).expect("the file can be read");
    let source = ". = parse_aws_alb_log!(.message, strict_mode: false)";
    let program = compile(source, &vrl::stdlib::all()).expect("it is a program").program;
    let (mut state, zone) = (RuntimeState::default(), TimeZone::default());
    let mut json = Vec::new();
    let begin = cpu();
    for line in text.lines() {
        let message = [("message".into(), Value::from(line))];
        let mut event = TargetValue {
            value: Value::Object(message.into()),
            metadata: Value::Object([].into()),
            secrets: Secrets::new(),
        };
        state.clear();
        program.resolve(&mut Context::new(&mut event, &mut state, &zone)).expect("the line can be parsed");
        json.clear();
        serde_json::to_writer(&mut json, &event.value).expect("it is JSON");
        black_box(&json);
    }
    println!("{}", cpu() - begin);
}

/// CPU seconds that this process has used.
fn cpu() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

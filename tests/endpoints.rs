//! Several endpoints: load is spread, and one that fails is left alone.

use crate::support::elbow::Elbow;
use crate::support::logs::{expect_all, lines, numbers};
use crate::support::receiver::{End, Receiver, Script, free_address};

fn forward(urls: &str, text: &str) -> crate::support::elbow::Run {
    let mut elbow = Elbow::forward_with_ids().args(["--set", "style=flat", "--to", &format!("tcp://{urls}")]);
    for index in 0..4 {
        elbow = elbow.input(&format!("{index}.log"), text);
    }
    elbow.run().expect_code(0)
}

#[test]
fn load_is_spread_over_endpoints() {
    let (one, two) = (Receiver::plain(), Receiver::plain());
    forward(&format!("{},{}", one.address, two.address), &lines(15_000));
    let (first, second) = (numbers(&one.lines()), numbers(&two.lines()));
    assert!(first.len() > 6000 && second.len() > 6000, "{} {}", first.len(), second.len());
    assert_eq!(first.len() + second.len(), 60_000);
}

#[test]
fn a_slow_endpoint_gets_less() {
    let slow = Receiver::start(|_| Script { rest: std::time::Duration::from_millis(25), ..Script::default() });
    let fast = Receiver::plain();
    forward(&format!("{},{}", slow.address, fast.address), &lines(15_000));
    let (slow, fast) = (numbers(&slow.lines()).len(), numbers(&fast.lines()).len());
    assert!(slow < fast / 2, "{slow} {fast}");
    assert_eq!(slow + fast, 60_000);
}

#[test]
fn an_endpoint_that_is_down_costs_nothing_but_its_attempts() {
    let up = Receiver::plain();
    let run = forward(&format!("{},{}", free_address(), up.address), &lines(5000));
    assert_eq!(numbers(&up.lines()).len(), 20_000);
    assert_eq!(run.count("/events/resent"), 0);
    assert!(run.count("/failures/sockets/total") >= 1);
}

#[test]
fn an_endpoint_that_breaks_off_is_replaced_by_the_other() {
    let broken = Receiver::start(|_| Script { after_bytes: Some(100_000), end: End::Reset, ..Script::default() });
    let whole = Receiver::plain();
    let run = forward(&format!("{},{}", broken.address, whole.address), &lines(5000));
    let arrived = [numbers(&broken.lines()), numbers(&whole.lines())].concat();
    expect_all(arrived, 5000);
    assert_eq!(run.events(), [20_000, 20_000, 0]);
}

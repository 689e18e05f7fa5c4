//! Readers of standard output that go away: `… | head -1` has what it wants, and the program ends without a word.

use std::any::Any;
use std::panic;

/// Makes `println!` to a closed pipe end the program with success, where it would panic. For binaries, called first.
pub fn end_quietly() {
    let otherwise = panic::take_hook();
    panic::set_hook(Box::new(move |about| {
        if is_closed_pipe(about.payload()) {
            // Not `process::exit`, which would unload libtorch under the threads that compute with it.
            signal_hook::low_level::exit(0);
        }
        otherwise(about);
    }));
}

/// Whether this is what `print!` panics with when nobody reads.
fn is_closed_pipe(payload: &(dyn Any + Send)) -> bool {
    let text =
        payload.downcast_ref::<String>().map(String::as_str).or_else(|| payload.downcast_ref().copied());
    let broken = std::io::Error::from_raw_os_error(BROKEN_PIPE).to_string();
    text.is_some_and(|text| text.starts_with("failed printing to stdout") && text.ends_with(&broken))
}

/// EPIPE; on Windows, `ERROR_NO_DATA`: the pipe is being closed.
const BROKEN_PIPE: i32 = if cfg!(windows) { 232 } else { 32 };

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_panics_stay_panics() {
        let said = |text: &str| is_closed_pipe(&text.to_owned() as &(dyn Any + Send));
        assert!(said("failed printing to stdout: Broken pipe (os error 32)") || cfg!(windows));
        assert!(!said("failed printing to stdout: No space left on device (os error 28)"));
        assert!(!said("index out of bounds"));
        assert!(!is_closed_pipe(&7));
    }
}

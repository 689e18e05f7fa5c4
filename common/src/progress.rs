//! Progress on standard error, for binaries.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A bar of `length` steps with elapsed and remaining time; hidden when `quiet` or when standard error is no terminal.
pub fn bar(phase: &str, length: usize, quiet: bool) -> ProgressBar {
    let target = if quiet { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
    let bar = ProgressBar::with_draw_target(Some(length as u64), target);
    let style = ProgressStyle::with_template("{prefix} {wide_bar} {pos}/{len} {elapsed}, {eta} left  {msg}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.set_prefix(phase.to_owned());
    bar.enable_steady_tick(Duration::from_millis(500));
    bar
}

/// A count that goes up, with the time and the rate, for work of unknown length; hidden as [`bar`] is.
pub fn spinner(phase: &str, quiet: bool) -> ProgressBar {
    let spinner = ProgressBar::new_spinner();
    if quiet {
        spinner.set_draw_target(ProgressDrawTarget::hidden());
    }
    let style = ProgressStyle::with_template("{prefix} {pos} in {elapsed} ({per_sec})");
    spinner.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
    spinner.set_prefix(phase.to_owned());
    spinner
}

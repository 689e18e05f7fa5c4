//! The `long-clip` command.

fn main() {}

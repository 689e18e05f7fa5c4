//! The `transfer-ner` command.
fn main() {}

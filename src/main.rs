//! The `coldframe` command.

fn main() {}

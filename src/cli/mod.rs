//! Command line: one file per subcommand.

pub mod sim;

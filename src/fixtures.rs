//! Whether tests compare with the files in `fixtures/` or write them anew.

/// `ENLIST_REFRESH_FIXTURES=1 cargo test --lib` writes; the difference is reviewed like code.
#[allow(clippy::disallowed_methods)] // tests have no configuration to read it from
pub(crate) fn refresh() -> bool {
    std::env::var_os("ENLIST_REFRESH_FIXTURES").is_some_and(|value| value == "1")
}

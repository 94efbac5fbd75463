//! The table of section 4, a file a part. Words are ours; a DO or CHECK names what carries it.

mod automated;
mod automated_service;
mod byod;
mod direct;
mod general;
mod mac;
mod setup_assistant;
mod user;

use super::requirement::Requirement;

/// All parts.
pub(super) const FAMILIES: &[&[Requirement]] = &[
    direct::RULES,
    setup_assistant::RULES,
    mac::RULES,
    automated::RULES,
    automated_service::RULES,
    user::RULES,
    byod::RULES,
    general::RULES,
];

/// The tests that carry many rows.
const LINT_CASES: &str = "wire::profile::tests::lint::cases::each_rule_fires_and_is_silent_where_it_should";
const REMARKS: &str = "workflow::methods::tests::remarks::each_check_says_so_where_it_should";
const SEEN: &str = "workflow::methods::remarks::remarks";
const ADVISED: &str = "workflow::methods::tests::advise::each_not_for_row_rules_its_method_out";
const VALUED: &str = "workflow::methods::tests::values::each_bound_holds_on_both_sides";

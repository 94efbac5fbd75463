//! The one integration binary: a topic per module.

mod architecture;

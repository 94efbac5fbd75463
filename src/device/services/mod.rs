//! Clients of lockdown and of the services it starts; one file each.

pub mod installation_proxy;
pub mod lockdown;
pub mod mcinstall;
pub mod notification_proxy;
pub mod ready_made;

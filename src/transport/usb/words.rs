//! libusb's errors in plain sentences.

use crate::ids::PortPath;
use rusb::Error;

/// "claiming interface 1 of the device at 1-4.2 failed: another program holds it".
pub(super) fn failed(what: &str, port: &PortPath, error: Error) -> String {
    format!("{what} of the device at {port} failed: {}", reason(error))
}

/// Why, in words.
pub(super) fn reason(error: Error) -> &'static str {
    match error {
        Error::Io => "the transfer broke off",
        Error::InvalidParam => "the system took the request for wrong",
        Error::Access => "no permission",
        Error::NoDevice => "the device is gone",
        Error::NotFound => "the device does not have it",
        Error::Busy => "another program holds it",
        Error::Timeout => "no answer in time",
        Error::Overflow => "the device sent more than was asked for",
        Error::Pipe => "the device refused",
        Error::Interrupted => "it was interrupted",
        Error::NoMem => "no memory",
        Error::NotSupported => "this system cannot do it",
        Error::BadDescriptor => "the device answered nonsense",
        Error::Other => "the system gave no reason",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_says_what_where_and_why() {
        let port = PortPath { controller: None, bus: 1, ports: vec![4, 2] };
        assert_eq!(
            failed("claiming interface 1", &port, Error::Busy),
            "claiming interface 1 of the device at 1-4.2 failed: another program holds it"
        );
    }
}

//! Lines of a device's own log (protocols.md 5.5): who wrote one, and what it gives away.

/// Processes that take part in pairing and enrollment (5.5).
pub const ENROLLING: [&str; 10] = [
    "profiled",
    "mdmd",
    "mc_mobile_tunnel",
    "dmd",
    "teslad",
    "lockdownd",
    "Setup",
    "trustd",
    "securityd",
    "mobileactivationd",
];

/// XPC's words for a connection that broke. Every process has some of them, so they count only
/// where an enrolling one writes them.
const XPC: [&str; 4] = ["xpc_type_error", "connection invalid", "connection interrupted", "connection error"];

/// Codes of NSURLErrorDomain that mean: no network, or nobody there.
const NO_NETWORK: [&str; 5] = ["-1001", "-1003", "-1004", "-1005", "-1009"];

/// What a line says of the device's network (R149).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NetworkSign {
    /// XPC connections break.
    Xpc,
    /// Connections to servers fail.
    Connections,
}

/// What a line says of the device's network, if anything. Nothing of the line is kept: lines
/// hold identifiers and addresses.
pub fn network_sign(line: &str) -> Option<NetworkSign> {
    let (process, text) = parts(line)?;
    if !ENROLLING.contains(&process) {
        return None;
    }
    let lower = text.to_lowercase();
    if lower.contains("xpc") && XPC.iter().any(|sign| lower.contains(sign)) {
        return Some(NetworkSign::Xpc);
    }
    let url_error = lower.contains("nsurlerrordomain") && NO_NETWORK.iter().any(|code| lower.contains(code));
    url_error.then_some(NetworkSign::Connections)
}

/// Process and text of `Mar  2 08:00:00 Name process(library)[123] <Notice>: text`.
fn parts(line: &str) -> Option<(&str, &str)> {
    let (head, text) = line.split_once(']')?;
    let (head, _pid) = head.split_once('[')?;
    let process = head.split_whitespace().next_back()?;
    Some((process.split('(').next()?, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_network_trouble_of_an_enrolling_process_is_a_sign() {
        let line =
            |process: &str, text: &str| format!("Mar  2 08:00:00 iPhone {process}[77] <Error>: {text}");
        for (process, text, is_sign) in [
            ("teslad", "XPC_TYPE_ERROR Connection invalid", true),
            ("profiled(ManagedConfiguration)", "XPC connection interrupted", true),
            ("mdmd", "Error Domain=NSURLErrorDomain Code=-1009 \"offline\"", true),
            ("mdmd", "Error Domain=NSURLErrorDomain Code=-1202", false),
            ("mediaserverd", "XPC_TYPE_ERROR Connection invalid", false),
            ("profiled", "XPC service started", false),
            ("profiled", "Rolling back installation of profile", false),
        ] {
            let line = line(process, text);
            assert_eq!(network_sign(&line).is_some(), is_sign, "{line}");
        }
        for odd in ["", "]", "[]", "XPC_TYPE_ERROR", "a[b"] {
            assert_eq!(network_sign(odd), None, "{odd}");
        }
    }
}

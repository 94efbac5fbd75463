//! Addresses: their hosts and domains, and how they are shown.

use super::findings::REDACTED;
use crate::wire::profile::rules;

/// The host of an http or https address.
pub(super) fn host(url: &str) -> Option<&str> {
    let bytes = url.as_bytes();
    match bytes.get(..7).is_some_and(|start| start.eq_ignore_ascii_case(b"http://")) {
        // The same judgement of host and port, whatever the scheme.
        true => {
            let secure = format!("https{}", url.get(4..)?);
            let found = rules::https_host(&secure)?;
            let start = url.find(found)?;
            url.get(start..start + found.len())
        }
        false => rules::https_host(url),
    }
}

/// The registrable domain, as well as it can be told without the list of public suffixes:
/// the last two labels, or three where the last two look like `co.uk`. Addresses and bare
/// names stand for themselves.
pub(super) fn domain(host: &str) -> String {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    if host.parse::<std::net::IpAddr>().is_ok() {
        return host;
    }
    let labels: Vec<&str> = host.split('.').collect();
    let second = ["ac", "co", "com", "edu", "go", "gov", "gob", "mil", "ne", "net", "or", "org"];
    let wide =
        matches!(labels[..], [.., second_last, last] if last.len() == 2 && second.contains(&second_last));
    let kept = if wide { 3 } else { 2 };
    labels[labels.len().saturating_sub(kept)..].join(".")
}

/// Scheme and host of an address; paths and user names may hold secrets.
pub(super) fn shown_url(url: &str) -> String {
    match (host(url), url.split_once("://")) {
        (Some(host), Some((scheme, _))) => format!("{scheme}://{host}"),
        _ => REDACTED.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domains_and_shown_addresses() {
        let same = [
            ("i.manage.microsoft.com", "fef.msuc05.manage.microsoft.com"),
            ("MDM.bench.example.", "scep.bench.example"),
            ("a.corp.co.uk", "b.corp.co.uk"),
            ("10.0.0.1", "10.0.0.1"),
            ("mdm", "MDM"),
        ];
        for (a, b) in same {
            assert_eq!(domain(a), domain(b));
        }
        for (a, b) in [("a.example", "b.example"), ("a.co.uk", "b.co.uk"), ("10.0.0.1", "9.0.0.1")] {
            assert_ne!(domain(a), domain(b));
        }
        assert_eq!(shown_url("http://h.example:80/secret?x=canary"), "http://h.example");
        assert_eq!(shown_url("https://user:canary@h.example/"), REDACTED);
        assert_eq!(shown_url("canary"), REDACTED);
        assert_eq!(host("HTTP://h.example/x"), Some("h.example"));
    }
}

//! Who may ask: the token, and the cookie a browser gets for it.

use crate::secret::Secret;
use axum::http::{HeaderMap, HeaderValue, header};
use jiff::Timestamp;
use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::sign::Signer;
use std::time::Duration;

/// A browser asks for the token again after this: a long day at the bench.
const SESSION: Duration = Duration::from_secs(16 * 3600);

/// Name of the cookie.
const COOKIE: &str = "enlist_session";

/// Most cookies a request is searched for: ours, and some of neighbours on other ports.
const COOKIES: usize = 32;

/// What whoever asks must show.
pub(super) struct Access {
    token: Option<Secret<String>>,
    secure: bool,
}

impl Access {
    pub(super) fn new(token: Option<Secret<String>>, secure: bool) -> Self {
        Self { token, secure }
    }

    /// True for anybody if there is no token, else for who has it or a cookie made from it.
    pub(super) fn admits(&self, headers: &HeaderMap, now: Timestamp) -> bool {
        self.token.is_none() || self.shows_token(headers) || self.shows_cookie(headers, now)
    }

    /// The token itself was shown, where there is one.
    pub(super) fn shows_token(&self, headers: &HeaderMap) -> bool {
        let Some(token) = &self.token else { return false };
        let shown = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let shown = shown.and_then(|value| value.split_once(' '));
        let shown = shown.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
        shown.is_some_and(|(_, shown)| same(shown.trim(), token.expose()))
    }

    fn shows_cookie(&self, headers: &HeaderMap, now: Timestamp) -> bool {
        let lines = headers.get_all(header::COOKIE).into_iter().filter_map(|line| line.to_str().ok());
        let cookies = lines.flat_map(|line| line.split(';')).take(COOKIES);
        let ours = cookies.filter_map(|cookie| cookie.trim().strip_prefix(COOKIE)?.strip_prefix('='));
        ours.filter_map(|value| value.split_once('.')).any(|(until, seal)| {
            let later = until.parse::<i64>().is_ok_and(|until| until > now.as_second());
            later && self.seal(until).is_some_and(|ours| same(seal, &ours))
        })
    }

    /// A cookie that stands for the token; `None` if there is no token.
    pub(super) fn cookie(&self, now: Timestamp) -> Option<HeaderValue> {
        let until = now.as_second().saturating_add_unsigned(SESSION.as_secs()).to_string();
        let value = format!("{until}.{}", self.seal(&until)?);
        self.header(&value, SESSION.as_secs())
    }

    /// The header that takes the cookie away.
    pub(super) fn no_cookie(&self) -> Option<HeaderValue> {
        self.header("", 0)
    }

    fn header(&self, value: &str, seconds: u64) -> Option<HeaderValue> {
        let secure = if self.secure { "; Secure" } else { "" };
        let cookie =
            format!("{COOKIE}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}");
        HeaderValue::from_str(&cookie).ok()
    }

    /// HMAC over the end of a session: nobody without the token can make one, and a new token
    /// ends all.
    fn seal(&self, until: &str) -> Option<String> {
        let key = PKey::hmac(self.token.as_ref()?.expose().as_bytes()).ok()?;
        let mut signer = Signer::new(MessageDigest::sha256(), &key).ok()?;
        signer.update(b"enlist session ").ok()?;
        signer.update(until.as_bytes()).ok()?;
        let seal = signer.sign_to_vec().ok()?;
        Some(seal.iter().map(|byte| format!("{byte:02x}")).collect())
    }
}

/// In a time that tells nothing but the length.
fn same(shown: &str, ours: &str) -> bool {
    shown.len() == ours.len() && openssl::memcmp::eq(shown.as_bytes(), ours.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access() -> Access {
        Access::new(Some(Secret::new("a-token-of-some-length".to_owned())), true)
    }

    fn with(name: header::HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_str(value).unwrap())])
    }

    #[test]
    fn the_token_or_its_cookie_opens() {
        let (access, now) = (access(), Timestamp::UNIX_EPOCH);
        assert!(Access::new(None, false).admits(&HeaderMap::new(), now));
        assert!(!access.admits(&HeaderMap::new(), now));
        for (shown, opens) in [
            ("Bearer a-token-of-some-length", true),
            ("bearer  a-token-of-some-length ", true),
            ("Bearer a-token-of-some-lengtH", false),
            ("Bearer a-token", false),
            ("Basic a-token-of-some-length", false),
            ("a-token-of-some-length", false),
        ] {
            assert_eq!(access.admits(&with(header::AUTHORIZATION, shown), now), opens, "{shown}");
        }
        let set = access.cookie(now).unwrap().to_str().unwrap().to_owned();
        assert!(set.ends_with("; HttpOnly; SameSite=Strict; Secure"), "{set}");
        let cookie = set.split(';').next().unwrap();
        let later = now + jiff::SignedDuration::from_hours(17);
        assert!(access.admits(&with(header::COOKIE, &format!("a=b; {cookie}")), now));
        assert!(!access.admits(&with(header::COOKIE, cookie), later), "it ends");
        let forged = cookie.replacen('=', "=9", 1);
        assert!(!access.admits(&with(header::COOKIE, &forged), now), "its end is sealed");
        let other = Access::new(Some(Secret::new("another-token-of-that-sort".to_owned())), true);
        assert!(!other.admits(&with(header::COOKIE, cookie), now), "it belongs to one token");
    }
}

//! What a file is, by its first bytes, and how to get to the profile inside: the table of
//! profiles-and-enrollment.md 1.1, row by row.

use super::refusal::Refusal;
use super::{Warning, ber};
use crate::limits;
use crate::wire::property_list::PlistError;
use std::borrow::Cow;

/// Wrappers around one profile. A Graph answer with base64 of PEM has three, and each
/// layer shrinks, so this bounds the work.
const MOST_LAYERS: usize = 4;

/// Start of a ContentInfo object identifier of PKCS#7; the byte after it says which.
const PKCS7: &[u8] = &[0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07];

/// The rows of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Empty,
    Compressed(&'static str),
    BinaryPlist,
    SignedData,
    EnvelopedData,
    Pem,
    Mime,
    Utf16,
    Xml,
    WebPage,
    Json,
    Url,
    Base64,
    Unknown,
}

impl Kind {
    /// Works the table from top to bottom; the first match wins.
    pub(super) fn of(bytes: &[u8]) -> Self {
        let bare = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes).trim_ascii();
        let utf16: [&[u8]; 4] = [b"\xFF\xFE", b"\xFE\xFF", b"<\0", b"\0<"];
        match bytes {
            [] => Self::Empty,
            [0x1f, 0x8b, ..] => Self::Compressed("gzip"),
            [b'P', b'K', 3, 4, ..] => Self::Compressed("zip"),
            _ if bytes.starts_with(b"bplist00") => Self::BinaryPlist,
            _ if pkcs7_type(bytes) == Some(2) => Self::SignedData,
            _ if pkcs7_type(bytes) == Some(3) => Self::EnvelopedData,
            _ if pem_label(bare).is_some() => Self::Pem,
            _ if starts_with(bare, "MIME-Version:") || starts_with(bare, "Content-Type:") => Self::Mime,
            _ if utf16.iter().any(|mark| bytes.starts_with(mark)) => Self::Utf16,
            _ if is_web_page(bare) => Self::WebPage,
            _ if is_xml(bare) => Self::Xml,
            _ if bare.starts_with(b"{") => Self::Json,
            _ if starts_with(bare, "https://") && !bare.iter().any(u8::is_ascii_whitespace) => Self::Url,
            _ if !bare.is_empty() && bare.iter().all(is_base64) => Self::Base64,
            _ => Self::Unknown,
        }
    }
}

/// A file without its wrappers.
#[derive(Debug)]
pub(super) struct Opened {
    /// SignedData, or a property list as XML in UTF-8 or binary: what is pushed.
    pub(super) bytes: Vec<u8>,
    /// Whether `bytes` is SignedData.
    pub(super) signed: bool,
    pub(super) warnings: Vec<Warning>,
}

/// Takes off PEM, S/MIME, UTF-16, JSON and base64.
pub(super) fn open(file: &[u8]) -> Result<Opened, Refusal> {
    if file.len() > limits::PROFILE_REFUSE_BYTES {
        return Err(Refusal::TooLarge { bytes: file.len(), limit: limits::PROFILE_REFUSE_BYTES });
    }
    let mut bytes = Cow::Borrowed(file);
    let mut warnings = Vec::new();
    if file.len() > limits::PROFILE_WARN_BYTES {
        warnings.push(Warning::new(
            "L48",
            format!("The file has {} bytes; no export is near that size.", file.len()),
        ));
    }
    let mut base64_seen = false;
    for _ in 0..=MOST_LAYERS {
        let (inner, message) = match Kind::of(&bytes) {
            kind @ (Kind::SignedData | Kind::BinaryPlist | Kind::Xml) => {
                let signed = kind == Kind::SignedData;
                return Ok(Opened { bytes: bytes.into_owned(), signed, warnings });
            }
            Kind::Pem => (pem(&bytes)?, "The file is PEM text; the device gets the DER inside."),
            Kind::Mime => {
                (mime(&bytes)?, "The file is an S/MIME message; the device gets the signed data inside.")
            }
            Kind::Utf16 => (utf16(&bytes)?, "The file is UTF-16 text; the device gets it as UTF-8."),
            Kind::Json => {
                (json(&bytes)?, "The file is a JSON answer; the device gets the profile in its \"value\".")
            }
            Kind::Base64 if !base64_seen => {
                base64_seen = true;
                let damaged = Refusal::NotProfile;
                (base64(&bytes).ok_or(damaged)?, "The file is base64 text; the device gets what it encodes.")
            }
            kind => return Err(dead_end(kind)),
        };
        warnings.push(Warning { code: None, message: message.to_owned() });
        bytes = Cow::Owned(inner);
    }
    Err(Refusal::TooManyLayers)
}

/// The property list inside a signature, made readable. The signed bytes themselves are
/// never changed (F16).
pub(super) fn readable(content: &[u8]) -> Result<(Cow<'_, [u8]>, Option<Warning>), Refusal> {
    match Kind::of(content) {
        Kind::Xml | Kind::BinaryPlist => Ok((Cow::Borrowed(content), None)),
        Kind::Utf16 => {
            let message = "The signed profile is UTF-16 text, converted for checking only.".to_owned();
            Ok((Cow::Owned(utf16(content)?), Some(Warning { code: None, message })))
        }
        _ => Err(Refusal::NotProfile),
    }
}

fn dead_end(kind: Kind) -> Refusal {
    match kind {
        Kind::Empty => Refusal::Empty,
        Kind::Compressed(form) => Refusal::Compressed { form },
        Kind::EnvelopedData => Refusal::WhollyEncrypted,
        Kind::WebPage => Refusal::WebPage,
        Kind::Url => Refusal::ProfileUrl,
        _ => Refusal::NotProfile,
    }
}

/// The last number of a PKCS#7 content type: 2 signed, 3 enveloped.
fn pkcs7_type(bytes: &[u8]) -> Option<u8> {
    let rest = bytes.strip_prefix(&[ber::tag::SEQUENCE])?;
    let extra = match rest.first()? {
        length @ 0x81..=0x84 => usize::from(length & 0x7f),
        0..=0x80 => 0,
        _ => return None,
    };
    rest.get(1 + extra..)?.strip_prefix(PKCS7)?.first().copied()
}

/// Case does not matter.
fn starts_with(bytes: &[u8], prefix: &str) -> bool {
    bytes.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix.as_bytes()))
}

/// Row 9, and pages in XHTML, which begin like XML.
fn is_web_page(bare: &[u8]) -> bool {
    let body = match bare.starts_with(b"<?xml") {
        true => find(bare, b"?>").map_or(bare, |end| bare[end + 2..].trim_ascii_start()),
        false => bare,
    };
    starts_with(body, "<!DOCTYPE html") || starts_with(body, "<html")
}

fn is_xml(bare: &[u8]) -> bool {
    ["<?xml", "<!DOCTYPE plist", "<plist"].iter().any(|start| bare.starts_with(start.as_bytes()))
}

fn is_base64(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=' | b'\r' | b'\n')
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

fn pem_label(bare: &[u8]) -> Option<&'static [u8]> {
    let labels: [&[u8]; 2] = [b"-----BEGIN PKCS7-----", b"-----BEGIN CMS-----"];
    labels.into_iter().find(|label| bare.starts_with(label))
}

fn pem(bytes: &[u8]) -> Result<Vec<u8>, Refusal> {
    let damaged = Refusal::Damaged { what: "its PEM text is cut off or not base64" };
    let bare = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes).trim_ascii();
    let body = &bare[pem_label(bare).map_or(0, <[u8]>::len)..];
    find(body, b"-----END ").and_then(|end| base64(&body[..end])).ok_or(damaged)
}

fn mime(bytes: &[u8]) -> Result<Vec<u8>, Refusal> {
    let bare = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes).trim_ascii_start();
    let blank = |mark: &[u8]| find(bare, mark).map(|at| (at, at + mark.len()));
    let ends = [blank(b"\r\n\r\n"), blank(b"\n\n")];
    let (headers, body) = match ends.into_iter().flatten().min() {
        Some((end, start)) => (&bare[..end], &bare[start..]),
        None => return Err(Refusal::Damaged { what: "the S/MIME message has no body" }),
    };
    // Clear-signed mail keeps content and signature apart.
    if find(&headers.to_ascii_lowercase(), b"multipart/").is_some() {
        return Err(Refusal::Detached);
    }
    match pkcs7_type(body) {
        Some(_) => Ok(body.to_vec()),
        None => base64(body).ok_or(Refusal::Damaged { what: "the body of the S/MIME message is not base64" }),
    }
}

fn json(bytes: &[u8]) -> Result<Vec<u8>, Refusal> {
    let bare = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes).trim_ascii();
    let answer: serde_json::Value = serde_json::from_slice(bare).map_err(|_| Refusal::NotProfile)?;
    let value = answer.get("value").and_then(|value| value.as_str());
    value.map(|text| text.as_bytes().to_vec()).ok_or(Refusal::JsonWithoutValue)
}

/// Decodes base64 with blanks and newlines anywhere; padding may be missing.
fn base64(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut text: String =
        bytes.iter().filter(|b| !b.is_ascii_whitespace()).map(|b| char::from(*b)).collect();
    let letters = text.trim_end_matches('=').len();
    let body_is_clean = text.as_bytes()[..letters].iter().all(|byte| is_base64(byte) && *byte != b'=');
    if letters == 0 || letters % 4 == 1 || text.len() - letters > 2 || !body_is_clean {
        return None;
    }
    text.truncate(letters);
    text.extend(std::iter::repeat_n('=', (4 - letters % 4) % 4));
    openssl::base64::decode_block(&text).ok()
}

/// UTF-8 of a UTF-16 text, its XML declaration made true.
fn utf16(bytes: &[u8]) -> Result<Vec<u8>, Refusal> {
    let big = bytes.starts_with(b"\xFE\xFF") || bytes.starts_with(b"\0");
    let (pairs, odd) = bytes.as_chunks::<2>();
    let cut = Refusal::PropertyList { error: PlistError::Truncated { offset: bytes.len() }, signed: false };
    if !odd.is_empty() {
        return Err(cut);
    }
    let units = pairs.iter().map(|pair| match big {
        true => u16::from_be_bytes(*pair),
        false => u16::from_le_bytes(*pair),
    });
    let text: Result<String, _> = char::decode_utf16(units).collect();
    let text = text.map_err(|_| Refusal::Damaged { what: "its UTF-16 text holds half a character" })?;
    Ok(declare_utf8(text.trim_start_matches('\u{feff}')).into_bytes())
}

pub(super) fn declare_utf8(text: &str) -> String {
    let declared = (|| {
        let declaration = &text[..text.starts_with("<?xml").then(|| text.find("?>"))??];
        let name = declaration.find("encoding")?;
        let open = name + declaration[name..].find(['"', '\''])?;
        let quote = char::from(declaration.as_bytes()[open]);
        Some((open + 1, open + 1 + declaration[open + 1..].find(quote)?))
    })();
    match declared {
        Some((start, end)) => format!("{}UTF-8{}", &text[..start], &text[end..]),
        None => text.to_owned(),
    }
}

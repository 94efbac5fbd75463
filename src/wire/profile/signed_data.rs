//! The structure of a signed profile: CMS SignedData around the property list
//! (profiles-and-enrollment.md 1.6). Reads only; OpenSSL judges the signature.

use super::ber::{BerError, Element, Reader, tag};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// 1.2.840.113549.1.7.2, SignedData.
pub(super) const SIGNED_DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x02];
/// 1.2.840.113549.1.7.1, plain data.
pub(super) const DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x01];
/// 1.2.840.113549.1.9.5, signingTime.
pub(super) const SIGNING_TIME: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x05];

/// Most certificates and signers we look at; real files have two or three and one.
const MOST_ITEMS: usize = 64;

/// What a signed file is made of.
#[derive(Debug)]
pub(super) struct SignedData<'a> {
    /// The file without what may follow it.
    pub(super) raw: &'a [u8],
    /// What follows it.
    pub(super) trailing: &'a [u8],
    /// None: the signature is detached.
    pub(super) content: Option<Vec<u8>>,
    /// DER, in file order.
    pub(super) certificates: Vec<&'a [u8]>,
    pub(super) signers: Vec<SignerInfo<'a>>,
}

/// One signer.
#[derive(Debug)]
pub(super) struct SignerInfo<'a> {
    id: SignerId<'a>,
    /// Digest algorithm as a dotted number.
    pub(super) digest: String,
    pub(super) signing_time: Option<Timestamp>,
}

#[derive(Debug)]
enum SignerId<'a> {
    IssuerAndSerial { issuer: &'a [u8], serial: &'a [u8] },
    KeyId(&'a [u8]),
}

impl<'a> SignedData<'a> {
    /// Reads DER or BER. `Cut` means that the file as a whole is too short.
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, BerError> {
        let mut file = Reader::new(bytes);
        let outer = file.next()?.ok_or(BerError::Cut)?;
        // Whatever is too short further in, the whole is there.
        Self::read_outer(outer, file.rest()).map_err(|_| BerError::Malformed)
    }

    fn read_outer(outer: Element<'a>, trailing: &'a [u8]) -> Result<Self, BerError> {
        let mut outer_fields = outer.inside();
        if outer_fields.expect(tag::OID)?.content != SIGNED_DATA {
            return Err(BerError::Malformed);
        }
        let mut fields = outer_fields.expect(tag::CONTEXT_0)?.inside().expect(tag::SEQUENCE)?.inside();
        fields.expect(tag::INTEGER)?;
        fields.expect(tag::SET)?;
        let content = encapsulated(fields.expect(tag::SEQUENCE)?)?;
        let certificates = match fields.optional(tag::CONTEXT_0)? {
            Some(set) => collect(set, |item| Ok((item.tag == tag::SEQUENCE).then_some(item.raw)))?,
            None => Vec::new(),
        };
        fields.optional(tag::CONTEXT_1)?;
        let signers = collect(fields.expect(tag::SET)?, |item| SignerInfo::read(item).map(Some))?;
        Ok(Self { raw: outer.raw, trailing, content, certificates, signers })
    }
}

fn encapsulated(element: Element<'_>) -> Result<Option<Vec<u8>>, BerError> {
    let mut fields = element.inside();
    if fields.expect(tag::OID)?.content != DATA {
        return Err(BerError::Malformed);
    }
    match fields.optional(tag::CONTEXT_0)? {
        Some(explicit) => explicit.inside().next()?.ok_or(BerError::Malformed)?.octets().map(Some),
        None => Ok(None),
    }
}

fn collect<'a, T>(
    set: Element<'a>,
    read: impl Fn(Element<'a>) -> Result<Option<T>, BerError>,
) -> Result<Vec<T>, BerError> {
    let (mut items, mut reader) = (Vec::new(), set.inside());
    while let Some(item) = reader.next()? {
        if items.len() == MOST_ITEMS {
            return Err(BerError::Malformed);
        }
        items.extend(read(item)?);
    }
    Ok(items)
}

impl<'a> SignerInfo<'a> {
    fn read(element: Element<'a>) -> Result<Self, BerError> {
        let mut fields = element.inside();
        fields.expect(tag::INTEGER)?;
        let id = match fields.next()?.ok_or(BerError::Malformed)? {
            Element { tag: tag::CONTEXT_0_PRIMITIVE, content, .. } => SignerId::KeyId(content),
            element if element.tag == tag::SEQUENCE => {
                let mut names = element.inside();
                let issuer = names.expect(tag::SEQUENCE)?.raw;
                SignerId::IssuerAndSerial { issuer, serial: names.expect(tag::INTEGER)?.content }
            }
            _ => return Err(BerError::Malformed),
        };
        let algorithm = fields.expect(tag::SEQUENCE)?.inside().expect(tag::OID)?;
        let signing_time = match fields.optional(tag::CONTEXT_0)? {
            Some(attributes) => signing_time(attributes)?,
            None => None,
        };
        Ok(Self { id, digest: dotted(algorithm.content), signing_time })
    }

    /// Whether this certificate (DER), with this subject key identifier, is the signer's.
    pub(super) fn is(&self, certificate: &[u8], key_id: Option<&[u8]>) -> bool {
        match self.id {
            SignerId::KeyId(id) => key_id == Some(id),
            SignerId::IssuerAndSerial { issuer, serial } => {
                issuer_and_serial(certificate).is_ok_and(|found| found == (issuer, serial))
            }
        }
    }
}

fn issuer_and_serial(certificate: &[u8]) -> Result<(&[u8], &[u8]), BerError> {
    let mut fields = Reader::new(certificate).expect(tag::SEQUENCE)?.inside().expect(tag::SEQUENCE)?.inside();
    fields.optional(tag::CONTEXT_0)?;
    let serial = fields.expect(tag::INTEGER)?.content;
    fields.expect(tag::SEQUENCE)?;
    Ok((fields.expect(tag::SEQUENCE)?.raw, serial))
}

fn signing_time(attributes: Element<'_>) -> Result<Option<Timestamp>, BerError> {
    let mut attributes = attributes.inside();
    while let Some(attribute) = attributes.next()? {
        let mut fields = attribute.inside();
        if fields.expect(tag::OID)?.content == SIGNING_TIME {
            let value = fields.expect(tag::SET)?.inside().next()?;
            return Ok(value.and_then(|value| time(value.tag, value.content)));
        }
    }
    Ok(None)
}

/// UTCTime or GeneralizedTime in the forms CMS allows: to the second, ending in `Z`.
fn time(tag: u8, content: &[u8]) -> Option<Timestamp> {
    let text = std::str::from_utf8(content).ok()?.strip_suffix('Z')?;
    let number = |range: std::ops::Range<usize>| text.get(range)?.parse::<i16>().ok();
    let (year, rest) = match (tag, text.len()) {
        // RFC 5652 11.3: two digits from 50 on are the last century's.
        (tag::UTC_TIME, 12) => (number(0..2).map(|year| year + if year < 50 { 2000 } else { 1900 })?, 2),
        (tag::GENERALIZED_TIME, 14) => (number(0..4)?, 4),
        _ => return None,
    };
    let two = |index: usize| i8::try_from(number(rest + 2 * index..rest + 2 * index + 2)?).ok();
    let civil = DateTime::new(year, two(0)?, two(1)?, two(2)?, two(3)?, two(4)?, 0).ok()?;
    Some(civil.to_zoned(TimeZone::UTC).ok()?.timestamp())
}

/// An object identifier as a dotted number.
fn dotted(content: &[u8]) -> String {
    let mut numbers = Vec::new();
    let mut value = 0u64;
    for byte in content {
        value = value << 7 | u64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            numbers.push(std::mem::take(&mut value));
        }
    }
    let Some(first) = numbers.first_mut() else { return String::new() };
    let head = (*first / 40).min(2);
    *first -= head * 40;
    let tail: String = numbers.iter().map(|number| format!(".{number}")).collect();
    format!("{head}{tail}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn object_identifiers_are_dotted() {
        assert_eq!(dotted(SIGNED_DATA), "1.2.840.113549.1.7.2");
        assert_eq!(dotted(&[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01]), "2.16.840.1.101.3.4.2.1");
    }

    #[test]
    fn both_forms_of_time_are_read() {
        let expected: Timestamp = "2026-02-03T04:05:06Z".parse().unwrap();
        assert_eq!(time(tag::UTC_TIME, b"260203040506Z"), Some(expected));
        assert_eq!(time(tag::GENERALIZED_TIME, b"20260203040506Z"), Some(expected));
        for wrong in [b"260203040506".as_slice(), b"2613030405060Z", b"261303040506Z", b"", b"\xffZ"] {
            assert_eq!(time(tag::UTC_TIME, wrong), None);
        }
    }
}

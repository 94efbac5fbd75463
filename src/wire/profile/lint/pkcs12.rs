//! Certificates of a PKCS#12 identity, read without its key (2.4, L36).
//!
//! OpenSSL's own reader decrypts everything with as many rounds as the file asks for, so a
//! hostile file could hold it for hours. This one counts the rounds against a budget,
//! and knows the encryption of current tools (PBES2 with AES); an identity encrypted in an
//! older way is not looked into.

use super::super::ber::{BerError, Element, Reader, tag};
use openssl::hash::MessageDigest;
use openssl::pkcs5::pbkdf2_hmac;
use openssl::symm::{Cipher, decrypt};

/// Rounds of key derivation one file may cost. OpenSSL writes 2,048, careful tools up to
/// a million; these cost about a second.
pub(super) const ROUNDS: u64 = 2_000_000;

/// Parts and bags of one identity that are looked at; real ones have two parts.
const MOST_ITEMS: usize = 16;

/// 1.2.840.113549.1.7.1
const DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x01];
/// 1.2.840.113549.1.7.6
const ENCRYPTED_DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x06];
/// 1.2.840.113549.1.12.10.1.3
const CERTIFICATE_BAG: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x0c, 0x0a, 0x01, 0x03];
/// 1.2.840.113549.1.5.13
const PBES2: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x05, 0x0d];
/// 1.2.840.113549.1.5.12
const PBKDF2: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x05, 0x0c];

/// The certificates, as DER; none if they cannot be read.
pub(super) fn certificates(pfx: &[u8], password: Option<&str>, rounds: &mut u64) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    // What was found before the damage still counts.
    let _ = parts(pfx, password.unwrap_or_default(), rounds, &mut found);
    found
}

fn parts(pfx: &[u8], password: &str, rounds: &mut u64, found: &mut Vec<Vec<u8>>) -> Result<(), BerError> {
    let mut fields = Reader::new(pfx).expect(tag::SEQUENCE)?.inside();
    fields.expect(tag::INTEGER)?;
    let mut outer = fields.expect(tag::SEQUENCE)?.inside();
    if outer.expect(tag::OID)?.content != DATA {
        return Ok(());
    }
    let safe = explicit(outer.expect(tag::CONTEXT_0)?)?.octets()?;
    let mut infos = Reader::new(&safe).expect(tag::SEQUENCE)?.inside();
    for _ in 0..MOST_ITEMS {
        let Some(info) = infos.next()? else { break };
        let mut info = info.inside();
        let kind = info.expect(tag::OID)?.content;
        let content = explicit(info.expect(tag::CONTEXT_0)?)?;
        let bags = match kind {
            DATA => Some(content.octets()?),
            ENCRYPTED_DATA => open(content, password, rounds)?,
            _ => None,
        };
        if let Some(bags) = bags {
            read_bags(&bags, found)?;
        }
    }
    Ok(())
}

fn explicit(wrapper: Element<'_>) -> Result<Element<'_>, BerError> {
    wrapper.inside().next()?.ok_or(BerError::Malformed)
}

fn read_bags(bags: &[u8], found: &mut Vec<Vec<u8>>) -> Result<(), BerError> {
    let mut bags = Reader::new(bags).expect(tag::SEQUENCE)?.inside();
    for _ in 0..MOST_ITEMS {
        let Some(bag) = bags.next()? else { break };
        let mut bag = bag.inside();
        if bag.expect(tag::OID)?.content != CERTIFICATE_BAG {
            continue;
        }
        let mut certificate = explicit(bag.expect(tag::CONTEXT_0)?)?.inside();
        certificate.expect(tag::OID)?;
        found.push(explicit(certificate.expect(tag::CONTEXT_0)?)?.octets()?);
    }
    Ok(())
}

/// Decrypts an EncryptedData; none if in a way that is not known, or too costly.
fn open(content: Element<'_>, password: &str, rounds: &mut u64) -> Result<Option<Vec<u8>>, BerError> {
    let mut data = content.inside();
    data.expect(tag::INTEGER)?;
    let mut fields = data.expect(tag::SEQUENCE)?.inside();
    fields.expect(tag::OID)?;
    let mut algorithm = fields.expect(tag::SEQUENCE)?.inside();
    if algorithm.expect(tag::OID)?.content != PBES2 {
        return Ok(None);
    }
    let mut parameters = algorithm.expect(tag::SEQUENCE)?.inside();
    let (mut derivation, mut scheme) =
        (parameters.expect(tag::SEQUENCE)?.inside(), parameters.expect(tag::SEQUENCE)?.inside());
    if derivation.expect(tag::OID)?.content != PBKDF2 {
        return Ok(None);
    }
    let mut derivation = derivation.expect(tag::SEQUENCE)?.inside();
    let salt = derivation.expect(tag::OCTETS)?.content;
    let count = integer(derivation.expect(tag::INTEGER)?.content);
    derivation.optional(tag::INTEGER)?;
    let digest = match derivation.optional(tag::SEQUENCE)? {
        Some(function) => digest(function.inside().expect(tag::OID)?.content),
        None => Some(MessageDigest::sha1()),
    };
    let cipher = cipher(scheme.expect(tag::OID)?.content);
    let vector = scheme.expect(tag::OCTETS)?.content;
    let sealed = fields.next()?.ok_or(BerError::Malformed)?;
    let (Some(count), Some(digest), Some(cipher)) = (count, digest, cipher) else { return Ok(None) };
    if cipher.iv_len() != Some(vector.len()) {
        return Ok(None);
    }
    let Some(left) = rounds.checked_sub(count) else { return Ok(None) };
    *rounds = left;
    let mut key = vec![0; cipher.key_len()];
    let count = usize::try_from(count).map_err(|_| BerError::Malformed)?;
    let opened = pbkdf2_hmac(password.as_bytes(), salt, count, digest, &mut key)
        .and_then(|()| decrypt(cipher, &key, Some(vector), sealed.content));
    Ok(opened.ok())
}

/// A small positive number.
fn integer(content: &[u8]) -> Option<u64> {
    match content {
        [] => None,
        [first, ..] if content.len() > 8 || first & 0x80 != 0 => None,
        _ => Some(content.iter().fold(0, |value, byte| value << 8 | u64::from(*byte))).filter(|n| *n > 0),
    }
}

/// HMAC with SHA-1, SHA-256, SHA-384, SHA-512 (1.2.840.113549.2.x).
fn digest(id: &[u8]) -> Option<MessageDigest> {
    match id.strip_prefix(&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x02])? {
        [7] => Some(MessageDigest::sha1()),
        [9] => Some(MessageDigest::sha256()),
        [10] => Some(MessageDigest::sha384()),
        [11] => Some(MessageDigest::sha512()),
        _ => None,
    }
}

/// AES in CBC mode (2.16.840.1.101.3.4.1.x).
fn cipher(id: &[u8]) -> Option<Cipher> {
    match id.strip_prefix(&[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x01])? {
        [2] => Some(Cipher::aes_128_cbc()),
        [22] => Some(Cipher::aes_192_cbc()),
        [42] => Some(Cipher::aes_256_cbc()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::profile::example::Signer;

    #[test]
    fn rounds_are_counted_before_they_are_done() {
        let signer = Signer::new("2026-03-01T12:00:00Z".parse().unwrap()).unwrap();
        let mut builder = openssl::pkcs12::Pkcs12::builder();
        let identity =
            builder.cert(signer.leaf()).pkey(signer.key()).build2("pass").unwrap().to_der().unwrap();
        let mut rounds = ROUNDS;
        assert_eq!(certificates(&identity, Some("pass"), &mut rounds), [signer.leaf().to_der().unwrap()]);
        assert!(rounds < ROUNDS);
        let mut few = 10;
        assert!(certificates(&identity, Some("pass"), &mut few).is_empty());
        assert_eq!(few, 10);
        for end in 0..identity.len() {
            certificates(&identity[..end], None, &mut few);
        }
        assert_eq!([&[0x80][..], &[], &[0; 9], &[0]].map(integer), [None; 4]);
        assert_eq!(integer(&[8, 0]), Some(2048));
    }
}

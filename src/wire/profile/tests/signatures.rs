//! Signatures: 1.6, F01, F04, F05 and the cheap extras.

use super::*;
use crate::wire::profile::example::SignatureShape;
use openssl::cms::{CMSOptions, CmsContentInfo};
use openssl::stack::Stack;

fn report(profile: &Profile) -> &SignedReport {
    match profile.signature() {
        SignatureReport::Signed(report) => report,
        SignatureReport::Unsigned => panic!("must be signed"),
    }
}

fn openssl_signed(content: &[u8], options: CMSOptions) -> Vec<u8> {
    let mut chain = Stack::new().unwrap();
    chain.push(SIGNER.intermediate().clone()).unwrap();
    let (leaf, key) = (SIGNER.leaf(), SIGNER.key());
    let cms = CmsContentInfo::sign(Some(leaf), Some(key), Some(&chain), Some(content), options).unwrap();
    cms.to_der().unwrap()
}

#[test]
fn f01_a_good_signature_is_reported_in_full() {
    let plain = xml(&scep());
    let file = sign(&plain);
    let profile = load(&file).unwrap();
    let report = report(&profile);
    assert_eq!((&report.broken, &report.chain), (&None, &ChainVerdict::Trusted));
    assert_eq!((report.digest.as_str(), report.signers, report.certificates), ("sha256", 1, 2));
    let signer = report.signer.as_ref().unwrap();
    assert_eq!(signer.common_name, "IOSProfileSigning.bench.example");
    assert_eq!(signer.issuer, "Bench Intermediate");
    assert_eq!(signer.not_before, yesterday());
    assert_eq!(signer.not_after, yesterday() + SignedDuration::from_hours(24 * 365));
    assert_eq!(signer.sha256, sha256(&SIGNER.leaf().to_der().unwrap()));
    assert_eq!(profile.signing_time(), Some(yesterday()));
    assert_eq!(profile.bytes().expose(), &file);
    assert_eq!(profile.content_sha256(), sha256(&plain));
    assert!(profile.warnings().is_empty());
}

#[test]
fn openssl_writes_and_reads_the_same_structure() {
    let plain = xml(&scep());
    let profile = load(&openssl_signed(&plain, CMSOptions::BINARY)).unwrap();
    assert_eq!(report(&profile).digest, "sha256");
    assert!(profile.signing_time().is_some());
    let by_key_id = load(&openssl_signed(&plain, CMSOptions::BINARY | CMSOptions::USE_KEYID)).unwrap();
    assert!(report(&by_key_id).signer.is_some());
    let bare = load(&openssl_signed(&plain, CMSOptions::BINARY | CMSOptions::NOATTR)).unwrap();
    assert_eq!((report(&bare).broken.as_deref(), bare.signing_time()), (None, None));
}

#[test]
fn a_signature_without_time_or_in_ber_is_good() {
    let plain = xml(&scep());
    for indefinite in [false, true] {
        let shape = SignatureShape { indefinite, ..SignatureShape::default() };
        let file = SIGNER.sign_as(&plain, shape).unwrap();
        let profile = load(&file).unwrap();
        assert_eq!((profile.signing_time(), report(&profile).broken.as_deref()), (None, None));
        assert_eq!(profile.bytes().expose(), &file);
    }
}

#[test]
fn f04_an_unknown_root_draws_a_warning() {
    let file = sign(&xml(&scep()));
    let stranger = Signer::new(now()).unwrap();
    let other = TrustAnchors::from_pem(&stranger.root_pem().unwrap()).unwrap();
    for anchors in [TrustAnchors::none(), other] {
        let profile = Profile::load(&file, Purpose::Enrollment, &anchors, now()).unwrap();
        assert!(matches!(report(&profile).chain, ChainVerdict::Untrusted { .. }));
        assert_eq!(report(&profile).broken, None);
        assert_eq!(warning_codes(&profile), [Some("L43")]);
        assert!(profile.warnings()[0].message.contains("issuer"), "{:?}", profile.warnings());
    }
}

#[test]
fn an_intermediate_may_be_the_anchor() {
    let anchors = TrustAnchors::from_pem(&SIGNER.intermediate().to_pem().unwrap()).unwrap();
    let profile = Profile::load(&sign(&xml(&scep())), Purpose::Enrollment, &anchors, now()).unwrap();
    assert_eq!(report(&profile).chain, ChainVerdict::Trusted);
}

#[test]
fn an_expired_signer_is_told_apart() {
    let later = now() + SignedDuration::from_hours(24 * 400);
    let at = |file: &[u8], time| Profile::load(file, Purpose::Enrollment, &trusted(), time).unwrap();
    let file = sign(&xml(&scep()));
    let profile = at(&file, later);
    assert!(matches!(report(&profile).chain, ChainVerdict::OutOfTime { valid_when_signed: true, .. }));
    assert_eq!(warning_codes(&profile), [Some("L44")]);
    let undated = SIGNER.sign_as(&xml(&scep()), SignatureShape::default()).unwrap();
    let profile = at(&undated, later);
    assert!(matches!(report(&profile).chain, ChainVerdict::OutOfTime { valid_when_signed: false, .. }));
    assert_eq!(warning_codes(&profile), [Some("L43")]);
    let early = at(&file, now() - SignedDuration::from_hours(24 * 30));
    let ChainVerdict::OutOfTime { problem, .. } = &report(&early).chain else { panic!("{early:?}") };
    assert!(problem.contains("not yet valid"), "{problem}");
}

#[test]
fn f05_a_changed_profile_is_refused() {
    let mut file = sign(&xml(&scep()));
    let at = file.windows(4).position(|window| window == b"8191").unwrap();
    file[at..at + 4].copy_from_slice(b"8187");
    let refusal = refused(&file);
    assert!(matches!(refusal, Refusal::SignatureBroken { .. }), "{refusal}");
    assert_eq!((refusal.code(), refusal.kind()), (Some("L42"), RefusalKind::Forbidden));
    let profile = show(&file).unwrap();
    assert_eq!(profile.enrollment_refusals(), [refusal]);
    assert_eq!((profile.signing_time(), profile.identifier()), (None, "Microsoft.Profiles.MDM"));
    assert!(profile.warnings().is_empty(), "one finding is enough");
}

#[test]
fn a_change_anywhere_in_the_content_is_called_a_change() {
    let plain = xml(&scep());
    let file = sign(&plain);
    let start = file.windows(5).position(|window| window == b"<?xml").unwrap();
    for at in (start..start + plain.len()).step_by(3) {
        let mut changed = file.clone();
        changed[at] ^= 1;
        let refusal = refused(&changed);
        // A bomb stays a bomb, whoever changed it.
        assert!(matches!(refusal.code(), Some("L42" | "L48")), "byte {at}: {refusal}");
    }
}

#[test]
fn signatures_that_prove_nothing_are_refused() {
    let plain = xml(&scep());
    let detached = SignatureShape { detached: true, ..SignatureShape::default() };
    assert_eq!(refused(&SIGNER.sign_as(&plain, detached).unwrap()), Refusal::Detached);
    let bare = SignatureShape { without_certificates: true, ..SignatureShape::default() };
    assert_eq!(refused(&SIGNER.sign_as(&plain, bare).unwrap()).code(), Some("L42"));
    assert_eq!(refused(&sign(b"")), Refusal::NotProfile);
    assert_eq!(refused(&sign(&sign(&plain))), Refusal::NotProfile);
}

#[test]
fn f17_truncation_is_told_apart() {
    let plain = xml(&scep());
    let half = &plain[..plain.len() / 2];
    let cut = PlistError::Truncated { offset: half.len() };
    assert_eq!(refused(half), Refusal::PropertyList { error: cut.clone(), signed: false });
    let file = sign(&plain);
    let bytes = file.len() * 6 / 10;
    assert_eq!(refused(&file[..bytes]), Refusal::SignatureTruncated { bytes });
    let resigned = refused(&sign(half));
    assert_eq!(resigned, Refusal::PropertyList { error: cut, signed: true });
    assert!(resigned.to_string().contains("so when it was signed"), "{resigned}");
}

#[test]
fn a_newline_after_the_signature_is_not_pushed_and_more_is_refused() {
    let file = sign(&xml(&scep()));
    let with = |tail: &[u8]| [file.as_slice(), tail].concat();
    assert_eq!(load(&with(b"\r\n")).unwrap().bytes().expose(), &file);
    assert_eq!(refused(&with(b"junk")), Refusal::SignatureDamaged);
}

#[test]
fn roots_come_from_pem_only() {
    assert!(TrustAnchors::from_pem(b"").is_err());
    assert!(TrustAnchors::from_pem(b"no certificate").is_err());
    let mut anchors = trusted();
    assert_eq!(anchors.add_pem(&SIGNER.root_pem().unwrap()).unwrap(), 1);
    assert_eq!((anchors.len(), anchors.is_empty()), (2, false));
}

#[test]
fn another_signer_than_the_accepted_one_is_refused() {
    use crate::wire::profile::lint::{LintContext, Severity, lint};
    let name = || SignerPin::try_from("IOSProfileSigning.bench.example".to_owned()).unwrap();
    let digest = || SignerPin::Digest(sha256(&SIGNER.leaf().to_der().unwrap()));
    let other = || SignerPin::try_from("Somebody Else".to_owned()).unwrap();
    let plain = xml(&scep());
    let (file, context) = (sign(&plain), LintContext::new(Some(now())));
    let stranger = Signer::new(now()).unwrap().sign(&plain, yesterday()).unwrap();
    // The same name, in a chain nobody knows, is another signer; a digest needs no chain.
    for (anchors, file, accepted) in [
        (trusted().pinned(Some(name())), &file, true),
        (trusted().pinned(Some(digest())), &file, true),
        (TrustAnchors::none().pinned(Some(digest())), &file, true),
        (trusted().pinned(Some(other())), &file, false),
        (trusted().pinned(Some(SignerPin::Digest([0; 32]))), &file, false),
        (TrustAnchors::none().pinned(Some(name())), &file, false),
        (trusted().pinned(Some(name())), &stranger, false),
        (trusted().pinned(Some(digest())), &stranger, false),
        (trusted().pinned(Some(name())), &plain, false),
    ] {
        let loaded = Profile::load(file, Purpose::Enrollment, &anchors, now());
        let is_other = matches!(&loaded, Err(refusal @ Refusal::OtherSigner { .. })
            if refusal.code() == Some("L43") && refusal.kind() == RefusalKind::Forbidden);
        assert_eq!((loaded.is_ok(), is_other), (accepted, !accepted), "{loaded:?}");
        let errors = lint(file, &anchors, &context).count(Severity::Error);
        assert_eq!(errors, usize::from(!accepted));
        // It may be looked at.
        assert!(Profile::load(file, Purpose::Any, &anchors, now()).is_ok());
    }
    // A broken signature is told first.
    let mut changed = file.clone();
    let at = changed.windows(4).position(|window| window == b"8191").unwrap();
    changed[at + 3] = b'7';
    let broken = Profile::load(&changed, Purpose::Enrollment, &trusted().pinned(Some(other())), now());
    assert!(matches!(broken, Err(Refusal::SignatureBroken { .. })), "{broken:?}");
}

#[test]
fn what_the_signer_is_made_for_is_told() {
    let profile = load(&sign(&xml(&scep()))).unwrap();
    let signer = report(&profile).signer.as_ref().unwrap();
    assert_eq!(signer.purposes, ["server"], "IOSProfileSigning has serverAuth");
}

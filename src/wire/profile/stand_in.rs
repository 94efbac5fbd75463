//! A profile that is never pushed: it stands in the journal for a task without one, such as
//! an erase, so that each job there has a name and a digest of what it is about.

use super::{Profile, Purpose, Refusal, TrustAnchors};
use crate::wire::fields::{dictionary, string};
use crate::wire::property_list;
use jiff::Timestamp;
use plist::Value;

/// Stands for a task of this `kind`; equal digests are the same task.
///
/// # Errors
/// None that can be met: it is a profile as any other.
pub fn stand_in(kind: &str, title: &str, digest: [u8; 32]) -> Result<Profile, Refusal> {
    let uuid = |half: usize| {
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest[half * 16..][..16]);
        // Two of them, even where both halves are the same.
        bytes[0] ^= u8::try_from(half).unwrap_or_default();
        uuid::Builder::from_random_bytes(bytes).into_uuid().to_string().to_uppercase()
    };
    let identifier = format!("enlist.{kind}");
    let payload = dictionary([
        ("PayloadIdentifier", string(format!("{identifier}.task"))),
        ("PayloadType", string("enlist.task")),
        ("PayloadUUID", string(uuid(1))),
        ("PayloadVersion", Some(Value::from(1))),
    ]);
    let root = dictionary([
        ("PayloadContent", Some(Value::Array(vec![Value::Dictionary(payload)]))),
        ("PayloadDisplayName", string(title)),
        ("PayloadIdentifier", string(identifier)),
        ("PayloadType", string("Configuration")),
        ("PayloadUUID", string(uuid(0))),
        ("PayloadVersion", Some(Value::from(1))),
    ]);
    let file = property_list::to_xml(&Value::Dictionary(root));
    Profile::load(&file, Purpose::Any, &TrustAnchors::none(), Timestamp::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_named_by_its_task_and_cannot_be_pushed() {
        let of = |digest| stand_in("prepare", "Prepare for Contoso", [digest; 32]).unwrap();
        let profile = of(1);
        assert_eq!(
            (profile.identifier(), profile.display_name()),
            ("enlist.prepare", Some("Prepare for Contoso"))
        );
        assert_eq!(profile.file_sha256(), of(1).file_sha256());
        assert_ne!(profile.file_sha256(), of(2).file_sha256());
        assert!(!profile.enrollment_refusals().is_empty());
    }
}

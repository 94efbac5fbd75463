//! The identity string of recovery and DFU (protocols.md 8.1): the USB serial string there is
//! a list of `TAG:value`, values in square brackets where noted.

use super::printable::printable;

/// Longest identity string looked at, in bytes: a USB string has at most 126 characters, those
/// of KIS blocks are of the same kind (8.5).
const MOST_BYTES: usize = 1024;

/// What an identity string says. Parsed tolerantly: any order, unknown tags, missing tags.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BootIdentity {
    /// CPID: chip id.
    pub chip: Option<u32>,
    /// BDID: board id; means something only together with the chip.
    pub board: Option<u32>,
    /// ECID: the one number a device has in every mode.
    pub ecid: Option<u64>,
    /// SRNM: serial number; usually absent in DFU.
    pub serial: Option<String>,
    /// IMEI, of cellular devices in recovery.
    pub imei: Option<String>,
    /// SRTG: version of the boot stage.
    pub stage: Option<String>,
}

impl BootIdentity {
    /// Reads a string; `None` if it holds nothing of an identity.
    pub fn parse(text: &str) -> Option<Self> {
        let text = (0..=MOST_BYTES).rev().find_map(|end| text.get(..end)).unwrap_or_default();
        let mut identity = Self::default();
        for (tag, value) in tags(text) {
            let hex = || u64::from_str_radix(value, 16).ok();
            let short = || u32::from_str_radix(value, 16).ok();
            let words = || Some(printable(value)).filter(|v| !v.is_empty());
            match tag {
                "CPID" => identity.chip = short(),
                "BDID" => identity.board = short(),
                "ECID" => identity.ecid = hex(),
                "SRNM" => identity.serial = words(),
                "IMEI" => identity.imei = words(),
                "SRTG" => identity.stage = words(),
                _ => {}
            }
        }
        (identity != Self::default()).then_some(identity)
    }

    /// Product type by chip and board, for those listed in 8.4.
    pub fn product_type(&self) -> Option<&'static str> {
        let key = (self.chip?, self.board?);
        MODELS.iter().find(|(chip, board, _)| (*chip, *board) == key).map(|(_, _, model)| *model)
    }

    /// True for chips that only Macs have (8.2: T2; M-series chips are shared with iPads, so
    /// there the model decides).
    pub fn is_mac(&self) -> bool {
        self.chip == Some(0x8012)
            || self.product_type().is_some_and(|m| m.contains("Mac"))
            || self.chip.is_some_and(|chip| matches!(chip, 0x6000..=0x604f))
    }
}

/// `TAG:value` and `TAG:[value with blanks]`, one after the other.
fn tags(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut rest = text.trim_matches(|c: char| c.is_whitespace() || c == '\0');
    std::iter::from_fn(move || {
        let (tag, after) = rest.split_once(':')?;
        let (value, left) = match after.strip_prefix('[') {
            Some(inner) => inner.split_once(']').unwrap_or((inner, "")),
            None => after.split_once(char::is_whitespace).unwrap_or((after, "")),
        };
        rest = left.trim_start();
        // Words without a colon before the tag are none of it.
        Some((tag.rsplit(char::is_whitespace).next().unwrap_or(tag), value))
    })
}

/// CPID, BDID, product type (8.4).
const MODELS: &[(u32, u32, &str)] = &[
    (0x8010, 0x08, "iPhone9,1"),
    (0x8010, 0x0a, "iPhone9,2"),
    (0x8010, 0x0c, "iPhone9,3"),
    (0x8010, 0x0e, "iPhone9,4"),
    (0x8010, 0x18, "iPad7,5"),
    (0x8012, 0x0a, "iMacPro1,1"),
    (0x8012, 0x0b, "MacBookPro15,1"),
    (0x8012, 0x0c, "MacBookPro15,2"),
    (0x8012, 0x0e, "Macmini8,1"),
    (0x8012, 0x0f, "MacPro7,1"),
    (0x8012, 0x17, "MacBookAir8,1"),
    (0x8012, 0x3f, "MacBookAir9,1"),
    (0x8015, 0x02, "iPhone10,1"),
    (0x8015, 0x04, "iPhone10,2"),
    (0x8103, 0x18, "iPad13,8"),
    (0x8103, 0x22, "Macmini9,1"),
    (0x8103, 0x24, "MacBookPro17,1"),
    (0x8103, 0x26, "MacBookAir10,1"),
    (0x8103, 0x28, "iMac21,1"),
    (0x8103, 0x2a, "iMac21,2"),
    (0x8110, 0x18, "iPhone14,7"),
    (0x8112, 0x24, "Mac14,3"),
    (0x8112, 0x28, "Mac14,2"),
    (0x8112, 0x2a, "Mac14,7"),
    (0x8112, 0x2e, "Mac14,15"),
    (0x8122, 0x22, "Mac15,3"),
    (0x8122, 0x28, "Mac15,4"),
    (0x8122, 0x2a, "Mac15,5"),
    (0x8122, 0x30, "Mac15,12"),
    (0x8122, 0x32, "Mac15,13"),
    (0x8132, 0x22, "Mac16,1"),
    (0x8132, 0x24, "Mac16,2"),
    (0x8132, 0x26, "Mac16,3"),
    (0x8132, 0x2a, "Mac16,10"),
    (0x8132, 0x2c, "Mac16,12"),
    (0x8132, 0x2e, "Mac16,13"),
    (0x8142, 0x22, "Mac17,2"),
];

#[cfg(test)]
mod tests {
    use super::*;

    const RECOVERY: &str = "SDOM:01 CPID:8132 CPRV:11 CPFM:03 SCEP:01 BDID:2A ECID:000A1B2C3D4E5F60 \
                            IBFL:BC SIKA:00 SRNM:[C02X Y123] IMEI:[35 9] SRTG:[iBoot-1.2]";

    #[test]
    fn the_string_of_section_8_1() {
        let identity = BootIdentity::parse(RECOVERY).unwrap();
        assert_eq!((identity.chip, identity.board), (Some(0x8132), Some(0x2a)));
        assert_eq!(identity.ecid, Some(0x000A_1B2C_3D4E_5F60));
        assert_eq!(identity.serial.as_deref(), Some("C02X Y123"));
        assert_eq!(identity.imei.as_deref(), Some("35 9"));
        assert_eq!(identity.stage.as_deref(), Some("iBoot-1.2"));
        assert_eq!(identity.product_type(), Some("Mac16,10"));
        assert!(identity.is_mac());
    }

    #[test]
    fn any_order_unknown_and_missing_tags_and_broken_ends() {
        let identity =
            BootIdentity::parse("\0 XXXX:[a b] SRNM:[] ECID:FF noise BDID:zz CPID:8010 SRTG:[open").unwrap();
        assert_eq!(identity.ecid, Some(255));
        assert_eq!((identity.chip, identity.board, identity.serial.clone()), (Some(0x8010), None, None));
        assert_eq!(identity.stage.as_deref(), Some("open"));
        assert!(!identity.is_mac());
        for nothing in ["", "\0\0", "00008110001A2B3C4D5E6F70", ":::", "[:]", "FOO:bar"] {
            assert_eq!(BootIdentity::parse(nothing), None, "{nothing}");
        }
        let long = BootIdentity::parse(&format!("ECID:1 SRNM:[{}", "ü".repeat(2000))).unwrap();
        assert!(long.serial.is_some_and(|serial| serial.len() <= MOST_BYTES));
    }
}

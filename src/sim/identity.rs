//! Who a simulated device is: identifiers of real form (protocols.md 0.4), the same for the
//! same seed and place in the fleet.

use crate::ids::{BadUdid, Udid};
use fastrand::Rng;
use serde::{Deserialize, Serialize};

/// Kind of hardware.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Family {
    /// A phone: has an IMEI.
    Iphone,
    /// A tablet without cellular modem: has none.
    Ipad,
}

/// Identifiers of one device.
#[derive(Debug, Clone, Serialize)]
pub struct Identity {
    /// UDID: `CHIP-ECID` since the A12, 40 hex digits before.
    pub udid: Udid,
    /// ECID (lockdown `UniqueChipID`).
    pub ecid: u64,
    /// Chip number (`ChipID`).
    pub chip: u32,
    /// Serial number.
    pub serial: String,
    /// Kind of hardware.
    pub family: Family,
    /// ProductType, such as `iPhone15,4`.
    pub product_type: String,
    /// HardwareModel, such as `D37AP`.
    pub hardware_model: String,
    /// ModelNumber.
    pub model_number: String,
    /// IMEI; none on a Wi-Fi tablet.
    pub imei: Option<String>,
    /// Wi-Fi address, lower case. Locally administered, so no real device has it.
    pub wifi: String,
    /// Bluetooth address.
    pub bluetooth: String,
    /// Name shown on the device.
    pub name: String,
    /// ProductVersion.
    pub os_version: String,
    /// BuildVersion.
    pub build: String,
    /// Number of the USB socket it hangs on; a replug keeps it.
    pub location: u32,
}

/// ProductType, HardwareModel, ModelNumber, chip.
type Product = (&'static str, &'static str, &'static str, u32);

const PHONES: &[Product] = &[
    ("iPhone12,1", "N104AP", "MHDC3", 0x8030),
    ("iPhone13,2", "D53gAP", "MGHN3", 0x8101),
    ("iPhone14,5", "D17AP", "MLPK3", 0x8110),
    ("iPhone15,2", "D73AP", "MQ0D3", 0x8120),
    ("iPhone15,4", "D37AP", "MTP03", 0x8120),
    ("iPhone16,1", "D83AP", "MTUX3", 0x8130),
    ("iPhone17,3", "D47AP", "MYEF3", 0x8140),
];

const TABLETS: &[Product] = &[
    ("iPad12,1", "J181AP", "MK2K3", 0x8030),
    ("iPad13,16", "J407AP", "MM9C3", 0x8103),
    ("iPad13,18", "J271AP", "MPQ03", 0x8101),
    ("iPad14,8", "J507AP", "MUWC3", 0x8112),
    ("iPad16,3", "J717AP", "MVV83", 0x8132),
];

/// Products for systems the above never ran.
const OLD: &[Product] =
    &[("iPhone9,1", "D10AP", "MN8X2", 0x8010), ("iPad6,11", "J71sAP", "MP2F2", 0x8000), OLDEST];
const OLDEST: Product = ("iPhone4,1", "N94AP", "MD235", 0x8940);

/// ProductVersion and BuildVersion.
const SYSTEMS: &[(&str, &str)] = &[
    ("17.5.1", "21F90"),
    ("17.7.2", "21H221"),
    ("18.2", "22C152"),
    ("18.5", "22F76"),
    ("26.0.1", "23A355"),
    ("26.1", "23B85"),
];

const OTHER_SYSTEMS: &[(&str, &str)] = &[("9.3.5", "13G36"), ("15.8", "19H370"), ("16.0", "20A362")];

/// What a scenario may fix about an identity.
#[derive(Debug, Clone, Default)]
pub(super) struct Wishes<'a> {
    pub(super) family: Option<Family>,
    pub(super) product_type: Option<&'a str>,
    pub(super) os_version: Option<&'a str>,
    pub(super) name: Option<&'a str>,
}

impl Identity {
    /// The identity of device number `index` of the fleet with this seed.
    pub(super) fn draw(seed: u64, index: usize, wishes: &Wishes<'_>) -> Result<Self, BadUdid> {
        let mut rng = Rng::with_seed(mix(seed, index));
        let drawn = rng.usize(..SYSTEMS.len());
        let (os_version, build) = system(wishes.os_version, drawn);
        let major: u32 = os_version.split('.').next().and_then(|m| m.parse().ok()).unwrap_or(18);
        let (product, family) = product(&mut rng, wishes, major);
        let (product_type, hardware_model, model_number, chip) = product;
        // Real ECIDs stay below 2^53 (0x001A... in 0.4's example); upper nibbles are zero.
        let ecid = rng.u64(0x4_0000_0000_0000..0x1F_FFFF_FFFF_FFFF);
        // A12 and later (0.4); the 8940 of the A5 is older in spite of its number.
        let dashed = (0x8020..0x8900).contains(&chip);
        let udid = if dashed { format!("{chip:08X}-{ecid:016X}") } else { forty_digits(&mut rng) };
        let mut address = || {
            let tail: Vec<String> = (0..5).map(|_| format!("{:02x}", rng.u8(..))).collect();
            format!("02:{}", tail.join(":"))
        };
        let (wifi, bluetooth) = (address(), address());
        let alphabet = b"0123456789CDFGHJKLMNPQRTVWXY";
        let serial = (0..10).map(|_| char::from(alphabet[rng.usize(..alphabet.len())])).collect();
        let kind = match family {
            Family::Iphone => "iPhone",
            Family::Ipad => "iPad",
        };
        Ok(Self {
            udid: udid.parse()?,
            ecid,
            chip,
            serial,
            family,
            product_type: wishes.product_type.unwrap_or(product_type).to_owned(),
            hardware_model: hardware_model.to_owned(),
            model_number: model_number.to_owned(),
            imei: (family == Family::Iphone).then(|| imei(&mut rng)),
            wifi,
            bluetooth,
            name: wishes.name.map_or_else(|| format!("Simulated {kind} {}", index + 1), str::to_owned),
            os_version,
            build,
            location: location(index),
        })
    }

    /// USB product id: what phones and tablets in normal mode typically show (1.1).
    pub fn usb_product_id(&self) -> u16 {
        match self.family {
            Family::Iphone => 0x12a8,
            Family::Ipad => 0x12ab,
        }
    }

    /// First number of the system version.
    pub fn os_major(&self) -> u32 {
        self.os_version.split('.').next().and_then(|m| m.parse().ok()).unwrap_or(18)
    }
}

/// Sixteen sockets to a simulated bus; the form of 1.4, stable over replugs on purpose: it
/// stands for the port, not for the address Linux gives anew each time.
fn location(index: usize) -> u32 {
    let index = u32::try_from(index).unwrap_or(u32::MAX / 2);
    ((index / 16 + 1) << 16) | (index % 16 + 1)
}

fn system(wish: Option<&str>, drawn: usize) -> (String, String) {
    let Some(version) = wish else {
        let (version, build) = SYSTEMS[drawn];
        return (version.to_owned(), build.to_owned());
    };
    let known = SYSTEMS.iter().chain(OTHER_SYSTEMS).find(|(v, _)| *v == version);
    (version.to_owned(), known.map_or("99A999", |(_, build)| build).to_owned())
}

fn product(rng: &mut Rng, wishes: &Wishes<'_>, major: u32) -> (Product, Family) {
    let all = || PHONES.iter().chain(TABLETS).chain(OLD);
    if let Some(wish) = wishes.product_type {
        let family = if wish.starts_with("iPad") { Family::Ipad } else { Family::Iphone };
        let known = all().find(|(product_type, ..)| *product_type == wish);
        return (*known.unwrap_or(&PHONES[4]), family);
    }
    // Two phones to one tablet, drawn even if wished, so that a wish shifts nothing else.
    let drawn = if rng.u8(..3) == 0 { Family::Ipad } else { Family::Iphone };
    let family = wishes.family.unwrap_or(drawn);
    let pick = rng.usize(..PHONES.len() * TABLETS.len());
    let product = match (family, major) {
        (_, ..10) => OLDEST,
        (Family::Iphone, ..17) => OLD[0],
        (Family::Ipad, ..17) => OLD[1],
        (Family::Iphone, _) => PHONES[pick % PHONES.len()],
        (Family::Ipad, _) => TABLETS[pick % TABLETS.len()],
    };
    (product, family)
}

fn forty_digits(rng: &mut Rng) -> String {
    (0..20).map(|_| format!("{:02x}", rng.u8(..))).collect()
}

/// Fifteen digits, the last a Luhn digit.
fn imei(rng: &mut Rng) -> String {
    let mut digits: Vec<u8> = vec![3, 5];
    digits.extend((0..12).map(|_| rng.u8(..10)));
    let doubled = |(n, d): (usize, &u8)| if n % 2 == 0 { u32::from(*d) } else { luhn_double(*d) };
    let sum: u32 = digits.iter().enumerate().map(doubled).sum();
    digits.push(((10 - sum % 10) % 10) as u8);
    digits.iter().map(|d| char::from(b'0' + d)).collect()
}

fn luhn_double(digit: u8) -> u32 {
    let twice = u32::from(digit) * 2;
    if twice > 9 { twice - 9 } else { twice }
}

/// Spreads seed and index so that neighbours share nothing (splitmix64's finaliser).
pub(super) fn mix(seed: u64, index: usize) -> u64 {
    let mut z = seed ^ (index as u64).wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn identities_follow_the_seed() {
        let fleet =
            |seed| (0..64).map(|n| Identity::draw(seed, n, &Wishes::default()).unwrap()).collect::<Vec<_>>();
        let (one, again, other) = (fleet(1), fleet(1), fleet(2));
        let udids = |f: &[Identity]| f.iter().map(|i| i.udid.clone()).collect::<BTreeSet<_>>();
        assert_eq!(udids(&one).len(), 64);
        assert_eq!(udids(&one), udids(&again));
        assert!(udids(&one).is_disjoint(&udids(&other)));
        assert!(one.iter().any(|i| i.family == Family::Ipad) && one.iter().any(|i| i.imei.is_some()));
        for identity in &one {
            assert!(identity.udid.as_str().ends_with(&format!("-{:016X}", identity.ecid)));
            assert_eq!(identity.imei.is_some(), identity.family == Family::Iphone);
        }
    }

    #[test]
    fn imeis_pass_the_luhn_test() {
        let mut rng = Rng::with_seed(7);
        for _ in 0..100 {
            let imei = imei(&mut rng);
            let digits = imei.bytes().map(|b| b - b'0');
            let sum: u32 =
                digits.enumerate().map(|(n, d)| if n % 2 == 0 { u32::from(d) } else { luhn_double(d) }).sum();
            assert_eq!((imei.len(), sum % 10), (15, 0), "{imei}");
        }
    }

    #[test]
    fn an_old_system_runs_on_an_old_product() {
        let wishes = Wishes { os_version: Some("15.8"), ..Wishes::default() };
        let identity = Identity::draw(1, 0, &wishes).unwrap();
        assert_eq!((identity.udid.as_str().len(), identity.build.as_str()), (40, "19H370"));
    }
}

//! Who reported, as keyed hashes: an address goes in, and only numbers that mean nothing come out.

use std::fmt;
use std::hash::Hasher;
use std::net::{IpAddr, Ipv6Addr};

use siphasher::sip::SipHasher24;

use crate::model::{ChannelId, PreviousKeys, ServiceId, SourceKeys};

/// A secret under which addresses are hashed, for one generation.
#[derive(Clone, PartialEq, Eq)]
pub struct Salt {
    generation: u32,
    secret: [u8; 32],
}

impl Salt {
    /// A salt from 32 random bytes. A generation is never used twice.
    pub const fn new(generation: u32, secret: [u8; 32]) -> Self {
        Salt { generation, secret }
    }

    /// Its generation.
    pub const fn generation(&self) -> u32 {
        self.generation
    }

    /// The secret itself, for whoever keeps it.
    pub const fn secret(&self) -> &[u8; 32] {
        &self.secret
    }

    /// A key of another purpose, from which the salt cannot be found.
    fn derive(&self, purpose: &[u8]) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new_keyed(&self.secret);
        hasher.update(purpose);
        *hasher.finalize().as_bytes()
    }
}

impl fmt::Debug for Salt {
    /// The secret never reaches a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Salt({}, ..)", self.generation)
    }
}

/// An address without its mapped form: `::ffff:192.0.2.1` is `192.0.2.1`.
pub fn plain_address(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or(address, IpAddr::V4),
    }
}

/// What of an address stands for one source, or for the network around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Prefix {
    /// The first bits of an IPv4 address, the others zero.
    V4([u8; 4]),
    /// The first 64 bits of an IPv6 address, zero beyond the prefix.
    V6([u8; 8]),
}

impl Prefix {
    /// One source: /32, or /64 because a single subscriber has a whole /64 (RFC 6177).
    pub fn source(address: IpAddr) -> Self {
        match plain_address(address) {
            IpAddr::V4(v4) => Prefix::V4(v4.octets()),
            IpAddr::V6(v6) => Prefix::V6(first_half(v6)),
        }
    }

    /// The subnet around it: /24 or /48.
    pub fn subnet(address: IpAddr) -> Self {
        match Prefix::source(address) {
            Prefix::V4([a, b, c, _]) => Prefix::V4([a, b, c, 0]),
            Prefix::V6([a, b, c, d, e, f, _, _]) => Prefix::V6([a, b, c, d, e, f, 0, 0]),
        }
    }
}

fn first_half(address: Ipv6Addr) -> [u8; 8] {
    let [a, b, c, d, e, f, g, h, ..] = address.octets();
    [a, b, c, d, e, f, g, h]
}

/// Keyed hash of (generation, service, prefix, slot); `what` keeps sources and subnets apart.
fn key(salt: &Salt, service: ServiceId, what: u8, prefix: Prefix, slot: u8) -> u64 {
    let mut input = [0; 19];
    input[0] = what;
    input[1] = slot;
    input[2..6].copy_from_slice(&service.0.to_le_bytes());
    input[6..10].copy_from_slice(&salt.generation.to_le_bytes());
    match prefix {
        Prefix::V4(bytes) => {
            input[10] = 4;
            input[11..15].copy_from_slice(&bytes);
        }
        Prefix::V6(bytes) => {
            input[10] = 6;
            input[11..19].copy_from_slice(&bytes);
        }
    }
    let hash = blake3::keyed_hash(&salt.secret, &input);
    let [a, b, c, d, e, f, g, h, ..] = *hash.as_bytes();
    u64::from_le_bytes([a, b, c, d, e, f, g, h])
}

/// The keys of one reporter of one service. `slot` tells apart up to three user agents behind one
/// address; the user agent itself is in no key. `previous` is the salt before, while it exists.
pub fn source_keys(
    salt: &Salt,
    previous: Option<&Salt>,
    service: ServiceId,
    address: IpAddr,
    slot: u8,
) -> SourceKeys {
    let (source, subnet) = (Prefix::source(address), Prefix::subnet(address));
    SourceKeys {
        generation: salt.generation,
        source: key(salt, service, b's', source, slot),
        subnet: key(salt, service, b'n', subnet, 0),
        previous: previous.map(|salt| PreviousKeys {
            source: key(salt, service, b's', source, slot),
            subnet: key(salt, service, b'n', subnet, 0),
        }),
    }
}

/// The key under which one channel's own source names are hashed.
///
/// SipHash-2-4 and not blake3: batches hash two short names a line, and a partner's names are
/// opaque already, so what is needed is a keyed function that nobody can aim, at 20 ns.
#[derive(Clone)]
pub struct PartnerKey {
    generation: u32,
    current: SipHasher24,
    previous: Option<SipHasher24>,
}

impl PartnerKey {
    /// For live reports: under the salt, so that the names cannot be followed past its generation.
    pub fn live(salt: &Salt, previous: Option<&Salt>, channel: ChannelId) -> Self {
        PartnerKey {
            generation: salt.generation,
            current: sip(&salt.derive(b"partner sources"), channel),
            previous: previous.map(|salt| sip(&salt.derive(b"partner sources"), channel)),
        }
    }

    /// For scenarios and imports on a clock of their own: names are synthetic or already public,
    /// and the same input has to give the same log. Generation 0, which no salt ever has.
    pub fn fixed(channel: ChannelId) -> Self {
        PartnerKey {
            generation: 0,
            current: sip(b"brownout synthetic sources v1...", channel),
            previous: None,
        }
    }
}

impl fmt::Debug for PartnerKey {
    /// The key never reaches a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PartnerKey({}, ..)", self.generation)
    }
}

fn sip(secret: &[u8; 32], channel: ChannelId) -> SipHasher24 {
    let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, ..] = *secret;
    let mut hasher = SipHasher24::new_with_key(&[a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p]);
    // A whole block, so that what follows is hashed block by block.
    hasher.write_u64(u64::from(channel.0));
    hasher
}

/// The keys of a partner's source. Without a `subnet` every source is its own subnet.
pub fn partner_keys(
    key: &PartnerKey,
    service: ServiceId,
    source: &[u8],
    subnet: Option<&[u8]>,
) -> SourceKeys {
    let named = |hasher: &SipHasher24, what: u8, name: &[u8]| {
        let mut hasher = *hasher;
        hasher.write_u64(u64::from(service.0) << 8 | u64::from(what));
        hasher.write(name);
        hasher.finish()
    };
    let keys = |hasher: &SipHasher24| {
        let own = named(hasher, b's', source);
        // A fixed permutation keeps the two kinds of key apart at no cost.
        let alone = own.rotate_left(32) ^ 0x9E37_79B9_7F4A_7C15;
        PreviousKeys { source: own, subnet: subnet.map_or(alone, |name| named(hasher, b'n', name)) }
    };
    let PreviousKeys { source, subnet } = keys(&key.current);
    SourceKeys { generation: key.generation, source, subnet, previous: key.previous.as_ref().map(keys) }
}

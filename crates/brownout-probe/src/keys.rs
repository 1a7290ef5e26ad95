//! Keys of probes and of observatories: Ed25519 (RFC 8032).

use std::fmt;

use ring::rand::SystemRandom;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};

/// What a signature is for. A signature of one kind is none of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A probe asks to be enrolled.
    Enrol,
    /// A probe asks for its schedule.
    AskSchedule,
    /// An observatory's schedule.
    Schedule,
    /// A probe's measurements.
    Measurements,
    /// A probe's word that a new key is its own.
    Rotate,
    /// The new key's own word.
    NewKey,
}

impl Purpose {
    const fn prefix(self) -> &'static [u8] {
        match self {
            Purpose::Enrol => b"brownout 1 enrol\0",
            Purpose::AskSchedule => b"brownout 1 ask schedule\0",
            Purpose::Schedule => b"brownout 1 schedule\0",
            Purpose::Measurements => b"brownout 1 measurements\0",
            Purpose::Rotate => b"brownout 1 rotate\0",
            Purpose::NewKey => b"brownout 1 new key\0",
        }
    }

    fn message(self, bytes: &[u8]) -> Vec<u8> {
        [self.prefix(), bytes].concat()
    }
}

/// A key that signs. Its secret is shown only by [`Identity::secret`].
pub struct Identity {
    pair: Ed25519KeyPair,
    secret: Vec<u8>,
}

impl fmt::Debug for Identity {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Identity({:02x?})", &self.public()[..4])
    }
}

/// Why there is no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyError {
    /// The machine has no random bytes.
    Random,
    /// The bytes are no key.
    Malformed,
}

impl fmt::Display for KeyError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            KeyError::Random => "no randomness to be had",
            KeyError::Malformed => "it is no key",
        })
    }
}

impl std::error::Error for KeyError {}

impl Identity {
    /// A new key.
    pub fn generate() -> Result<Self, KeyError> {
        let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).map_err(|_| KeyError::Random)?;
        Self::from_secret(document.as_ref())
    }

    /// A key from what [`Identity::secret`] gave.
    pub fn from_secret(secret: &[u8]) -> Result<Self, KeyError> {
        let pair = Ed25519KeyPair::from_pkcs8(secret).map_err(|_| KeyError::Malformed)?;
        Ok(Identity { pair, secret: secret.to_vec() })
    }

    /// The whole key, to be kept where nobody else reads (PKCS #8).
    pub fn secret(&self) -> &[u8] {
        &self.secret
    }

    /// The half that everybody may know.
    pub fn public(&self) -> [u8; 32] {
        let mut bytes = [0; 32];
        // An Ed25519 key has 32 bytes.
        bytes.copy_from_slice(self.pair.public_key().as_ref());
        bytes
    }

    /// Signs bytes for one purpose.
    pub fn sign(&self, purpose: Purpose, bytes: &[u8]) -> [u8; 64] {
        let mut signature = [0; 64];
        signature.copy_from_slice(self.pair.sign(&purpose.message(bytes)).as_ref());
        signature
    }
}

/// Whether a signature is of this key, for this purpose, over these bytes.
pub fn is_signed(key: &[u8; 32], purpose: Purpose, bytes: &[u8], signature: &[u8]) -> bool {
    UnparsedPublicKey::new(&ED25519, key).verify(&purpose.message(bytes), signature).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_of_one_key_one_purpose_and_these_bytes() {
        let identity = Identity::generate().expect("a key");
        let again = Identity::from_secret(identity.secret()).expect("the same");
        assert_eq!(identity.public(), again.public());
        let signature = again.sign(Purpose::Measurements, b"one");
        let key = identity.public();
        assert!(is_signed(&key, Purpose::Measurements, b"one", &signature));
        assert!(!is_signed(&key, Purpose::Schedule, b"one", &signature));
        assert!(!is_signed(&key, Purpose::Measurements, b"two", &signature));
        assert!(!is_signed(&key, Purpose::Measurements, b"one", &signature[..63]));
        let other = Identity::generate().expect("a key");
        assert!(!is_signed(&other.public(), Purpose::Measurements, b"one", &signature));
        assert!(Identity::from_secret(b"nonsense").is_err());
    }
}

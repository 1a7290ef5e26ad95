//! Proof of work: asked for when many reports come, so that a flood of false ones costs its sender.
//!
//! Challenges are ALTCHA's, with SHA-256 as their function, for which a check costs us one hash
//! while the search costs the sender tens of thousands. The signing key is made at every start and
//! never stored, so a restart makes open challenges invalid: a client asks for a new one. Which
//! proofs were used is remembered until they expire. A person without JavaScript is never turned
//! away: the report only counts less while proofs are asked for.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::{Mutex, PoisonError};

use altcha::{
    Challenge, CreateChallengeOptions, Payload, VerifySolutionOptions, create_challenge, verify_solution,
};

use super::problem::{Problem, Reason};
use super::salts::FillRandom;

/// How long a challenge may be answered, in seconds.
const LIFE_SECONDS: i64 = 600;
/// Used proofs that are remembered at most. Overflow policy: further proofs are not credited.
const USED_MAX: usize = 200_000;
/// Longest proof, in bytes of base64.
const PROOF_BYTES_MAX: usize = 2_048;
/// What the hash has to begin with: four hex digits, so 65,536 tries on average.
const PREFIX: &str = "0000";
const ALGORITHM: &str = "SHA-256";

/// Gives out challenges and checks what comes back. Time is an argument.
pub(super) struct Proofs {
    secret: String,
    used: Mutex<Used>,
}

#[derive(Default)]
struct Used {
    /// A proof's digest and the second it expires.
    until: HashMap<[u8; 16], i64>,
}

/// A proof that checked and is now used up.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Credit {
    /// It counts. The name is for giving it back.
    Full([u8; 16]),
    /// It checks, but there is no room to remember that it was used.
    NoRoom,
}

impl Proofs {
    pub(super) fn new(fill: FillRandom) -> io::Result<Self> {
        let mut secret = [0; 32];
        fill(&mut secret)?;
        let secret = secret.iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Proofs { secret, used: Mutex::default() })
    }

    /// A new challenge, valid for ten minutes from `now_seconds`.
    pub(super) fn challenge(&self, now_seconds: i64) -> Result<Challenge, Problem> {
        create_challenge(CreateChallengeOptions {
            algorithm: ALGORITHM.into(),
            cost: 1,
            data: None::<BTreeMap<_, _>>,
            expires_at: Some(now_seconds + LIFE_SECONDS),
            key_prefix: PREFIX.into(),
            hmac_signature_secret: Some(self.secret.clone()),
            ..CreateChallengeOptions::default()
        })
        .map_err(|_| Problem::new(Reason::Internal, "No challenge could be made."))
    }

    /// Checks a proof and uses it up.
    pub(super) fn redeem(&self, proof: &str, now_seconds: i64) -> Result<Credit, Problem> {
        let invalid = |detail| Problem::new(Reason::ProofInvalid, detail);
        if proof.len() > PROOF_BYTES_MAX {
            return Err(invalid("The proof is too long."));
        }
        let json = decode_base64(proof.trim()).ok_or_else(|| invalid("The proof is not base64."))?;
        let payload: Payload = serde_json::from_slice(&json)
            .map_err(|_| invalid("The proof is not what an ALTCHA client makes."))?;
        let parameters = &payload.challenge.parameters;
        // Checked before any work is done for it: the sender chooses these until the signature is
        // known to be ours.
        if parameters.algorithm != ALGORITHM || parameters.cost != 1 {
            return Err(invalid("The challenge is not one of ours."));
        }
        let expires_at = parameters.expires_at.unwrap_or(0);
        if expires_at <= now_seconds {
            return Err(Problem::new(Reason::ProofExpired, "Ask for a new challenge."));
        }
        let options = VerifySolutionOptions::new(&payload.challenge, &payload.solution, self.secret.as_str());
        match verify_solution(options) {
            Ok(result) if result.verified => {}
            Ok(result) if result.expired => {
                return Err(Problem::new(Reason::ProofExpired, "Ask for a new challenge."));
            }
            Ok(_) | Err(_) => return Err(invalid("The solution does not fit the challenge.")),
        }
        // The nonce names the challenge: another spelling of the same proof is the same proof.
        let [name, _] = halves(blake3::hash(parameters.nonce.to_ascii_lowercase().as_bytes()));
        self.spend(name, expires_at)
    }

    fn spend(&self, name: [u8; 16], expires_at: i64) -> Result<Credit, Problem> {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        if used.until.contains_key(&name) {
            return Err(Problem::new(Reason::ProofReplayed, "Ask for a new challenge."));
        }
        if used.until.len() >= USED_MAX {
            return Ok(Credit::NoRoom);
        }
        used.until.insert(name, expires_at);
        Ok(Credit::Full(name))
    }

    /// Makes a proof good again, because the report it came with was not kept.
    pub(super) fn give_back(&self, name: [u8; 16]) {
        self.used.lock().unwrap_or_else(PoisonError::into_inner).until.remove(&name);
    }

    /// Forgets proofs that have expired, which nobody can use again anyway.
    pub(super) fn sweep(&self, now_seconds: i64) {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        used.until.retain(|_, expires_at| *expires_at > now_seconds);
    }
}

fn halves(hash: blake3::Hash) -> [[u8; 16]; 2] {
    let mut halves = [[0; 16]; 2];
    for (half, bytes) in halves.iter_mut().zip(hash.as_bytes().chunks_exact(16)) {
        half.copy_from_slice(bytes);
    }
    halves
}

/// Base64 of either alphabet (RFC 4648), padded or not.
fn decode_base64(text: &str) -> Option<Vec<u8>> {
    let text = text.trim_end_matches('=').as_bytes();
    let mut decoded = Vec::with_capacity(text.len() / 4 * 3 + 2);
    for group in text.chunks(4) {
        let mut bits = 0_u32;
        for byte in group {
            let six = match byte {
                b'A'..=b'Z' => byte - b'A',
                b'a'..=b'z' => byte - b'a' + 26,
                b'0'..=b'9' => byte - b'0' + 52,
                b'+' | b'-' => 62,
                b'/' | b'_' => 63,
                _ => return None,
            };
            bits = bits << 6 | u32::from(six);
        }
        let [_, a, b, c] = (bits << (6 * (4 - group.len()))).to_be_bytes();
        match group.len() {
            4 => decoded.extend([a, b, c]),
            3 => decoded.extend([a, b]),
            2 => decoded.push(a),
            _ => return None,
        }
    }
    Some(decoded)
}

#[cfg(test)]
pub(super) mod tests {
    use altcha::{SolveChallengeOptions, solve_challenge};
    use proptest::prelude::*;

    use super::*;
    use crate::intake::system_random;

    /// The text a client sends for a challenge.
    pub(in crate::intake) fn solve(challenge: &Challenge) -> String {
        let solution = solve_challenge(SolveChallengeOptions::new(challenge)).unwrap().unwrap();
        let payload = Payload { challenge: challenge.clone(), solution };
        encode_base64(&serde_json::to_vec(&payload).unwrap())
    }

    fn encode_base64(bytes: &[u8]) -> String {
        const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let mut text = String::new();
        for group in bytes.chunks(3) {
            let bits = group.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte))
                << (8 * (3 - group.len()));
            for place in 0..4 {
                let six = (bits >> (18 - 6 * place)) as usize & 63;
                text.push(if place <= group.len() { char::from(ALPHABET[six]) } else { '=' });
            }
        }
        text
    }

    fn now() -> i64 {
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() as i64
    }

    fn why(result: Result<Credit, Problem>) -> Reason {
        result.unwrap_err().reason
    }

    #[test]
    fn a_proof_is_good_once_until_it_expires_or_is_given_back() {
        let proofs = Proofs::new(system_random).unwrap();
        let proof = solve(&proofs.challenge(now()).unwrap());
        let Ok(Credit::Full(name)) = proofs.redeem(&proof, now()) else { panic!("good once") };
        assert_eq!(why(proofs.redeem(&proof, now())), Reason::ProofReplayed);
        assert_eq!(why(proofs.redeem(proof.trim_end_matches('='), now())), Reason::ProofReplayed);
        proofs.give_back(name);
        assert!(proofs.redeem(&proof, now()).is_ok());
        proofs.sweep(now());
        assert_eq!(
            why(proofs.redeem(&proof, now())),
            Reason::ProofReplayed,
            "not forgotten while it is valid"
        );
        assert_eq!(why(proofs.redeem(&proof, now() + 601)), Reason::ProofExpired);
        proofs.sweep(now() + 601);
        assert!(proofs.used.lock().unwrap().until.is_empty());
    }

    #[test]
    fn a_challenge_of_somebody_else_or_a_forged_one_is_worth_nothing() {
        let (ours, theirs) = (Proofs::new(system_random).unwrap(), Proofs::new(system_random).unwrap());
        let proof = solve(&theirs.challenge(now()).unwrap());
        assert_eq!(why(ours.redeem(&proof, now())), Reason::ProofInvalid);
        let mut easy = ours.challenge(now()).unwrap();
        easy.parameters.key_prefix = String::new();
        assert_eq!(why(ours.redeem(&solve(&easy), now())), Reason::ProofInvalid);
        let mut costly = ours.challenge(now()).unwrap();
        costly.parameters.cost = u32::MAX;
        let solution = altcha::Solution { counter: 0, derived_key: "00".into(), time: None };
        let payload = serde_json::to_vec(&Payload { challenge: costly, solution }).unwrap();
        assert_eq!(why(ours.redeem(&encode_base64(&payload), now())), Reason::ProofInvalid);
    }

    #[test]
    fn a_full_store_credits_nothing_more() {
        let proofs = Proofs::new(system_random).unwrap();
        for number in 0..USED_MAX as u128 {
            proofs.spend(number.to_le_bytes(), now() + 9).unwrap();
        }
        assert_eq!(proofs.spend([0xFF; 16], now() + 9), Ok(Credit::NoRoom));
    }

    #[test]
    fn base64_is_read_in_both_alphabets() {
        assert_eq!(decode_base64("aGk_Pg=="), Some(b"hi?>".to_vec()));
        assert_eq!(decode_base64("aGk/Pg"), Some(b"hi?>".to_vec()));
        assert_eq!(decode_base64("a"), None);
        assert_eq!(decode_base64("a b="), None);
    }

    proptest! {
        #[test]
        fn base64_goes_there_and_back(bytes in proptest::collection::vec(any::<u8>(), 0..50)) {
            prop_assert_eq!(decode_base64(&encode_base64(&bytes)), Some(bytes));
        }

        #[test]
        fn any_text_is_refused(text in ".{0,200}") {
            let proofs = Proofs::new(system_random).unwrap();
            prop_assert!(proofs.redeem(&text, 0).is_err());
            prop_assert!(proofs.redeem(&encode_base64(text.as_bytes()), 0).is_err());
        }
    }
}

//! Probes: who was invited, who enrolled with which key, and how far each has sent.

use brownout_core::model::{Asn, CountryCode, UtcTime};
use rusqlite::{OptionalExtension, Row, params};

use crate::port::StoreError;

use super::admin::Admin;
use super::derived::InDb;

pub(crate) const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS probes (
        id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, operator TEXT NOT NULL,
        token_hash BLOB NOT NULL UNIQUE, country TEXT, network INTEGER,
        invited INTEGER NOT NULL, expires INTEGER NOT NULL, enrolled INTEGER, revoked INTEGER,
        key BLOB UNIQUE, sequence INTEGER NOT NULL DEFAULT 0, seen INTEGER
    );
";
const COLUMNS: &str =
    "id, name, operator, country, network, invited, expires, enrolled, revoked, key, sequence, seen";

/// A probe, from its invitation on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// Its number; never given twice.
    pub id: u32,
    /// What the operator of the observatory calls it; unique.
    pub name: String,
    /// Who runs it. All probes of one operator are one vantage point.
    pub operator: String,
    /// Where it is, where the operator of the observatory says so.
    pub country: Option<CountryCode>,
    /// The network that it is in, likewise.
    pub network: Option<Asn>,
    /// When it was invited.
    pub invited: UtcTime,
    /// Until when its token can be used.
    pub expires: UtcTime,
    /// When its token was used; it cannot be again.
    pub enrolled: Option<UtcTime>,
    /// Since when it is refused.
    pub revoked: Option<UtcTime>,
    /// The key that it signs with.
    pub key: Option<[u8; 32]>,
    /// The sequence of the last batch that was kept.
    pub sequence: u64,
    /// When that was.
    pub seen: Option<UtcTime>,
}

/// A probe that is invited.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invitation {
    /// What it will be called.
    pub name: String,
    /// Who runs it.
    pub operator: String,
    /// A hash of its token.
    pub token_hash: [u8; 32],
    /// Where it is.
    pub country: Option<CountryCode>,
    /// The network that it is in.
    pub network: Option<Asn>,
    /// When it was invited.
    pub invited: UtcTime,
    /// Until when the token can be used.
    pub expires: UtcTime,
}

/// What became of a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenUse {
    /// The probe is enrolled.
    Done(Box<Probe>),
    /// Nobody gave this token out.
    Unknown,
    /// It was used before.
    Used,
    /// Its time is over, or the invitation was taken back.
    Over,
    /// The key is another probe's.
    KeyTaken,
}

impl Admin {
    /// Invites a probe. False, and nothing is changed, when its name was given before.
    pub fn invite_probe(&self, invitation: &Invitation) -> Result<bool, StoreError> {
        let (connection, path) = self.parts();
        let put =
            "INSERT OR IGNORE INTO probes (name, operator, token_hash, country, network, invited, expires)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
        let values = params![
            invitation.name,
            invitation.operator,
            &invitation.token_hash[..],
            invitation.country.map(|country| country.to_string()),
            invitation.network.map(|network| network.0.get()),
            invitation.invited.millis(),
            invitation.expires.millis(),
        ];
        Ok(connection.execute(put, values).in_db(path)? == 1)
    }

    /// Uses a token up: the probe has this key from now on.
    pub fn enrol_probe(
        &self,
        token_hash: &[u8; 32],
        key: &[u8; 32],
        now: UtcTime,
    ) -> Result<TokenUse, StoreError> {
        let (mut connection, path) = self.parts();
        let change = connection.transaction().in_db(path)?;
        let ask = format!("SELECT {COLUMNS} FROM probes WHERE token_hash = ?1");
        let found = change.query_row(&ask, [&token_hash[..]], probe_of).optional().in_db(path)?;
        let Some(mut probe) = found else { return Ok(TokenUse::Unknown) };
        if probe.enrolled.is_some() {
            // Who asks again with the same key has not heard the answer.
            let is_same = probe.key == Some(*key) && probe.revoked.is_none();
            return Ok(if is_same { TokenUse::Done(Box::new(probe)) } else { TokenUse::Used });
        }
        if probe.revoked.is_some() || probe.expires <= now {
            return Ok(TokenUse::Over);
        }
        let put = "UPDATE OR IGNORE probes SET enrolled = ?2, key = ?3 WHERE id = ?1";
        if change.execute(put, params![probe.id, now.millis(), &key[..]]).in_db(path)? == 0 {
            return Ok(TokenUse::KeyTaken);
        }
        change.commit().in_db(path)?;
        (probe.enrolled, probe.key) = (Some(now), Some(*key));
        Ok(TokenUse::Done(Box::new(probe)))
    }

    /// A probe by its number.
    pub fn probe(&self, id: u32) -> Result<Option<Probe>, StoreError> {
        let (connection, path) = self.parts();
        let ask = format!("SELECT {COLUMNS} FROM probes WHERE id = ?1");
        connection.query_row(&ask, [id], probe_of).optional().in_db(path)
    }

    /// All probes, by name.
    pub fn probes(&self) -> Result<Vec<Probe>, StoreError> {
        let (connection, path) = self.parts();
        let ask = format!("SELECT {COLUMNS} FROM probes ORDER BY name");
        let mut ask = connection.prepare(&ask).in_db(path)?;
        let probes = ask.query_map([], probe_of).and_then(Iterator::collect);
        probes.in_db(path)
    }

    /// Gives a probe another key. False when it has not this old one, or the new one is another's.
    pub fn rotate_probe(&self, id: u32, old: &[u8; 32], new: &[u8; 32]) -> Result<bool, StoreError> {
        let (connection, path) = self.parts();
        let put = "UPDATE OR IGNORE probes SET key = ?3 WHERE id = ?1 AND key = ?2 AND revoked IS NULL";
        Ok(connection.execute(put, params![id, &old[..], &new[..]]).in_db(path)? == 1)
    }

    /// Notes the sequence of a batch that was kept. It never falls.
    pub fn note_probe_sequence(&self, id: u32, sequence: u64, now: UtcTime) -> Result<(), StoreError> {
        let (connection, path) = self.parts();
        let put = "UPDATE probes SET sequence = max(sequence, ?2), seen = ?3 WHERE id = ?1";
        let sequence = i64::try_from(sequence).unwrap_or(i64::MAX);
        connection.execute(put, params![id, sequence, now.millis()]).in_db(path).map(|_| ())
    }

    /// Refuses a probe from now on, also its invitation. False when no probe in force has this name.
    pub fn revoke_probe(&self, name: &str, now: UtcTime) -> Result<bool, StoreError> {
        let (connection, path) = self.parts();
        let put = "UPDATE probes SET revoked = ?2 WHERE name = ?1 AND revoked IS NULL";
        Ok(connection.execute(put, params![name, now.millis()]).in_db(path)? == 1)
    }
}

fn probe_of(row: &Row<'_>) -> rusqlite::Result<Probe> {
    let time =
        |index: usize| Ok::<_, rusqlite::Error>(row.get::<_, Option<i64>>(index)?.map(UtcTime::from_millis));
    let (country, network): (Option<String>, Option<u32>) = (row.get(3)?, row.get(4)?);
    let key: Option<Vec<u8>> = row.get(9)?;
    Ok(Probe {
        id: row.get(0)?,
        name: row.get(1)?,
        operator: row.get(2)?,
        country: country.and_then(|code| code.parse().ok()),
        network: network.and_then(Asn::new),
        invited: UtcTime::from_millis(row.get(5)?),
        expires: UtcTime::from_millis(row.get(6)?),
        enrolled: time(7)?,
        revoked: time(8)?,
        key: key.and_then(|key| key.try_into().ok()),
        sequence: u64::try_from(row.get::<_, i64>(10)?).unwrap_or(0),
        seen: time(11)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minute: i64) -> UtcTime {
        UtcTime::from_seconds(1_741_600_000 + minute * 60)
    }

    #[test]
    fn a_token_is_good_once_and_for_a_time() {
        let folder = tempfile::tempdir().expect("a folder");
        let admin = Admin::beside(folder.path()).expect("opens");
        let invitation = |name: &str, hash: u8| Invitation {
            name: name.to_owned(),
            operator: "desk".to_owned(),
            token_hash: [hash; 32],
            country: "PK".parse().ok(),
            network: Asn::new(17_557),
            invited: at(0),
            expires: at(60),
        };
        assert!(admin.invite_probe(&invitation("karachi-1", 1)).expect("asked"));
        assert!(!admin.invite_probe(&invitation("karachi-1", 2)).expect("asked"), "the name is taken");
        let unknown = admin.enrol_probe(&[9; 32], &[1; 32], at(1)).expect("asked");
        assert_eq!(unknown, TokenUse::Unknown);
        let Ok(TokenUse::Done(probe)) = admin.enrol_probe(&[1; 32], &[1; 32], at(1)) else {
            panic!("not enrolled")
        };
        assert_eq!((probe.country, probe.key), ("PK".parse().ok(), Some([1; 32])));
        let again = admin.enrol_probe(&[1; 32], &[1; 32], at(2)).expect("asked");
        assert_eq!(again, TokenUse::Done(probe.clone()), "its answer was lost");
        assert_eq!(admin.enrol_probe(&[1; 32], &[2; 32], at(2)).expect("asked"), TokenUse::Used);
        assert!(admin.invite_probe(&invitation("karachi-2", 2)).expect("asked"));
        assert_eq!(admin.enrol_probe(&[2; 32], &[1; 32], at(2)).expect("asked"), TokenUse::KeyTaken);
        assert_eq!(admin.enrol_probe(&[2; 32], &[2; 32], at(60)).expect("asked"), TokenUse::Over);
        assert!(!admin.rotate_probe(probe.id, &[7; 32], &[8; 32]).expect("asked"), "not its key");
        assert!(admin.rotate_probe(probe.id, &[1; 32], &[8; 32]).expect("asked"));
        admin.note_probe_sequence(probe.id, 5, at(3)).expect("noted");
        admin.note_probe_sequence(probe.id, 4, at(4)).expect("noted");
        let known = admin.probe(probe.id).expect("asked").expect("known");
        assert_eq!((known.key, known.sequence, known.seen), (Some([8; 32]), 5, Some(at(4))));
        assert!(admin.revoke_probe("karachi-1", at(5)).expect("asked"));
        assert!(!admin.revoke_probe("karachi-1", at(5)).expect("asked"));
        assert!(!admin.rotate_probe(probe.id, &[8; 32], &[9; 32]).expect("asked"), "it is revoked");
        assert_eq!(admin.probes().expect("listed").len(), 2);
    }
}

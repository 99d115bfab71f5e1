//! The identity of the agent as an SNMPv3 engine: its name and how often it has started, which together keep old messages from
//! being played again (RFC 3414 §2.2). Kept in a file of its own, which is whole at every moment.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::net::world;

/// Where the identity lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineFile(PathBuf);

/// The identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Identity {
    /// `snmpEngineID`.
    pub(super) id: Vec<u8>,
    /// `snmpEngineBoots`.
    pub(super) boots: u32,
}

/// Why there is no identity.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The file cannot be read.
    #[error("the SNMP engine's identity {at} cannot be read ({1}): give it to the user of the agent (chown, chmod 600)", at = .0.display())]
    Unreadable(PathBuf, io::Error),
    /// It is not what was written.
    #[error(
        "the SNMP engine's identity {at} is damaged ({1}): restore it, or remove it, and the agent makes a new one; receivers of notifications \
         then have to be told the new engine ID", at = .0.display()
    )]
    Damaged(PathBuf, String),
    /// It cannot be written.
    #[error(
        "the SNMP engine's identity {at} cannot be written ({1}), and no start without that may be answered for: give its folder to the \
         user of the agent, or make room", at = .0.display()
    )]
    Unwritable(PathBuf, io::Error),
    /// The engine does not start with it.
    #[error("the SNMP engine cannot start: {0}")]
    NotStarted(String),
}

/// What the file has.
#[derive(Debug, Serialize, Deserialize)]
struct Written {
    engine_id: String,
    engine_boots: u32,
}

impl EngineFile {
    /// In the folder of durable state.
    #[must_use]
    pub fn in_folder(folder: &Path) -> Self {
        Self(folder.join("snmp-engine.json"))
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// What was written last; `None` before the first time.
    pub(super) fn read(&self) -> Result<Option<Identity>, EngineError> {
        let mut text = String::new();
        match File::open(&self.0).and_then(|file| file.take(MOST).read_to_string(&mut text)) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(EngineError::Unreadable(self.0.clone(), error)),
        }
        let damaged = |why: &str| EngineError::Damaged(self.0.clone(), why.to_owned());
        let written: Written = serde_json::from_str(&text).map_err(|error| damaged(&error.to_string()))?;
        let id = octets(&written.engine_id).ok_or_else(|| damaged("engine_id is not hexadecimal"))?;
        if !(5..=32).contains(&id.len()) {
            return Err(damaged("engine_id has 5 to 32 octets"));
        }
        if !(1..=MOST_BOOTS).contains(&written.engine_boots) {
            return Err(damaged("engine_boots is from 1 to 2147483647"));
        }
        Ok(Some(Identity {
            id,
            boots: written.engine_boots,
        }))
    }

    /// Writes it, so that either this or what was there before can be read, whenever the machine stops.
    pub(super) fn write(&self, identity: &Identity) -> Result<(), EngineError> {
        self.replace(identity)
            .map_err(|error| EngineError::Unwritable(self.0.clone(), error))
    }

    fn replace(&self, identity: &Identity) -> io::Result<()> {
        let written = Written {
            engine_id: hexadecimal(&identity.id),
            engine_boots: identity.boots,
        };
        let text = serde_json::to_string(&written).map_err(io::Error::other)?;
        let new = self.0.with_extension("new");
        match fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&new)?;
        writeln!(file, "{text}")?;
        file.sync_all()?;
        fs::rename(&new, &self.0)?;
        match self.0.parent() {
            Some(folder) => File::open(folder)?.sync_all(),
            None => Ok(()),
        }
    }
}

/// A new name, like no other (RFC 3411 §5, SnmpEngineID, format 5: octets): with net-snmp's enterprise number, as in our MIB.
pub(super) fn new_engine_id() -> Vec<u8> {
    let chosen: [u8; 12] = world::random();
    [&[0x80, 0x00, 0x1f, 0x88, 0x05][..], &chosen].concat()
}

/// As net-snmp's tools take it, behind `0x`.
pub(super) fn hexadecimal(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

fn octets(text: &str) -> Option<Vec<u8>> {
    if !text.bytes().all(|octet| octet.is_ascii_hexdigit()) || !text.len().is_multiple_of(2) {
        return None;
    }
    let pairs = text.as_bytes().chunks_exact(2);
    pairs
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect()
}

/// Octets of the file: many times what it has.
const MOST: u64 = 4_096;
/// Of `snmpEngineBoots` (RFC 3411).
const MOST_BOOTS: u32 = 2_147_483_647;

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("vestibule-engine-{name}-{}", std::process::id()));
        fs::remove_dir_all(&folder).ok();
        fs::create_dir(&folder).unwrap();
        folder
    }

    #[test]
    fn it_is_its_users_alone_and_is_read_as_it_was_written() {
        let folder = folder("whole");
        let file = EngineFile::in_folder(&folder);
        assert_eq!(file.read().unwrap(), None);
        assert_ne!(new_engine_id(), new_engine_id());
        let mut identity = Identity {
            id: new_engine_id(),
            boots: 0,
        };
        for boots in [1, 2] {
            identity.boots = boots;
            // What an interrupted write has left is no hindrance.
            fs::write(file.path().with_extension("new"), "half").unwrap();
            file.write(&identity).unwrap();
            assert_eq!(file.read().unwrap(), Some(identity.clone()));
        }
        assert_eq!(
            fs::metadata(file.path()).unwrap().permissions().mode() & 0o777,
            0o600
        );
        let names: Vec<_> = fs::read_dir(&folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(names, ["snmp-engine.json"]);
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn what_is_damaged_is_told_and_not_replaced() {
        let folder = folder("damaged");
        let file = EngineFile::in_folder(&folder);
        for text in [
            "",
            "{}",
            r#"{"engine_id": "80001f8805", "engine_boots": -1}"#,
            r#"{"engine_id": "80001f8805", "engine_boots": 0}"#,
            r#"{"engine_id": "80001f8805", "engine_boots": 2147483648}"#,
            r#"{"engine_id": "80001f88", "engine_boots": 1}"#,
            r#"{"engine_id": "80001f88zz", "engine_boots": 1}"#,
            r#"{"engine_id": "80001f880", "engine_boots": 1}"#,
            r#"{"engine_id": "80001f88+5", "engine_boots": 1}"#,
            r#"{"engine_id": "80001f88é", "engine_boots": 1}"#,
        ] {
            fs::write(file.path(), text).unwrap();
            assert!(matches!(file.read(), Err(EngineError::Damaged(..))), "{text}");
            assert_eq!(fs::read_to_string(file.path()).unwrap(), text);
        }
        fs::remove_dir_all(&folder).unwrap();
        let identity = Identity {
            id: new_engine_id(),
            boots: 1,
        };
        assert!(matches!(file.write(&identity), Err(EngineError::Unwritable(..))));
    }
}

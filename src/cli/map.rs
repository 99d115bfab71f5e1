//! `vestibule map`: one address in both protocols.

use std::io::{self, Write};

use serde::Serialize;

use super::{Exit, Form, write_json};
use crate::interwork::address::{Party, Sips, to_jid, to_uri};
use crate::sip::{Scheme, SipUri, Uri};
use crate::xmpp::Jid;

/// An address as it was given, and what can be said of it.
#[derive(Debug, Clone)]
pub(super) enum Address {
    Sip(Uri),
    Xmpp(Jid),
}

#[derive(Debug, Serialize)]
struct Mapped {
    sip: String,
    xmpp: String,
}

/// Prints the other spelling of an address.
pub(super) fn print(text: &str, form: Form, out: &mut dyn Write, err: &mut dyn Write) -> io::Result<Exit> {
    let mapped = match Address::read(text).and_then(|address| mapped(&address)) {
        Ok(mapped) => mapped,
        Err(why) => {
            writeln!(err, "{text}: {why}")?;
            return Ok(Exit::Bad);
        }
    };
    match form {
        Form::Json => write_json(&mapped, out)?,
        Form::Text => {
            writeln!(out, "SIP   {}", mapped.sip)?;
            writeln!(out, "XMPP  {}", mapped.xmpp)?;
        }
    }
    Ok(Exit::Good)
}

impl Address {
    /// Reads a URI, where the text begins with a scheme, or else a JID.
    pub(super) fn read(text: &str) -> Result<Self, String> {
        let has_scheme = text
            .split_once(':')
            .is_some_and(|(scheme, _)| SCHEMES.iter().any(|known| scheme.eq_ignore_ascii_case(known)));
        if has_scheme {
            Uri::parse(text)
                .map(Self::Sip)
                .map_err(|why| format!("not a URI: {why}"))
        } else {
            Jid::parse(text)
                .map(Self::Xmpp)
                .map_err(|why| format!("not a JID (a SIP address begins with sip:): {why}"))
        }
    }

    pub(super) fn to_jid(&self) -> Result<Jid, String> {
        match self {
            Self::Sip(uri) => to_jid(uri, Sips::Refuse).map_err(|why| why.to_string()),
            Self::Xmpp(jid) => Ok(jid.clone()),
        }
    }

    pub(super) fn to_uri(&self) -> Result<SipUri, String> {
        match self {
            Self::Sip(Uri::Sip(uri)) => Ok(uri.clone()),
            Self::Sip(Uri::Other(_)) => self
                .to_jid()
                .and_then(|jid| to_uri(&jid, Scheme::Sip).map_err(|why| why.to_string())),
            Self::Xmpp(jid) => to_uri(jid, Scheme::Sip).map_err(|why| why.to_string()),
        }
    }
}

fn mapped(address: &Address) -> Result<Mapped, String> {
    // What of a URI is of its user's address, in the spelling that it has: a password or a port is not.
    let sip = match address {
        Address::Sip(uri @ Uri::Sip(_)) => Party::from_uri(uri, Sips::Refuse)
            .map_err(|why| why.to_string())?
            .uri()
            .clone(),
        Address::Sip(Uri::Other(_)) | Address::Xmpp(_) => address.to_uri()?,
    };
    Ok(Mapped {
        sip: sip.to_string(),
        xmpp: address.to_jid()?.to_string(),
    })
}

/// What tells a URI from a JID, whose localpart may hold no colon.
const SCHEMES: [&str; 6] = ["sip", "sips", "im", "pres", "tel", "xmpp"];

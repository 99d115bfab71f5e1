//! The laws of addresses: a JID that has a SIP URI comes back from it as itself, and a SIP URI that has a JID comes back
//! in a form that no longer changes.

use vestibule::interwork::address::{MOST_INSTANCE, Sips, to_jid, to_uri};
use vestibule::sip::{Scheme, Uri};
use vestibule::xmpp::Jid;

pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Ok(jid) = Jid::parse(text)
        && let Ok(uri) = to_uri(&jid, Scheme::Sip)
    {
        let wire = Uri::parse(&uri.to_string()).expect("a URI that we write can be read");
        let back = to_jid(&wire, Sips::Refuse);
        // A longer resource is digested, and only the gateway's table knows it again.
        if jid
            .resource()
            .is_none_or(|resource| resource.len() <= MOST_INSTANCE)
        {
            assert_eq!(back.as_ref(), Ok(&jid), "{wire}");
        } else {
            assert_eq!(back.map(|back| back.bare()), Ok(jid.bare()), "{wire}");
        }
    }
    if let Ok(uri) = Uri::parse(text)
        && let Ok(jid) = to_jid(&uri, Sips::Translate)
    {
        assert_eq!(Jid::parse(&jid.to_string()).as_ref(), Ok(&jid));
        let canonical = to_uri(&jid, Scheme::Sip).expect("a JID made from a URI has a URI");
        let wire = Uri::parse(&canonical.to_string()).expect("a URI that we write can be read");
        if jid
            .resource()
            .is_none_or(|resource| resource.len() <= MOST_INSTANCE)
        {
            assert_eq!(to_jid(&wire, Sips::Refuse).as_ref(), Ok(&jid), "{wire}");
        }
    }
}

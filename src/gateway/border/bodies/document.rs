//! XML that programs write: presence, the state of dialogs and rooms, typing notices.

use super::{Search, Searched, Withheld, short};
use crate::mime::MediaType;
use crate::sip::Uri;
use crate::xml::{self, Element};

/// Whether a type is XML.
pub(super) fn is_document(kind: &MediaType) -> bool {
    let is_xml = |subtype: &str| {
        subtype == "xml"
            || subtype.ends_with("+xml")
            || subtype.starts_with("xml+")
            || subtype.ends_with("-xml")
    };
    matches!(kind.kind(), "application" | "text" | "message") && is_xml(kind.subtype())
}

impl Search<'_> {
    /// A document that names no place inside: as it is, or with our user's address for each device.
    pub(super) fn document(&self, kind: &MediaType, body: &[u8]) -> Searched {
        let mut root = xml::document(body, self.xml).map_err(|_| Withheld::Unreadable(short(kind)))?;
        let is_changed = self.hide_contacts(&mut root);
        if self.shows(&root) {
            return Err(Withheld::Named(short(kind)));
        }
        Ok(is_changed.then(|| xml::write::document(&root)))
    }

    /// Puts our user's address in place of each contact at another host of SIP (RFC 3863 §4.1.4): a device is reached by
    /// it all the same. Whether there was one.
    fn hide_contacts(&self, element: &mut Element) -> bool {
        let mut is_changed = false;
        for child in element.children_mut() {
            if child.name() == "contact" && self.leads_elsewhere(child.text().trim()) {
                let mut own = Element::new(child.name(), child.ns()).with_text(self.own);
                if let Some(priority) = child.attribute("priority") {
                    own.set_attribute("priority", priority);
                }
                *child = own;
                is_changed = true;
            }
            is_changed |= self.hide_contacts(child);
        }
        is_changed
    }

    fn leads_elsewhere(&self, contact: &str) -> bool {
        match Uri::parse(contact) {
            Ok(Uri::Sip(uri)) => self.own_host().is_none_or(|own| own != *uri.host()),
            Ok(Uri::Other(_)) => self.proxy.inner().is_named_in(contact),
            Err(_) => !contact.is_empty(),
        }
    }

    /// Whether anything but what a person wrote names a place.
    fn shows(&self, element: &Element) -> bool {
        let inner = self.proxy.inner();
        let mut attributes = element.attributes();
        attributes.any(|attribute| inner.is_shown_in(attribute.value()))
            || (!WORDS.contains(&element.name()) && inner.is_shown_in(&element.text()))
            || element.children().any(|child| self.shows(child))
    }
}

/// Elements that hold what a person wrote, whatever their namespace: of PIDF, RPID, CIPID, conference-info and their kin.
const WORDS: [&str; 6] = [
    "display-name",
    "display-text",
    "note",
    "place-type",
    "subject",
    "title",
];

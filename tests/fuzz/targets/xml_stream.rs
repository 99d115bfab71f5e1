//! An XML stream, and the same octets as a document: the items do not depend on how the octets arrive, what we let
//! through rxml lets through as the same, and what we write of it reads back.

use vestibule::limits::XmlLimits;
use vestibule::xml::{self, write};

#[path = "../../it/conformance/xml_oracle.rs"]
mod oracle;

pub fn run(data: &[u8]) {
    let Some((portions, input)) = vestibule::portions(data) else {
        return;
    };
    let whole = oracle::agree_on_stream(input).unwrap_or_else(|difference| panic!("{difference}"));
    assert_eq!(oracle::read(input, portions), whole);
    for element in &whole.elements {
        let document = write::document(element);
        // What is written may be longer than what was read, and so over a bound that the original kept.
        if document.len() < 8_192 {
            assert_eq!(
                xml::document(&document, &XmlLimits::default()).as_ref(),
                Ok(element)
            );
        }
    }
    oracle::agree_on_document(input).unwrap_or_else(|difference| panic!("{difference}"));
}

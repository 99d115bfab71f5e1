//! Our XML reader against rxml, which was made for XMPP by others: whatever we let through, it lets through, as the same
//! tree.

use proptest::prelude::*;

use super::xml_oracle::{agree_on_document, agree_on_stream};
use super::xml_samples::{any_stream, any_tree};
use vestibule::xml::write;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_096))]

    #[test]
    fn what_we_accept_in_a_stream_rxml_accepts_as_the_same(stream in any_stream()) {
        if let Err(difference) = agree_on_stream(&stream) {
            prop_assert!(false, "{}: {difference}", stream.escape_ascii());
        }
    }

    #[test]
    fn what_we_accept_as_a_document_rxml_accepts_as_the_same(document in any_stream()) {
        if let Err(difference) = agree_on_document(&document) {
            prop_assert!(false, "{}: {difference}", document.escape_ascii());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// The law above is not empty: what we write, both accept.
    #[test]
    fn what_we_write_both_read_as_the_same(tree in any_tree()) {
        prop_assert_eq!(agree_on_document(&write::document(&tree)), Ok(Some(tree)));
    }
}

//! The two PRECIS profiles of an address: UsernameCaseMapped and OpaqueString, for one application of their rules.
//!
//! The classes of the `precis-core` crate stop at Unicode 6.3, the version of the IANA table; everything encoded
//! since 2013 (most emoji, which people put in room nicknames) is "unassigned" there and would be refused. RFC 8264 §8
//! derives a property by algorithm so that it need not be tied to a version, so for those code points alone the
//! algorithm is run here on the current properties. Old code points keep the value of the table.
//!
//! RFC 8265 §3.3.2 and §4.2.2 (order of rules), RFC 8264 §8 (derivation).

use std::borrow::Cow;

use icu_properties::props::{DefaultIgnorableCodePoint, GeneralCategory};
use icu_properties::{CodePointMapData, CodePointSetData};
use precis_profiles::precis_core::profile::Rules;
use precis_profiles::precis_core::{DerivedPropertyValue, FreeformClass, IdentifierClass, StringClass};
use precis_profiles::{Nickname, OpaqueString, UsernameCaseMapped};

/// One application of UsernameCaseMapped (RFC 8265 §3.3): width, class, case, normal form, direction.
pub(super) fn username(text: &str) -> Option<String> {
    let rules = UsernameCaseMapped::new();
    let text = rules.width_mapping_rule(text).ok()?;
    check_class(&text, &IdentifierClass::default(), is_recent_letter)?;
    let text = rules.case_mapping_rule(text).ok()?;
    let text = rules.normalization_rule(text).ok()?;
    rules.directionality_rule(text).map(Cow::into_owned).ok()
}

/// One application of OpaqueString (RFC 8265 §4.2): class, spaces, normal form.
pub(super) fn opaque(text: &str) -> Option<String> {
    let rules = OpaqueString::new();
    check_class(text, &FreeformClass::default(), is_recent_graphic)?;
    let text = rules.additional_mapping_rule(text).ok()?;
    rules.normalization_rule(text).map(Cow::into_owned).ok()
}

/// Whether the class allows every code point in its context; `recent` answers for those younger than its table.
fn check_class(text: &str, class: &impl StringClass, recent: fn(char) -> bool) -> Option<()> {
    // A letter stands in for an accepted young code point, so that the rules of context see every other one in place.
    let known: String = text
        .chars()
        .map(|c| {
            let is_young = class.get_value_from_char(c) == DerivedPropertyValue::Unassigned;
            if is_young && recent(c) { STAND_IN } else { c }
        })
        .collect();
    class.allows(known).ok()
}

/// RFC 8264 §9.1 (LetterDigits) without §9.17 (HasCompat): what the IdentifierClass takes beyond ASCII.
fn is_recent_letter(c: char) -> bool {
    let is_letter_or_digit = matches!(
        CodePointMapData::<GeneralCategory>::new().get(c),
        GeneralCategory::LowercaseLetter
            | GeneralCategory::UppercaseLetter
            | GeneralCategory::OtherLetter
            | GeneralCategory::DecimalNumber
            | GeneralCategory::ModifierLetter
            | GeneralCategory::NonspacingMark
            | GeneralCategory::SpacingMark
    );
    let mut buffer = [0; 4];
    let text: &str = c.encode_utf8(&mut buffer);
    // The nickname profile's normal form is NFKC.
    let has_compat = Nickname::new()
        .normalization_rule(text)
        .is_ok_and(|form| form != text);
    is_letter_or_digit && !has_compat && !is_ignorable(c)
}

/// RFC 8264 §9.14 to §9.18: what the FreeformClass takes besides.
fn is_recent_graphic(c: char) -> bool {
    let is_graphic = !matches!(
        CodePointMapData::<GeneralCategory>::new().get(c),
        GeneralCategory::Unassigned
            | GeneralCategory::Control
            | GeneralCategory::Format
            | GeneralCategory::PrivateUse
            | GeneralCategory::Surrogate
            | GeneralCategory::LineSeparator
            | GeneralCategory::ParagraphSeparator
    );
    is_graphic && !is_ignorable(c)
}

/// RFC 8264 §9.13 (PrecisIgnorableProperties); noncharacters are of category Unassigned and never come here as true.
fn is_ignorable(c: char) -> bool {
    CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(c)
}

/// Allowed by both classes and a party to no rule of context.
const STAND_IN: char = 'a';

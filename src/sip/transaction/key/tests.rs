//! Sections 17.1.3 and 17.2.3, part by part.

use super::super::tests::{INVITE, MESSAGE, answer, request};
use super::*;

/// The message in the style of RFC 2543.
fn old(text: &str) -> String {
    text.replace(";branch=z9hG4bKinvite1", "")
        .replace(";branch=z9hG4bKmessage1", ";branch=1")
}

fn key(text: &str) -> Key {
    Key::of_received(&request(text))
}

#[test]
fn a_response_belongs_to_the_request_with_its_branch_and_method() {
    let invite = request(INVITE);
    let sent = Key::of_sent(&invite).unwrap();
    assert_eq!(Key::of_response(&answer(&invite, 200)), Some(sent.clone()));
    let others = [
        INVITE.replace("z9hG4bKinvite1", "z9hG4bKinvite2"),
        INVITE.replace("INVITE", "CANCEL"),
    ];
    for other in others {
        let response = answer(&request(&other), 200);
        assert_ne!(Key::of_response(&response), Some(sent.clone()), "{other}");
    }
}

#[test]
fn a_response_with_a_branch_that_none_of_ours_has_belongs_to_nothing() {
    for branch in ["", ";branch=1", ";branch=z9hG4bK"] {
        let text = MESSAGE.replace(";branch=z9hG4bKmessage1", branch);
        assert_eq!(Key::of_response(&answer(&request(&text), 200)), None);
        assert_eq!(Key::of_sent(&request(&text)), None);
    }
}

#[test]
fn a_request_matches_by_branch_sent_by_and_method() {
    let same = [
        INVITE.replace("sip:ben@", "sip:other@"),
        INVITE.replace("call-1", "call-2"),
        INVITE.replace("z9hG4bKinvite1", "Z9HG4BKINVITE1"),
        INVITE.replace("a.example.com:5060", "A.Example.com:5060"),
        INVITE.replace("INVITE", "ACK"),
    ];
    for text in &same {
        assert_eq!(key(text), key(INVITE), "{text}");
    }
    let different = [
        INVITE.replace("z9hG4bKinvite1", "z9hG4bKinvite10"),
        INVITE.replace("a.example.com:5060", "a.example.com"),
        INVITE.replace("a.example.com:5060", "a.example.com:5061"),
        INVITE.replace("a.example.com:5060", "c.example.com:5060"),
        INVITE.replace("INVITE", "CANCEL"),
        old(INVITE),
    ];
    for text in &different {
        assert_ne!(key(text), key(INVITE), "{text}");
    }
}

#[test]
fn a_cancel_is_about_whatever_has_its_branch() {
    for (method, original) in [("INVITE", INVITE), ("MESSAGE", MESSAGE)] {
        for text in [original.to_owned(), old(original)] {
            let cancel = request(&text.replace(method, "CANCEL"));
            let of_branch = Key::before_all_methods(&cancel);
            let (of_cancel, about) = (Key::of_received(&cancel), key(&text));
            assert!(about.is_of(&of_branch) && of_branch < about && !about.is_of_cancel());
            assert!(of_cancel.is_of(&of_branch) && of_cancel.is_of_cancel());
            let other = key(&text.replace("a.example.com", "c.example.com"));
            assert!(!other.is_of(&of_branch));
        }
    }
}

#[test]
fn a_request_without_cookie_matches_by_all_that_rfc_2543_names() {
    let original = old(MESSAGE);
    assert_eq!(key(&original.replace("hello", "hallo")), key(&original));
    let different = [
        original.replace("sip:ben@example.org SIP", "sip:bob@example.org SIP"),
        original.replace("To: <sip:ben@example.org>", "To: <sip:ben@example.org>;tag=b"),
        original.replace("tag=a1", "tag=a2"),
        original.replace("message-1@", "message-2@"),
        original.replace("CSeq: 1 ", "CSeq: 2 "),
        original.replace("MESSAGE", "OPTIONS"),
        original.replace("a.example.com", "b.example.com"),
        original.replace(";branch=1", ";branch=2"),
    ];
    for text in &different {
        assert_ne!(key(text), key(&original), "{text}");
    }
}

#[test]
fn a_cookie_with_nothing_after_it_is_matched_as_rfc_2543_does() {
    let bare = INVITE.replace("z9hG4bKinvite1", "z9hG4bK");
    assert_ne!(key(&bare.replace("call-1", "call-2")), key(&bare));
}

#[test]
fn an_ack_without_cookie_is_found_by_the_tag_of_the_response() {
    let invite = old(INVITE);
    let ack = invite
        .replace("INVITE", "ACK")
        .replace("To: <sip:ben@example.org>", "To: <sip:ben@example.org>;tag=b1");
    let awaited = key(&invite).acknowledged_with(Some("b1")).unwrap();
    assert_eq!(key(&ack), awaited);
    assert_ne!(key(&ack.replace("tag=b1", "tag=b2")), awaited);
    assert_ne!(key(&ack.replace("call-1", "call-2")), awaited);
    assert_eq!(key(INVITE).acknowledged_with(Some("b1")), None);
    assert_eq!(key(&old(MESSAGE)).acknowledged_with(Some("b1")), None);
}

#[test]
fn parts_cannot_run_into_each_other() {
    // The From tag that ends in what the Call-ID begins with, and the other way round.
    let one = old(MESSAGE)
        .replace("tag=a1", "tag=a")
        .replace("message-1@", "1message-1@");
    assert_ne!(key(&one), key(&old(MESSAGE)));
}

#[test]
fn the_tag_of_an_answer_without_transaction_is_the_same_each_time() {
    assert_eq!(key(INVITE).stateless_tag(), key(INVITE).stateless_tag());
    assert_ne!(key(INVITE).stateless_tag(), key(MESSAGE).stateless_tag());
    assert_eq!(key(INVITE).stateless_tag().len(), 16);
}

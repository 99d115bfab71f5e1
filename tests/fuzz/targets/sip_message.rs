//! A SIP message alone: no input may panic, what is read and written reads as the same, and the reply to a bad one is
//! one message on a stream, whatever it repeats.

use vestibule::limits::SipLimits;
use vestibule::sip::frame::{Frame, StreamFramer};
use vestibule::sip::{parse, write};

pub fn run(data: &[u8]) {
    let limits = SipLimits::default();
    match parse::message(data, &limits) {
        Ok(message) => {
            let mut once = Vec::new();
            write::message(&message, &mut once);
            let again = parse::message(&once, &limits).expect("what we write we can read");
            let mut twice = Vec::new();
            write::message(&again, &mut twice);
            assert_eq!(once.escape_ascii().to_string(), twice.escape_ascii().to_string());
        }
        Err(bad) => {
            if let Some(reply) = bad.reply {
                let mut out = Vec::new();
                write::response(&reply, &mut out);
                // It may repeat a field that could not be read, but not so that it would be taken for two messages.
                let mut framer = StreamFramer::new(&limits);
                framer.push(&out);
                let frame = framer.next();
                assert!(matches!(frame, Ok(Some(Frame::Message(_) | Frame::Bad(_)))), "{frame:?}");
                assert_eq!((framer.next(), framer.buffered()), (Ok(None), 0));
            }
        }
    }
}

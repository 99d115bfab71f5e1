//! A SIP stream: the frames and the error do not depend on how the octets arrive.

use vestibule::limits::SipLimits;
use vestibule::sip::frame::{Frame, FrameError, StreamFramer};

pub fn run(data: &[u8]) {
    let Some((portions, input)) = vestibule::portions(data) else {
        return;
    };
    assert_eq!(frames(input, portions), frames(input, []));
}

fn frames(input: &[u8], portions: impl IntoIterator<Item = usize>) -> (Vec<Frame>, Option<FrameError>) {
    let mut framer = StreamFramer::new(&SipLimits::default());
    let mut frames = Vec::new();
    let mut rest = input;
    for portion in portions.into_iter().chain([usize::MAX]) {
        let (now, later) = rest.split_at(portion.min(rest.len()));
        rest = later;
        framer.push(now);
        loop {
            match framer.next() {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(error) => return (frames, Some(error)),
            }
        }
    }
    (frames, None)
}

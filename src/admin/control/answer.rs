//! Reading what the control socket answers, for who asks it.

/// The status and the body of a response; `None` where it is none.
#[must_use]
pub fn parted(text: &[u8]) -> Option<(u16, &[u8])> {
    let end = memchr::memmem::find(text, b"\r\n\r\n")?;
    let (head, rest) = text.split_at(end);
    let first = std::str::from_utf8(head).ok()?.lines().next()?;
    let status = first.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.parse().ok()?;
    Some((status, rest.get(4..)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_is_its_status_and_its_body() {
        assert_eq!(
            parted(b"HTTP/1.0 200 OK\r\na: b\r\n\r\n{}\r\n\r\n"),
            Some((200, &b"{}\r\n\r\n"[..]))
        );
        for text in [
            &b""[..],
            b"HTTP/1.1 200 OK\r\n",
            b"SSH-2.0 200 x\r\n\r\n",
            b"HTTP/1.1 abc\r\n\r\n",
        ] {
            assert_eq!(parted(text), None);
        }
    }
}

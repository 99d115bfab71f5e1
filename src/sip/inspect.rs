//! What a user agent server, a proxy or a gateway checks in a well-formed request before it acts on it.
//!
//! A pure function of the request and of what we support; it knows no users, no policy and no dialogs. Merged requests
//! (482) need memory and are found elsewhere ([`super::transaction::Register`]).
//! RFC 3261 §8.2.1 to §8.2.3 and §16.3, in that order of checks.

use super::{Host, Method, Request, Response, StatusCode, Uri};

/// What this element does with requests of the kind at hand.
#[derive(Debug, Clone, Copy)]
pub struct Supported<'a> {
    /// Whose rules hold.
    pub role: Role,
    /// Methods that are acted on; ACK and CANCEL are never refused.
    pub methods: &'a [Method],
    /// Option tags that may stand in Require, or for a proxy in Proxy-Require.
    pub extensions: &'a [&'a str],
    /// URI schemes besides `sip` and `sips`, in lowercase.
    pub schemes: &'a [&'a str],
    /// Media types of bodies, in lowercase, as type and subtype. Not used by a proxy.
    pub content: &'a [(&'a str, &'a str)],
    /// The media type of the body that a success response to INVITE would carry. Not used by a proxy.
    pub answer: Option<(&'a str, &'a str)>,
}

/// The part an element plays for a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The request ends here.
    UserAgent,
    /// The request goes on as it is.
    Proxy,
    /// The request ends here and goes on as something else, perhaps back into SIP: checked as by a user agent, and its
    /// hops are counted as by a proxy.
    Gateway,
}

/// Why a request is refused, ready to be made a response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// The status code.
    pub status: StatusCode,
    /// Header fields that the response must have.
    pub headers: Vec<(&'static str, String)>,
}

/// Checks a request.
///
/// # Errors
/// [`Rejection`] for the first check that fails. An ACK gets no response whatever this says.
pub fn inspect(request: &Request, supported: &Supported<'_>) -> Result<(), Rejection> {
    method(request, supported)?;
    scheme(request, supported)?;
    hops(request, supported)?;
    extensions(request, supported)?;
    content(request, supported)?;
    answer(request, supported)
}

/// Whether a request has gone through an element before that writes `name` without a port into its Vias. One that ends
/// here has then looped, for we send nothing on as what it was.
//
//= rfc3261#16.3
//# If the request contains a Via header field with a sent-by value that equals a value placed into previous requests by
//# the proxy, the request has been forwarded by this element before.
#[must_use]
pub fn went_through(request: &Request, name: &Host) -> bool {
    let mut vias = request.headers().vias();
    vias.any(|via| via.port().is_none() && via.host() == name)
}

impl Rejection {
    /// The response that says it.
    #[must_use]
    pub fn response(&self, request: &Request, to_tag: &str) -> Response {
        let mut response = request.response(self.status, self.status.reason(), Some(to_tag));
        for (name, value) in &self.headers {
            // The values are made of our own settings and of text that was read clean, so this cannot fail.
            let _ = response.headers_mut().push(name, value);
        }
        response
    }

    const fn bare(status: StatusCode) -> Self {
        Self {
            status,
            headers: Vec::new(),
        }
    }

    fn with(status: StatusCode, name: &'static str, values: impl IntoIterator<Item = String>) -> Self {
        Self {
            status,
            headers: vec![(name, values.into_iter().collect::<Vec<_>>().join(", "))],
        }
    }
}

//= rfc3261#8.2.1
//# If the UAS recognizes but does not support the method of a request, it MUST generate a 405 (Method Not Allowed)
//# response.
fn method(request: &Request, supported: &Supported<'_>) -> Result<(), Rejection> {
    let method = request.method();
    if supported.role == Role::Proxy
        || matches!(method, Method::Ack | Method::Cancel)
        || supported.methods.contains(method)
    {
        return Ok(());
    }
    let status = if method.is_known() {
        StatusCode::METHOD_NOT_ALLOWED
    } else {
        StatusCode::NOT_IMPLEMENTED
    };
    let allowed = supported.methods.iter().map(ToString::to_string);
    Err(Rejection::with(status, "Allow", allowed))
}

//= rfc3261#8.2.2.1
//# If the Request-URI uses a scheme not supported by the UAS, it SHOULD reject the request with a 416 (Unsupported URI
//# Scheme) response.
fn scheme(request: &Request, supported: &Supported<'_>) -> Result<(), Rejection> {
    match request.uri() {
        Uri::Sip(_) => Ok(()),
        Uri::Other(uri)
            if supported
                .schemes
                .iter()
                .any(|scheme| uri.scheme().eq_ignore_ascii_case(scheme)) =>
        {
            Ok(())
        }
        Uri::Other(_) => Err(Rejection::bare(StatusCode::UNSUPPORTED_URI_SCHEME)),
    }
}

//= rfc3261#16.3
//# If the request contains a Max-Forwards header field with a field value of zero (0), the element MUST NOT forward the
//# request.
fn hops(request: &Request, supported: &Supported<'_>) -> Result<(), Rejection> {
    match supported.role {
        Role::UserAgent => Ok(()),
        Role::Proxy | Role::Gateway if request.headers().max_forwards() == Some(0) => {
            Err(Rejection::bare(StatusCode::TOO_MANY_HOPS))
        }
        Role::Proxy | Role::Gateway => Ok(()),
    }
}

//= rfc3261#8.2.2.3
//# If a UAS does not understand an option-tag listed in a Require header field, it MUST respond by generating a response
//# with status code 420 (Bad Extension).
fn extensions(request: &Request, supported: &Supported<'_>) -> Result<(), Rejection> {
    if matches!(request.method(), Method::Ack | Method::Cancel) {
        return Ok(());
    }
    let name = match supported.role {
        Role::UserAgent | Role::Gateway => "Require",
        Role::Proxy => "Proxy-Require",
    };
    let unknown: Vec<String> = request
        .headers()
        .list(name)
        .filter(|tag| {
            !supported
                .extensions
                .iter()
                .any(|known| known.eq_ignore_ascii_case(tag))
        })
        .map(str::to_owned)
        .collect();
    if unknown.is_empty() {
        Ok(())
    } else {
        Err(Rejection::with(StatusCode::BAD_EXTENSION, "Unsupported", unknown))
    }
}

//= rfc3261#8.2.3
//# If there are any bodies whose type (indicated by the Content-Type), language (indicated by the Content-Language) or
//# encoding (indicated by the Content-Encoding) are not understood, and that body part is not optional (as indicated by
//# the Content-Disposition header field), the UAS MUST reject the request with a 415 (Unsupported Media Type) response.
fn content(request: &Request, supported: &Supported<'_>) -> Result<(), Rejection> {
    if supported.role == Role::Proxy || request.body().is_empty() || is_optional(request) {
        return Ok(());
    }
    let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
    if request
        .headers()
        .list("Content-Encoding")
        .any(|encoding| !encoding.eq_ignore_ascii_case("identity"))
    {
        return Err(Rejection::with(
            status,
            "Accept-Encoding",
            ["identity".to_owned()],
        ));
    }
    let known = request.headers().content_type().is_some_and(|media| {
        supported
            .content
            .iter()
            .any(|(kind, subtype)| media.is(kind, subtype))
    });
    if known {
        return Ok(());
    }
    let accepted = supported
        .content
        .iter()
        .map(|(kind, subtype)| format!("{kind}/{subtype}"));
    Err(Rejection::with(status, "Accept", accepted))
}

/// Whether the sender lets us leave the body aside.
fn is_optional(request: &Request) -> bool {
    request.headers().get("Content-Disposition").is_some_and(|value| {
        value
            .split(';')
            .skip(1)
            .filter_map(|param| param.split_once('='))
            .any(|(name, value)| {
                name.trim().eq_ignore_ascii_case("handling") && value.trim().eq_ignore_ascii_case("optional")
            })
    })
}

//= rfc3261#21.4.7
//# The resource identified by the request is only capable of generating response entities that have content
//# characteristics not acceptable according to the Accept header field sent in the request.
fn answer(request: &Request, supported: &Supported<'_>) -> Result<(), Rejection> {
    let (Method::Invite, Some((kind, subtype))) = (request.method(), supported.answer) else {
        return Ok(());
    };
    // No Accept is application/sdp (RFC 3261 §20.1); an empty one accepts no body at all, which we can do.
    let mut accepted = request.headers().list("Accept").peekable();
    if supported.role == Role::Proxy || accepted.peek().is_none() {
        return Ok(());
    }
    let acceptable = accepted.any(|range| {
        let range = range.split(';').next().unwrap_or_default();
        range.split_once('/').is_some_and(|(wanted, of_it)| {
            let (wanted, of_it) = (wanted.trim(), of_it.trim());
            wanted == "*"
                || wanted.eq_ignore_ascii_case(kind) && (of_it == "*" || of_it.eq_ignore_ascii_case(subtype))
        })
    });
    if acceptable {
        Ok(())
    } else {
        Err(Rejection::bare(StatusCode::NOT_ACCEPTABLE))
    }
}

#[cfg(test)]
mod tests;

//! Asking SIP servers whether they are there: OPTIONS over the transport that traffic takes (RFC 3261 §11).
//!
//! Any final answer says that a server lives, whatever it thinks of the question, but for 503: that one wants to be left
//! alone. The question goes no further than the server itself, and names no user.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use super::discover::Purpose;
use super::queue;
use super::sip_flow::Command;
use super::sip_link::live::{self, Live};
use super::sip_link::{Errand, Invited};
use super::sip_relay::Reply;
use super::world::{self, World};
use crate::gateway::Trouble;
use crate::route::{Target, Transport};
use crate::sip::{
    self, CallId, Flaw, Host, Mandatory, Method, NameAddr, Request, Response, Scheme, SipUri, StatusCode, Via,
};

/// What a server says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Said {
    /// It answers.
    Alive,
    /// It answers that it takes nothing, and for how long.
    Busy(Option<Duration>),
}

/// Asks a server, on a flow that is kept for it or on a new one; gives the flow back for the next time.
///
/// # Errors
/// [`Trouble`] where it cannot be reached, does not prove itself, or says nothing.
pub(super) async fn ask(
    world: &Arc<World>,
    target: &Target,
    kept: Option<Live>,
) -> Result<(Said, Live), Trouble> {
    let kept = kept.filter(|live| !live.flow.is_closed());
    let was_kept = kept.is_some();
    match ask_once(world, target, kept).await {
        // A connection that was quiet may have ended at its far end: that says nothing of the server.
        Err(_) if was_kept && target.transport != Transport::Udp => ask_once(world, target, None).await,
        asked => asked,
    }
}

async fn ask_once(world: &Arc<World>, target: &Target, kept: Option<Live>) -> Result<(Said, Live), Trouble> {
    let live = match kept {
        Some(live) => live,
        None => {
            // Nobody listens to what a flow reports: whoever asked hears all of it.
            let (reports, _) = queue::bounded("sip_report", 1, &world.metrics);
            live::open(world, &target.domain, target, reports, Purpose::Look).await?
        }
    };
    let request = question(world, target).map_err(|_flaw| Trouble::NotFound)?;
    let (asker, answer) = oneshot::channel();
    let now = world::now();
    let errand = Errand {
        request: Box::new(request),
        plan: None,
        reply: Reply::Asker(Some(asker)),
        until: now.checked_add(PATIENCE).unwrap_or(now),
        tried: Vec::new(),
        was_unsent: false,
        invite: Invited::default(),
    };
    let asked = live.flow.offer(Command::Request(Box::new(errand)));
    asked.map_err(|_refused| Trouble::Broken)?;
    match tokio::time::timeout(PATIENCE, answer).await {
        Ok(Ok(Ok(response))) => Ok((said(&response), live)),
        Ok(Ok(Err(trouble))) => Err(trouble),
        Ok(Err(_gone)) => Err(Trouble::Broken),
        Err(_late) => Err(Trouble::Timeout),
    }
}

fn said(response: &Response) -> Said {
    if response.status() == StatusCode::SERVICE_UNAVAILABLE {
        Said::Busy(sip::retry_after(response))
    } else {
        Said::Alive
    }
}

/// OPTIONS to the server itself.
//
//= rfc3261#11
//# The target of the OPTIONS request is identified by the Request-URI, which could identify another UA or a SIP server.
//= rfc3261#11
//# Alternatively, a server receiving an OPTIONS request with a Max-Forwards header field value of 0 MAY respond to the
//# request regardless of the Request-URI.
fn question(world: &World, target: &Target) -> Result<Request, Flaw> {
    let border = world.border();
    let edge = Host::parse(border.edge().as_str())?;
    let server =
        SipUri::new(Scheme::Sip, Host::parse(&target.host.to_string())?).with_port(target.port.get());
    let transport = match target.transport {
        // That is what it means where nothing is said.
        Transport::Udp => None,
        Transport::Tcp | Transport::Tls => Some(target.transport.as_str()),
    };
    let uri = match transport {
        Some(name) => server.clone().with_param("transport", Some(name)),
        None => server.clone(),
    };
    let name = || format!("{:032x}", u128::from_le_bytes(world::random()));
    let mandatory = Mandatory {
        // The flow writes its own.
        via: Via::new(sip::Transport::Tcp, edge.clone(), None, "z9hG4bK0")?,
        from: NameAddr::new(SipUri::new(Scheme::Sip, edge)).with_tag(&name()),
        to: NameAddr::new(server),
        call_id: CallId::parse(&name())?,
        sequence: 1,
    };
    let mut request = Request::new(Method::Options, uri, mandatory);
    request.headers_mut().set_max_forwards(Some(0));
    Ok(request)
}

/// How long a server may take to answer; over UDP it is asked four times within it.
const PATIENCE: Duration = Duration::from_secs(5);

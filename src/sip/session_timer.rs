//! Session timers: a session that nobody refreshes ends, at both ends and on the way (RFC 4028).
//!
//! [`SessionTimer`] negotiates in either role and says when to refresh and when to give up. Not the refresh itself, which
//! is an UPDATE or a re-INVITE of the session, nor the BYE.
//!
//! Invariant: after a session was accepted with an interval, it is refreshed or told as expired within that interval.

use std::collections::VecDeque;
use std::fmt;
use std::time::{Duration, Instant};

use super::event::seconds;
use super::lex::Cursor;
use super::params::Params;
use super::{Flaw, Request, Response, StatusCode};
use crate::clock::{TimerKind, TimerTable};

/// The value of Session-Expires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionExpires {
    /// The interval in seconds.
    pub seconds: u32,
    /// Who refreshes, where it is said.
    pub refresher: Option<Refresher>,
}

/// Who refreshes, by its role in the request at hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refresher {
    /// Who sends the request.
    Uac,
    /// Who answers it.
    Uas,
}

/// Who refreshes, by who we are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Party {
    /// We do.
    Us,
    /// The other end does.
    Them,
}

/// The timer of one session.
#[derive(Debug)]
pub struct SessionTimer {
    interval: u32,
    least: u32,
    /// The greatest Min-SE of this dialog.
    asked: Option<u32>,
    running: Option<Running>,
    due: TimerTable<Timer, 2>,
    outputs: VecDeque<SessionTimerOutput>,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionTimerOutput {
    /// Send an UPDATE or a re-INVITE, with what [`SessionTimer::ask`] puts into it.
    Refresh,
    /// The session has expired, or will in a moment: send BYE.
    Expired,
}

/// What a failed refresh means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Failed {
    /// Send it again at once, with the new interval that the response asked for.
    Again,
    /// It is tried again later by itself, as long as the session lasts.
    Later,
    /// The session is lost: send BYE.
    Over,
}

/// The session interval of a request is shorter than we take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the session interval is shorter than {0} seconds")]
pub struct TooSmall(u32);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Running {
    seconds: u32,
    refresher: Party,
    until: Instant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Timer {
    Refresh,
    Expiry,
}

impl SessionExpires {
    /// Reads the value of the header field. A refresher that is neither of the two counts as not said.
    ///
    /// # Errors
    /// The [`Flaw`] that was met first.
    pub fn parse(text: &str) -> Result<Self, Flaw> {
        let mut cursor = Cursor::new(text);
        cursor.skip_blanks();
        let seconds = seconds(cursor.take_while(|b| b.is_ascii_digit()))?;
        let params = Params::read(&mut cursor)?;
        cursor.end()?;
        let refresher = match params.get("refresher") {
            Some(text) if text.eq_ignore_ascii_case("uac") => Some(Refresher::Uac),
            Some(text) if text.eq_ignore_ascii_case("uas") => Some(Refresher::Uas),
            Some(_) | None => None,
        };
        Ok(Self { seconds, refresher })
    }
}

impl SessionTimer {
    /// A timer for a session that is to be refreshed every `interval`, and never more often than every `least`. Both are
    /// made at least 90 s.
    //
    //= rfc4028#5
    //# When present in a request or response, its value MUST NOT be less than 90 seconds.
    #[must_use]
    pub fn new(interval: Duration, least: Duration) -> Self {
        let whole = |time: Duration| u32::try_from(time.as_secs()).unwrap_or(u32::MAX).max(LEAST);
        let least = whole(least);
        Self {
            interval: whole(interval).max(least),
            least,
            asked: None,
            running: None,
            due: TimerTable::new(),
            outputs: VecDeque::new(),
        }
    }

    /// Takes the time: [`SessionTimer::timeout`] has come.
    pub fn handle(&mut self, now: Instant) {
        while let Some(timer) = self.due.expired(now) {
            match timer {
                Timer::Refresh => self.outputs.push_back(SessionTimerOutput::Refresh),
                Timer::Expiry => self.expire(),
            }
        }
    }

    /// The next thing to do.
    pub fn poll(&mut self) -> Option<SessionTimerOutput> {
        self.outputs.pop_front()
    }

    /// When [`SessionTimer::handle`] is next of use.
    #[must_use]
    pub fn timeout(&self) -> Option<Instant> {
        self.due.next()
    }

    /// Who refreshes, and how often; `None` where the session has no timer.
    #[must_use]
    pub fn running(&self) -> Option<(Party, Duration)> {
        self.running
            .map(|running| (running.refresher, Duration::from_secs(u64::from(running.seconds))))
    }

    /// The session is over: nothing is due any more.
    pub fn stop(&mut self) {
        self.running = None;
        self.due.clear_all();
        self.outputs.clear();
    }

    /// Puts into an INVITE or UPDATE of ours what asks for a timer.
    ///
    /// # Errors
    /// Never: the values are numbers and tokens. It is the error of the writer.
    //
    //= rfc4028#7.4
    //# The value of the Min-SE header field present in a session refresh request MUST be the largest value among all
    //# Min-SE header field values returned in all 422 responses or received in session refresh requests, on the same
    //# dialog
    pub fn ask(&self, request: &mut Request) -> Result<(), Flaw> {
        let least = self.asked.unwrap_or(LEAST);
        let value = match self.running {
            // The roles stay as they are, and so does the interval.
            Some(running) => SessionExpires {
                seconds: running.seconds.max(least),
                refresher: Some(match running.refresher {
                    Party::Us => Refresher::Uac,
                    Party::Them => Refresher::Uas,
                }),
            },
            None => SessionExpires {
                seconds: self.interval.max(least),
                refresher: None,
            },
        };
        let headers = request.headers_mut();
        headers.remove("Session-Expires");
        headers.remove("Min-SE");
        if !headers.list("Supported").any(is_timer) {
            headers.push("Supported", "timer")?;
        }
        headers.push("Session-Expires", &value.to_string())?;
        if self.asked.is_some() {
            headers.push("Min-SE", &least.to_string())?;
        }
        Ok(())
    }

    /// Whether an INVITE or UPDATE of the other end asks for an interval that we take.
    ///
    /// # Errors
    /// [`TooSmall`], with its response.
    //
    //= rfc4028#9
    //# If an incoming request contains a Supported header field with a value 'timer' and a Session Expires header field,
    //# the UAS MAY reject the INVITE request with a 422 (Session Interval Too Small) response if the session interval in
    //# the Session-Expires header field is smaller than the minimum interval defined by the UAS' local policy.
    pub fn check(&self, request: &Request) -> Result<(), TooSmall> {
        let is_small = expires(request.headers()).is_some_and(|value| value.seconds < self.least);
        if is_small && supports(request) {
            return Err(TooSmall(self.least));
        }
        Ok(())
    }

    /// Answers the wish of a request in the 2xx to it, and starts the timer by what it says. A request that knows no
    /// timer, or asks for none, ends one that ran.
    ///
    /// # Errors
    /// Never: the values are numbers and tokens. It is the error of the writer.
    //
    //= rfc4028#9
    //# The UAS MUST set the value of the refresher parameter in the Session-Expires header field in the 2xx response.
    pub fn answer(&mut self, now: Instant, request: &Request, response: &mut Response) -> Result<(), Flaw> {
        if let Some(least) = least(request.headers().get("Min-SE")) {
            self.asked = self.asked.max(Some(least));
        }
        let theirs = supports(request);
        let floor = least(request.headers().get("Min-SE")).unwrap_or(LEAST).max(LEAST);
        // An interval that nobody may ask for, by who cannot be refused: then there is none (§11.1).
        let value = match expires(request.headers()).filter(|wish| wish.seconds >= LEAST) {
            Some(wish) => SessionExpires {
                seconds: wish.seconds,
                // Table 2. Who does not know timers cannot refresh.
                refresher: Some(match wish.refresher {
                    Some(refresher) if theirs => refresher,
                    None if theirs => Refresher::Uac,
                    Some(_) | None => Refresher::Uas,
                }),
            },
            None if theirs => SessionExpires {
                seconds: self.interval.max(floor),
                refresher: Some(Refresher::Uac),
            },
            None => {
                self.running = None;
                self.due.clear_all();
                return Ok(());
            }
        };
        let refresher = match value.refresher {
            Some(Refresher::Uac) => Party::Them,
            Some(Refresher::Uas) | None => Party::Us,
        };
        let headers = response.headers_mut();
        headers.push("Session-Expires", &value.to_string())?;
        //= rfc4028#9
        //# If the refresher parameter in the Session-Expires header field in the 2xx response has a value of 'uac', the
        //# UAS MUST place a Require header field into the response with the value 'timer'.
        if theirs {
            headers.push("Require", "timer")?;
        }
        if !headers.list("Supported").any(is_timer) {
            headers.push("Supported", "timer")?;
        }
        self.start(now, value.seconds, refresher);
        Ok(())
    }

    /// Takes the 2xx to a request that [`SessionTimer::ask`] filled. Without Session-Expires the session has no timer at
    /// the other end, and needs none at ours.
    //
    //= rfc4028#7.2
    //# If the 2xx response did not contain a Session-Expires header field, there is no session expiration. In this case,
    //# no refreshes need to be sent.
    pub fn accepted(&mut self, now: Instant, response: &Response) {
        match expires(response.headers()) {
            Some(value) => {
                let refresher = match value.refresher {
                    Some(Refresher::Uas) => Party::Them,
                    Some(Refresher::Uac) | None => Party::Us,
                };
                // A session that is to be refreshed more often than anybody may ask for is not (§11.1).
                self.start(now, value.seconds.max(LEAST), refresher);
            }
            None => {
                self.running = None;
                self.due.clear_all();
            }
        }
    }

    /// Takes a refusal of such a request; `None` where nothing came back.
    //
    //= rfc4028#10
    //# If the session refresh request transaction times out or generates a 408 or 481 response, then the UAC sends a BYE
    //# request
    pub fn refused(&mut self, now: Instant, response: Option<&Response>) -> Failed {
        let Some(response) = response else {
            return self.lose();
        };
        match response.status() {
            StatusCode::REQUEST_TIMEOUT | StatusCode::CALL_DOES_NOT_EXIST => return self.lose(),
            StatusCode::SESSION_INTERVAL_TOO_SMALL => {
                let asked = least(response.headers().get("Min-SE"));
                if asked.is_some_and(|asked| asked <= MOST && Some(asked) > self.asked) {
                    self.asked = asked;
                    return Failed::Again;
                }
            }
            _ => {}
        }
        let Some(running) = self.running else {
            return Failed::Later;
        };
        // Half of what is left, until there is no time for another try.
        let left = running.until.saturating_duration_since(now);
        let pause = Duration::from_secs(left.as_secs() >> 1);
        if running.refresher == Party::Us && pause >= SHORTEST {
            self.due.set(Timer::Refresh, now, pause);
        }
        Failed::Later
    }

    fn lose(&mut self) -> Failed {
        self.stop();
        Failed::Over
    }

    fn start(&mut self, now: Instant, seconds: u32, refresher: Party) {
        let interval = Duration::from_secs(u64::from(seconds));
        self.running = Some(Running {
            seconds,
            refresher,
            until: now.checked_add(interval).unwrap_or(now),
        });
        self.due.clear_all();
        //= rfc4028#10
        //# if the side not performing refreshes does not receive a session refresh request before the session expiration,
        //# it SHOULD send a BYE to terminate the session, slightly before the session expiration. The minimum of 32
        //# seconds and one third of the session interval is RECOMMENDED.
        let early = BEFORE_EXPIRY.min(interval.mul_f64(1.0 / 3.0));
        self.due.set(Timer::Expiry, now, interval.saturating_sub(early));
        if refresher == Party::Us {
            self.due.set(Timer::Refresh, now, interval.mul_f64(0.5));
        }
    }

    fn expire(&mut self) {
        self.running = None;
        self.due.clear_all();
        self.outputs.push_back(SessionTimerOutput::Expired);
    }
}

impl TooSmall {
    /// The 422 that says it.
    #[must_use]
    pub fn response(&self, request: &Request, to_tag: &str) -> Response {
        let mut response = request.response(StatusCode::SESSION_INTERVAL_TOO_SMALL, "", Some(to_tag));
        // A number is clean, so this cannot fail.
        let _ = response.headers_mut().push("Min-SE", &self.0.to_string());
        response
    }
}

impl fmt::Display for SessionExpires {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let refresher = match self.refresher {
            None => "",
            Some(Refresher::Uac) => ";refresher=uac",
            Some(Refresher::Uas) => ";refresher=uas",
        };
        write!(f, "{}{refresher}", self.seconds)
    }
}

impl TimerKind for Timer {
    const ALL: &'static [Self] = &[Self::Expiry, Self::Refresh];

    fn index(self) -> usize {
        match self {
            Self::Expiry => 0,
            Self::Refresh => 1,
        }
    }
}

fn supports(request: &Request) -> bool {
    request.headers().list("Supported").any(is_timer) || request.headers().list("Require").any(is_timer)
}

fn is_timer(tag: &str) -> bool {
    tag.eq_ignore_ascii_case("timer")
}

/// What cannot be read counts as not there: a timer is a courtesy, and a session does not fail for it.
fn expires(headers: &super::Headers) -> Option<SessionExpires> {
    SessionExpires::parse(headers.get("Session-Expires")?).ok()
}

fn least(text: Option<&str>) -> Option<u32> {
    seconds(text?.split(';').next()?.trim()).ok()
}

/// RFC 4028 §4: the shortest interval that anybody may ask for.
const LEAST: u32 = 90;

/// A day: whoever wants longer intervals than that wants no timer.
const MOST: u32 = 86_400;

const BEFORE_EXPIRY: Duration = Duration::from_secs(32);

/// No retry of a refresh comes sooner.
const SHORTEST: Duration = Duration::from_secs(10);

"""A scripted element of SIP SIMPLE for presence (RFC 3856): all users of its domain, as they are seen and as they look at others.

    contoso = presence.Agent(rig, address, identity, authority, "contoso.lan", (rig.address("edge_outside"), 5061))

    alice = contoso.user("alice")                 # as the one who is seen; found again by her name
    alice.policy = "pending"                      # what a SUBSCRIBE gets: active | pending | (403, "Forbidden") | (423, "Too Brief", [field]) | None: silence
    alice.show("open", activity="busy", note="In a meeting")    # what she does now: all who watch her are notified
    alice.document = ("text/xml+msrtc.pidf", text)              # or in any document; alice.notify() tells it
    alice.approve(); alice.end("rejected")        # NOTIFY active, NOTIFY terminated
    alice.forget()                                # knows of no subscription any more, and says nothing of it: 481
    alice.grants = 5                              # the longest time that is given; alice.least: the shortest that is taken (423)
    alice.tags = True                             # each state has a SIP-ETag, and who refreshes and has it gets 204 (RFC 5839)
    alice.asked                                   # every SUBSCRIBE that came; alice.watched() are the subscriptions that live
    contoso.deaf = True                           # nothing is answered, and nothing sent

    watch = contoso.watch("alice", "bob@example.lan")           # SUBSCRIBE, and its final response in watch.answer
    watch.wait_for("active", basic="open", show="dnd")          # a notification; .document is what an XML parser found in it
    watch.refresh(); watch.end()                  # each gives the final response
    watch.has = watch.etag                        # says so, by Suppress-If-Match, from now on: the SIP-ETag of the last NOTIFY, or any word
    watch.answers = (481, "No such")              # what a NOTIFY gets; None: nothing
    contoso.watch("alice", "bob@example.lan", 0)  # asks once

    contoso.check()                               # raises where the far side did what a strict element does not take (contoso.faults)

Nothing is waited for with a fixed time: `until` and `wait_for` end with the event, or fail by the rig's deadline.
"""

import hashlib
import itertools
import queue
import re
import threading
import time
from xml.etree import ElementTree
from xml.sax.saxutils import escape, quoteattr

from rig import DEADLINE, Failed
from sip_peer import Peer

_numbers = itertools.count(1)
PIDF, MODEL, RPID = "urn:ietf:params:xml:ns:pidf", "urn:ietf:params:xml:ns:pidf:data-model", "urn:ietf:params:xml:ns:pidf:rpid"
RPID_IN_TUPLE, JABBER = "urn:ietf:params:xml:ns:pidf:status:rpid-status", "jabber:client"
TYPE = "application/pidf+xml"


class Agent(Peer):
    """An element that is all of a domain. What it sends within a dialog goes by one connection of its own to the edge, opened again when
    that has ended."""

    def __init__(self, rig, address, identity, authority, domain, edge, port=5061, transport="tls"):
        self.domain, self.edge, self.deaf = domain, edge, False
        self.users, self.watches, self.served, self.faults = {}, {}, {}, []
        self._asked, self._lock = {}, threading.RLock()
        self._changed = threading.Condition(self._lock)
        super().__init__(rig, address, port, transport, identity, authority, name=domain)
        if transport == "udp":
            self.listener.last = edge

    def user(self, name):
        """One of its users as somebody who is seen, made when first asked for."""
        with self._lock:
            return self.users.setdefault(name, User(self, name))

    def watch(self, name, whom, expires=3600, **more):
        """One of its users asks to see somebody."""
        watch = Watch(self, f"{name}@{self.domain}", whom, **more)
        watch.refresh(expires)
        return watch

    def fault(self, what):
        """Notes what the far side did wrong."""
        with self._lock:
            self.faults.append(what)

    def check(self):
        """Raises where the far side did something wrong."""
        with self._lock:
            if self.faults:
                raise Failed(f"{self.domain} found: " + "; ".join(self.faults))

    def until(self, condition, what, within=DEADLINE):
        """Waits until a condition of what came holds, and gives its value."""
        with self._changed:
            value = self._changed.wait_for(condition, within)
            if not value:
                last = "\n    ".join(repr(message)[:1200].replace("\r\n", "\n    ") for message in self.seen[-4:])
                raise Failed(f"{self.domain}: not within {within:.0f} s: {what}; the last of {len(self.seen)} messages:\n    {last}")
            return value

    def changed(self):
        """Wakes whoever waits for a condition."""
        with self._changed:
            self._changed.notify_all()

    # -- requests that go out

    def ask(self, method, uri, from_, to, **more):
        """Sends a request; its answer is asked of what this gives."""
        with self._lock:
            call_id, cseq = more.get("call_id") or f"presence-{next(_numbers)}@{self.domain}", more.get("cseq", 1)
            asked = self._asked[(call_id, f"{cseq} {method}")] = Asked(self, method)
            more.update(call_id=call_id, cseq=cseq)
            try:
                if self.transport != "udp" and (self.connection is None or self.connection.ending):
                    self.dial(*self.edge)
                asked.connection = self.connection
                self.send(method, uri, from_, to, **more)
            except OSError:
                asked.give(None)  # nobody is there, or the connection has ended and nobody has seen it yet
            return asked

    def publish(self, name, *tuples, person="", within=DEADLINE):
        """One of its users publishes a state at the server of the domain (RFC 3903), in the place of the one before; the final response."""
        whom, user = f"{name}@{self.domain}", self.user(name)
        before = [f"SIP-If-Match: {user.published}"] if user.published else []
        answer = self.ask("PUBLISH", f"sip:{whom}", whom, whom, headers=["Event: presence", "Expires: 600", *before], body=pidf(whom, *tuples, person=person),
                          kind=TYPE).final(within)
        user.published = answer.get("SIP-ETag")
        return answer

    def contact(self, name):
        """Where a user of it is."""
        return f"<sip:{name}@{self.address}:{self.port};transport={self.transport}>"

    # -- what comes

    def take(self, message):
        """Called with each message, in the thread of its connection."""
        self.seen.append(message)
        try:
            with self._lock:
                if message.method is None:
                    self._take_response(message)
                elif not self.deaf:
                    self._take_request(message)
        except OSError:
            pass  # the connection is gone, and whoever asked is told by its end
        self.changed()

    def ended(self, connection):
        """What was asked on a connection that ends has no answer."""
        super().ended(connection)
        with self._lock:
            for asked in self._asked.values():
                if asked.connection is connection:
                    asked.give(None)
        self.changed()

    def _take_response(self, response):
        asked = self._asked.get((response.get("Call-ID"), response.get("CSeq")))
        if asked is None:
            self.fault(f"a response to nothing: {response.start}")
        elif response.status >= 200:
            asked.give(response)
            if response.status == 481 and asked.served:
                asked.served.state = None

    def _take_request(self, request):
        key = (request.get("Call-ID"), request.tag("To"))
        if request.method == "NOTIFY":
            watch = self.watches.get(key)
            if watch is None:
                self.fault(f"a NOTIFY outside every dialog: {request!r}")
                self.answer(request, 481, "Subscription Does Not Exist")
            else:
                watch.take(request)
        elif request.method == "SUBSCRIBE" and request.tag("To"):
            served = self.served.get(key)
            if served is None:
                self._user_of(request).asked.append(request)
                self.answer(request, 481, "Subscription Does Not Exist")
            else:
                served.take(request)
        elif request.method == "SUBSCRIBE":
            self._user_of(request).take(request)
        elif request.method == "MESSAGE":
            self.answer(request, 200, "OK", tag=f"m{next(_numbers)}")
        else:
            self.answer(request, 405, "Method Not Allowed", ["Allow: SUBSCRIBE, NOTIFY, MESSAGE, OPTIONS"])

    def _user_of(self, request):
        return self.user(address_of(request.get("To")).partition("@")[0])


class Asked:
    """A request that was sent."""

    def __init__(self, agent, method):
        self.agent, self.method, self.connection, self.served = agent, method, None, None
        self._answers, self._final = queue.Queue(), None

    def give(self, response):
        """Takes the final response, or `None` where there will not be one."""
        self._answers.put(response)

    def final(self, within=DEADLINE):
        """The final response."""
        if self._final is None:
            try:
                self._final = self._answers.get(timeout=within)
            except queue.Empty:
                raise Failed(f"{self.agent.domain} got no answer to {self.method} in {within} s") from None
        if self._final is None:
            raise Failed(f"the connection ended on which {self.agent.domain} asked {self.method}")
        return self._final


class User:
    """Somebody who is seen."""

    def __init__(self, agent, name):
        self.agent, self.name, self.address = agent, name, f"{name}@{agent.domain}"
        self.policy, self.grants, self.least, self.tells = "active", 3600, None, True
        self.document, self.asked, self.published, self.tags = None, [], None, False

    def show(self, basic="open", notify=True, **more):
        """Is in a state from now on, as `pidf` and `a_tuple` write it, and tells it."""
        person = a_person(more.pop("activity", None), more.pop("idle", None))
        self.document = (TYPE, pidf(self.address, a_tuple(basic, **more), person=person))
        return self.notify() if notify else None

    def notify(self):
        """Tells those who may see it; what was asked of each."""
        with self.agent._lock:
            return [served.notify() for served in self.watched()]

    def approve(self):
        """Lets everybody see it who has asked."""
        with self.agent._lock:
            self.policy = "active"
            for served in self.watched():
                served.state = "active"
            return self.notify()

    def end(self, reason, retry_after=None):
        """Ends all subscriptions."""
        with self.agent._lock:
            return [served.end(reason, retry_after) for served in self.watched()]

    def forget(self):
        """Knows nothing of them any more."""
        with self.agent._lock:
            for served in self.watched():
                served.state = None
                del self.agent.served[(served.call_id, served.tag)]

    def watched(self, by=None):
        """The subscriptions that live."""
        return [served for served in list(self.agent.served.values()) if served.user is self and served.lives() and by in (None, served.watcher)]

    def wait_for_watcher(self, by=None, count=1, within=DEADLINE):
        """Waits until so many subscriptions live, and gives the first."""
        return self.agent.until(lambda: len(self.watched(by)) == count and self.watched(by), f"{count} watch {self.address}", within)[0]

    def wait_for_asked(self, count, within=DEADLINE):
        """Waits until so many SUBSCRIBE have come, and gives the last of them."""
        return self.agent.until(lambda: len(self.asked) >= count and self.asked, f"{count} SUBSCRIBE for {self.address}", within)[count - 1]

    def take(self, request):
        """A SUBSCRIBE that begins something."""
        self.asked.append(request)
        for fault in faults_of(request, "presence"):
            self.agent.fault(fault)
        expires = int(request.get("Expires") or 3600)
        if isinstance(self.policy, tuple):
            self.agent.answer(request, *self.policy, tag=f"r{next(_numbers)}")
        elif self.least and 0 < expires < self.least:
            self.agent.answer(request, 423, "Interval Too Brief", [f"Min-Expires: {self.least}"], tag=f"r{next(_numbers)}")
        elif self.policy is not None:
            Served(self, request, self.policy).take(request)


class Served:
    """A subscription of somebody else to one of ours."""

    def __init__(self, user, request, state):
        self.user, self.agent, self.state, self.until = user, user.agent, state, 0
        self.watcher, self.call_id = address_of(request.get("From")), request.get("Call-ID")
        self.tag, self.far_tag, self.event = f"n{next(_numbers)}", request.tag("From"), request.get("Event")
        self.cseq, self.far_cseq, self.refreshes, self.told = 0, 0, 0, []
        self.route = request.all("Record-Route")
        self.agent.served[(self.call_id, self.tag)] = self

    def lives(self):
        """Whether it stands."""
        return self.state is not None and time.monotonic() < self.until

    def take(self, request):
        """A SUBSCRIBE of it, the first or another."""
        number, expires = int(request.get("CSeq").split()[0]), int(request.get("Expires") or 3600)
        if number <= self.far_cseq:
            self.agent.fault(f"a SUBSCRIBE with CSeq {number} after {self.far_cseq}")
        if request.tag("To"):
            self.refreshes += 1
            self.user.asked.append(request)
            for fault in faults_of(request, self.event):
                self.agent.fault(fault)
        self.far_cseq, self.target = number, uri_of(request.get("Contact") or "<sip:nowhere>")
        if isinstance(self.user.policy, tuple) and request.tag("To"):
            self.state = None
            self.agent.answer(request, *self.user.policy)
            return
        if self.user.policy is None:
            return
        granted = min(expires, self.user.grants)
        self.until = time.monotonic() + granted
        condition = request.get("Suppress-If-Match")
        if condition and not self.user.tags:
            self.agent.fault(f"a SUBSCRIBE with Suppress-If-Match: {condition} where nobody has given a tag")
        if condition and request.tag("To") and condition == self.etag():
            self.agent.answer(request, 204, "No Notification", [f"Contact: {self.agent.contact(self.user.name)}", f"Expires: {granted}"], tag=self.tag)
            if expires == 0:
                self.state = None
            return
        self.agent.answer(request, 200, "OK", [f"Contact: {self.agent.contact(self.user.name)}", f"Expires: {granted}"], tag=self.tag)
        if expires == 0:
            self.end("timeout", shown=not request.tag("To"))
        elif self.user.tells:
            self.notify()

    def etag(self):
        """The tag of what it is told (RFC 5839)."""
        return hashlib.sha256(repr((self.state, self.user.document)).encode()).hexdigest()[:16]

    def notify(self, state=None, body=None, cseq=None, event=None, kind=None, tag=None):
        """Sends a NOTIFY, as it is due or as it is said here."""
        left = max(0, int(self.until - time.monotonic() + 0.5))
        state = f"{self.state};expires={left}" if state is None else state
        if body is None:
            kind, body = self.user.document if self.user.document and self.state == "active" else (None, "")
        if cseq is None:
            self.cseq += 1
            cseq = self.cseq
        with self.agent._lock:
            asked = self.agent.ask("NOTIFY", self.target, self.user.address, self.watcher, tag=tag or self.tag, to_tag=self.far_tag, call_id=self.call_id,
                                   cseq=cseq, headers=[f"Contact: {self.agent.contact(self.user.name)}", *(f"Route: {hop}" for hop in self.route),
                                                       f"Event: {event or self.event}", f"Subscription-State: {state}",
                                                       *([f"SIP-ETag: {self.etag()}"] if self.user.tags else [])], body=body, kind=kind)
            asked.served = None if event or tag else self
            self.told.append(asked)
        return asked

    def end(self, reason, retry_after=None, shown=False):
        """Ends it; with the state where that is all that was asked for."""
        kind, body = self.user.document if shown and self.user.document and self.state == "active" else (None, "")
        asked = self.notify(f"terminated;reason={reason}" + ("" if retry_after is None else f";retry-after={retry_after}"), body, kind=kind)
        self.state = None
        return asked


class Notice:
    """What a NOTIFY says."""

    def __init__(self, request):
        self.request = request
        self.state, *parameters = [part.strip() for part in (request.get("Subscription-State") or "").split(";")]
        self.parameters = dict(part.partition("=")[::2] for part in parameters)
        self.document = Document(request.body) if request.body else None

    def __repr__(self):
        return f"{self.state} {self.parameters} {self.document}"


class Watch:
    """One of ours looks at somebody."""

    def __init__(self, agent, who, whom, event="presence", accept=TYPE, headers=(), has=None):
        self.agent, self.who, self.whom, self.event, self.accept, self.headers = agent, who, whom, event, accept, list(headers)
        self.tag, self.call_id = f"w{next(_numbers)}", f"watch-{next(_numbers)}@{agent.domain}"
        self.cseq, self.far_cseq, self.far_tag, self.target, self.route = 0, 0, None, f"sip:{whom}", []
        self.notices, self.answer, self.answers, self.granted, self.over = [], None, (200, "OK"), None, False
        self.refused, self.etag, self.has = False, None, has
        with agent._lock:
            agent.watches[(self.call_id, self.tag)] = self

    def refresh(self, expires=3600, within=DEADLINE):
        """Asks, once more; the final response."""
        self.answer = self.send(expires).final(within)
        if self.answer.status < 300:
            with self.agent._lock:
                if not self.answer.get("Expires") or int(self.answer.get("Expires")) > expires:
                    self.agent.fault(f"a 200 to SUBSCRIBE with Expires: {self.answer.get('Expires')} for {expires}")
                self._meet(self.answer.tag("To"), self.answer.get("Contact"), self.answer.all("Record-Route")[::-1])
        return self.answer

    def end(self):
        """Does not want to see it any more; the final response."""
        return self.refresh(0)

    def send(self, expires):
        """Sends a SUBSCRIBE."""
        with self.agent._lock:
            self.cseq += 1
            event = [f"Event: {self.event}"] if self.event else []
            accept = [f"Accept: {self.accept}"] if self.accept else []
            lasting = [] if expires is None else [f"Expires: {expires}"]
            condition = [f"Suppress-If-Match: {self.has}"] if self.has else []
            return self.agent.ask("SUBSCRIBE", self.target, self.who, self.whom, tag=self.tag, to_tag=self.far_tag, call_id=self.call_id, cseq=self.cseq,
                                  headers=[f"Contact: {self.agent.contact(self.who.partition('@')[0])}", *event, *accept, *lasting, *condition,
                                           *(f"Route: {hop}" for hop in self.route), *self.headers])

    def forget(self):
        """Knows nothing of it any more: a NOTIFY is one outside every dialog, and answered so, but no fault."""
        self.answers = (481, "Subscription Does Not Exist")

    def wait_for(self, state=None, basic=None, since=0, within=DEADLINE, **shown):
        """Waits for a notification with such a Subscription-State, and a tuple that shows all of that (see `Document.shows`)."""
        def found():
            return next((notice for notice in self.notices[since:] if state in (None, notice.state)
                         and (not (basic or shown) or (notice.document and notice.document.shows(basic=basic, **shown)))), None)
        what = f"{self.who} is told {state or ''} {basic or ''} {shown or ''} of {self.whom}"
        try:
            return self.agent.until(found, what, within)
        except Failed as failure:
            raise Failed(f"{failure}\n  all that was told: {self.notices}") from None

    def take(self, request):
        """A NOTIFY of it."""
        number, who = int(request.get("CSeq").split()[0]), f"a NOTIFY for {self.who}"
        for fault in faults_of(request, self.event):
            self.agent.fault(fault)
        if number <= self.far_cseq:
            self.agent.fault(f"{who} with CSeq {number} after {self.far_cseq}")
        if self.over:
            # One may have been on its way, or be what a store that lost the last moment still has; whoever gets 481 has to stop.
            if self.refused:
                self.agent.fault(f"{who} after the last, and again")
            self.refused = True
            self.agent.answer(request, 481, "Subscription Does Not Exist")
            return
        if self.far_tag and request.tag("From") != self.far_tag:
            self.agent.fault(f"{who} with the tag {request.tag('From')} for {self.far_tag}")
        self.far_cseq = number
        self._meet(request.tag("From"), request.get("Contact"), request.all("Record-Route"))
        if self.answers is not None:
            self.agent.answer(request, *self.answers)
        try:
            notice = Notice(request)
        except ElementTree.ParseError as error:
            self.agent.fault(f"{who} with a body that is no XML: {error}")
            return
        for fault in self._faults_of(notice, who):
            self.agent.fault(fault)
        self.etag = request.get("SIP-ETag")
        self.over = notice.state == "terminated" or bool(self.answers and self.answers[0] >= 300)
        self.notices.append(notice)

    def _meet(self, tag, contact, route):
        if self.far_tag is None:
            self.far_tag, self.route = tag, route
        if contact:
            self.target = uri_of(contact)

    def _faults_of(self, notice, who):
        if notice.state in ("active", "pending") and not notice.parameters.get("expires", "").isdigit():
            yield f"{who} that is {notice.state} without expires (RFC 6665 section 4.2.2)"
        if notice.state == "pending" and notice.document:
            yield f"{who} that is pending and tells something"
        if notice.state == "terminated" and not notice.parameters.get("reason"):
            yield f"{who} that is terminated without a reason"
        if notice.document and (notice.request.get("Content-Type") or "").split(";")[0] != TYPE:
            yield f"{who} with a body of {notice.request.get('Content-Type')}"
        if notice.document and notice.document.entity not in (f"pres:{self.whom}", f"sip:{self.whom}"):
            yield f"{who} of the entity {notice.document.entity}"


class Document:
    """What stands in a PIDF document."""

    def __init__(self, body):
        root = ElementTree.fromstring(body)
        self.text, self.entity = body.decode(), root.get("entity")
        self.tuples = [Shown(element) for element in root.iter(f"{{{PIDF}}}tuple")]
        person = root.find(f"{{{MODEL}}}person")
        self.activities = _activities(person)
        idle = None if person is None else person.find(f"{{{RPID}}}user-input")
        self.idle = None if idle is None else idle.get("last-input", "")

    def shows(self, tuples=None, person=None, idle=None, **wanted):
        """Whether it has so many tuples, such a person (an activity, or "" for none), and a tuple in which all of that stands: basic, show,
        activity, note, notes, priority, identifier, contact. What is `None` does not matter, and "" is nothing there."""
        return ((tuples is None or len(self.tuples) == tuples) and (person is None or self.activities == ([person] if person else []))
                and (idle is None or (self.idle or "") == idle) and (any(each.shows(**wanted) for each in self.tuples) or all(value is None for value in wanted.values())))

    def __repr__(self):
        return f"{self.tuples} {self.activities} {self.idle or ''}"


class Shown:
    """A tuple."""

    def __init__(self, element):
        self.identifier = element.get("id")
        status, contact = element.find(f"{{{PIDF}}}status"), element.find(f"{{{PIDF}}}contact")
        self.basic, self.show = status.findtext(f"{{{PIDF}}}basic"), status.findtext(f"{{{JABBER}}}show") or ""
        self.activity = (status.findtext(f"{{{RPID_IN_TUPLE}}}activities/{{{RPID_IN_TUPLE}}}activity") or "")
        self.notes = {note.get("{http://www.w3.org/XML/1998/namespace}lang", ""): note.text for note in element.iter(f"{{{PIDF}}}note")}
        self.note = next(iter(self.notes.values()), "")
        self.contact, self.priority = ("", "") if contact is None else (contact.text, contact.get("priority", ""))

    def shows(self, **wanted):
        """Whether all of that stands in it."""
        return all(value is None or getattr(self, name) == value for name, value in wanted.items())

    def __repr__(self):
        return f"{self.identifier}: {self.basic} {self.show} {self.activity} {self.notes} {self.priority}"


def pidf(whom, *tuples, person=""):
    """A document of somebody's state."""
    return (f'<?xml version="1.0" encoding="UTF-8"?>\n<presence xmlns="{PIDF}" xmlns:dm="{MODEL}" xmlns:rpid="{RPID}" entity="pres:{whom}">'
            f'{"".join(tuples)}{person}</presence>')


def a_tuple(basic="open", identifier="t1", show=None, note=None, language=None, priority=None, more=""):
    """A tuple of it; `more` goes into its status as it is."""
    status = f"<basic>{basic}</basic>" + (f'<show xmlns="{JABBER}">{show}</show>' if show else "") + more
    contact = f"<contact priority={quoteattr(priority)}>im:somebody@somewhere.lan</contact>" if priority else ""
    spoken = f" xml:lang={quoteattr(language)}" if language else ""
    return f'<tuple id="{identifier}"><status>{status}</status>{contact}{f"<note{spoken}>{escape(note)}</note>" if note else ""}</tuple>'


def a_person(activity=None, idle=None):
    """What its user does (RFC 4480), and since when he has not touched anything."""
    if not activity and not idle:
        return ""
    left = f'<rpid:user-input last-input="{idle}">idle</rpid:user-input>' if idle else ""
    return f'<dm:person id="p1">{f"<rpid:activities><rpid:{activity}/></rpid:activities>" if activity else ""}{left}</dm:person>'


def faults_of(request, event):
    """What of a SUBSCRIBE or NOTIFY is not as it has to be."""
    who = f"a {request.method} from {address_of(request.get('From'))}"
    for name in ("Contact", "Event", "Max-Forwards", *(("Expires",) if request.method == "SUBSCRIBE" else ("Subscription-State",))):
        if request.get(name) is None:
            yield f"{who} without {name}"
    if event and (request.get("Event") or "").replace(" ", "") != event.replace(" ", ""):
        yield f"{who} with Event: {request.get('Event')} for {event}"
    if request.method == "SUBSCRIBE" and TYPE not in (request.get("Accept") or TYPE):
        yield f"{who} with Accept: {request.get('Accept')}"


def address_of(field):
    """The user@host of a From or To."""
    return re.search(r"sips?:([^>;?]*)", field)[1]


def uri_of(field):
    """The URI of a Contact."""
    return field.split("<")[1].split(">")[0] if "<" in field else field.split(";")[0]


def _activities(element):
    found = [] if element is None else element.findall(f"{{{RPID}}}activities/*")
    return [each.tag.rpartition("}")[2] for each in found]

"""A scripted organisation with a Microsoft server: one edge towards the federation, users behind it, and the habits of its product as data.

    edge = microsoft.Edge(rig, address, identity, authority, "contoso.lan", microsoft.LYNC, far_names=["edge.lan"])
    edge.connect(rig.address("edge_outside"))            # as many connections as the model opens; requests go over them in turn
    alice = edge.user("alice", "Zoë Ångström")

    answer = alice.page("bob@example.lan", "hello")       # MESSAGE without a session; the final response, which has .status
    session = alice.invite("bob@example.lan", "hello")    # INVITE, ACK, and the text: in the INVITE where both sides do that, else as a MESSAGE
    session.said                                          # how the first text went: "embedded" or "message"
    session.say("more"); session.type(); session.rest(); session.refresh(); session.close()    # each gives the final response
    ringing = alice.invite("bob@example.lan", wait=False); ringing.cancel()
    watched = alice.subscribe("bob@example.lan")          # SUBSCRIBE for presence, as the clients do it

    heard = alice.hear("message", "hi")                   # waits for what comes, and takes it: .text, .session (None for page mode), .request
    alice.invited = "accept" | "ring" | (486, "Busy Here")    # what an INVITE gets; one that rings is answered by heard.session.accept() or .decline()
    alice.consumes_first = False                          # does not take the text that came in an INVITE
    alice.answers["MESSAGE"] = (415, "Unsupported")       # what requests get, by method; None: no answer at all
    edge.check()                                          # raises where the far side did what such an edge refuses (edge.faults)

Kinds that are heard: message, invited, acknowledged, typing, idle, refreshed, ended, cancelled, subscribed, notified. A user answers by
himself, in the thread of the connection; what a test calls waits for its answer, so it belongs into the test's thread, or, where the test
plays the other end too, into `done = microsoft.in_background(lambda: session.say("hi"))`, which gives the answer by `done()`.

The edge is as strict as the product: TLS on both sides with certificates, From, To, Call-ID, CSeq and each Via as they were written, the
route set octet for octet and in its order, requests within a dialog to the Contact as it was given and with a CSeq that grows. Whatever is not so goes into `faults`, and such a request is refused.
"""

import base64
import dataclasses
import itertools
import queue
import random
import ssl
import threading
import time

import presence
from rig import DEADLINE, Failed
from sip_peer import Peer

_numbers = itertools.count(1)


@dataclasses.dataclass(frozen=True)
class Model:
    """How one product writes and behaves."""

    name: str
    user_agent: str
    server: str
    connections: int = 4           # OutgoingTlsCountForFederatedPartners
    media: str = "message"         # `x-ms-message` before 2007
    names_caller: bool = True      # the answer's m= line names the caller
    embeds_first: bool = True      # says the first text in the INVITE; not where sessions are archived
    formats: tuple = ("text/html",)  # other forms of that text, each in an ms-im-format
    upper: bool = False            # writes the names of the old header fields in capitals
    client_via_has_branch: bool = False
    ephemeral_via: bool = False    # Via names the port that the connection comes from, where nobody listens
    progress: tuple = ((101, "Progress Report"), (180, "Ringing"))
    benotifies: bool = True        # notifies by BENOTIFY whoever can take it
    piggybacks: bool = True        # says the first notification in the answer to a SUBSCRIBE
    names_event: bool = True       # public clouds leave Event out of that answer
    session_expires: int = 1800


LCS = Model("lcs-2005", "LCC/1.3", "LC/1.0", connections=1, media="x-ms-message", names_caller=False, embeds_first=False, upper=True,
            progress=((180, "Ringing"),), benotifies=False, piggybacks=False)
OCS = Model("ocs-2007-r2", "UCCAPI/3.5.6907.266 OC/3.5.6907.266 (Microsoft Office Communicator 2007 R2)", "RTC/3.5", upper=True,
            formats=("text/html", "text/rtf"))
LYNC = Model("lync-2013", "UCCAPI/15.0.4420.1017 OC/15.0.4420.1017 (Microsoft Lync)", "RTC/5.0")
SKYPE = Model("skype-2019", "UCCAPI/16.0.12527.20880 OC/16.0.12527.21104 (Skype for Business)", "RTC/7.0", client_via_has_branch=True)
TENANT = Model("hosted", "UCCAPI/16.0.13901.20336 OC/16.0.13901.20400 (Skype for Business)", "RTC/8.0", ephemeral_via=True, names_event=False)
MODELS = (LCS, OCS, LYNC, SKYPE, TENANT)

KINDS = "text/plain multipart/alternative image/gif text/rtf text/html application/x-ms-ink application/ms-imdn+xml text/x-msmsgsinvite "
FONT = "WAAtAE0ATQBTAC0ASQBNAC0ARgBvAHIAbQBhAHQAOgAgAEYATgA9AFMAZQBnAG8AZQAlADIAMABVAEkAOwAgAEUARgA9ADsAIABDAE8APQAwADsAIABDAFMAPQAwADsAIABQAEYAPQAwAA0ACgANAAoA"
CALLER = ("ms-dialog-route-set-update", "ms-embedded-first-message", "ms-delayed-accept", "ms-renders-isf, ms-renders-gif", "timer",
          "histinfo", "ms-safe-transfer", "ms-sender", "ms-early-media", "com.microsoft.rtc-multiparty", "ms-conf-invite")
CALLEE = ("ms-sender", "histinfo", "ms-safe-transfer", "ms-dialog-route-set-update", "ms-conf-invite")
ALLOW = "INVITE, BYE, ACK, CANCEL, INFO, MESSAGE, UPDATE, REFER, NOTIFY, BENOTIFY"
ACCEPT = ("application/msrtc-event-categories+xml, text/xml+msrtc.pidf, application/xpidf+xml, application/pidf+xml, application/rlmi+xml, "
          "multipart/related")
KEYBOARD = '<?xml version="1.0"?><KeyboardActivity><status status="{}"/></KeyboardActivity>'
BATCH = ('<batchSub xmlns="http://schemas.microsoft.com/2006/01/sip/batch-subscribe" uri="sip:{0}" name=""><action name="subscribe" id="63792024">'
         '<adhocList>{1}</adhocList><categoryList xmlns="http://schemas.microsoft.com/2006/09/sip/categorylist">'
         '<category name="state"/><category name="note"/><category name="contactCard"/></categoryList></action></batchSub>')
PIDF = ('<?xml version="1.0"?><presence xmlns="urn:ietf:params:xml:ns:pidf" entity="sip:{}"><tuple id="0"><status><basic>{}</basic></status>'
        "</tuple></presence>")


class Edge(Peer):
    """The edge of the organisation, and all that stands behind it."""

    def __init__(self, rig, address, identity, authority, domain, model=LYNC, far_names=(), port=5061, seed=2007):
        """`far_names` are what the certificate of the far side has to name, one of them at least; none: any that the authority signed."""
        self.domain, self.model, self.far_names = domain, model, tuple(far_names)
        self.users, self.dialogs, self.transactions = {}, {}, {}
        self.faults, self.partner = [], None
        self.lines = []           # the connections that were opened; requests go over those that live, in turn
        self.random = random.Random(seed)
        self._turn = itertools.count()
        self._lock = threading.RLock()
        super().__init__(rig, address, port, identity=identity, authority=authority, name=f"edge.{domain}")

    # -- connections

    def context(self, server_side):
        """TLS with certificates on both sides."""
        made = super().context(server_side)
        made.load_verify_locations(self.authority.certificate)
        made.verify_mode = ssl.CERT_REQUIRED
        return made

    def connect(self, address, port=5061):
        """Opens the connections of the model to a federated partner; when they have all ended, it does so again by itself."""
        self.partner = address, port
        return [self.dial(address, port) for _ in range(self.model.connections)]

    def dial(self, address, port=5061):
        """Opens one connection more."""
        connection = super().dial(address, port)
        connection.port = connection.wire.getsockname()[1]
        with connection.lock:
            shown = connection.wire.getpeercert()
        names = {value for kind, value in shown.get("subjectAltName", ()) if kind == "DNS"}
        if self.far_names and not names.intersection(self.far_names):
            self.fault(f"the far side's certificate names {sorted(names)}, and none of {list(self.far_names)}")
        with self._lock:
            self.lines.append(connection)
        return connection

    def living(self):
        """The opened connections that live."""
        with self._lock:
            return [line for line in self.lines if not line.ending]

    def close(self):
        """Stops listening, and closes every connection."""
        super().close()
        for line in self.lines:
            line.close()

    # -- users and faults

    def user(self, name, display=None):
        """A user, made when first asked for."""
        with self._lock:
            return self.users.setdefault(name, User(self, name, display))

    def fault(self, what):
        """Notes what the far side did wrong."""
        with self._lock:
            self.faults.append(what)

    def check(self):
        """Raises where the far side did something that this edge does not take."""
        with self._lock:
            if self.faults:
                raise Failed(f"{self.name} ({self.model.name}) found: " + "; ".join(self.faults))

    # -- writing

    def write(self, start, fields, body=b""):
        """A message with its header fields in any order, Content-Length before Via, and each Via somewhere else."""
        fields = [*fields, ("Content-Length", str(len(body)))]
        with self._lock:
            names = [name for name, _ in fields if name != "Content-Length"]
            self.random.shuffle(names)
        names.insert(names.index("Via"), "Content-Length")
        values = {}
        for name, value in fields:
            values.setdefault(name, []).append(value)  # those of one name keep their order
        lines = [start]
        for name in names:
            shown = name.upper() if self.model.upper and name in ("Via", "From", "To", "Call-ID", "CSeq", "Max-Forwards", "Content-Length") else name
            lines.append(f"{shown}: {values[name].pop(0)}")
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + body

    def vias(self, branch, connection):
        """Those of the edge, of the server inside, and of the client."""
        port = connection.port if self.model.ephemeral_via else self.port
        client = ";branch=z9hG4bK" + _hex(8) if self.model.client_via_has_branch else ""
        return [f"SIP/2.0/TLS {self.address}:{port};branch={branch};branched=FALSE;ms-internal-info=\"{_word(24)}\"",
                f"SIP/2.0/TLS 10.20.0.7:5061;branch=z9hG4bK{_hex(8)}.{_hex(8)};branched=FALSE;ms-received-port=50{next(_numbers) % 900 + 100};ms-received-cid={_hex(4)}",
                f"SIP/2.0/TLS 10.20.1.9:49160{client};ms-received-port=49160;ms-received-cid=1B00"]

    def hops(self):
        """What the edge and the server inside record of themselves, the edge first: signed, and with parameters after the brackets."""
        return [f"<sip:edge.{self.domain}:5061;transport=tls;opaque=state:T:F:Ci.R{_hex(6)};lr;ms-route-sig={_word(43)}>;ms-rrsig={_word(43)};tag={_hex(32)}",
                f"<sip:pool.{self.domain}:5061;transport=tls;ms-fe=fe1.{self.domain};opaque=state:F;lr;ms-key-info={_word(64)};ms-identity={_word(20)}>;ms-rrsig={_word(43)};ms-role-rs-from"]

    # -- requests that go out

    def request(self, method, uri, fields, body=b"", kind=None, connection=None, branch=None, record=()):
        """Sends a request; the transaction whose answers it gets. ACK gets none."""
        if connection is None:
            lines = self.living() or (self.connect(*self.partner) if self.partner else [])
            if not lines:
                raise Failed(f"{self.name} has no connection left")
            connection = lines[next(self._turn) % len(lines)]
        branch = branch or f"z9hG4bK{_hex(8)}.{_hex(8)}"
        vias = self.vias(branch, connection)
        whole = [*(("Via", value) for value in vias), *(("Record-Route", value) for value in record), ("Max-Forwards", "68"), *fields]
        if kind:
            whole.append(("Content-Type", kind))
        transaction = Transaction(self, method, uri, dict(fields), vias, connection, branch, record)
        if method != "ACK":
            with self._lock:
                self.transactions[(branch, method)] = transaction
        connection.send(self.write(f"{method} {uri} SIP/2.0", whole, body))
        return transaction

    # -- what comes

    def take(self, message):
        """Called with each message that comes, in its connection's thread."""
        self.seen.append(message)
        try:
            if message.method is None:
                self._take_response(message)
            else:
                self._take_request(message)
        except OSError:
            pass  # the connection is gone, and whoever asked is told by its end

    def _take_response(self, response):
        top = response.get("Via") or ""
        branch = _parameter(top, "branch")
        with self._lock:
            transaction = self.transactions.get((branch, (response.get("CSeq") or " ").split()[-1]))
        if transaction is None:
            return self.fault(f"a response to nothing: {response.start}, {response.get('CSeq')}, {top}")
        for fault in transaction.faults_of(response):
            self.fault(fault)
        return transaction.give(response)

    def _take_request(self, request):
        method = request.method
        with self._lock:
            dialog = self.dialogs.get((request.get("Call-ID"), request.tag("To")))
        if dialog is not None:
            wrong = dialog.faults_of(request)
            if wrong:
                for fault in wrong:
                    self.fault(fault)
                if method != "ACK":
                    self.answer(request, 400, "Bad Request", [("ms-diagnostics-public", '1018;reason="Invalid route set"')])
                return
            dialog.take(request)
        elif method == "ACK":
            pass
        elif method == "CANCEL":
            self._take_cancel(request)
        elif method == "OPTIONS":
            self.answer(request, 200, "OK", [("Allow", ALLOW)])
        elif request.tag("To"):
            self.answer(request, 481, "Call Leg/Transaction Does Not Exist", [("ms-diagnostics-public", '1001;reason="Dialog does not exist"')])
        else:
            user = self.users.get(request.uri.partition(":")[2].partition("@")[0])
            if user is None:
                self.answer(request, 404, "Not Found", [("ms-diagnostics-public", '1003;reason="User does not exist"')])
            else:
                user.take(request)

    def _take_cancel(self, cancel):
        with self._lock:
            sessions = [dialog for dialog in self.dialogs.values() if isinstance(dialog, Session) and dialog.invite is not None
                        and dialog.invite.get("Via") == cancel.get("Via")]
        if not sessions:
            self.answer(cancel, 481, "Call Leg/Transaction Does Not Exist")
            return
        self.answer(cancel, 200, "OK", tag=sessions[0].own_tag)
        if sessions[0].decline(487, "Request Terminated"):
            sessions[0].user.note("cancelled", session=sessions[0], request=cancel)

    def answer(self, request, status=200, reason="OK", fields=(), body=b"", tag=None, kind=None, record=()):
        """Answers a request on its connection; `record` are hops of ours that a dialog goes over."""
        to = request.get("To")
        if status > 100 and ";tag=" not in to:
            to += f";tag={tag or _hex(10)}"
        whole = [*(("Via", value) for value in request.all("Via")), *(("Record-Route", value) for value in (*record, *request.all("Record-Route"))),
                 ("From", request.get("From")), ("To", to), ("Call-ID", request.get("Call-ID")), ("CSeq", request.get("CSeq")),
                 ("Server", self.model.server), ("ms-telemetry-id", _hex(16)),
                 ("ms-edge-proxy-message-trust", f"ms-source-type=EdgeProxyGenerated;ms-ep-fqdn=edge.{self.domain};ms-source-verified-user=verified;ms-source-network=federation"),
                 ("Proxy-Authentication-Info", f'TLS-DSK qop="auth", opaque="{_hex(8)}", srand="{_hex(8)}", snum="1", rspauth="{_hex(40)}", targetname="fe1.{self.domain}"'),
                 *fields]
        if kind:
            whole.append(("Content-Type", kind))
        request.connection.send(self.write(f"SIP/2.0 {status} {reason}", whole, body))



class Transaction:
    """A request that was sent, and what it gets; what comes of it is asked of `final`."""

    def __init__(self, edge, method, uri, fields, vias, connection, branch, record):
        self.edge, self.method, self.uri, self.fields, self.vias = edge, method, uri, fields, vias
        self.connection, self.branch, self.record = connection, branch, list(record)
        self.provisional, self.answered_on, self.done = [], None, None
        self._answers = queue.Queue()

    def final(self, within=DEADLINE):
        """The final response."""
        if self.done is None:
            try:
                self.done = self._answers.get(timeout=within)
            except queue.Empty:
                raise Failed(f"{self.edge.name} got no answer to {self.method} {self.uri} in {within} s") from None
        return self.done

    def unanswered(self):
        """Whether there is no final response yet."""
        return self.done is None and self._answers.empty()

    def give(self, response):
        """Takes a response."""
        if response.status < 200:
            self.provisional.append(response)
        else:
            self.answered_on = response.connection
            self._answers.put(response)

    def faults_of(self, response):
        """What the response does not echo as it was written."""
        who = f"the {response.status} to {self.method}"
        if response.all("Via") != self.vias:
            yield f"{who} has the Via {response.all('Via')} for {self.vias}"
        for name in ("From", "Call-ID", "CSeq"):
            if _closed_up(response.get(name)) != _closed_up(self.fields[name]):
                yield f"{who} has the {name} {response.get(name)!r} for {self.fields[name]!r}"
        to = response.get("To") or ""
        if not _closed_up(to).startswith(_closed_up(self.fields["To"])):
            yield f"{who} has the To {to!r} for {self.fields['To']!r}"
        if self.record and 200 <= response.status < 300 and response.all("Record-Route")[-len(self.record):] != self.record:
            yield f"{who} has the Record-Route {response.all('Record-Route')}, which does not end with {self.record}"


class Heard:
    """Something that came to a user."""

    def __init__(self, kind, text=None, session=None, request=None):
        self.kind, self.text, self.session, self.request = kind, text, session, request

    def __repr__(self):
        return f"{self.kind} {self.text!r}"


class User:
    """A user of the organisation with one client."""

    def __init__(self, edge, name, display=None):
        self.edge, self.name, self.address = edge, name, f"{name}@{edge.domain}"
        self.display = display or name
        self.epid = _hex(10)
        self.invited, self.consumes_first = "accept", True
        self.notifies_first = True  # where the first notification does not come with the answer
        self.document, self.grants = ("application/pidf+xml", PIDF.format(self.address, "open")), 3600
        self.answers = {}
        self._heard, self._changed = [], threading.Condition()

    # -- what he says of himself

    def own(self, tag):
        """From, as he writes it: no blank before the bracket, letters as they are, and what only his server knows."""
        return f'"{self.display}"<sip:{self.address}>;tag={tag};epid={self.epid}'

    @property
    def contact(self):
        """Where his client is."""
        return f"sip:{self.address};opaque=user:epid:{base64.urlsafe_b64encode(self.epid.encode()).decode().rstrip('=')}AA;gruu"

    def session_text(self, named="null"):
        """The description of a session of messages."""
        media = self.edge.model.media
        return (f"v=0\r\no=- 0 0 IN IP4 10.20.1.9\r\ns=session\r\nc=IN IP4 10.20.1.9\r\nt=0 0\r\nm={media} 5060 sip {named}\r\n"
                f"a=accept-types:{KINDS}\r\n").encode()

    def about(self):
        """Header fields that go with every request and belong to nobody but his own organisation."""
        return [("User-Agent", self.edge.model.user_agent), ("P-Asserted-Identity", f'"{self.display}"<sip:{self.address}>'),
                ("ms-edge-proxy-message-trust", f"ms-source-type=InternetUser;ms-ep-fqdn=edge.{self.edge.domain};ms-source-verified-user=verified"),
                ("ms-user-logon-data", "RemoteUser"), ("ms-keep-alive", "UAC;hop-hop=yes"), ("ms-subnet", "10.20.1.0"), ("ms-endpoint-location-data", "NetworkScope;ms-media-location-type=Internet"),
                ("ms-asserted-verification-level", "ms-source-verified-user=verified"), ("ms-archiving", "none")]

    # -- what he hears

    def note(self, kind, text=None, session=None, request=None):
        """Notes what came."""
        with self._changed:
            self._heard.append(Heard(kind, text, session, request))
            self._changed.notify_all()

    def hear(self, kind, text=None, within=DEADLINE):
        """Takes the first of a kind, and of a text where one is given, that came or is to come."""
        end = time.monotonic() + within
        with self._changed:
            while True:
                for heard in self._heard:
                    if heard.kind == kind and (text is None or heard.text == text):
                        self._heard.remove(heard)
                        return heard
                left = end - time.monotonic()
                if left <= 0:
                    raise Failed(f"{self.address} heard no {kind} {text or ''} in {within} s, but {self._heard}")
                self._changed.wait(left)

    def has_heard(self, kind=None):
        """What came and was not taken yet."""
        with self._changed:
            return [heard for heard in self._heard if kind in (None, heard.kind)]

    # -- what he does

    def page(self, to, text, kind="text/plain; charset=UTF-8", wait=True):
        """Sends a message without a session."""
        fields = [("From", self.own(_hex(10))), ("To", f"<sip:{to}>"), ("Call-ID", _hex(32)), ("CSeq", "1 MESSAGE"),
                  ("Supported", "timer"), *self.about()]
        transaction = self.edge.request("MESSAGE", f"sip:{to}", fields, text.encode(), kind)
        return transaction.final() if wait else transaction

    def invite(self, to, text=None, wait=True, within=DEADLINE, **more):
        """Begins a session; the text is said in the INVITE where the model does so, and else, or where nobody took it, in a MESSAGE."""
        session = Session(self, to)
        session.call(text, **more)
        if wait:
            session.await_answer(within)
        return session

    def subscribe(self, to, expires=3600, batch=()):
        """Asks for somebody's presence, as the clients do it, and waits for the answer; `batch` are those whom a list in the body names."""
        return Subscription(self, to).ask(expires, batch)

    def shows(self, kind, body, state="active;expires=3600"):
        """Is in a state from now on, as a document says it, and tells those who watch her."""
        self.document = kind, body
        with self.edge._lock:
            watchers = [dialog for dialog in self.edge.dialogs.values() if isinstance(dialog, Subscription) and dialog.user is self and dialog.watcher and dialog.lives]
        return [watcher.notify(state=state) for watcher in watchers]

    def watched(self):
        """The subscriptions to her that live."""
        with self.edge._lock:
            return [dialog for dialog in self.edge.dialogs.values() if isinstance(dialog, Subscription) and dialog.user is self and dialog.watcher and dialog.lives]

    def hear_state(self, within=DEADLINE, **shown):
        """Takes notifications until one shows all of that (see `presence.Document.shows`), and gives its document."""
        end, passed = time.monotonic() + within, []
        while True:
            try:
                heard = self.hear("notified", within=max(0.0, end - time.monotonic()))
            except Failed as failure:
                raise Failed(f"{failure}; {self.address} was not shown {shown}, but {passed}") from None
            if heard.text:
                document = presence.Document(heard.text.encode())
                if document.shows(**shown):
                    return document
                passed.append(document)

    # -- what comes outside a dialog

    def take(self, request):
        """Called with each request that is for him and belongs to no dialog."""
        method = request.method
        if method in self.answers:
            if self.answers[method] is not None:
                self.edge.answer(request, *self.answers[method])
            self.note({"MESSAGE": "message", "INVITE": "invited", "SUBSCRIBE": "subscribed"}.get(method, method), request=request)
        elif method == "MESSAGE":
            self.edge.answer(request)
            self.note("message", request.body.decode(), request=request)
        elif method == "INVITE":
            Session(self, None).ring(request)
        elif method == "SUBSCRIBE":
            Subscription(self, None).take_first(request)
        else:
            self.edge.answer(request, 405, "Method Not Allowed", [("Allow", ALLOW)])


class Dialog:
    """What two user agents share, and how requests within it are written and checked."""

    def __init__(self, user, to):
        self.user, self.edge = user, user.edge
        self.own_tag, self.far_tag = _hex(10), None
        self.hops = self.edge.hops()
        self.route, self.target = [], None
        self.cseq, self.far_cseq = 0, 0
        self.call_id = _hex(32)
        self.own = user.own(self.own_tag)
        self.far, self.to = None, to
        self.answered = {}
        if to:
            self.far = f"<sip:{to}>;epid={_hex(10)}"
            self._enter()

    def _enter(self):
        with self.edge._lock:
            self.edge.dialogs[(self.call_id, self.own_tag)] = self

    def forget(self):
        """Knows nothing of it any more, as a server that was started again: requests within it get 481."""
        with self.edge._lock:
            self.edge.dialogs.pop((self.call_id, self.own_tag), None)

    def entered_by(self, request):
        """Is the far side's dialog: what it said of itself is what is answered from now on."""
        self.call_id, self.far, self.far_tag = request.get("Call-ID"), request.get("From"), request.tag("From")
        self.own = f"{request.get('To')};tag={self.own_tag};epid={self.user.epid}"
        self.target, self.route = _bare(request.get("Contact")), request.all("Record-Route")
        self.far_cseq = int(request.get("CSeq").split()[0])
        self._enter()

    def confirmed_by(self, response):
        """Takes the far end from an answer."""
        self.far, self.far_tag = response.get("To"), response.tag("To")
        if response.get("Contact"):
            self.target = _bare(response.get("Contact"))
        recorded = response.all("Record-Route")
        self.route = [hop for hop in reversed(recorded) if hop not in self.hops]

    def send(self, method, fields=(), body=b"", kind=None, branch=None, cseq=None, connection=None):
        """Sends a request within the dialog."""
        if cseq is None:
            self.cseq += 1
            cseq = self.cseq
        whole = [("From", self.own), ("To", self.far), ("Call-ID", self.call_id), ("CSeq", f"{cseq} {method}"),
                 *(("Route", hop) for hop in self.route), *fields, *self.user.about()]
        return self.edge.request(method, self.target or f"sip:{self.to}", whole, body, kind, branch=branch, connection=connection)

    def faults_of(self, request):
        """What of a request within the dialog is not as it has to be."""
        faults, who = [], f"{request.method} within a dialog"
        if self.far_tag is not None and request.tag("From") != self.far_tag:
            faults.append(f"{who} has the tag {request.tag('From')} in From for {self.far_tag}")
        if request.all("Route") != self.hops and request.method != "CANCEL":
            faults.append(f"{who} has the Route {request.all('Route')} for {self.hops}")
        if request.uri != self.user.contact:
            faults.append(f"{who} is sent to {request.uri} and not to the Contact {self.user.contact}")
        number = int(request.get("CSeq").split()[0])
        if request.method not in ("ACK", "CANCEL"):
            if number <= self.far_cseq:
                faults.append(f"{who} has CSeq {number} after {self.far_cseq}")
            self.far_cseq = max(number, self.far_cseq)
        return faults

    def respond(self, request, status=200, reason="OK", fields=(), **more):
        """Answers a request within the dialog, unless the user does otherwise."""
        if request.method in self.user.answers:
            how = self.user.answers[request.method]
            if how is not None:
                self.edge.answer(request, *how, tag=self.own_tag)
            return False
        self.edge.answer(request, status, reason, fields, tag=self.own_tag, **more)
        return True


class Session(Dialog):
    """A session of messages."""

    def __init__(self, user, to):
        super().__init__(user, to)
        self.invite, self.asked, self.said, self.text, self.cancelled = None, None, None, None, None
        self.accepted, self.over, self.acknowledged = False, False, threading.Event()
        self._deciding = threading.Lock()

    # -- as the caller

    def call(self, text, more=(), body=None, kind="application/sdp"):
        """Sends the INVITE, with further fields, and about something else where a body is given."""
        self.text = text
        far = f"sip:{self.to}"
        fields = [("Contact", f"<{self.user.contact}>"), *(("Supported", value) for value in CALLER), ("Ms-Conversation-ID", _word(22)),
                  ("Roster-Manager", f"sip:{self.user.address}"), ("EndPoints", f"<sip:{self.user.address}>, <{far}>"),
                  ("Allow", ALLOW), ("ms-sender", f"sip:{self.user.address}"), ("Session-Expires", str(self.edge.model.session_expires)),
                  ("Min-SE", "90"), ("history-info", f"<{far}>;index=1")]
        fields = [field for field in fields if field[0] not in [name for name, _ in more]] + list(more)
        if text is not None and self.edge.model.embeds_first:
            fields.append(("ms-text-format", f"text/plain; charset=UTF-8;msgr={FONT};ms-body={_encoded(text)}"))
            for form in self.edge.model.formats:
                fields.append(("ms-im-format", f"{form}; charset=UTF-8;ms-body={_encoded(_as(form, text))}"))
        self.cseq = 1
        whole = [("From", self.own), ("To", self.far), ("Call-ID", self.call_id), ("CSeq", "1 INVITE"), *fields, *self.user.about()]
        self.asked = self.edge.request("INVITE", far, whole, self.user.session_text() if body is None else body, kind, record=self.hops)

    def await_answer(self, within=DEADLINE):
        """Waits until the far side accepts, acknowledges that, and says the first text where it has not been taken; the answer."""
        answer = self.asked.final(within)
        if answer.status >= 300:
            self.acknowledge_refusal()
            self.over = True
            return answer
        self.confirmed_by(answer)
        self.accepted = True
        # One connection for both, where they stay in their order.
        line = self.send("ACK", cseq=1).connection
        if self.text is not None:
            taken = any("ms-text-format" in value for value in answer.all("Supported"))
            self.said = "embedded" if taken and self.edge.model.embeds_first else "message"
            if self.said == "message":
                self.first = self.say(self.text, connection=line)
        return answer

    def acknowledge_refusal(self):
        """ACK for an answer that is no 2xx: of the same transaction."""
        self.edge.request("ACK", self.asked.uri, [("From", self.own), ("To", self.asked.done.get("To")), ("Call-ID", self.call_id), ("CSeq", "1 ACK")],
                          branch=self.asked.branch, connection=self.asked.connection)

    def cancel(self):
        """Takes the INVITE back; the final response to the INVITE. That to the CANCEL is then in `cancelled`."""
        cancel = Transaction(self.edge, "CANCEL", self.asked.uri, {**self.asked.fields, "CSeq": "1 CANCEL"}, self.asked.vias[:1], self.asked.connection,
                             self.asked.branch, ())
        with self.edge._lock:
            self.edge.transactions[(self.asked.branch, "CANCEL")] = cancel
        fields = [("Via", self.asked.vias[0]), ("Max-Forwards", "70"), *((name, self.asked.fields[name]) for name in ("From", "To", "Call-ID")),
                  ("CSeq", "1 CANCEL")]
        self.asked.connection.send(self.edge.write(f"CANCEL {self.asked.uri} SIP/2.0", fields))
        self.cancelled = cancel.final().status
        answer = self.asked.final()
        if answer.status >= 300:
            self.acknowledge_refusal()
            self.over = True
        return answer

    # -- as the callee

    def ring(self, invite):
        """Takes an INVITE, and does what the user does with one."""
        self.invite = invite
        self.entered_by(invite)
        if isinstance(self.user.invited, tuple):
            self.user.note("invited", session=self, request=invite)
            self.decline(*self.user.invited)
            return
        self.edge.answer(invite, 100, "Trying")
        for status, reason in self.edge.model.progress:
            self.edge.answer(invite, status, reason, tag=self.own_tag, record=reversed(self.hops))
        self.user.note("invited", _embedded(invite), self, invite)
        if self.user.invited == "accept":
            self.accept()

    def accept(self):
        """Accepts the INVITE; says by a tag that it has taken the text that came in it."""
        with self._deciding:
            if self.over or self.accepted:
                return False
            self.accepted = True
        text = _embedded(self.invite)
        takes = text is not None and self.user.consumes_first
        if takes:
            self.user.note("message", text, self, self.invite)
        named = f"sip:{_bare(self.invite.get('From'))[4:]}" if self.edge.model.names_caller else "null"
        supported = (*CALLEE, "ms-text-format") if takes else CALLEE
        fields = [("Contact", f"<{self.user.contact}>"), *(("Supported", value) for value in supported), ("Allow", ALLOW),
                  ("ms-diagnostics", f'51004;reason="Action initiated by user";source="fe1.{self.edge.domain}";component="UC"')]
        if "timer" in ",".join(self.invite.all("Supported")):
            fields += [("Session-Expires", f"{self.edge.model.session_expires};refresher=uac"), ("Require", "timer")]
        self.edge.answer(self.invite, 200, "OK", fields, self.user.session_text(named), self.own_tag, "application/sdp", reversed(self.hops))
        return True

    def decline(self, status=603, reason="Decline"):
        """Refuses the INVITE."""
        with self._deciding:
            if self.over or self.accepted:
                return False
            self.over = True
        self.edge.answer(self.invite, status, reason, [("ms-diagnostics-public", f'52001;reason="{reason}"')], tag=self.own_tag)
        return True

    # -- as both

    def faults_of(self, request):
        """What of a request within the session is not as it has to be."""
        if request.method == "ACK" and not self.accepted and self.invite is not None:
            return []  # of the refusal, from the next hop
        return super().faults_of(request)

    def say(self, text, kind=f"text/plain; charset=UTF-8;msgr={FONT}", wait=True, connection=None):
        """Says something; the final response."""
        transaction = self.send("MESSAGE", [("Supported", "timer"), ("Supported", "ms-dialog-route-set-update")], text.encode(), kind, connection=connection)
        return transaction.final() if wait else transaction

    def type(self):
        """Shows that the user types."""
        return self.send("INFO", body=KEYBOARD.format("type").encode(), kind="application/xml").final()

    def rest(self):
        """Shows that he does not type any more."""
        return self.send("INFO", body=KEYBOARD.format("idle").encode(), kind="application/xml").final()

    def refresh(self):
        """Refreshes the session."""
        return self.send("UPDATE", [("Contact", f"<{self.user.contact}>"), ("Supported", "timer"),
                                    ("Session-Expires", f"{self.edge.model.session_expires};refresher=uac")]).final()

    def close(self):
        """Ends the session."""
        self.over = True
        return self.send("BYE", [("ms-diagnostics-public", '52094;reason="Instant Messaging conversation terminated on user inactivity"')]).final()

    def take(self, request):
        """Called with each request within the session."""
        method = request.method

        def note(kind, text=None):
            self.user.note(kind, text, self, request)
        if method == "ACK":
            self.acknowledged.set()
            note("acknowledged")
        elif method == "CANCEL":
            self.edge._take_cancel(request)
        elif method == "MESSAGE":
            if self.respond(request):
                note("message", request.body.decode())
        elif method == "INFO":
            if self.respond(request):
                note("typing" if b'"type"' in request.body else "idle")
        elif method in ("UPDATE", "INVITE"):
            body = self.user.session_text() if method == "INVITE" else b""
            if self.respond(request, fields=[("Contact", f"<{self.user.contact}>"), ("Session-Expires", request.get("Session-Expires") or "1800"), ("Require", "timer")],
                            body=body, kind="application/sdp" if body else None):
                note("refreshed")
        elif method == "BYE":
            self.over = True
            self.respond(request)
            self.forget()
            note("ended")
        else:
            self.respond(request, 405, "Method Not Allowed", [("Allow", ALLOW)])


class Subscription(Dialog):
    """A subscription to presence, at either end."""

    def __init__(self, user, to):
        super().__init__(user, to)
        self.answer, self.watcher, self.lives = None, None, True

    def ask(self, expires, batch=()):
        """Sends the SUBSCRIBE and takes its answer, which may be the first notification too."""
        far = f"sip:{self.to}"
        self.cseq += 1
        body, kind = b"", None
        if batch:
            body = BATCH.format(self.user.address, "".join(f'<resource uri="sip:{each}"/>' for each in batch)).encode()
            kind = "application/msrtc-adrl-categorylist+xml"
        fields = [("From", self.own), ("To", self.far), ("Call-ID", self.call_id), ("CSeq", f"{self.cseq} SUBSCRIBE"),
                  *(("Route", hop) for hop in self.route), ("Contact", f"<{self.user.contact}>"), ("Event", "presence"),
                  ("Expires", str(expires)), ("Accept", ACCEPT), ("Supported", "com.microsoft.autoextend"), ("Supported", "ms-benotify"),
                  ("Proxy-Require", "ms-benotify"), ("Supported", "ms-piggyback-first-notify"),
                  *((("Require", "adhoclist, categoryList"),) if batch else ()), *self.user.about()]
        self.answer = self.edge.request("SUBSCRIBE", self.target or far, fields, body, kind, record=() if self.far_tag else self.hops).final()
        if self.answer.status < 300:
            self.confirmed_by(self.answer)
            if self.answer.body:
                self.user.note("notified", self.answer.body.decode(), self, self.answer)
        return self

    def take_first(self, request):
        """Is the notifier: accepts and notifies."""
        self.entered_by(request)
        self.watcher = request
        piggyback = self.edge.model.piggybacks and "ms-piggyback-first-notify" in ",".join(request.all("Supported"))
        granted = min(int(request.get("Expires") or 3600), self.user.grants)
        fields = [("Contact", f"<{self.user.contact}>"), ("Expires", str(granted)), ("Supported", "ms-benotify")]
        if self.edge.model.names_event:
            fields.append(("Event", request.get("Event")))
        if piggyback:
            fields += [("Supported", "ms-piggyback-first-notify"), ("ms-piggyback-cseq", "1"), ("subscription-state", f"active;expires={granted}")]
        kind, body = self.user.document
        self.edge.answer(request, 200, "OK", fields, body.encode() if piggyback else b"", self.own_tag, kind if piggyback else None, reversed(self.hops))
        self.user.note("subscribed", session=self, request=request)
        if piggyback:
            self.cseq = 1
        elif self.user.notifies_first:
            self.notify(state=f"active;expires={granted}")
        self.lives = granted > 0

    def notify(self, basic=None, state="active;expires=3600"):
        """Notifies the watcher: by BENOTIFY, which gets no answer, where the model does so and the watcher can take it, else by NOTIFY;
        the transaction. It tells what its user shows, or that he is open or closed."""
        silent = self.edge.model.benotifies and "ms-benotify" in ",".join(self.watcher.all("Supported"))
        kind, body = ("application/pidf+xml", PIDF.format(self.user.address, basic)) if basic else self.user.document
        self.lives = not state.startswith("terminated")
        recorded = [("Record-Route", hop) for hop in self.hops]  # RFC 6665 section 4.3: this may come before the answer
        return self.send("BENOTIFY" if silent else "NOTIFY", [("Contact", f"<{self.user.contact}>"), ("Event", "presence"), ("Subscription-State", state), *recorded],
                         body.encode() if self.lives else b"", kind if self.lives else None)

    def take(self, request):
        """Called with each request within the subscription."""
        if request.method in ("NOTIFY", "BENOTIFY"):
            if request.method == "NOTIFY":
                self.respond(request)
            self.user.note("notified", request.body.decode(), self, request)
        elif request.method == "SUBSCRIBE":
            granted = min(int(request.get("Expires") or 3600), self.user.grants)
            if self.respond(request, fields=[("Contact", f"<{self.user.contact}>"), ("Expires", str(granted))]):
                self.user.note("refreshed", session=self, request=request)
                if granted == 0:
                    self.notify(state="terminated;reason=timeout")
                elif self.user.notifies_first:
                    self.notify(state=f"active;expires={granted}")
        else:
            self.respond(request, 405, "Method Not Allowed", [("Allow", ALLOW)])


def categories(whom, availability, token=None, note=None, since="2026-11-21T10:00:00Z"):
    """What a user is published as by a server since 2007: a state that joins those of the devices, the state of a device, and a note."""
    def state(kind, number, activity=""):
        return (f'<category name="state" instance="1" publishTime="{since}"><state xsi:type="{kind}" lastActive="{since}" '
                f'xmlns="http://schemas.microsoft.com/2006/09/sip/state" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">'
                f"<availability>{number}</availability>{activity}</state></category>")
    activity = f'<activity token="{token}" minAvailability="{availability}" maxAvailability="{availability + 1000}"/>' if token else ""
    told = ('<category name="note" instance="0"><note xmlns="http://schemas.microsoft.com/2006/09/sip/note">'
            f'<body type="personal" uri="">{note}</body></note></category>') if note else ""
    return "application/msrtc-event-categories+xml", (
        f'<categories xmlns="http://schemas.microsoft.com/2006/09/sip/categories" uri="sip:{whom}">{state("machineState", 3500)}'
        f'{state("aggregateState", availability, activity)}{told}<category name="contactCard" instance="0"/></categories>')


def note_alone(whom, note=None):
    """What such a server says where the note has changed, and nothing else."""
    said = (f'<note xmlns="http://schemas.microsoft.com/2006/09/sip/note"><body type="personal" uri="">{note}</body></note>' if note else "")
    return "application/msrtc-event-categories+xml", (
        f'<categories xmlns="http://schemas.microsoft.com/2006/09/sip/categories" uri="sip:{whom}">'
        f'<category name="note" instance="0">{said}</category></categories>')


def presentity(whom, availability):
    """The same of one before."""
    return "text/xml+msrtc.pidf", (
        f'<?xml version="1.0" encoding="utf-16"?><presentity uri="sip:{whom}" xmlns="http://schemas.microsoft.com/2002/09/sip/presence">'
        f'<availability aggregate="{300 if availability < 18000 else 0}"/><activity aggregate="400"/>'
        f'<userInfo><states><state avail="{availability}"/></states></userInfo></presentity>')


def xpidf(whom, substatus):
    """The same for clients of MSN's time."""
    basic = "closed" if substatus in ("offline", "unknown") else "open"
    return "application/xpidf+xml", (
        '<?xml version="1.0"?><!DOCTYPE presence PUBLIC "-//IETF//DTD RFCxxxx XPIDF 1.0//EN" "xpidf.dtd"><presence>'
        f'<presentity uri="sip:{whom};method=SUBSCRIBE"/><atom id="1000"><address uri="sip:{whom}" priority="0.8"><status status="{basic}"/>'
        f'<msnsubstatus substatus="{substatus}"/></address></atom></presence>')


def in_background(do):
    """Does something that waits, in a thread of its own; call what it gives for the result."""
    result = queue.Queue()

    def work():
        try:
            result.put((do(), None))
        except (Failed, OSError) as error:
            result.put((None, error))
    threading.Thread(target=work, daemon=True).start()

    def outcome():
        value, error = result.get(timeout=2 * DEADLINE)
        if error:
            raise error
        return value
    return outcome


def _hex(length):
    return f"{random.getrandbits(length * 4):0{length}x}"


def _word(length):
    return "".join(random.choices("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", k=length))


def _encoded(text):
    return base64.b64encode(text.encode()).decode()


def _as(form, text):
    return f"<DIV style=\"font-size:10pt\">{text}</DIV>" if form == "text/html" else r"{\rtf1\ansi " + text + "}"


def _embedded(invite):
    """The text that came in an INVITE."""
    value = invite.get("ms-text-format")
    if value is None:
        return None
    body = _parameter(value, "ms-body")
    return base64.b64decode(body).decode() if body else None


def _parameter(value, name):
    for part in value.split(";")[1:]:
        key, _, given = part.strip().partition("=")
        if key.lower() == name:
            return given.strip('"')
    return None


def _closed_up(address):
    """The same without the blank that may stand before the bracket: all that may change in From and To."""
    return (address or "").replace('" <', '"<')


def _bare(address):
    return address.split("<")[1].split(">")[0] if "<" in address else address.split(";")[0]

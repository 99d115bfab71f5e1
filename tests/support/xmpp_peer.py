"""A scripted XMPP server, for what real ones will not do: any way to prove a domain, and any way to misbehave.

`Stream` is one connection, in either role, driven step by step. `Server` listens, speaks for any number of domains, each with its own
`Manners`, and is the authoritative server for their dialback keys.
"""

import base64
import hashlib
import hmac
import secrets
import socket
import ssl
import threading
import xml.etree.ElementTree as ElementTree
from xml.sax.saxutils import quoteattr

from rig import DEADLINE, Events, Failed

STREAM = "{http://etherx.jabber.org/streams}"
TLS = "{urn:ietf:params:xml:ns:xmpp-tls}"
SASL = "{urn:ietf:params:xml:ns:xmpp-sasl}"
DIALBACK = "{jabber:server:dialback}"
FEATURE = "{urn:xmpp:features:dialback}"
LIMITS = "{urn:xmpp:stream-limits:0}"
STREAMS = "{urn:ietf:params:xml:ns:xmpp-streams}"
STANZAS = "{urn:ietf:params:xml:ns:xmpp-stanzas}"


def key(secret, receiving, originating, identifier):
    """A dialback key that needs no memory (XEP-0185)."""
    hashed = hashlib.sha256(secret.encode()).hexdigest()
    return hmac.new(hashed.encode(), f"{receiving} {originating} {identifier}".encode(), "sha256").hexdigest()


def context(identity, authority, server_side, verify=True, alpn=None):
    """A TLS context that shows an identity, or none, and takes whatever the other end shows unless it is to be verified."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if server_side else ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname = False
    made.verify_mode = ssl.CERT_NONE
    if identity:
        made.load_cert_chain(identity.chain, identity.key)
    if verify:
        made.load_verify_locations(authority.certificate)
        made.verify_mode = ssl.CERT_REQUIRED
    if server_side:
        made.sni_callback = _note_name
    if alpn:
        made.set_alpn_protocols([alpn])
    return made


def _note_name(connection, name, _context):
    connection.asked_for = name


class Stream:
    """One connection with XMPP on it, from `local` to `remote`."""

    def __init__(self, connection, local=None, remote=None):
        self.socket = connection
        self.socket.settimeout(DEADLINE)
        self.local, self.remote = local, remote
        self.encrypted = False
        self.identifier = None
        self.features = None
        self.spaces = 0  # portions of white space alone: keepalives
        self._restart()

    @classmethod
    def dial(cls, address, local, remote, port=5269, source=None):
        """Connects as the server of `local`."""
        connection = socket.create_connection((address, port), DEADLINE, source_address=(source, 0) if source else None)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return cls(connection, local, remote)

    def write(self, text):
        """Sends text, or octets, as they are."""
        self.socket.sendall(text if isinstance(text, bytes) else text.encode())

    def header(self, **attributes):
        """Sends a stream header."""
        given = {"from": self.local, "to": self.remote, "version": "1.0", **attributes}
        text = "".join(f" {name}={quoteattr(value)}" for name, value in given.items() if value is not None)
        self.write("<?xml version='1.0'?><stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' "
                   f"xmlns:db='jabber:server:dialback'{text}>")

    def next(self):
        """What comes next: ("open", attributes), ("element", element), ("close",), or ("end",) when the connection is over."""
        while True:
            for what, element in self._parser.read_events():
                self._depth += 1 if what == "start" else -1
                if what == "start" and self._depth == 1:
                    self._root = element
                    return "open", dict(element.attrib)
                if what == "end" and self._depth == 1:
                    self._root.remove(element)
                    return "element", element
                if what == "end" and self._depth == 0:
                    return ("close",)
            try:
                got = self.socket.recv(65536)
            except socket.timeout as error:
                raise Failed(f"{self.remote} said nothing to {self.local} for {DEADLINE:.0f} s") from error
            except OSError:
                return ("end",)
            if not got:
                return ("end",)
            self.spaces += got.isspace()
            self._parser.feed(got)

    def expect(self, tag):
        """The next element, which has this tag."""
        what, *value = self.next()
        if what != "element" or value[0].tag != tag:
            raise Failed(f"{self.local} expected {tag} of {self.remote} and got {what} {_shown(value)}")
        return value[0]

    def open(self, **attributes):
        """Opens our side, and reads the other's header and features."""
        self.header(**attributes)
        what, *value = self.next()
        if what != "open":
            raise Failed(f"no stream header but {what}")
        self.identifier = value[0].get("id")
        what, *value = self.next()
        if what == "element" and value[0].tag == STREAM + "error":
            raise Refused(condition(value[0], STREAMS))
        if what != "element" or value[0].tag != STREAM + "features":
            raise Failed(f"no features but {what} {_shown(value)}")
        features = value[0]
        starttls = features.find(TLS + "starttls")
        self.features = {
            "starttls": None if starttls is None else "optional" if starttls.find(TLS + "required") is None else "required",
            "external": any(mechanism.text == "EXTERNAL" for mechanism in features.iter(SASL + "mechanism")),
            "dialback": features.find(FEATURE + "dialback") is not None,
            "limits": {name: features.findtext(f"{LIMITS}limits/{LIMITS}{name}") for name in ("max-bytes", "idle-seconds")},
            "other": [child.tag for child in features if child.tag not in (TLS + "starttls", SASL + "mechanisms", FEATURE + "dialback", LIMITS + "limits")],
        }
        return self

    def ask_for_tls(self):
        """`<starttls/>`, and whether it was granted."""
        self.write("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
        what, *value = self.next()
        return what == "element" and value[0].tag == TLS + "proceed"

    def secure(self, made, server_side=False, name=None):
        """The TLS handshake, on whatever was agreed."""
        self.socket = made.wrap_socket(self.socket, server_side=server_side, server_hostname=None if server_side else name)
        self.encrypted = True
        self._restart()
        return self

    def external(self, identity="="):
        """SASL EXTERNAL; None when it succeeded, and else the condition of the failure. `identity` is what <auth/> holds."""
        self.write(f"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>{identity}</auth>")
        what, *value = self.next()
        if what == "element" and value[0].tag == SASL + "success":
            self._restart()
            return None
        if what == "element" and value[0].tag == SASL + "failure":
            return condition(value[0], SASL)
        raise Failed(f"no outcome of SASL but {what} {_shown(value)}")

    def send_key(self, text, local=None, remote=None):
        """A dialback key for the pair of the stream, or another."""
        self.write(f"<db:result from={quoteattr(local or self.local)} to={quoteattr(remote or self.remote)}>{text}</db:result>")

    def dialback(self, secret, **pair):
        """Proves a pair by dialback: "valid", "invalid", or the condition of the error."""
        local, remote = pair.get("local") or self.local, pair.get("remote") or self.remote
        self.send_key(key(secret, remote, local, self.identifier), local, remote)
        return self.verdict()

    def verdict(self):
        """What became of a key."""
        answer = self.next()
        if answer[0] != "element":
            raise Failed(f"no outcome of dialback but {answer[0]}")
        if answer[1].tag == STREAM + "error":
            raise Refused(condition(answer[1], STREAMS))
        if answer[1].tag != DIALBACK + "result":
            raise Failed(f"no outcome of dialback but {_shown(answer[1:])}")
        if answer[1].get("type") == "error":
            return condition(answer[1].find("{jabber:server}error"), STANZAS)
        return answer[1].get("type")

    def message(self, body, sender=None, to=None):
        """A message from a user of ours to one of theirs; its id is its body."""
        self.write(f"<message from={quoteattr(sender or 'dave@' + self.local)} to={quoteattr(to or 'bob@' + self.remote)} "
                   f"type='chat' id={quoteattr(body)}><body>{body}</body></message>")

    def ended(self):
        """Reads to the end of the connection, and gives the condition of the stream error if there was one."""
        error = None
        while True:
            what, *value = self.next()
            if what == "end":
                return error
            if what == "element" and value[0].tag == STREAM + "error":
                error = condition(value[0], STREAMS)

    def close(self):
        """Ends the connection."""
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        self.close()

    def _restart(self):
        self._parser = ElementTree.XMLPullParser(("start", "end"))
        self._depth = 0
        self._root = None


class Refused(Exception):
    """The other end ended the stream with this stream error."""


class Manners:
    """How a server behaves for a domain.

    tls: "off" (not offered), "on", "refused" (answered with a failure), "broken" (proceed, and then no TLS), "injected" (a whole
        conversation in the clear behind the proceed, and then TLS)
    external: "off" (not offered), "on", "refused", "silent"
    dialback: "off" (not offered, and answered with an error), "on", "invalid"
    verify: "honest", "valid", "invalid", "error", "silent", or "stranger" (an answer for another stream)
    identity: the certificate of the domain; authority: who has to vouch for ours, where it is another than the server's
    limits: what it says that it takes (XEP-0478), such as {"max-bytes": 10000}
    deaf: whether it reads nothing more once a domain is proven
    """

    def __init__(self, identity=None, tls="on", external="on", dialback="on", verify="honest", authority=None, limits=None, deaf=False):
        self.authority, self.limits, self.deaf = authority, limits, deaf
        self.identity, self.tls, self.external, self.dialback, self.verify = identity, tls, external, dialback, verify


class Server:
    """Listens as the server of several domains.

    Events: ("connected", domain, encrypted) for each stream header, ("verify", of, on) for each question about a key, ("proven", local,
    remote, method) for each domain that proved itself, ("shown", local, remote, common name) for each certificate, ("name", local, remote, name) for
    the server name that was asked for in each handshake, ("message", from, to, body, type) and ("error", from, to, condition, id).
    """

    def __init__(self, rig, address, authority, manners, secret="a secret of the peer", port=5269, direct=None, request_certificate=True):
        self.events = Events(f"the server at {address}")
        self.secret = secret
        self._authority, self._manners, self._request = authority, manners, request_certificate
        self._direct, self._closed = direct, threading.Event()
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self._listener = socket.create_server((address, port), family=family, backlog=200)
        self.port = self._listener.getsockname()[1]
        self._streams = []
        rig.on_close(self.close)
        threading.Thread(target=self._accept, daemon=True).start()

    def keepalives(self, domain):
        """Portions of white space alone that came for a domain."""
        return sum(stream.spaces for stream in list(self._streams) if stream.local == domain)

    def manners(self, domain):
        """Those of the domain, or of the longest domain above it."""
        while domain not in self._manners:
            _, dot, domain = domain.partition(".")
            if not dot:
                return None
        return self._manners[domain]

    def close(self):
        """Listens and speaks no more."""
        self._closed.set()
        try:
            self._listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._listener.close()
        for stream in list(self._streams):
            stream.close()

    def wait_for_message(self, body, deadline=DEADLINE):
        """Waits until a message with that body has come."""
        return self.events.wait(lambda event: event[0] == "message" and event[3] == body, f"a message {body!r}", deadline)

    def _accept(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            stream = Stream(connection)
            self._streams.append(stream)
            threading.Thread(target=self._serve, args=(stream,), daemon=True).start()

    def _serve(self, stream):
        try:
            stream.socket.settimeout(None)
            if self._direct:
                stream.secure(context(self._direct, self._authority, True, self._request, "xmpp-server"), True)
                self.events.add(("alpn", stream.socket.selected_alpn_protocol()))
            proven = None
            while True:
                what, *value = stream.next()
                if what in ("close", "end"):
                    return
                if what == "open":
                    manners = self._greet(stream, value[0], proven)
                    if manners is None:
                        return
                    if manners.deaf and proven:
                        self._closed.wait()
                elif value[0].tag == TLS + "starttls":
                    if not self._secure(stream, manners):
                        return
                elif value[0].tag == SASL + "auth" and manners.external == "silent":
                    continue
                elif value[0].tag == SASL + "auth":
                    if manners.external == "refused" or not stream.encrypted:
                        stream.write("<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><not-authorized/></failure>")
                        continue
                    claimed = base64.b64decode(value[0].text) if value[0].text not in (None, "", "=") else b""
                    proven = claimed.decode() or stream.remote
                    stream.write("<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>")
                    stream._restart()
                    self.events.add(("proven", stream.local, proven, "external"))
                else:
                    self._take(stream, manners, value[0])
                    if manners.deaf and value[0].tag == DIALBACK + "result":
                        self._closed.wait()
        except (OSError, ssl.SSLError, ElementTree.ParseError, Failed):
            pass
        finally:
            stream.close()

    def _greet(self, stream, attributes, proven):
        stream.local, stream.remote = attributes.get("to"), attributes.get("from")
        stream.identifier = secrets.token_hex(8)
        stream.header(id=stream.identifier)
        manners = self.manners(stream.local or "")
        self.events.add(("connected", stream.local, stream.encrypted))
        if manners is None:
            stream.write("<stream:error><host-unknown xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>")
            return None
        features = ""
        if manners.tls != "off" and not stream.encrypted:
            features += "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
        if manners.external != "off" and stream.encrypted and not proven:
            features += "<mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>EXTERNAL</mechanism></mechanisms>"
        if manners.dialback != "off":
            features += "<dialback xmlns='urn:xmpp:features:dialback'><errors/></dialback>"
        if manners.limits:
            features += "<limits xmlns='urn:xmpp:stream-limits:0'>" + "".join(f"<{name}>{number}</{name}>" for name, number in manners.limits.items()) \
                + "</limits>"
        stream.write(f"<stream:features>{features}</stream:features>")
        return manners

    def _secure(self, stream, manners):
        if manners.tls == "refused":
            stream.write("<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:stream>")
            return False
        injected = ("<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' id='evil' version='1.0'>"
                    "<stream:features><dialback xmlns='urn:xmpp:features:dialback'/></stream:features>"
                    f"<result xmlns='jabber:server:dialback' from='{stream.local}' to='{stream.remote}' type='valid'/>")
        stream.write("<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>" + (injected if manners.tls == "injected" else ""))
        if manners.tls == "broken":
            stream.write(b"\x00this is no handshake\x00" * 20)
            return False
        stream.secure(context(manners.identity, manners.authority or self._authority, True, self._request), True)
        self.events.add(("shown", stream.local, stream.remote, common_name(stream.socket)))
        self.events.add(("name", stream.local, stream.remote, getattr(stream.socket, "asked_for", None)))
        return True

    def _take(self, stream, manners, element):
        get = element.get
        if element.tag == DIALBACK + "result" and get("type") is None:
            answer = {"on": "type='valid'/>", "invalid": "type='invalid'/>"}.get(manners.dialback)
            if answer is None:
                answer = ("type='error'><error type='cancel'><not-allowed xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></db:result>")
            if manners.dialback == "on":
                self.events.add(("proven", get("to"), get("from"), "dialback over TLS" if stream.encrypted else "dialback over TCP"))
            self.events.add(("key", get("to"), get("from"), stream.identifier, element.text))
            stream.write(f"<db:result from={quoteattr(get('to'))} to={quoteattr(get('from'))} {answer}")
        elif element.tag == DIALBACK + "verify" and get("type") is None:
            self.events.add(("verify", get("to"), stream.encrypted))
            right = element.text == key(self.secret, get("from"), get("to"), get("id"))
            outcome = {"honest": "valid" if right else "invalid", "stranger": "valid"}.get(manners.verify, manners.verify)
            identifier = "another" if manners.verify == "stranger" else get("id")
            if outcome == "silent":
                return
            rest = "/>" if outcome != "error" else \
                "><error type='cancel'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></db:verify>"
            stream.write(f"<db:verify from={quoteattr(get('to'))} to={quoteattr(get('from'))} id={quoteattr(identifier)} type='{outcome}'{rest}")
        elif element.tag == "{jabber:server}message":
            body = element.findtext("{jabber:server}body")
            if get("type") == "error":
                error = element.find("{jabber:server}error")
                self.events.add(("error", get("from"), get("to"), condition(error, STANZAS), get("id")))
            else:
                self.events.add(("message", get("from"), get("to"), body, get("type")))


def common_name(connection):
    """The common name of the certificate that the other end showed and we verified."""
    subject = (connection.getpeercert() or {}).get("subject", ())
    return next((value for part in subject for name, value in part if name == "commonName"), None)


def condition(error, namespace):
    """The defined condition within an error element."""
    names = [child.tag[len(namespace):] for child in error if child.tag.startswith(namespace)]
    return next((name for name in names if name != "text"), None)


def _shown(value):
    return [ElementTree.tostring(part, encoding="unicode") if isinstance(part, ElementTree.Element) else part for part in value]

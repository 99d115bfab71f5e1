"""A scripted user agent of SIP SIMPLE with what few real ones do: messages in CPIM wrappers that ask for notifications (RFC 5438), and
isComposing (RFC 3994), each in a MESSAGE of its own.

    alice = simple.User(rig, address, identity, authority, "alice@contoso.lan")
    alice.dial(rig.address("edge_outside"))
    answer = alice.say("bob@example.lan", "hello")                              # the final response, which has .status
    answer = alice.say("bob@example.lan", "hello", "positive-delivery,display")  # in a wrapper; alice.last is its identifier
    answer = alice.type("bob@example.lan", "active")
    heard = alice.hear("text", "hi")          # .text, .request, .asks (an identifier and what is asked for), .told
    heard = alice.hear("active"); alice.hear("delivered")                        # .told is the identifier of the message
    alice.notify(heard, "delivery", "delivered")                                 # what he who wrote it asked for

Kinds that are heard: text, active, idle, and the words of notifications: delivered, failed, displayed. Every MESSAGE is answered 200, or as
`alice.answers` says.
"""

import itertools
import queue
import re
import threading
from xml.etree import ElementTree

from rig import DEADLINE, Failed
from sip_peer import Peer

_numbers = itertools.count(1)
IMDN = "urn:ietf:params:xml:ns:imdn"
COMPOSING = "urn:ietf:params:xml:ns:im-iscomposing"


class Heard:
    """Something that came in a MESSAGE."""

    def __init__(self, kind, request, text=None, asks=None, told=None):
        self.kind, self.request, self.text, self.asks, self.told = kind, request, text, asks, told

    def __repr__(self):
        return f"{self.kind} {self.text or self.told or ''}"


class User(Peer):
    """A user agent at an address of his own; his servers are himself."""

    def __init__(self, rig, address, identity, authority, user, port=5061):
        self.user = user
        self.answers = (200, "OK")
        self.last = None
        self._heard, self._changed, self._taken = [], threading.Condition(), 0
        self._finals = queue.Queue()
        super().__init__(rig, address, port, identity=identity, authority=authority, name=user.split("@")[1])

    def say(self, to, text, asks=None):
        """Sends a text, in a wrapper where it asks for something; gives the final response."""
        if asks is None:
            return self.page(to, text, "text/plain;charset=UTF-8")
        self.last = f"id-{next(_numbers)}"
        return self.page(to, self._wrap(to, f"imdn.Message-ID: {self.last}\r\nimdn.Disposition-Notification: {asks}\r\n",
                                         "text/plain;charset=UTF-8", text), "message/cpim")

    def type(self, to, state):
        """Says that the user types (`active`) or has stopped (`idle`)."""
        return self.page(to, f'<?xml version="1.0"?><isComposing xmlns="{COMPOSING}"><state>{state}</state></isComposing>',
                          "application/im-iscomposing+xml")

    def notify(self, heard, note, word):
        """Tells the sender of a message what became of it: of `delivery` that it was `delivered` or `failed`, of `display` `displayed`."""
        identifier, _ = heard.asks
        sender = re.search(r"<sip:([^>;]*)", heard.request.get("From"))[1]
        body = (f'<?xml version="1.0"?><imdn xmlns="{IMDN}"><message-id>{identifier}</message-id><datetime>2026-11-21T10:00:00Z</datetime>'
                f"<{note}-notification><status><{word}/></status></{note}-notification></imdn>")
        wrapped = self._wrap(sender, f"imdn.Message-ID: n-{next(_numbers)}\r\n", "message/imdn+xml", body)
        return self.page(sender, wrapped, "message/cpim")

    def page(self, to, body, kind):
        """Sends whatever it is in a MESSAGE, text or octets; gives the final response."""
        return self._ask("MESSAGE", to, (), body, kind)

    def invite(self, to, header, description):
        """Sends an INVITE with one more header field; gives the final response, or `None` where the connection is closed instead."""
        contact = f"Contact: <sip:{self.user}@{self.address};transport=tls>".replace(f"@{self.name}@", "@")
        return self._ask("INVITE", to, [contact, header], description, "application/sdp")

    def hear(self, kind, text=None, within=DEADLINE):
        """Waits for the next that comes of a kind, with a text, and takes it."""
        def found():
            for number, heard in enumerate(self._heard):
                if heard.kind == kind and text in (None, heard.text):
                    return number
            return None
        with self._changed:
            if not self._changed.wait_for(lambda: found() is not None, within):
                raise Failed(f"{self.user} heard no {kind} {text or ''} in {within} s, but {self._heard}")
            return self._heard.pop(found())

    def has_heard(self, kind):
        """Whether something of a kind has come and was not taken."""
        with self._changed:
            return any(heard.kind == kind for heard in self._heard)

    def take(self, message):
        """Answers requests, and reads them."""
        if message.method is None:
            if message.status >= 200:
                self._finals.put(message)
            return
        self.answer(message, *self.answers, tag="simple")
        if message.method == "MESSAGE" and self.answers[0] == 200:
            with self._changed:
                self._heard.append(_read(message))
                self._changed.notify_all()

    def _wrap(self, to, head, kind, body):
        return (f"From: <sip:{self.user}>\r\nTo: <sip:{to}>\r\nDateTime: 2026-11-21T10:00:00+01:00\r\nNS: imdn <urn:ietf:params:imdn>\r\n"
                f"{head}\r\nContent-Type: {kind}\r\n\r\n{body}")

    def ended(self, connection):
        """Whoever waits on a connection that ends has no answer."""
        super().ended(connection)
        if connection is self.connection:
            self._finals.put(None)

    def _ask(self, method, to, headers, body, kind):
        called = f"simple-{next(_numbers)}"
        try:
            self.send(method, f"sip:{to}", self.user, to, headers, body, call_id=called, kind=kind)
        except OSError:
            pass  # closed while it was being written: whoever reads says so
        while True:
            try:
                final = self._finals.get(timeout=DEADLINE)
            except queue.Empty:
                raise Failed(f"{self.user} got no answer in {DEADLINE} s") from None
            if final is None or final.get("Call-ID") == called:
                return final


def _read(request):
    kind, body = request.get("Content-Type").split(";")[0].strip().lower(), request.body.decode()
    asks = None
    if kind == "message/cpim":
        head, wrapped = body.split("\r\n\r\n", 1)
        inner, body = wrapped.split("\r\n\r\n", 1)
        kind = re.search(r"(?i)content-type: *([^;\r\n]*)", inner)[1].strip().lower()
        asked = re.search(r"Disposition-Notification: *(.*)", head)
        if asked:
            asks = (re.search(r"Message-ID: *(.*)", head)[1].strip(), {word.strip() for word in asked[1].split(",")})
    if kind == "application/im-iscomposing+xml":
        return Heard(ElementTree.fromstring(body).findtext(f"{{{COMPOSING}}}state"), request)
    if kind == "message/imdn+xml":
        document = ElementTree.fromstring(body)
        word = next(element.tag.split("}")[1] for status in document.iter(f"{{{IMDN}}}status") for element in status)
        return Heard(word, request, told=document.findtext(f"{{{IMDN}}}message-id"))
    return Heard("text", request, text=body, asks=asks)

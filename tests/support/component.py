"""An external component of an XMPP server (XEP-0114), written out by hand: it takes messages, and answers pings."""

import hashlib
import socket
import threading
import xml.etree.ElementTree as ElementTree
from xml.sax.saxutils import escape, quoteattr

from rig import DEADLINE, Events

NAMESPACE = "jabber:component:accept"


class Component:
    """One component's stream. Events: (kind, from, to, id, type, xml) for every stanza that arrives."""

    def __init__(self, rig, domain, secret, server, port=5347):
        self.domain = domain
        self.events = Events(domain)
        self._socket = socket.create_connection((server, port), DEADLINE)
        self._reader = ElementTree.XMLPullParser(("start", "end"))
        self._secret = secret
        rig.on_close(self.close)
        self._write(f"<?xml version='1.0'?><stream:stream xmlns='{NAMESPACE}' xmlns:stream='http://etherx.jabber.org/streams' "
                    f"to={quoteattr(domain)}>")
        threading.Thread(target=self._read, daemon=True).start()
        self.events.wait(lambda event: event[0] == "attached", "the handshake", DEADLINE)

    def send_message(self, sender, to, body, identifier):
        """Sends a message from an address of our domain."""
        self._write(f"<message from={quoteattr(sender)} to={quoteattr(to)} id={quoteattr(identifier)}><body>{escape(body)}</body></message>")

    def ping(self, sender, to, identifier):
        """Asks whether the other end is there (XEP-0199); the answer is an `iq` event with this id."""
        self._write(f"<iq type='get' from={quoteattr(sender)} to={quoteattr(to)} id={quoteattr(identifier)}><ping xmlns='urn:xmpp:ping'/></iq>")

    def wait_for(self, kind, identifier=None, deadline=DEADLINE):
        """Waits for a stanza of a kind, with an id if one is given."""
        return self.events.wait(lambda event: event[0] == kind and identifier in (None, event[3]), f"{kind} {identifier or ''}", deadline)

    def close(self):
        """Ends the stream."""
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._socket.close()

    def _write(self, text):
        self._socket.sendall(text.encode())

    def _read(self):
        self._socket.settimeout(None)
        depth = 0
        while True:
            try:
                got = self._socket.recv(65536)
            except OSError:
                return
            if not got:
                return
            self._reader.feed(got)
            for what, element in self._reader.read_events():
                depth += 1 if what == "start" else -1
                if what == "start" and depth == 1:
                    digest = hashlib.sha1((element.get("id", "") + self._secret).encode()).hexdigest()
                    self._write(f"<handshake>{digest}</handshake>")
                elif what == "end" and depth == 1:
                    self._take(element)

    def _take(self, element):
        kind = element.tag.rpartition("}")[2]
        if kind == "handshake":
            self.events.add(("attached",))
            return
        get = element.get
        if kind == "iq" and get("type") == "get" and element.find("{urn:xmpp:ping}ping") is not None:
            self._write(f"<iq type='result' from={quoteattr(get('to'))} to={quoteattr(get('from'))} id={quoteattr(get('id'))}/>")
        self.events.add((kind, get("from"), get("to"), get("id"), get("type"), ElementTree.tostring(element, encoding="unicode")))

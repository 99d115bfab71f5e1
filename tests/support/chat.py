"""A real XMPP client (slixmpp), driven from ordinary code: it runs in a thread of its own and its events can be waited for."""

import asyncio
import logging
import ssl
import threading
from xml.etree import ElementTree

logging.getLogger("slixmpp").setLevel(logging.CRITICAL)  # before the import: it warns while it loads

import slixmpp  # noqa: E402
from slixmpp.xmlstream.handler import Callback  # noqa: E402
from slixmpp.xmlstream.matcher import MatchXPath  # noqa: E402

from rig import DEADLINE, Events, wait_until  # noqa: E402


class Client:
    """A logged-in user of an XMPP server, over STARTTLS, with the server's certificate checked against our CA."""

    def __init__(self, rig, jid, password, server, authority, namespace=None, resource="rig", plugins=(), by_hand=False, port=5222):
        """Logs in at a server's address and port, as a device of the user; `namespace` is the network namespace to do that from. In one, and where it is
        used `by_hand`, nothing is answered by itself: neither subscriptions nor presence. `plugins` are those of slixmpp that it has beside its own, such as `xep_0184`,
        which gives receipts to whoever asks for them."""
        self.jid, self.resource = jid, resource
        self._namespace, self._by_hand = namespace, by_hand or namespace is not None
        self.events = Events(jid)
        self.raw = []
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, args=(jid, password, (server, port), authority.certificate, plugins), daemon=True)
        self._thread.start()
        rig.on_close(self.close)
        self.events.wait(lambda event: event[0] in ("online", "failed"), "its log-in")
        failed = [event for event in self.events.all() if event[0] == "failed"]
        if failed:
            raise RuntimeError(f"{jid} cannot log in: {failed[0][1]}")

    def send(self, to, body, identifier=None, kind="chat", extension=None):
        """Sends a message, with an extension element if its XML is given, or with several; returns the stanza's id."""
        sent = {}

        def work():
            message = self._xmpp.make_message(mto=to, mbody=body, mtype=kind)
            message["id"] = identifier or self._xmpp.new_id()
            sent["id"] = message["id"]
            for element in [extension] if isinstance(extension, str) else extension or ():
                message.xml.append(ElementTree.fromstring(element))
            message.send()
        self._do(work)
        return sent["id"]

    def wait_for_message(self, body, deadline=DEADLINE):
        """Waits for a message with this body: (`message`, from, body, xml)."""
        return self.events.wait(lambda event: event[0] == "message" and event[2] == body, f"the message {body!r}", deadline)

    def wait_for_error(self, identifier, deadline=DEADLINE):
        """Waits for the error that answers a stanza: (`error`, from, id, condition, text, xml)."""
        return self.events.wait(lambda event: event[0] == "error" and event[2] == identifier, f"an error for {identifier}", deadline)

    def wait_for_element(self, name, namespace, sender, deadline=DEADLINE, **attributes):
        """Waits until a stanza of a sender's with such a child has come, and gives its text."""
        def seen():
            for way, text in list(self.raw):
                stanza = ElementTree.fromstring(text) if way == "<-" and f"<{name}" in text else None
                child = None if stanza is None else stanza.find(f"{{{namespace}}}{name}")
                if child is not None and stanza.get("from", "").split("/")[0] == sender and attributes.items() <= child.attrib.items():
                    return text
            return None
        return wait_until(seen, f"{self.jid} sees <{name}/> of {sender}", deadline)

    def presence(self, kind=None, to=None, show=None, status=None, priority=None, extension=None):
        """Sends presence: a state to all who may see it, or of some kind to one."""
        def send():
            presence = self._xmpp.make_presence(ptype=kind, pto=to, pshow=show, pstatus=status, ppriority=priority)
            if extension:
                presence.xml.append(ElementTree.fromstring(extension))
            presence.send()
        self._do(send)

    def wait_for_presence(self, sender, kind=None, show=None, status=None, since=0, deadline=DEADLINE):
        """Waits for presence: (`presence`, from, kind, show, status, priority, xml); `kind` is None for available."""
        def matches(event):
            return (event[0] == "presence" and event[1].startswith(sender) and event[2] == kind
                    and show in (None, event[3]) and status in (None, event[4]))
        return self.events.wait(matches, f"presence {kind or show or 'available'} {status or ''} of {sender}", deadline, since)

    def mark(self):
        """How much has come so far: what `since` means."""
        return len(self.events.all())

    def seen_of(self, sender, since=0, kinds=None):
        """The presence that has come of somebody, of those kinds: (kind or show, status) each."""
        return [(event[2] or event[3] or "available", event[4]) for event in self.events.all()[since:]
                if event[0] == "presence" and event[1].partition("/")[0] == sender and (kinds is None or event[2] in kinds)]

    def last_of(self, sender):
        """The last presence of each device of somebody, by its resource: (`unavailable`, a show or `available`, status)."""
        states = (None, "unavailable")
        return {event[1].partition("/")[2]: (event[2] or event[3] or "available", event[4]) for event in self.events.all()
                if event[0] == "presence" and event[1].partition("/")[0] == sender and event[2] in states}

    def roster(self):
        """What the server keeps of whom: (subscription, ask) by bare address."""
        answer = ElementTree.fromstring(self.ask(None, '<query xmlns="jabber:iq:roster"/>')[5])
        return {item.get("jid"): (item.get("subscription"), item.get("ask")) for item in answer.iter("{jabber:iq:roster}item")}

    def ask(self, to, query, kind="get", deadline=DEADLINE):
        """Sends an iq and waits for its answer: (`iq`, from, type, id, condition, xml)."""
        sent = {}

        def send():
            iq = self._xmpp.make_iq(ito=to, itype=kind)
            iq["id"] = sent["id"] = f"ask-{self._xmpp.new_id()}"
            iq.xml.append(ElementTree.fromstring(query))
            # Sent as it is: slixmpp would make an exception of an error that answers it.
            self._xmpp.send_raw(str(iq))
        self._do(send)
        return self.events.wait(lambda event: event[0] == "iq" and event[3] == sent["id"], f"an answer of {to}", deadline)

    def _do(self, work):
        done = threading.Event()

        def run():
            work()
            done.set()
        self._loop.call_soon_threadsafe(run)
        if not done.wait(DEADLINE):
            raise RuntimeError(f"{self.jid}: the client does not answer")

    def close(self):
        """Logs out and ends the thread."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._xmpp.disconnect)
            self._thread.join(5)

    def _run(self, jid, password, server, certificate, plugins):
        if self._namespace:
            self._namespace.enter()
        asyncio.set_event_loop(self._loop)
        xmpp = self._xmpp = slixmpp.ClientXMPP(f"{jid}/{self.resource}", password)
        xmpp.ca_certs = certificate
        for plugin in plugins:
            xmpp.register_plugin(plugin)
        xmpp.ssl_context.minimum_version = ssl.TLSVersion.TLSv1_2
        xmpp.add_event_handler("session_start", self._started)
        xmpp.add_event_handler("message", self._message)
        xmpp.add_event_handler("message_error", self._error)
        if self._by_hand:
            xmpp.register_handler(Callback("presence", MatchXPath("{jabber:client}presence"), self._presence))
            xmpp.auto_authorize = xmpp.auto_subscribe = None
        xmpp.register_handler(Callback("answers", MatchXPath("{jabber:client}iq"), self._iq))
        for failure in ("failed_all_auth", "ssl_invalid_chain", "connection_failed"):
            xmpp.add_event_handler(failure, lambda event, what=failure: self.events.add(("failed", f"{what}: {event}")))
        xmpp.add_filter("in", lambda stanza: self._keep("<-", stanza))
        xmpp.add_filter("out", lambda stanza: self._keep("->", stanza))
        xmpp.connect(server)
        self._loop.run_until_complete(xmpp.disconnected)
        left = asyncio.all_tasks(self._loop)
        for task in left:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        self._loop.close()

    def _keep(self, way, stanza):
        self.raw.append((way, str(stanza)))
        return stanza

    async def _started(self, _event):
        self._xmpp.send_presence()
        await self._xmpp.get_roster()
        self.events.add(("online", self.jid))

    def _message(self, message):
        if message["type"] != "error":
            self.events.add(("message", str(message["from"]), message["body"], str(message)))

    def _presence(self, presence):
        kind = presence.xml.get("type")
        error = presence["error"]["condition"] if kind == "error" else None
        self.events.add(("presence", str(presence["from"]), kind, error or presence.xml.findtext("{jabber:client}show"),
                         presence.xml.findtext("{jabber:client}status"), presence.xml.findtext("{jabber:client}priority"), str(presence)))

    def _iq(self, iq):
        if iq["type"] in ("result", "error"):
            condition = iq["error"]["condition"] if iq["type"] == "error" else None
            self.events.add(("iq", str(iq["from"]), iq["type"], iq["id"], condition, str(iq)))

    def _error(self, message):
        error = message["error"]
        self.events.add(("error", str(message["from"]), message["id"], error["condition"], error["text"], str(message)))

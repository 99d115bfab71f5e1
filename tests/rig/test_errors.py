"""Errors across the two protocols, row by row as specifications have them (RFC 7247 §7): whatever the far side says of a message, and
whatever keeps the message from it, its sender is told in his own protocol. Needs VESTIBULE_BINARY."""

import os
import re
import socket
import threading
import unittest
import xml.etree.ElementTree as ElementTree

import chat
import prosody
import resolver
from component import Component
from pki import Authority
from rig import DEADLINE, Rig, wait_until
from sip_peer import Peer
from vestibule import Vestibule

BINARY = os.environ["VESTIBULE_BINARY"]
SECRET = "component secret"
STANZAS = "{urn:ietf:params:xml:ns:xmpp-stanzas}"
TEXT = "Your IM could not be delivered"

TO_STANZA = {
    300: ("redirect", "modify"), 301: ("gone", "cancel"), 302: ("redirect", "modify"), 305: ("redirect", "modify"), 380: ("not-acceptable", "modify"),
    399: ("redirect", "modify"), 400: ("bad-request", "modify"), 401: ("not-authorized", "auth"), 402: ("bad-request", "modify"),
    403: ("forbidden", "auth"), 404: ("item-not-found", "cancel"), 405: ("feature-not-implemented", "cancel"), 406: ("not-acceptable", "modify"),
    407: ("registration-required", "auth"), 408: ("remote-server-timeout", "wait"), 410: ("gone", "cancel"), 413: ("policy-violation", "modify"),
    414: ("policy-violation", "modify"), 415: ("not-acceptable", "modify"), 416: ("not-acceptable", "modify"), 420: ("feature-not-implemented", "cancel"),
    421: ("not-acceptable", "modify"), 423: ("resource-constraint", "wait"), 430: ("recipient-unavailable", "wait"),
    439: ("feature-not-implemented", "cancel"), 440: ("policy-violation", "modify"), 480: ("recipient-unavailable", "wait"),
    481: ("item-not-found", "cancel"), 482: ("not-acceptable", "modify"), 483: ("not-acceptable", "modify"), 484: ("item-not-found", "cancel"),
    485: ("item-not-found", "cancel"), 486: ("recipient-unavailable", "wait"), 487: ("recipient-unavailable", "wait"),
    488: ("not-acceptable", "modify"), 489: ("policy-violation", "modify"), 491: ("unexpected-request", "wait"), 493: ("bad-request", "modify"),
    499: ("bad-request", "modify"), 500: ("internal-server-error", "cancel"), 501: ("feature-not-implemented", "cancel"),
    502: ("remote-server-not-found", "cancel"), 503: ("internal-server-error", "cancel"), 504: ("remote-server-timeout", "wait"),
    505: ("not-acceptable", "modify"), 513: ("policy-violation", "modify"), 580: ("internal-server-error", "cancel"),
    600: ("recipient-unavailable", "wait"), 603: ("recipient-unavailable", "wait"), 604: ("item-not-found", "cancel"),
    606: ("not-acceptable", "modify"), 607: ("recipient-unavailable", "wait"),
}
"""What an XMPP user is told of a status: the condition and its type. 399, 499, 580 and 607 stand for those that no row names."""

TO_STATUS = {
    "bad-request": (400, 400), "conflict": (400, 400), "feature-not-implemented": (405, 501), "forbidden": (403, 603), "gone": (410, 410),
    "internal-server-error": (500, 500), "item-not-found": (404, 604), "jid-malformed": (400, 400), "not-acceptable": (406, 606),
    "not-allowed": (403, 403), "not-authorized": (403, 403), "policy-violation": (403, 403), "recipient-unavailable": (480, 600),
    "redirect": (480, 480), "registration-required": (403, 403), "remote-server-not-found": (404, 404), "remote-server-timeout": (504, 504),
    "resource-constraint": (500, 500), "service-unavailable": (403, 403), "subscription-required": (400, 400), "undefined-condition": (400, 400),
    "unexpected-request": (400, 400),
}
"""What a SIP user is told of a condition about a full and about a bare JID. Where the specification leaves RFC 7247: 401 and 407 ask for
what only their author can give, 302 needs an address, and no 408 answers a MESSAGE (RFC 4320 §4.2)."""


class Refusing(Component):
    """A service inside that answers each message with the error that its addressee is called by: CONDITION@, perhaps with its type before
    the condition (wait.unexpected-request@). What a message says goes into the error: as its text, or as the other address of a user who
    moved."""

    def _take(self, element):
        body = element.findtext("{*}body")
        kind, dot, condition = element.get("to", "").partition("@")[0].rpartition(".")
        if element.tag.endswith("}message") and element.get("type") != "error" and body and condition:
            error = ElementTree.Element("error", type=kind if dot else "cancel")
            named = ElementTree.SubElement(error, STANZAS + condition)
            if body.startswith("xmpp:") or body.startswith("sip:"):
                named.text = body
            elif body != "-":
                ElementTree.SubElement(error, STANZAS + "text").text = body
            message = ElementTree.Element("message", {"from": element.get("to"), "to": element.get("from"), "type": "error", "id": element.get("id", "")})
            message.append(error)
            self._write(ElementTree.tostring(message, encoding="unicode"))
        super()._take(element)


class Answering(Peer):
    """A SIP server outside that answers each request with the status that its user is called by; the rest is silence. Answers to its own
    requests are kept by their Call-ID."""

    def __init__(self, *arguments, **more):
        self.final, self.changed = {}, threading.Condition()
        self.fields = {}  # of an answer, by the user that it is for
        super().__init__(*arguments, **more)

    def take(self, message):
        """Answers, or keeps an answer."""
        self.seen.append(message)
        if message.status:
            with self.changed:
                if message.status >= 200:
                    self.final[message.get("Call-ID")] = message
                    self.changed.notify_all()
            return
        user = re.match(r"sip:(\d{3})[^@]*@", message.uri)
        if user and message.method != "ACK":
            status = int(user.group(1))
            self.answer(message, status, "" if status == 400 else f"it is {status} ✓ here", self.fields.get(message.uri, ()), tag="there")

    def final_of(self, call):
        """The final answer to a request of ours."""
        with self.changed:
            assert self.changed.wait_for(lambda: call in self.final, DEADLINE), f"{self.name}: no answer to {call}"
            return self.final[call]

    def asked(self, user):
        """The methods of the requests that came for a user."""
        return [message.method for message in self.seen if message.method and message.uri.startswith(f"sip:{user}@")]


class Deaf:
    """Accepts connections and says nothing, or something that is no answer."""

    def __init__(self, rig, address, port, says=b""):
        self._listener, self._says, self._taken = socket.create_server((address, port)), says, []
        rig.on_close(self._close)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                taken, _ = self._listener.accept()
            except OSError:
                return
            self._taken.append(taken)
            taken.sendall(self._says)

    def _close(self):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for taken in self._taken:
            taken.close()


class Lost:
    """A name server that fails at whatever it is asked."""

    def __init__(self, rig, address, port):
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((address, port))
        rig.on_close(self._close)
        threading.Thread(target=self._answer, daemon=True).start()

    def _answer(self):
        while True:
            query, asker = self._socket.recvfrom(4096)
            if not query:
                return
            self._socket.sendto(query[:2] + b"\x81\x82" + query[4:6] + bytes(6) + query[12:], asker)

    def _close(self):
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._socket.close()


class Errors(unittest.TestCase):
    """bob and a service at a Prosody inside; outside a SIP server for two domains, of which one is Microsoft's, and domains that are not
    reached for a reason each."""

    @classmethod
    def setUpClass(cls):
        rig = cls.rig = Rig(logs=os.environ.get("VESTIBULE_LOGS"))
        cls.addClassCleanup(rig.close)
        authority, stranger = Authority(rig), Authority(rig, "Another CA")
        resolver.start(rig, {"example.lan": rig.address("node")}, rig.address("edge_inside"))
        resolver.start(rig, {}, role="outside_resolver", records=[f'--server=/lost.lan/{rig.address("control")}#5353'])
        Lost(rig, rig.address("control"), 5353)
        cls.node = prosody.Prosody(rig, "example.lan", authority.issue("node", ["example.lan", "apps.example.lan", "node.example.lan"]), authority,
                                   components=["apps.example.lan"], secret=SECRET)
        cls.node.register("bob", "secret")
        cls.node.start()
        cls.node.process.wait_for_port(rig.address("node"), 5347)
        cls.apps = Refusing(rig, "apps.example.lan", SECRET, rig.address("node"))

        def sip(role, profile="simple", port=5061, next_hop=None):
            return (f'protocol = "sip"\nprofile = "{profile}"\ntls = "public"\n'
                    f'routes = [{{ next_hop = "{next_hop or rig.address(role)}", port = {port}, transport = "tls" }}]')

        def inside(domain, role, tls='tls = "internal"'):
            return f'[[local]]\ndomain = "{domain}"\nprotocol = "xmpp"\n{tls}\nnodes = [{{ host = "{rig.address(role)}", port = 5269 }}]\n'
        os.environ["VESTIBULE__INTERWORKING__DELIVER_TIMEOUT"] = "5s"
        cls.addClassCleanup(os.environ.pop, "VESTIBULE__INTERWORKING__DELIVER_TIMEOUT")
        cls.edge = Vestibule(
            rig, BINARY, authority, "example.lan", {
                "contoso.lan": sip("alice"), "fabrikam.lan": sip("alice", "microsoft"), "nowhere.lan": 'protocol = "sip"\ntls = "public"', "lost.lan": 'protocol = "sip"\ntls = "public"',
                "down.lan": sip("dead"), "plain.lan": sip("alice", port=5070), "deaf.lan": sip("alice", port=5071),
                "forged.lan": sip("alice", port=5072), "stranger.lan": sip("alice", port=5073)},
            extra=inside("apps.example.lan", "node") + inside("down.example.lan", "dead") + inside("deaf.example.lan", "relay")
            + inside("stranger.example.lan", "node2")
            + '[[policy.block]]\naddress = "mallory@contoso.lan"\nstyle = "explicit"\n')
        cls.alice = Answering(rig, rig.address("alice"), identity=authority.issue("alice", ["contoso.lan", "fabrikam.lan"]))
        Deaf(rig, rig.address("alice"), 5070, b"220 this is no TLS\r\n" * 20)
        Answering(rig, rig.address("alice"), port=5071, identity=authority.issue("deaf", ["deaf.lan"]))
        Answering(rig, rig.address("alice"), port=5072, identity=authority.issue("forged", ["contoso.lan"]))
        Answering(rig, rig.address("alice"), port=5073, identity=stranger.issue("stranger", ["stranger.lan"]))
        Deaf(rig, rig.address("relay"), 5269)
        cls.stranger = prosody.Prosody(rig, "stranger.example.lan", stranger.issue("node", ["stranger.example.lan"]), stranger, role="node2").start()
        cls.edge.start("/healthz")
        cls.bob = chat.Client(rig, "bob@example.lan", "secret", cls.node.address, authority)
        cls.alice.dial(rig.address("edge_outside"))

    def tearDown(self):
        self.assertTrue(self.edge.process.running(), "vestibule runs on")

    def write(self, to, body="hello", domain="contoso.lan"):
        """A message of alice's: its Call-ID."""
        target = f"sip:{to}"
        return self.alice.send("MESSAGE", target, f"alice@{domain}", to.partition(";")[0], body=body)

    def error(self, identifier):
        """The error that answers a message of bob's: condition, type, text and the character data of the condition."""
        event = self.bob.wait_for_error(identifier)
        error = ElementTree.fromstring(event[5]).find("{*}error")
        named = next(child for child in error if child.tag.startswith(STANZAS) and child.tag != STANZAS + "text")
        return named.tag[len(STANZAS):], error.get("type"), error.findtext(STANZAS + "text"), named.text, error.get("by"), event[1]

    def test_each_status_is_the_condition_of_its_row(self):
        self.alice.fields = {"sip:301@contoso.lan": ["Contact: <sip:new%20home@contoso.lan;transport=tls>"],
                             "sip:302@contoso.lan": ["Contact: <sip:302.now@elsewhere.lan>"], "sip:305@contoso.lan": ["Contact: <sip:proxy.contoso.lan>"],
                             "sip:300@contoso.lan": ["Contact: <sip:a@contoso.lan>, <sip:b@contoso.lan>"], "sip:399@contoso.lan": ["Contact: <tel:+49301234>"],
                             "sip:503-later@contoso.lan": ["Retry-After: 1"], "sip:420@contoso.lan": ["Unsupported: magic"],
                             "sip:401@contoso.lan": ['WWW-Authenticate: Digest realm="x", nonce="y"'],
                             "sip:407@contoso.lan": ['Proxy-Authenticate: Digest realm="x", nonce="y"']}
        moved = {301: "xmpp:new%5C20home@contoso.lan", 302: "xmpp:302.now@elsewhere.lan", 305: "xmpp:proxy.contoso.lan", 300: "xmpp:a@contoso.lan",
                 399: "tel:+49301234"}
        # A server that is overloaded is left alone for a while: what says so comes last.
        for rows in ([status for status in TO_STANZA if status != 503], [503]):
            sent = {status: self.bob.send(f"{status}@contoso.lan", f"to {status}") for status in rows}
            for status in rows:
                with self.subTest(status):
                    condition, kind, text, address, by, sender = self.error(sent[status])
                    self.assertEqual(TO_STANZA[status], (condition, kind))
                    said = "Bad Request" if status == 400 else f"it is {status} ✓ here"
                    self.assertEqual(f"{TEXT}: {status} {said}", text)
                    self.assertEqual(moved.get(status), address)
                    self.assertEqual(("edge.lan", f"{status}@contoso.lan"), (by, sender))

    def test_a_status_without_what_it_needs_says_less(self):
        for status, expected in ((301, ("item-not-found", "cancel")), (302, ("recipient-unavailable", "wait"))):
            with self.subTest(status):
                condition, kind, _text, address, _by, _sender = self.error(self.bob.send(f"{status}.without@contoso.lan", "where are you?"))
                self.assertEqual(expected, (condition, kind))
                self.assertIsNone(address)

    def test_each_condition_is_the_status_of_its_row_for_a_device_and_for_a_user(self):
        for at, where in ((0, ";gr=desk"), (1, "")):
            sent = {condition: self.write(f"{condition}@apps.example.lan{where}", f"about {condition} é") for condition in TO_STATUS}
            for condition, call in sent.items():
                with self.subTest(condition + where):
                    answer = self.alice.final_of(call)
                    self.assertEqual(TO_STATUS[condition][at], answer.status)
                    self.assertEqual(f"{TEXT}: about {condition} é", answer.start.split(" ", 2)[2])
                    self.assertEqual(answer.status == 405, answer.get("Allow") is not None)
                    self.assertTrue(answer.tag("To"))
                    self.assertIsNone(answer.get("WWW-Authenticate"))

    def test_a_condition_says_more_with_its_type_an_address_or_no_text(self):
        for condition, body, status, reason, contact in (
                ("wait.unexpected-request", "-", 491, "Request Pending", None), ("recipient-unavailable", "-", 600, "Busy Everywhere", None),
                ("gone", "xmpp:new\\20home@contoso.lan", 301, "Moved Permanently", "<sip:new%20home@contoso.lan>"),
                ("gone", "sip:phone@voice.lan;transport=tcp", 301, "Moved Permanently", "<sip:phone@voice.lan>"),
                ("redirect", "xmpp:b%C3%A4r@contoso.lan/desk?message", 302, "Moved Temporarily", "<sip:b%C3%A4r@contoso.lan;gr=desk>"),
                ("gone", "xmpp:", 410, "Gone", None), ("redirect", "sip:", 480, "Temporarily Unavailable", None)):
            with self.subTest((condition, body)):
                answer = self.alice.final_of(self.write(f"{condition}@apps.example.lan", body))
                self.assertEqual((status, f"{TEXT}: {reason}", contact), (answer.status, answer.start.split(" ", 2)[2], answer.get("Contact")))

    def test_a_microsoft_peer_is_told_what_its_clients_show_and_understood_as_they_mean_it(self):
        for condition, status in (("service-unavailable", 480), ("forbidden", 603), ("recipient-unavailable", 600), ("not-acceptable", 606)):
            with self.subTest(condition):
                self.assertEqual(status, self.alice.final_of(self.write(f"{condition}@apps.example.lan", domain="fabrikam.lan")).status)
        for status in (404, 480, 486, 500, 504, 603, 606):
            with self.subTest(status):
                condition, kind, text, *_ = self.error(self.bob.send(f"{status}@fabrikam.lan", "hello"))
                self.assertEqual(TO_STANZA[status], (condition, kind))
                self.assertEqual(f"{TEXT}: {status} it is {status} ✓ here", text)
                self.assertEqual("INVITE", self.alice.asked(status)[-2 if "ACK" in self.alice.asked(status) else -1])

    def test_what_is_not_reached_is_said_to_an_xmpp_user(self):
        sent = {domain: self.bob.send(f"alice@{domain}", "anybody?")
                for domain in ("nowhere.lan", "lost.lan", "down.lan", "plain.lan", "deaf.lan", "forged.lan", "stranger.lan", "unheard-of.lan")}
        sent["too long"] = self.bob.send("alice@contoso.lan", "x" * 1400)
        sent["blocked"] = self.bob.send("mallory@contoso.lan", "hello")
        for domain, condition, kind, text in (
                ("nowhere.lan", "remote-server-not-found", "cancel", f"{TEXT}: no such domain"),
                ("lost.lan", "remote-server-timeout", "wait", f"{TEXT}: the domain could not be looked up"),
                ("down.lan", "remote-server-timeout", "wait", f"{TEXT}: the server could not be reached"),
                ("plain.lan", "remote-server-timeout", "wait", f"{TEXT}: the server could not be reached"),
                ("deaf.lan", "remote-server-timeout", "wait", f"{TEXT}: the server did not answer"),
                ("forged.lan", "policy-violation", "modify", f"{TEXT}: no connection with the required security"),
                ("stranger.lan", "policy-violation", "modify", f"{TEXT}: no connection with the required security"),
                ("blocked", "policy-violation", "modify", f"{TEXT}: Forbidden by policy"),
                ("too long", "policy-violation", "modify", f"{TEXT}: the message is too long for this route")):
            with self.subTest(domain):
                got = self.error(sent[domain])
                self.assertEqual((condition, kind, text), got[:3])
        # Who may not be spoken to at all is refused with the node's stream, and the node says it in its own words.
        self.assertIn(self.error(sent["unheard-of.lan"])[0], ("policy-violation", "remote-server-not-found", "remote-server-timeout"))

    def test_what_is_not_reached_is_said_to_a_sip_user(self):
        sent = {domain: self.write(f"bob@{domain}") for domain in ("down.example.lan", "deaf.example.lan", "stranger.example.lan", "unheard-of.lan")}
        sent["blocked"] = self.alice.send("MESSAGE", "sip:bob@example.lan", "mallory@contoso.lan", "bob@example.lan", body="hello")
        sent["not federated"] = self.alice.send("MESSAGE", "sip:bob@example.lan", "mallory@adatum.lan", "bob@example.lan", body="hello")
        for domain, status, text in (("down.example.lan", 504, f"{TEXT}: the server could not be reached"),
                                     ("deaf.example.lan", 504, f"{TEXT}: the server did not answer"),
                                     ("stranger.example.lan", 403, f"{TEXT}: no connection with the required security"),
                                     ("unheard-of.lan", 404, f"{TEXT}: Not one of our domains"), ("blocked", 403, f"{TEXT}: Forbidden by policy"),
                                     ("not federated", 403, f"{TEXT}: Forbidden by policy")):
            with self.subTest(domain):
                answer = self.alice.final_of(sent[domain])
                said = answer.start.split(" ", 2)[2]
                self.assertEqual((status, text), (answer.status, said))

    def test_each_failure_is_counted(self):
        def counted(name):
            return sum(float(line.split()[-1]) for line in self.edge.samples("vestibule_messages_total") if all(part in line for part in name))
        for source, send in (("sip", lambda: self.alice.final_of(self.write("gone@apps.example.lan"))),
                             ("xmpp", lambda: self.error(self.bob.send("404@contoso.lan", "counted")))):
            before = counted((f'from="{source}"', 'outcome="failed"'))
            send()
            wait_until(lambda source=source, before=before: counted((f'from="{source}"', 'outcome="failed"')) == before + 1, "it is counted")


if __name__ == "__main__":
    unittest.main()

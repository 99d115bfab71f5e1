"""Addresses across the two protocols, row by row (RFC 7247 §6, XEP-0106): what one side writes, the other side reads, and `vestibule map`
says the same. Needs VESTIBULE_BINARY."""

import itertools
import json
import os
import queue
import subprocess
import unittest
import xml.etree.ElementTree as ElementTree

import prosody
import resolver
from component import Component
from pki import Authority
from rig import DEADLINE, Events, Rig
from sip_peer import Peer
from vestibule import Vestibule

BINARY = os.environ["VESTIBULE_BINARY"]
SECRET = "component secret"

BOTH = (
    # RFC 7247 §6.4 and §6.5
    ("sip:f%C3%BC@{}", "fü@{}"), ("sip:o'malley@{}", r"o\27malley@{}"), ("sip:foo@{};gr=bar", "foo@{}/bar"), ("sip:m&m@{}", r"m\26m@{}"),
    ("sip:tsch%C3%BCss@{}", "tschüss@{}"), ("sip:baz@{};gr=qux", "baz@{}/qux"),
    # each character that a JID escapes, and those that a SIP URI does
    (r"sip:a%20%22&'/%3A%3C%3E%40b@{}", r"a\20\22\26\27\2f\3a\3c\3e\40b@{}"), ("sip:%23%25%5B%5D%5E%60%7B%7C%7D@{}", "#%[]^`{{|}}@{}"),
    ("sip:!$()*+,-.;=?_~@{}", "!$()*+,-.;=?_~@{}"),
    # a backslash, before what looks like an escape and elsewhere
    ("sip:a%5C27b@{}", r"a\5c27b@{}"), ("sip:a%5Cb@{}", r"a\b@{}"), ("sip:a%5C5cb@{}", r"a\5c5cb@{}"),
    # users with an "@", numbers, letters of other scripts
    ("sip:bjones%40usa@{}", r"bjones\40usa@{}"), ("sip:+4930123456@{}", "+4930123456@{}"), ("sip:%E6%BC%A2%E5%AD%97@{}", "漢字@{}"),
    # a resource is percent-encoded, not escaped
    ("sip:foo@{};gr=b%20c%2Cd%3Be%3Df%3Fg%40h%5Ci%C3%BC", r"foo@{}/b c,d;e=f?g@h\iü"), ("sip:foo@{};gr=x/y", "foo@{}/x/y"),
    ("sip:foo@{};gr=urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6", "foo@{}/urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6"),
)
"""SIP and XMPP: each becomes the other. `{}` is the domain."""

FROM_SIP = (
    ("sip:Alice@{}", "alice@{}"), ("sip:ALICE%2F@{}", r"alice\2f@{}"), ("sip:%61%6c@{}", "al@{}"), ("sip:a:secret@{}", "a@{}"),
    ("sip:a@{};transport=tls;maddr=192.0.2.1", "a@{}"), ("sip:a@{}:5061", "a@{}"), ("sip:temporary@{};gr", "temporary@{}"),
    ("sip:a%5C2Fb@{}", r"a\5c2fb@{}"), ("sip:%EF%BC%A1%EF%BC%8F@{}", r"a\2f@{}"), ("sip:a;b=c@{}", "a;b=c@{}"),
    ("sip:+15551234;phone-context=example.com@{};user=phone", "+15551234@{}"), ("im:a%26im@{}", r"a\26im@{}"),
)
"""What a JID does not keep: case, passwords, ports, parameters, and what stands beside a number."""

NOT_FROM_SIP = (
    ("sip:a%FF@{}", 400), ("sip:%20a@{}", 484), ("sip:a%20@{}", 484), ("sip:a%00b@{}", 484), ("sip:a%E2%80%AEb@{}", 484),
    ("sip:a@{};gr=%FF", 400), ("sips:a@{}", 480), ("tel:+15551234", 416),
)
"""What has no JID, and what its sender is told."""

NOT_FROM_XMPP = (r"c\3a\5cnet@{}", r"a\5c@{}", r"\20a@{}", r"a\20@{}")
"""What has no SIP address that is its own: each sender is told jid-malformed."""


class Service(Component):
    """A component that sends anything from any of its addresses; what it got is in `got`, by its body."""

    def __init__(self, *arguments, **more):
        self.got = Events("the service")
        super().__init__(*arguments, **more)

    def _take(self, element):
        if element.tag.endswith("}message"):
            what = element.find("{*}error")
            named = [child.tag.rpartition("}")[2] for child in what] if what is not None else None
            self.got.add((element.findtext("{*}body"), element.get("from"), element.get("to"), element.get("id"), named))
        super()._take(element)

    def write(self, sender, to, identifier):
        """A message, whatever its addresses hold."""
        message = ElementTree.Element("message", {"from": sender, "to": to, "id": identifier, "type": "chat"})
        ElementTree.SubElement(message, "body").text = identifier
        self._write(ElementTree.tostring(message, encoding="unicode"))

    def wait(self, identifier):
        """From and to of what came with this body."""
        _, sender, to, _, _ = self.got.wait(lambda event: event[0] == identifier, identifier)
        return sender, to

    def wait_for_error(self, identifier):
        """The conditions of the error that answers a message."""
        return self.got.wait(lambda event: event[3] == identifier and event[4] is not None, f"an error for {identifier}")[4]


class Addresses(unittest.TestCase):
    """A service at a Prosody inside, for three domains, and a SIP server outside, for two: of each some have letters beyond ASCII."""

    @classmethod
    def setUpClass(cls):
        rig = cls.rig = Rig(logs=os.environ.get("VESTIBULE_LOGS"))
        cls.addClassCleanup(rig.close)
        authority = Authority(rig)
        foreign, own = ("sip.example", "xn--grn-ioa.example"), ("xmpp.example", "xn--bcher-kva.example")
        resolver.start(rig, {"example.lan": rig.address("node"), **{domain: rig.address("edge_inside") for domain in foreign}}, rig.address("edge_inside"))
        node = prosody.Prosody(rig, "example.lan", authority.issue("node", ["example.lan", *own]), authority,
                               components=["xmpp.example", "bücher.example"], secret=SECRET)
        node.start().process.wait_for_port(node.address, 5347)
        cls.service = Service(rig, "xmpp.example", SECRET, node.address)
        cls.books = Service(rig, "bücher.example", SECRET, node.address)
        terms = f'protocol = "sip"\ntls = "public"\nroutes = [{{ next_hop = "{rig.address("alice")}", port = 5061, transport = "tls" }}]'
        local = "".join(f'[[local]]\ndomain = "{domain}"\nprotocol = "xmpp"\ntls = "internal"\nnodes = [{{ host = "{node.address}", port = 5269 }}]\n'
                        for domain in ("xmpp.example", "bücher.example"))
        cls.edge = Vestibule(rig, BINARY, authority, "example.lan", {"sip.example": terms, "grün.example": terms}, extra=local)
        cls.alice = Peer(rig, rig.address("alice"), identity=authority.issue("alice", foreign))
        cls.edge.start()
        cls.alice.dial(rig.address("edge_outside"))
        cls.numbers = itertools.count(1)

    def setUp(self):
        self.assertTrue(self.edge.process.running(), "vestibule runs on")
        while not self.alice.messages.empty():
            self.alice.messages.get()

    def name(self):
        """Names one message."""
        return f"m{next(self.numbers)}"

    def page(self, sender, to):
        """A MESSAGE from one URI to another, as they are: its name."""
        name = self.name()
        self.alice.connection.send(
            f"MESSAGE {to} SIP/2.0\r\nVia: {self.alice.via()}\r\nMax-Forwards: 70\r\nFrom: {sender};tag=t\r\nTo: <{to}>\r\nCall-ID: {name}\r\n"
            f"CSeq: 1 MESSAGE\r\nContent-Type: text/plain\r\nContent-Length: {len(name)}\r\n\r\n{name}")
        return name


    def heard(self, names):
        """What alice got of some messages, by their names; each is answered."""
        got = {}
        while not set(names) <= set(got):
            message = self.alice.next()
            if message.method == "MESSAGE":
                self.alice.answer(message, tag="a")
                got[message.body.decode()] = message
        return got

    def finals(self, names):
        """The final answers to some messages, by their names."""
        got = {}
        while not set(names) <= set(got):
            try:
                message = self.alice.messages.get(timeout=DEADLINE)
            except queue.Empty:
                self.fail(f"no answer to {set(names) - set(got)}")
            if message.status and message.status >= 200:
                got[message.get("Call-ID")] = message
        return got

    def mapped(self, address):
        """What `vestibule map` says: SIP and XMPP, or `None` where it says why not."""
        done = subprocess.run([BINARY, "map", "--json", address], capture_output=True, text=True, timeout=20, check=False)
        if done.returncode:
            self.assertIn(address, done.stderr)
            return None
        said = json.loads(done.stdout)
        return said["sip"], said["xmpp"]

    def test_a_sip_address_is_read_as_its_jid_whoever_it_belongs_to(self):
        for row, (sip, jid) in enumerate(BOTH + FROM_SIP):
            with self.subTest(sip):
                theirs, ours = sip.format("sip.example"), sip.format("xmpp.example")
                name = self.page(f"<{theirs}>", "sip:service@xmpp.example")
                self.assertEqual((jid.format("sip.example"), "service@xmpp.example"), self.service.wait(name))
                self.assertEqual(200, self.finals([name])[name].status)
                if ":5061" not in sip:
                    name = self.page("<sip:alice@sip.example>", ours)
                    self.assertEqual(("alice@sip.example", jid.format("xmpp.example")), self.service.wait(name))
                    self.assertEqual(200, self.finals([name])[name].status)
                written, read = self.mapped(theirs)
                self.assertEqual(jid.format("sip.example"), read)
                for left in ("secret", "transport", "5061"):
                    self.assertNotIn(left, written)

    def test_a_jid_is_read_as_its_sip_address_whoever_it_belongs_to(self):
        rows = {}
        for sip, jid in BOTH:
            for (sender, to), expected in (((jid.format("xmpp.example"), "alice@sip.example"), (sip.format("xmpp.example"), "sip:alice@sip.example")),
                                           (("service@xmpp.example", jid.format("sip.example")), ("sip:service@xmpp.example", sip.format("sip.example")))):
                name = self.name()
                rows[name] = expected
                self.service.write(sender, to, name)
        got = self.heard(rows)
        for name, expected in rows.items():
            with self.subTest(expected):
                message = got[name]
                sender = message.get("From").partition("<")[2].partition(">")[0]
                to = message.get("To").partition("<")[2].partition(">")[0]
                self.assertEqual((*expected, expected[1]), (sender, to, message.uri))
        for sip, jid in BOTH:
            with self.subTest(jid):
                self.assertEqual((sip.format("sip.example"), jid.format("sip.example")), self.mapped(jid.format("sip.example")))

    def test_what_has_no_counterpart_is_refused_with_the_reason(self):
        sent = {}
        for sip, status in NOT_FROM_SIP:
            uri = sip.format("xmpp.example")
            sent[self.page("<sip:alice@sip.example>", uri)] = (uri, status)
        got = self.finals(sent)
        for name, (uri, status) in sent.items():
            with self.subTest(uri):
                self.assertEqual(status, got[name].status, got[name])
                self.assertIsNone(self.mapped(uri))
        self.assertEqual([], [event for event in self.service.got.all() if event[0] in sent])
        for jid in NOT_FROM_XMPP:
            with self.subTest(jid):
                name = self.name()
                self.service.write("service@xmpp.example", jid.format("sip.example"), name)
                self.assertIn("jid-malformed", self.service.wait_for_error(name))
                self.assertIsNone(self.mapped(jid.format("sip.example")))

    def test_a_domain_has_its_own_letters_in_xmpp_and_ascii_in_sip(self):
        name = self.page("<sip:alice@xn--grn-ioa.example>", "sip:leser@XN--BCHER-KVA.example")
        self.assertEqual(("alice@grün.example", "leser@bücher.example"), self.books.wait(name))
        self.assertEqual(200, self.finals([name])[name].status)
        name = self.name()
        self.books.write("leser@bücher.example", "alice@grün.example", name)
        message = self.heard([name])[name]
        self.assertEqual("sip:alice@xn--grn-ioa.example", message.uri)
        self.assertIn("<sip:leser@xn--bcher-kva.example>", message.get("From"))
        self.assertEqual(("sip:alice@xn--grn-ioa.example", "alice@grün.example"), self.mapped("alice@grün.example"))
        self.assertEqual("alice@grün.example", self.mapped("sip:alice@XN--GRN-IOA.example")[1])

    def test_a_microsoft_endpoint_is_a_resource_and_found_again(self):
        name = self.page('"Alice Ä"<sip:lync@sip.example>', "sip:service@xmpp.example")
        self.assertEqual("lync@sip.example", self.service.wait(name)[0])
        name = self.page('"Alice Ä"<sip:lync@sip.example>;epid=0a1b2c3d4e', "sip:service@xmpp.example")
        self.assertEqual("lync@sip.example/epid-0a1b2c3d4e", self.service.wait(name)[0])
        self.finals([name])
        name = self.name()
        self.service.write("service@xmpp.example/desk", "lync@sip.example/epid-0a1b2c3d4e", name)
        message = self.heard([name])[name]
        self.assertEqual(("sip:lync@sip.example", "<sip:lync@sip.example>;epid=0a1b2c3d4e"), (message.uri, message.get("To")))

    def test_who_has_written_is_answered_by_the_address_that_he_used(self):
        for seen, jid, told in (("sip:Bjørn.Smith@sip.example".replace("ø", "%C3%B8"), "bjørn.smith@sip.example", None),
                                ("sip:O'Malley@sip.example", r"o\27malley@sip.example", None),
                                ("sip:+15559876;phone-context=example.com@sip.example;user=phone", "+15559876@sip.example", None),
                                ("sip:Carol@Sip.Example:5061;transport=tls", "carol@sip.example", "sip:Carol@Sip.Example")):
            with self.subTest(seen):
                name = self.page(f"<{seen}>", "sip:reader@xmpp.example")
                self.assertEqual(jid, self.service.wait(name)[0])
                self.assertEqual(200, self.finals([name])[name].status)
                name = self.name()
                self.service.write("reader@xmpp.example/desk", jid, name)
                message = self.heard([name])[name]
                self.assertEqual((told or seen, f"<{told or seen}>"), (message.uri, message.get("To")))
                # Whoever has heard nothing of him writes what the JID says.
                name = self.name()
                self.service.write("another@xmpp.example", jid, name)
                self.assertNotEqual(told or seen, self.heard([name])[name].uri)


if __name__ == "__main__":
    unittest.main()

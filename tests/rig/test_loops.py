"""What must not go on: messages that two gateways would hand each other for ever, errors about errors, and what has no counterpart on the
other side. Needs VESTIBULE_BINARY."""

import os
import unittest
import xml.etree.ElementTree as ElementTree

import chat
import prosody
import resolver
from component import Component
from pki import Authority
from rig import Rig, wait_until
from sip_peer import Peer
from vestibule import Vestibule
from xmpp_peer import Manners, Server, Stream, context

BINARY = os.environ["VESTIBULE_BINARY"]
SECRET = "component secret"
ROOM = "http://jabber.org/protocol/muc#user"
SIP = '[[listen]]\nzone = "inside"\nprotocol = "sip"\ntransport = "tls"\nport = 5061\ntls = "internal"\n'


class Clerk:
    """An authority as one of several edges asks it: their certificates have files of their own."""

    def __init__(self, authority, name):
        self.certificate, self._authority, self._name = authority.certificate, authority, name

    def issue(self, label, names):
        """As an authority does."""
        return self._authority.issue(f"{self._name}-{label}", [name.replace("edge.lan", self._name) for name in names])


class Loops(unittest.TestCase):
    """Two edges, one.lan and two.lan, each in a network of its own, whose nodes and routes lead to the other."""

    def setUp(self):
        self.first, self.second = Rig(logs=os.environ.get("VESTIBULE_LOGS")), Rig(logs=os.environ.get("VESTIBULE_LOGS_2"))
        for rig in (self.first, self.second):
            self.addCleanup(rig.close)
        self.authority = Authority(self.first)

    def edge(self, rig, name, local, federated, node, link="plain", extra=""):
        """An edge whose node is at some address."""
        edge = Vestibule(rig, BINARY, Clerk(self.authority, name), local, federated, link=link, extra=extra)
        with open(edge.config, encoding="utf-8") as config:
            text = config.read()
        old = f'nodes = [{{ host = "{rig.address("node")}"'
        self.assertIn(old, text)
        with open(edge.config, "w", encoding="utf-8") as config:  # in place: the file keeps its owner
            config.write(text.replace(old, f'nodes = [{{ host = "{node}"').replace('name = "edge.lan"', f'name = "{name}"'))
        return edge

    @staticmethod
    def sip(address):
        """An entry for a domain that is reached by SIP."""
        return f'protocol = "sip"\ntls = "public"\nroutes = [{{ next_hop = "{address}", port = 5061, transport = "tls" }}]'

    def counted(self, edge, name, *labels):
        """The sum of a counter over what has these labels."""
        lines = [line for line in edge.samples(name) if all(f'"{label}"' in line for label in labels)]
        return sum(float(line.split()[-1]) for line in lines)

    def test_from_sip_over_xmpp_to_sip_it_is_cut_when_it_comes_back(self):
        here, there = self.first.address, self.second.address
        one = self.edge(self.first, "one.lan", "example.lan", {"sip.lan": self.sip(here("alice"))}, there("edge_inside"))
        two = self.edge(self.second, "two.lan", "sip.lan", {"example.lan": self.sip(here("edge_outside"))}, here("edge_inside"))
        alice = Peer(self.first, here("alice"), identity=self.authority.issue("alice", ["sip.lan"]))
        one.start("/healthz")
        two.start("/healthz")
        alice.dial(here("edge_outside"))
        for number in range(3):
            alice.send("MESSAGE", "sip:bob@example.lan", "alice@sip.lan", "bob@example.lan", body="round and round")
            told = alice.response()
            # The second edge answers the ping of the first behind the error, so she hears of the loop and not 200.
            self.assertEqual(406, told.status, told.start)
            self.assertIn("Loop Detected", told.start)
            one.process.wait_for_text('class="loop"')
            wait_until(lambda number=number: self.counted(two, "vestibule_messages_total", "failed") == number + 1, "the other is told")
        self.assertEqual(3, self.counted(one, "vestibule_messages_total", "sip", "xmpp", "failed"))
        self.assertEqual(0, self.counted(one, "vestibule_messages_total", "delivered"))
        self.assertEqual(3, self.counted(one, "vestibule_refusals_total", "loop"))
        self.assertEqual(0, self.counted(two, "vestibule_messages_total", "delivered"))

    def test_within_sip_it_is_cut_and_its_sender_is_told(self):
        here, there = self.first.address, self.second.address
        one = self.edge(self.first, "one.lan", "example.lan", {
            "two.lan": self.sip(there("edge_outside")), "sip.lan": f'{self.sip(here("alice"))}\nvia = "two.lan"'}, there("edge_outside"), "sip", SIP)
        # To each the other is a clearing house that speaks for sip.lan.
        two = self.edge(self.second, "two.lan", "example.lan", {"one.lan": self.sip(here("edge_outside")), "sip.lan": 'protocol = "sip"\nvia = "one.lan"'},
                        here("edge_outside"), "sip", SIP)
        alice = Peer(self.first, here("alice"), identity=self.authority.issue("alice", ["sip.lan"]))
        one.start("/healthz")
        two.start("/healthz")
        alice.dial(here("edge_outside"))
        alice.send("MESSAGE", "sip:bob@example.lan", "alice@sip.lan", "bob@example.lan", body="round and round")
        # It is known by its hops: neither edge shows the other the way that a request has come.
        self.assertEqual(483, alice.response().status)
        self.assertLess(self.counted(one, "vestibule_messages_total") + self.counted(two, "vestibule_messages_total"), 80)

    def test_within_xmpp_it_is_cut_and_its_sender_is_told(self):
        here, there = self.first.address, self.second.address
        terms = 'protocol = "xmpp"\ntls = "public"\n'
        route = f'routes = [{{ next_hop = "{here("relay")}", port = 5269, transport = "tcp" }}]\n'
        policy = '[[policy.exception]]\ndomain = "*.lan"'
        one = self.edge(self.first, "one.lan", "example.lan", {"partner.lan": terms + route + policy}, there("edge_inside"))
        back = f'routes = [{{ next_hop = "{here("edge_outside")}", port = 5269, transport = "tcp" }}]\n'
        two = self.edge(self.second, "two.lan", "partner.lan", {"example.lan": terms + back + policy}, here("edge_inside"))
        identity = self.authority.issue("partner", ["partner.lan"])
        partner = Server(self.first, here("relay"), self.authority, {"partner.lan": Manners(identity)})
        one.start("/healthz")
        two.start("/healthz")
        with Stream.dial(here("edge_outside"), "partner.lan", "example.lan") as stream:
            self.assertTrue(stream.open().ask_for_tls())
            self.assertIsNone(stream.secure(context(identity, self.authority, False)).open().external())
            stream.open()
            stream.message("round and round")
            partner.events.wait(lambda event: event[0] == "error" and event[4] == "round and round", "the error")
        # So is what the edges ask each other to know what has become of it.
        wait_until(lambda: self.counted(one, "vestibule_refusals_total", "loop") >= 1, "it is counted")
        one.process.wait_for_text('class="loop"')
        self.assertLess(self.counted(one, "vestibule_messages_total"), 100)


class Ends(unittest.TestCase):
    """bob and a room service at a Prosody inside, and alice outside."""

    @classmethod
    def setUpClass(cls):
        rig = cls.rig = Rig(logs=os.environ.get("VESTIBULE_LOGS"))
        cls.addClassCleanup(rig.close)
        authority = Authority(rig)
        resolver.start(rig, {"example.lan": rig.address("node")}, rig.address("edge_inside"))
        node = prosody.Prosody(rig, "example.lan", authority.issue("node", ["example.lan", "rooms.example.lan"]), authority,
                               components=["rooms.example.lan"], secret=SECRET)
        node.register("bob", "secret")
        node.start().process.wait_for_port(node.address, 5347)
        cls.rooms = Component(rig, "rooms.example.lan", SECRET, node.address)
        cls.edge = Vestibule(rig, BINARY, authority, "example.lan", {"contoso.lan": Loops.sip(rig.address("alice"))}, extra=f"""
[[local]]
domain = "rooms.example.lan"
protocol = "xmpp"
role = "chat"
tls = "internal"
nodes = [{{ host = "{node.address}", port = 5269 }}]
""")
        cls.alice = Peer(rig, rig.address("alice"), identity=authority.issue("alice", ["contoso.lan"]))
        cls.edge.start()
        cls.bob = chat.Client(rig, "bob@example.lan", "secret", node.address, authority)
        cls.alice.dial(rig.address("edge_outside"))

    def last(self, text):
        """bob's next message is all that alice gets."""
        self.bob.send("alice@contoso.lan", text)
        message = self.alice.request("MESSAGE")
        self.assertEqual(text.encode(), message.body)
        self.alice.answer(message, tag="a")

    def test_errors_are_never_answered_and_never_translated(self):
        seen = len(self.bob.events.all())
        for number in range(200):
            self.bob.send("alice@contoso.lan", f"error {number}", f"error-{number}", kind="error",
                          extension='<error xmlns="jabber:client" type="cancel"><gone xmlns="urn:ietf:params:xml:ns:xmpp-stanzas"/></error>')
        self.last("after the errors")
        self.assertEqual([], [event for event in self.bob.events.all()[seen:] if event[0] == "error"])

    def test_a_stanza_without_words_is_nothing(self):
        for extension in ('<receipt xmlns="urn:example:nothing"/>', '<active xmlns="http://jabber.org/protocol/chatstates"/>'):
            self.bob.send("alice@contoso.lan", "", "nothing", extension=extension)
        self.bob.send("alice@contoso.lan", "a headline", "headline", kind="headline")
        self.last("after nothing")
        self.assertEqual([], [event for event in self.bob.events.all() if event[0] == "error" and event[2] in ("nothing", "headline")])

    def test_a_room_cannot_be_addressed_from_sip(self):
        for room in ("tea@rooms.example.lan", "tea@rooms.example.lan;gr=alice"):
            self.alice.send("MESSAGE", f"sip:{room}", "alice@contoso.lan", room.partition(";")[0], body="let me in")
            refused = self.alice.response()
            self.assertEqual((405, "Your IM could not be delivered: Rooms cannot be addressed from SIP"), (refused.status, refused.start.split(" ", 2)[2]))
            self.assertIsNotNone(refused.get("Allow"))
        self.assertEqual([], [event for event in self.rooms.events.all() if event[0] == "message" and event[4] != "error"])

    def test_an_invitation_to_a_sip_user_is_answered_with_an_error(self):
        for name, payload in (("mediated", f'<x xmlns="{ROOM}"><invite from="bob@example.lan/desk"><reason>tea</reason></invite></x>'),
                              ("direct", '<x xmlns="jabber:x:conference" jid="tea@rooms.example.lan"/>')):
            with self.subTest(name):
                self.rooms._write(f'<message from="tea@rooms.example.lan" to="alice@contoso.lan" id="{name}">{payload}</message>')
                error = self.rooms.wait_for("message", name)
                self.assertEqual(("alice@contoso.lan", "error"), (error[1], error[4]))
                named = ElementTree.fromstring(error[5]).find("{*}error")
                self.assertIsNotNone(named.find("{urn:ietf:params:xml:ns:xmpp-stanzas}feature-not-implemented"), error[5])
        self.last("after the invitations")


if __name__ == "__main__":
    unittest.main()

"""The rig itself: every real peer does its part without vestibule in between. What fails here is not vestibule's fault."""

import unittest

import chat
import component
import ejabberd
import kamailio
import prosody
import resolver
from baresip import Baresip
from pki import Authority
from rig import Rig


class Peers(unittest.TestCase):
    """Each test has a rig of its own."""

    def setUp(self):
        self.rig = Rig()
        self.addCleanup(self.rig.close)
        self.authority = Authority(self.rig)

    def user_agents(self, next_hop=None):
        """alice and mallory, who send to each other or to a next hop."""
        rig, authority = self.rig, self.authority
        alice = Baresip(rig, "alice", "contoso.lan", "alice", authority.issue("contoso", ["contoso.lan"]), authority,
                        next_hop or (rig.address("mallory"), 5061), ["mallory@fabrikam.lan"])
        mallory = Baresip(rig, "mallory", "fabrikam.lan", "mallory", authority.issue("fabrikam", ["fabrikam.lan"]), authority,
                          next_hop or (rig.address("alice"), 5061), ["alice@contoso.lan"])
        return alice, mallory

    def node(self, components=()):
        """Prosody for example.lan with bob and carol, whose resolver leads to the edge's inside address."""
        resolver.start(self.rig, {"example.lan": self.rig.address("node")}, self.rig.address("edge_inside"))
        node = prosody.Prosody(self.rig, "example.lan", self.authority.issue("example", ["example.lan"]), self.authority,
                               components=components, secret="component secret")
        for user in ("bob", "carol"):
            node.register(user, "secret")
        return node.start()

    def client(self, jid, server):
        """A logged-in XMPP client."""
        return chat.Client(self.rig, jid, "secret", server.address, self.authority)

    def test_sip_user_agents_exchange_messages_over_tls(self):
        alice, mallory = self.user_agents()
        sent = alice.send("mallory@fabrikam.lan", "hello")
        mallory.wait_for_message("alice@contoso.lan", "hello")
        self.assertEqual(200, alice.wait_for_answer(sent)[0])
        sent = mallory.send("alice@contoso.lan", "and back")
        alice.wait_for_message("mallory@fabrikam.lan", "and back")
        self.assertEqual(200, mallory.wait_for_answer(sent)[0])

    def test_kamailio_relays_messages_over_tls(self):
        for stateful in (True, False):
            with self.subTest(stateful=stateful):
                rig = self.rig
                relay = kamailio.start(rig, self.authority.issue("relay", ["relay.lan"]), self.authority,
                                       (rig.address("mallory"), 5061), stateful, memory=64)
                alice, mallory = self.user_agents((rig.address("relay"), 5061))
                sent = alice.send("mallory@fabrikam.lan", "hello")
                mallory.wait_for_message("alice@contoso.lan", "hello")
                self.assertEqual(200, alice.wait_for_answer(sent)[0])
                self.assertIn("Via: SIP/2.0/TLS " + rig.address("relay"), "".join(text for _, text in mallory.messages()))
                for process in (relay, alice.process, mallory.process):
                    process.stop()

    def test_clients_of_one_node_exchange_messages(self):
        node = self.node()
        bob, carol = self.client("bob@example.lan", node), self.client("carol@example.lan", node)
        bob.send("carol@example.lan", "hello")
        self.assertTrue(carol.wait_for_message("hello")[1].startswith("bob@example.lan/"))

    def test_the_node_reaches_every_foreign_domain_at_the_inside_listener(self):
        node = self.node()
        far = prosody.Prosody(self.rig, "contoso.lan", self.authority.issue("edge", ["edge.lan"]), self.authority, role="edge_inside")
        far.register("alice", "secret")
        far.start()
        bob, alice = self.client("bob@example.lan", node), self.client("alice@contoso.lan", far)
        bob.send("alice@contoso.lan", "hello")
        alice.wait_for_message("hello")
        alice.send("bob@example.lan", "and back")
        bob.wait_for_message("and back")
        refused = bob.send("someone@fabrikam.lan", "hello")
        self.assertEqual("remote-server-timeout", bob.wait_for_error(refused)[3])

    def test_a_component_of_the_node_takes_messages_and_answers_pings(self):
        node = self.node(["contoso.lan"])
        bob = self.client("bob@example.lan", node)
        contoso = component.Component(self.rig, "contoso.lan", "component secret", node.address)
        contoso.send_message("alice@contoso.lan", "bob@example.lan", "hello", "m1")
        contoso.ping("contoso.lan", "example.lan", "p1")
        self.assertEqual("result", contoso.wait_for("iq", "p1")[4])
        bob.wait_for_message("hello")
        self.assertIn("and back", contoso.wait_for("message", bob.send("alice@contoso.lan", "and back"))[5])

    def test_ejabberd_takes_messages_from_a_foreign_server_for_a_component(self):
        resolver.start(self.rig, {"example.lan": self.rig.address("node"), "relay.lan": self.rig.address("relay")})
        ejabberd.start(self.rig, "relay.lan", self.authority.issue("relay", ["relay.lan", "sink.relay.lan"]), self.authority,
                       ["sink.relay.lan"], "component secret")
        sink = component.Component(self.rig, "sink.relay.lan", "component secret", self.rig.address("relay"))
        node = prosody.Prosody(self.rig, "example.lan", self.authority.issue("example", ["example.lan"]), self.authority)
        node.register("bob", "secret")
        bob = self.client("bob@example.lan", node.start())
        self.assertIn("hello", sink.wait_for("message", bob.send("a@sink.relay.lan", "hello"))[5])


if __name__ == "__main__":
    unittest.main()

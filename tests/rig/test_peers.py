"""The rig itself: every real peer does its part without vestibule in between. What fails here is not vestibule's fault."""

import unittest

import chat
import component
import ejabberd
import kamailio
import presence
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

    def agent(self, role, domain, towards):
        """A scripted element of presence."""
        return presence.Agent(self.rig, self.rig.address(role), self.authority.issue(domain, [domain]), self.authority, domain, (self.rig.address(towards), 5061))

    def test_scripted_elements_see_each_other(self):
        here, there = self.agent("alice", "contoso.lan", "relay"), self.agent("relay", "fabrikam.lan", "alice")
        eve = there.user("eve")
        eve.policy = "pending"
        eve.show("open", activity="busy", note="Meeting", language="en", priority="0.5")
        watch = here.watch("alice", "eve@fabrikam.lan")
        self.assertEqual(200, watch.answer.status)
        watch.wait_for("pending")
        eve.approve()
        watch.wait_for("active", "open", person="busy", note="Meeting", notes={"en": "Meeting"}, priority="0.5", tuples=1)
        since = len(watch.notices)
        eve.show("closed")
        watch.wait_for("active", "closed", since=since)
        self.assertEqual(1, len(eve.watched("alice@contoso.lan")))
        self.assertEqual(200, watch.end().status)
        watch.wait_for("terminated", since=since)
        self.assertEqual([], eve.watched())
        once = here.watch("alice", "eve@fabrikam.lan", 0)
        once.wait_for("terminated", "closed")
        eve.least = 60
        self.assertEqual("60", here.watch("alice", "eve@fabrikam.lan", 5).answer.get("Min-Expires"))
        eve.policy = (403, "Forbidden")
        self.assertEqual(403, here.watch("alice", "eve@fabrikam.lan").answer.status)
        eve.policy = "active"
        watch = here.watch("alice", "eve@fabrikam.lan")
        eve.forget()
        self.assertEqual(481, watch.refresh().status)
        watch = here.watch("alice", "eve@fabrikam.lan")
        watch.wait_for("active")
        watch.forget()
        [asked] = eve.show("open")
        self.assertEqual(481, asked.final().status)
        for agent in (here, there):
            agent.check()
        # What it finds.
        watch = here.watch("alice", "eve@fabrikam.lan")
        served = eve.wait_for_watcher()
        served.notify(state="active")
        watch.wait_for("active", since=1)
        served.end("rejected")
        watch.wait_for("terminated")
        # A NOTIFY with a number that was used has its own answer only when the first one's has come.
        self.assertEqual([200, 200, 200], [asked.final().status for asked in served.told])
        for _ in range(2):
            self.assertEqual(481, served.notify(cseq=1).final().status)
        other = here.watch("alice", "eve@fabrikam.lan")
        eve.wait_for_watcher().notify(state="pending;expires=5", body="<x/>", kind="text/plain").final()
        other.wait_for("pending")
        self.assertEqual(["without expires", "CSeq 1", "CSeq 1", "after the last", "tells something", "text/plain", "the entity None"],
                         [part for fault in here.faults for part in ("without expires", "CSeq 1", "after the last", "tells something", "text/plain", "the entity None")
                          if part in fault])

    def test_kamailio_serves_presence_over_tls_both_ways(self):
        kamailio.domain(self.rig, "contoso.lan", "relay", self.authority.issue("relay", ["contoso.lan"]), self.authority, {},
                        (self.rig.address("alice"), 5061))
        far, near = self.agent("alice", "fabrikam.lan", "relay"), presence.Agent(self.rig, self.rig.address("mallory"), None, None, "contoso.lan",
                                                                                 (self.rig.address("relay"), 5060), 5060, "udp")
        eve = far.user("eve")
        watch = far.watch("eve", "carol@contoso.lan")
        self.assertEqual(200, watch.answer.status)
        watch.wait_for("active")
        self.assertEqual(200, near.publish("carol", presence.a_tuple("open", note="here")).status)
        watch.wait_for("active", "open", note="here")
        self.assertEqual(200, watch.end().status)
        watch.wait_for("terminated")
        # And as the proxy of one of its own who watches.
        eve.show("open", note="there")
        watch = near.watch("carol", "eve@fabrikam.lan", accept=presence.TYPE)
        watch.wait_for("active", "open", note="there")
        eve.show("closed", note="gone")
        watch.wait_for("active", "closed", note="gone")
        self.assertEqual(1, len(eve.watched()))
        self.assertEqual(200, watch.end().status)
        self.assertEqual([], eve.watched())
        for agent in (far, near):
            agent.check()


if __name__ == "__main__":
    unittest.main()

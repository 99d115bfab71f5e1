"""Two user agents, baresip, with vestibule between them as a SIP proxy: TLS with certificates on both sides, single messages and presence.
Needs VESTIBULE_BINARY."""

import os
import unittest

import resolver
from baresip import Baresip
from pki import Authority
from rig import Rig, wait_until
from vestibule import Vestibule

BINARY = os.environ["VESTIBULE_BINARY"]


class UserAgents(unittest.TestCase):
    """alice of contoso.lan outside; bob, who is all of example.lan, inside."""

    def setUp(self):
        rig = self.rig = Rig()
        self.addCleanup(rig.close)
        authority = Authority(rig)
        resolver.start(rig, {}, role="outside_resolver")
        self.edge = Vestibule(
            rig, BINARY, authority, "example.lan", {
                "contoso.lan": f'protocol = "sip"\ntls = "public"\nroutes = [{{ next_hop = "{rig.address("alice")}", port = 5061, transport = "tls" }}]'},
            link="sip", level="info", extra='[[listen]]\nzone = "inside"\nprotocol = "sip"\ntransport = "tls"\nport = 5061\ntls = "internal"\n')
        self.bob = Baresip(rig, "bob", "example.lan", "node", authority.issue("node", ["example.lan"]), authority,
                           (rig.address("edge_inside"), 5061), ["alice@contoso.lan", "eve@fabrikam.lan"])
        self.edge.start("/healthz")
        self.alice = Baresip(rig, "alice", "contoso.lan", "alice", authority.issue("alice", ["contoso.lan"]), authority,
                             (rig.address("edge_outside"), 5061), ["bob@example.lan"], ["bob@example.lan"])

    def test_messages_pass_both_ways_and_what_nobody_federates_with_is_refused(self):
        for sender, addressee, text in ((self.alice, self.bob, "hello ✓"), (self.bob, self.alice, "and back")):
            status, _ = sender.wait_for_answer(sender.send(addressee.aor[4:], text))
            self.assertEqual(status, 200)
            addressee.wait_for_message(sender.aor[4:], text)
        self.assertEqual(self.bob.wait_for_answer(self.bob.send("eve@fabrikam.lan", "x"))[0], 403)
        crossed = "".join(text for way, text in self.alice.messages() if way == "in")
        for hidden in (self.rig.address("node"), self.rig.address("edge_inside")):
            self.assertNotIn(hidden, crossed, "the inside shows nothing of itself")

    def test_presence_is_subscribed_to_and_notified_through_the_edge(self):
        def said(peer, way, start, *texts):
            return next((text for seen, text in peer.messages() if seen == way and text.startswith(start) and all(part in text for part in texts)), None)
        wait_until(lambda: said(self.alice, "in", "SIP/2.0 200", " SUBSCRIBE"), "bob's agent accepts the subscription", alive=self.alice.process)
        notified = wait_until(lambda: said(self.alice, "in", "NOTIFY ", "<basic>"), "alice is notified of bob", alive=self.alice.process)
        self.assertIn("Subscription-State: active", notified)
        asked = said(self.bob, "in", "SUBSCRIBE ")
        self.assertIn("Event: presence", asked)
        for hidden in (self.rig.address("node"), self.rig.address("edge_inside")):
            self.assertNotIn(hidden, notified)


if __name__ == "__main__":
    unittest.main()

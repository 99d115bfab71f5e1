"""vestibule between real peers: Prosody inside with slixmpp clients, baresip outside over TLS. Needs VESTIBULE_BINARY."""

import os
import re
import subprocess
import unittest

import chat
import prosody
import resolver
from baresip import Baresip
from pki import Authority
from rig import Failed, Rig, wait_until
from vestibule import Vestibule

BINARY = os.environ["VESTIBULE_BINARY"]
SECRET = "component secret"


class Edge:
    """The whole set-up once a class; what differs is how the inside node is linked."""

    link = None

    @classmethod
    def setUpClass(cls):
        rig = cls.rig = Rig()
        cls.addClassCleanup(rig.close)
        authority = cls.authority = Authority(rig)
        component = cls.link == "component"
        resolver.start(rig, {"example.lan": rig.address("node")}, None if component else rig.address("edge_inside"))
        cls.node = prosody.Prosody(rig, "example.lan", authority.issue("node", ["example.lan"]), authority,
                                   components=["contoso.lan"] if component else [], secret=SECRET)
        for user in ("bob", "carol"):
            cls.node.register(user, "secret")
        cls.node.start()
        cls.edge = Vestibule(rig, BINARY, authority, "example.lan", {
            "contoso.lan": f'protocol = "sip"\nprofile = "simple"\ntls = "public"\n'
                           f'routes = [{{ next_hop = "{rig.address("alice")}", port = 5061, transport = "tls" }}]',
        }, cls.link, SECRET).start()
        cls.alice = cls.user_agent("alice", "contoso.lan", "alice", authority.issue("contoso", ["contoso.lan"]))
        cls.bob = chat.Client(rig, "bob@example.lan", "secret", cls.node.address, authority)
        cls.carol = chat.Client(rig, "carol@example.lan", "secret", cls.node.address, authority)

    @classmethod
    def user_agent(cls, user, domain, role, identity):
        """A SIP user agent that sends to the edge."""
        return Baresip(cls.rig, user, domain, role, identity, cls.authority, (cls.rig.address("edge_outside"), 5061),
                       ["bob@example.lan", "carol@example.lan", "nobody@example.lan", "someone@elsewhere.lan"])

    def tearDown(self):
        self.assertTrue(self.edge.process.running(), "vestibule runs on")

    def test_sip_message_reaches_the_xmpp_client_and_is_answered_200(self):
        sent = self.alice.send("bob@example.lan", "from SIP: <&> \"quoted\" 'too' é")
        got = self.bob.wait_for_message("from SIP: <&> \"quoted\" 'too' é")
        self.assertEqual("alice@contoso.lan", got[1].split("/")[0])
        self.assertEqual(200, self.alice.wait_for_answer(sent)[0])

    def test_xmpp_message_reaches_the_sip_user_agent_with_the_address_of_its_sender(self):
        mark = len(self.alice.process.output())
        self.carol.send("alice@contoso.lan", "from XMPP: <&> é")
        self.alice.wait_for_message("carol@example.lan", "from XMPP: <&> é", since=mark)
        request = next(text for way, text in self.alice.messages(mark) if way == "in" and text.startswith("MESSAGE "))
        self.assertTrue(request.startswith("MESSAGE sip:alice@contoso.lan SIP/2.0\n"), request)
        self.assertRegex(request, r"(?m)^Content-Type: text/plain")

    def test_many_messages_each_way_arrive_in_order_and_once(self):
        # Prosody itself lets a message overtake those that wait for a new stream, so there has to be one already.
        self.bob.send("alice@contoso.lan", "the stream is up")
        self.alice.wait_for_message("bob@example.lan", "the stream is up")
        bodies = [f"number {number} of forty" for number in range(40)]
        mark = len(self.alice.process.output())
        for body in bodies:
            self.bob.send("alice@contoso.lan", body)
            self.alice.send("bob@example.lan", body)
        self.bob.wait_for_message(bodies[-1])
        self.alice.wait_for_message("bob@example.lan", bodies[-1], since=mark)
        seen = [event[2] for event in self.bob.events.all() if event[0] == "message" and "of forty" in event[2]]
        self.assertEqual(bodies, seen)
        shown = [text.partition("\n\n")[2] for way, text in self.alice.messages(mark) if way == "in" and text.startswith("MESSAGE ")]
        self.assertEqual(bodies, shown)

    def test_message_to_an_unknown_local_user_is_answered_with_an_error(self):
        sent = self.alice.send("nobody@example.lan", "is anybody there?")
        self.assertIn(self.alice.wait_for_answer(sent)[0], (403, 404, 480, 604))

    def test_message_to_a_domain_that_is_not_ours_is_refused(self):
        sent = self.alice.send("someone@elsewhere.lan", "relay me")
        self.assertIn(self.alice.wait_for_answer(sent)[0], (403, 404))

    def test_a_domain_that_is_not_federated_is_refused_on_both_sides(self):
        mallory = self.user_agent("mallory", "fabrikam.lan", "mallory", self.authority.issue("fabrikam", ["fabrikam.lan"]))
        try:
            sent = mallory.send("bob@example.lan", "you have won")
            self.assertEqual(403, mallory.wait_for_answer(sent)[0])
            self.bob.wait_for_error(self.bob.send("mallory@fabrikam.lan", "no"))
            self.assertEqual([], [text for way, text in mallory.messages() if way == "in" and text.startswith("MESSAGE ")])
        finally:
            mallory.process.stop()
        self.assertNotIn("you have won", [event[2] for event in self.bob.events.all() if event[0] == "message"])

    def test_a_federated_address_with_the_certificate_of_another_domain_is_refused(self):
        forged = self.user_agent("forger", "contoso.lan", "mallory", self.authority.issue("fabrikam", ["fabrikam.lan"]))
        try:
            sent = forged.send("bob@example.lan", "this is not alice")
            self.assertEqual(403, forged.wait_for_answer(sent)[0])
        finally:
            forged.process.stop()
        self.assertNotIn("this is not alice", [event[2] for event in self.bob.events.all() if event[0] == "message"])

    def test_a_certificate_of_another_authority_never_gets_as_far_as_a_message(self):
        other = Authority(self.rig, "Another CA")
        stranger = self.user_agent("stranger", "contoso.lan", "mallory", other.issue("contoso", ["contoso.lan"]))
        try:
            sent = stranger.send("bob@example.lan", "let me in")
            try:
                status = stranger.wait_for_answer(sent, deadline=5)[0]
            except Failed:
                status = None  # no TLS, so no answer
            self.assertIn(status, (None, 403))
        finally:
            stranger.process.stop()
        self.assertNotIn("let me in", [event[2] for event in self.bob.events.all() if event[0] == "message"])

    def test_metrics_count_what_crossed(self):
        sent = self.alice.send("bob@example.lan", "counted")
        self.alice.wait_for_answer(sent)
        counted = re.compile(r'vestibule_messages_total\{from="sip",outcome="delivered",to="xmpp",way="inbound"\} [1-9]')
        self.assertTrue([line for line in self.edge.samples() if counted.match(line)])

    def test_one_correlation_id_follows_a_message_across_protocols(self):
        sent = self.alice.send("bob@example.lan", "traced")
        call = re.search(r"^Call-ID: (.*)$", self.alice.wait_for_answer(sent)[1], re.MULTILINE).group(1)
        stanza = re.search(r'id="([^"]+)"', self.bob.wait_for_message("traced")[3]).group(1)
        log = self.edge.process.output()
        trace = re.search(rf'SIP request received trace=(\w+) .*call_id="{re.escape(call)}"', log).group(1)
        self.assertRegex(log, rf'stanza for a link trace={trace} .*id="{re.escape(stanza)}"')


class EdgeOverS2s(Edge, unittest.TestCase):
    """The inside node reaches foreign domains by its own s2s, and is reached by s2s."""

    link = "s2s"

    def test_an_xmpp_client_is_told_when_the_sip_peer_is_gone(self):
        rig = Rig()
        self.addCleanup(rig.close)
        # A federated domain whose only next hop does not listen.
        authority = Authority(rig)
        resolver.start(rig, {"example.lan": rig.address("node")}, rig.address("edge_inside"))
        node = prosody.Prosody(rig, "example.lan", authority.issue("node", ["example.lan"]), authority)
        node.register("bob", "secret")
        node.start()
        edge = Vestibule(rig, BINARY, authority, "example.lan", {
            "contoso.lan": f'protocol = "sip"\ntls = "public"\nroutes = [{{ next_hop = "{rig.address("alice")}", port = 5061, transport = "tls" }}]',
        }).start()
        bob = chat.Client(rig, "bob@example.lan", "secret", node.address, authority)
        error = bob.wait_for_error(bob.send("alice@contoso.lan", "into the void"), deadline=60)
        self.assertIn(error[3], ("remote-server-timeout", "remote-server-not-found", "recipient-unavailable"))
        # And it ends when it is asked to.
        edge.process.popen.terminate()
        self.assertEqual(0, edge.process.popen.wait(30))

    def test_a_sip_user_agent_is_told_when_the_node_is_gone(self):
        rig = Rig()
        self.addCleanup(rig.close)
        authority = Authority(rig)
        Vestibule(rig, BINARY, authority, "example.lan", {
            "contoso.lan": f'protocol = "sip"\ntls = "public"\nroutes = [{{ next_hop = "{rig.address("alice")}", port = 5061, transport = "tls" }}]',
        }).start(until="/healthz")
        alice = Baresip(rig, "alice", "contoso.lan", "alice", authority.issue("contoso", ["contoso.lan"]), authority,
                        (rig.address("edge_outside"), 5061), ["bob@example.lan"])
        status = alice.wait_for_answer(alice.send("bob@example.lan", "into the void"), deadline=60)[0]
        self.assertGreaterEqual(status, 400)


class EdgeOverComponent(Edge, unittest.TestCase):
    """Each federated domain is a component of the inside node."""

    link = "component"

    def test_the_component_link_comes_back_when_the_node_restarts(self):
        self.node.process.stop()
        self.node.start()
        bob = chat.Client(self.rig, "bob@example.lan", "secret", self.node.address, self.authority)

        def crossed():
            sent = self.alice.send("bob@example.lan", "are you back?")
            return self.alice.wait_for_answer(sent, deadline=60)[0] == 200
        wait_until(crossed, "a message crosses after the restart", 90)
        bob.wait_for_message("are you back?")
        bob.close()
        type(self).bob = chat.Client(self.rig, "bob@example.lan", "secret", self.node.address, self.authority)
        type(self).carol = chat.Client(self.rig, "carol@example.lan", "secret", self.node.address, self.authority)


class CommandLine(unittest.TestCase):
    """What an administrator sees before anything runs."""

    def test_a_configuration_with_a_mistake_is_refused_with_the_line(self):
        with Rig() as rig:
            broken = rig.write("broken.toml", '[edge]\nname = "edge.lan"\n\n[policy]\ndefalt = "deny"\n')
            done = subprocess.run([BINARY, "run", "--config", broken], capture_output=True, text=True, timeout=20, check=False)
        self.assertNotEqual(0, done.returncode)
        self.assertIn("defalt", done.stdout + done.stderr)
        self.assertIn("default", done.stdout + done.stderr)


if __name__ == "__main__":
    unittest.main()

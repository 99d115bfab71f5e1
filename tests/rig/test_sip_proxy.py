"""vestibule between SIP elements: what goes on, what is hidden, what is refused. Needs VESTIBULE_BINARY."""

import os
import unittest

import resolver
from pki import Authority
from rig import Rig
from sip_peer import Peer
from vestibule import Vestibule

BINARY = os.environ["VESTIBULE_BINARY"]
SESSION = "v=0\r\no=- 0 0 IN IP4 {0}\r\ns=session\r\nc=IN IP4 {0}\r\nt=0 0\r\nm=message 5060 sip null\r\n"
CALL = "v=0\r\no=- 0 0 IN IP4 {0}\r\ns=-\r\nc=IN IP4 {0}\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n"


MESSAGES = 10_000


class Answering(Peer):
    """A node that answers every message with 200 and counts them."""

    def __init__(self, *arguments, **more):
        self.answered = set()
        super().__init__(*arguments, **more)

    def take(self, message):
        if message.method == "MESSAGE":
            self.answered.add(message.body)
            try:
                self.answer(message, tag="n")
            except OSError:
                pass  # it is being killed


class Failover(unittest.TestCase):
    """Two nodes, one of which is killed while messages flow."""

    def test_a_node_that_fails_amid_messages_loses_none(self):
        rig = Rig()
        self.addCleanup(rig.close)
        authority = Authority(rig)
        resolver.start(rig, {}, role="outside_resolver")
        routes = f'routes = [{{ next_hop = "{rig.address("alice")}", port = 5061, transport = "tls" }}]'
        edge = Vestibule(
            rig, BINARY, authority, "example.lan", {"contoso.lan": f'protocol = "sip"\ntls = "public"\n{routes}'}, link="sip", level="info",
            nodes=("node", "node2"),
            extra='[[listen]]\nzone = "inside"\nprotocol = "sip"\ntransport = "tls"\nport = 5061\ntls = "internal"\n')
        nodes = [Answering(rig, rig.address(role), identity=authority.issue(role, ["example.lan"]), authority=authority)
                 for role in ("node", "node2")]
        edge.start()
        alice = Peer(rig, rig.address("alice"), identity=authority.issue("alice", ["contoso.lan"]), name="ua.contoso.lan")
        alice.dial(rig.address("edge_outside"))
        told, killed = {}, None
        sent = 0
        while len(told) < MESSAGES:
            while sent < MESSAGES and sent - len(told) < 200:
                alice.send("MESSAGE", "sip:bob@example.lan", "alice@contoso.lan", "bob@example.lan", body=f"m{sent}", call_id=f"c{sent}")
                sent += 1
            answer = alice.response()
            self.assertNotIn(answer.get("Call-ID"), told, "answered twice")
            told[answer.get("Call-ID")] = answer.status
            if killed is None and len(told) == MESSAGES // 2:
                killed = max(nodes, key=lambda node: len(node.answered))
                killed.close()
        arrived = set().union(*(node.answered for node in nodes))
        taken = {call for call, status in told.items() if status == 200}
        print(f"({len(taken)} of {MESSAGES} taken, by the nodes {sorted(len(node.answered) for node in nodes)}) ", end="", flush=True)
        self.assertEqual(taken, {f"c{number}" for number in range(MESSAGES)}, "another node was there for each")
        self.assertEqual(arrived, {f"m{number}".encode() for number in range(MESSAGES)})
        self.assertGreater(min(len(node.answered) for node in nodes), 0)


class Proxy(unittest.TestCase):
    """bob at example.lan inside, alice at contoso.lan outside; both are scripted."""

    def setUp(self):
        rig = self.rig = Rig()
        self.addCleanup(rig.close)
        authority = Authority(rig)
        resolver.start(rig, {"contoso.lan": rig.address("alice")}, role="outside_resolver")
        routes = f'routes = [{{ next_hop = "{rig.address("alice")}", port = 5061, transport = "tls" }}]'
        self.edge = Vestibule(
            rig, BINARY, authority, "example.lan", {"contoso.lan": f'protocol = "sip"\ntls = "public"\n{routes}'}, link="sip",
            extra='[[listen]]\nzone = "inside"\nprotocol = "sip"\ntransport = "tls"\nport = 5061\ntls = "internal"\n')
        self.alice = Peer(rig, rig.address("alice"), identity=authority.issue("alice", ["contoso.lan"]), name="ua.contoso.lan")
        self.bob = Peer(rig, rig.address("node"), identity=authority.issue("node", ["example.lan"]))
        self.edge.start()
        self.alice.dial(rig.address("edge_outside"))
        self.bob.dial(rig.address("edge_inside"))

    def assert_hidden(self, *messages):
        for message in messages:
            for name in (self.rig.address("node"), self.rig.address("edge_inside")):
                self.assertNotIn(name, repr(message))

    def test_messages_pass_both_ways_and_their_answers_come_back(self):
        self.alice.send("MESSAGE", "sip:bob@example.lan", "alice@contoso.lan", "bob@example.lan", body="hello")
        request = self.bob.request("MESSAGE")
        self.assertEqual(request.body, b"hello")
        self.bob.answer(request, tag="b", headers=["Server: secret"])
        answer = self.alice.response()
        self.assertEqual((answer.status, answer.tag("To")), (200, "b"))
        self.assertIsNone(answer.get("Server"))
        self.assertEqual(len(answer.all("Via")), 1)

        call = self.bob.send("MESSAGE", "sip:alice@contoso.lan", "bob@example.lan", "alice@contoso.lan", body="and back")
        request = self.alice.request("MESSAGE")
        self.assertEqual(request.body, b"and back")
        self.assert_hidden(request)
        self.alice.answer(request, 486, "Busy Here", tag="a")
        answer = self.bob.response()
        self.assertEqual((answer.status, answer.get("Call-ID")), (486, call))

    def test_a_session_lives_on_through_the_edge_whoever_sends(self):
        bob_is = f"<sip:bob@{self.rig.address('node')}:5061;transport=tls>"
        self.bob.send("INVITE", "sip:alice@contoso.lan", "bob@example.lan", "alice@contoso.lan", body=SESSION.format(self.rig.address("node")),
                      kind="application/sdp", tag="b", call_id="session-1@" + self.rig.address("node"), headers=[f"Contact: {bob_is}"])
        invite = self.alice.request("INVITE")
        self.assert_hidden(invite)
        self.alice.answer(invite, 180, "Ringing", tag="a")
        ringing = self.bob.response(status=180)
        self.assertEqual(ringing.tag("To"), "a")
        self.alice.answer(invite, 200, "OK", tag="a", headers=["Contact: <sip:alice@ua.contoso.lan;opaque=x>"], kind="application/sdp",
                          body=SESSION.format(self.rig.address("alice")))
        accepted = self.bob.response()
        self.assertEqual(accepted.status, 200)
        route = [f"Route: {value}" for value in reversed(accepted.all("Record-Route"))]
        self.bob.send("ACK", "sip:alice@ua.contoso.lan;opaque=x", "bob@example.lan", "alice@contoso.lan", tag="b", to_tag="a",
                      call_id="session-1@" + self.rig.address("node"), headers=route)
        acknowledged = self.alice.request("ACK")
        self.assert_hidden(acknowledged)
        self.assertEqual(acknowledged.get("Call-ID"), invite.get("Call-ID"))
        self.assertEqual(acknowledged.uri, "sip:alice@ua.contoso.lan;opaque=x")

        # She says something in the session, to the name that stands for him.
        contact = invite.get("Contact").split("<")[1].split(">")[0]
        route = [f"Route: {value}" for value in invite.all("Record-Route")]
        self.alice.send("MESSAGE", contact, "alice@contoso.lan", "bob@example.lan", body="hi", tag="a", to_tag="b",
                        call_id=invite.get("Call-ID"), headers=route)
        said = self.bob.request("MESSAGE")
        self.assertEqual((said.uri, said.get("Call-ID")), (bob_is[1:-1], "session-1@" + self.rig.address("node")))
        self.bob.answer(said)
        self.assertEqual(self.alice.response().status, 200)

    def test_an_invitation_can_be_called_back(self):
        text = SESSION.format(self.rig.address("alice"))
        self.alice.send("INVITE", "sip:bob@example.lan", "alice@contoso.lan", "bob@example.lan", body=text, kind="application/sdp",
                        call_id="c1", branch="c1", headers=["Contact: <sip:alice@ua.contoso.lan>"])
        invite = self.bob.request("INVITE")
        self.bob.answer(invite, 180, "Ringing", tag="b")
        self.alice.response(status=180)
        self.alice.send("CANCEL", "sip:bob@example.lan", "alice@contoso.lan", "bob@example.lan", call_id="c1", branch="c1")
        self.assertEqual(self.alice.response().get("CSeq"), "1 CANCEL")
        cancel = self.bob.request("CANCEL")
        self.assertEqual(cancel.all("Via"), invite.all("Via")[:1])
        self.bob.answer(cancel)
        self.bob.answer(invite, 487, "Request Terminated", tag="b")
        self.assertEqual(self.bob.request("ACK").get("CSeq"), "1 ACK")
        self.assertEqual(self.alice.response().status, 487)

    def test_calls_foreign_senders_and_unproven_ones_are_refused_at_the_edge(self):
        def refused(peer, status, *arguments, **more):
            peer.send(*arguments, **more)
            self.assertEqual(peer.response().status, status, arguments)
        refused(self.alice, 488, "INVITE", "sip:bob@example.lan", "alice@contoso.lan", "bob@example.lan", kind="application/sdp",
                body=CALL.format("192.0.2.1"), headers=["Contact: <sip:a@b>"], call_id="c", branch="c")
        self.alice.send("ACK", "sip:bob@example.lan", "alice@contoso.lan", "bob@example.lan", call_id="c", branch="c")
        refused(self.alice, 405, "REFER", "sip:bob@example.lan", "alice@contoso.lan", "bob@example.lan", headers=["Refer-To: <sip:x@y>"])
        refused(self.alice, 403, "MESSAGE", "sip:bob@example.lan", "eve@fabrikam.lan", "bob@example.lan", body="x")
        refused(self.alice, 403, "MESSAGE", "sip:bob@example.lan", "carol@example.lan", "bob@example.lan", body="x")
        refused(self.alice, 404, "MESSAGE", "sip:x@contoso.lan", "alice@contoso.lan", "x@contoso.lan", body="x")
        refused(self.alice, 420, "MESSAGE", "sip:bob@example.lan", "alice@contoso.lan", "bob@example.lan", body="x",
                headers=["Proxy-Require: magic"])
        refused(self.bob, 403, "MESSAGE", "sip:alice@contoso.lan", "eve@fabrikam.lan", "alice@contoso.lan", body="x")
        refused(self.bob, 403, "MESSAGE", "sip:eve@fabrikam.lan", "bob@example.lan", "eve@fabrikam.lan", body="x")
        self.assertTrue(self.bob.messages.empty())

    def test_a_node_that_is_gone_is_told_to_the_sender(self):
        self.bob.close()
        self.alice.send("MESSAGE", "sip:bob@example.lan", "alice@contoso.lan", "bob@example.lan", body="hello")
        self.assertGreaterEqual(self.alice.response().status, 500)


if __name__ == "__main__":
    unittest.main()

"""vestibule between two Kamailios, each the proxy and presence server of its domain. Needs VESTIBULE_BINARY."""

import os
import re
import unittest

import kamailio
import resolver
from pki import Authority
from rig import Rig, wait_until
from sip_peer import Peer
from vestibule import Vestibule

BINARY = os.environ["VESTIBULE_BINARY"]
SESSION = "v=0\r\no=- 0 0 IN IP4 {0}\r\ns=session\r\nc=IN IP4 {0}\r\nt=0 0\r\nm=message 5060 sip null\r\n"
PIDF = ('<?xml version="1.0"?><presence xmlns="urn:ietf:params:xml:ns:pidf" entity="sip:{0}"><tuple id="t"><status><basic>open</basic></status>'
        "<note>{1}</note></tuple></presence>")


class Federation(unittest.TestCase):
    """bob at example.lan inside, alice at contoso.lan outside, each behind a Kamailio; their user agents are scripted, over UDP."""

    def setUp(self):
        rig = self.rig = Rig()
        self.addCleanup(rig.close)
        authority = Authority(rig)
        resolver.start(rig, {"contoso.lan": rig.address("relay"), "edge.lan": rig.address("edge_outside")}, role="outside_resolver")
        routes = f'routes = [{{ next_hop = "{rig.address("relay")}", port = 5061, transport = "tls" }}]'
        self.edge = Vestibule(
            rig, BINARY, authority, "example.lan", {"contoso.lan": f'protocol = "sip"\ntls = "public"\n{routes}'}, link="sip",
            extra='[[listen]]\nzone = "inside"\nprotocol = "sip"\ntransport = "tls"\nport = 5061\ntls = "internal"\n')
        self.node = kamailio.domain(rig, "example.lan", "node", authority.issue("node", ["example.lan"]), authority,
                                    {"bob": (rig.address("node2"), 5060)}, (rig.address("edge_inside"), 5061))
        self.foreign = kamailio.domain(rig, "contoso.lan", "relay", authority.issue("relay", ["contoso.lan"]), authority,
                                       {"alice": (rig.address("alice"), 5060)}, (rig.address("edge_outside"), 5061), resolver="outside_resolver")
        self.bob = self.agent("node2", "node")
        self.alice = self.agent("alice", "relay")
        self.edge.start()

    def agent(self, role, server):
        peer = Peer(self.rig, self.rig.address(role), 5060, "udp")
        peer.listener.last = (self.rig.address(server), 5060)
        return peer

    def assert_nothing_shown(self):
        """Whatever the outside Kamailio got over TLS names nothing of the inside."""
        seen = re.findall(r">>>\n(.*?)\n?<<<", self.foreign.output(), re.DOTALL)
        self.assertGreater(len(seen), 0)
        inside = [self.rig.address(role) for role in ("node", "node2", "edge_inside")]
        for message in seen:
            for name in inside:
                self.assertNotIn(name, message)
        return seen

    def test_messages_pass_both_ways(self):
        self.alice.send("MESSAGE", "sip:bob@example.lan", "alice@contoso.lan", "bob@example.lan", body="hello")
        request = self.bob.request("MESSAGE")
        self.assertEqual(request.body, b"hello")
        self.bob.answer(request, tag="b")
        self.assertEqual(self.alice.response().status, 200)
        self.bob.send("MESSAGE", "sip:alice@contoso.lan", "bob@example.lan", "alice@contoso.lan", body="and back")
        request = self.alice.request("MESSAGE")
        self.assertEqual(request.body, b"and back")
        self.alice.answer(request, tag="a")
        self.assertEqual(self.bob.response().status, 200)
        self.assert_nothing_shown()

    def answer_and_notify(self, watcher):
        """The answer to a SUBSCRIBE and the NOTIFY that goes with it, which may overtake each other."""
        answer, notify = sorted((watcher.next(), watcher.next()), key=lambda message: message.status or 0, reverse=True)
        self.assertEqual((answer.status, notify.method), (200, "NOTIFY"))
        return answer, notify

    def subscribe(self, watcher, presentity, watching, watched, name):
        contact = [f"Contact: <sip:{watching.split('@')[0]}@{watcher.address}:5060>"]
        watcher.send("SUBSCRIBE", f"sip:{watched}", watching, watched, call_id=f"subscription@{watcher.address}", tag="w",
                     headers=[*contact, "Event: presence", "Expires: 600", "Accept: application/pidf+xml"])
        granted, first = self.answer_and_notify(watcher)
        self.assertIn("active", first.get("Subscription-State"))
        watcher.answer(first)
        presentity.send("PUBLISH", f"sip:{watched}", watched, watched, headers=["Event: presence", "Expires: 600"], kind="application/pidf+xml",
                        body=PIDF.format(watched, name))
        self.assertEqual(presentity.response().status, 200)
        change = watcher.request("NOTIFY")
        self.assertIn(name.encode(), change.body)
        watcher.answer(change)

        # The watcher ends it, in the dialog.
        route = [f"Route: {value}" for value in reversed(granted.all("Record-Route"))]
        uri = re.search(r"<(.*)>", granted.get("Contact")).group(1)
        watcher.send("SUBSCRIBE", uri, watching, watched, call_id=f"subscription@{watcher.address}", tag="w", to_tag=granted.tag("To"), cseq=2,
                     headers=[*contact, *route, "Event: presence", "Expires: 0", "Accept: application/pidf+xml"])
        _ended, last = self.answer_and_notify(watcher)
        self.assertIn("terminated", last.get("Subscription-State"))
        watcher.answer(last)

    def test_presence_of_an_inside_user_is_seen_outside(self):
        self.subscribe(self.alice, self.bob, "alice@contoso.lan", "bob@example.lan", "here inside")
        seen = self.assert_nothing_shown()
        self.assertTrue(any(message.startswith("NOTIFY") for message in seen))

    def test_presence_of_a_foreign_user_is_seen_inside(self):
        self.subscribe(self.bob, self.alice, "bob@example.lan", "alice@contoso.lan", "here outside")
        self.assert_nothing_shown()

    def test_a_session_of_messages_begins_and_ends(self):
        self.alice.send("INVITE", "sip:bob@example.lan", "alice@contoso.lan", "bob@example.lan", call_id="session", tag="a", kind="application/sdp",
                        body=SESSION.format(self.alice.address), headers=[f"Contact: <sip:alice@{self.alice.address}:5060>"])
        invite = self.bob.request("INVITE")
        self.bob.answer(invite, tag="b", headers=[f"Contact: <sip:bob@{self.bob.address}:5060>"], kind="application/sdp",
                        body=SESSION.format(self.bob.address))
        accepted = self.alice.response()
        self.assertEqual(accepted.status, 200)
        uri = re.search(r"<(.*)>", accepted.get("Contact")).group(1)
        route = [f"Route: {value}" for value in reversed(accepted.all("Record-Route"))]
        inside = {"from_": "alice@contoso.lan", "to": "bob@example.lan", "call_id": "session", "tag": "a", "to_tag": "b", "headers": route}
        self.alice.send("ACK", uri, **inside)
        self.bob.request("ACK")
        self.alice.send("MESSAGE", uri, **inside, cseq=2, body="in the session")
        said = self.bob.request("MESSAGE")
        self.assertEqual(said.body, b"in the session")
        self.bob.answer(said)
        self.assertEqual(self.alice.response().status, 200)
        # bob ends it.
        there = re.search(r"<(.*)>", invite.get("Contact")).group(1)
        route = [f"Route: {value}" for value in invite.all("Record-Route")]
        self.bob.send("BYE", there, "bob@example.lan", "alice@contoso.lan", call_id="session", tag="b", to_tag="a", headers=route)
        bye = self.alice.request("BYE")
        self.alice.answer(bye)
        self.assertEqual(self.bob.response().status, 200)
        self.assert_nothing_shown()


if __name__ == "__main__":
    unittest.main()

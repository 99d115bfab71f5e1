"""The other way round: SIP inside, with a Kamailio and its users, and a real XMPP server outside. Needs VESTIBULE_BINARY."""

import os
import unittest

import chat
import kamailio
import prosody
import resolver
from baresip import Baresip
from pki import Authority
from rig import Rig, wait_until
from sip_peer import Peer
from vestibule import Vestibule

BINARY = os.environ["VESTIBULE_BINARY"]
STATES = "http://jabber.org/protocol/chatstates"
COMPOSING = ('<?xml version="1.0"?><isComposing xmlns="urn:ietf:params:xml:ns:im-iscomposing"><state>active</state>'
             "<contenttype>text/plain</contenttype></isComposing>")


class Mirror(unittest.TestCase):
    """bob (a baresip) and carol (scripted) behind a Kamailio inside, and dave at a Prosody outside."""

    @classmethod
    def setUpClass(cls):
        rig = cls.rig = Rig(logs=os.environ.get("VESTIBULE_LOGS"))
        cls.addClassCleanup(rig.close)
        authority = Authority(rig)
        resolver.start(rig, {"example.lan": rig.address("edge_outside"), "partner.lan": rig.address("relay")}, role="outside_resolver")
        cls.edge = Vestibule(
            rig, BINARY, authority, "example.lan", {"partner.lan": 'protocol = "xmpp"\ntls = "public"\n[[policy.exception]]\ndomain = "partner.lan"'},
            link="sip", extra='[[listen]]\nzone = "inside"\nprotocol = "sip"\ntransport = "tls"\nport = 5061\ntls = "internal"\n')
        kamailio.domain(rig, "example.lan", "node", authority.issue("node", ["example.lan"]), authority,
                        {"bob": (rig.address("node2"), 5060), "carol": (rig.address("alice"), 5060)}, (rig.address("edge_inside"), 5061))
        outside = prosody.Prosody(rig, "partner.lan", authority.issue("partner", ["partner.lan"]), authority, role="relay", secure=True,
                                  resolver="outside_resolver")
        outside.register("dave", "secret")
        outside.start()
        cls.edge.start()
        cls.bob = Baresip(rig, "bob", "example.lan", "node2", authority.issue("bob", ["bob.example.lan"]), authority, (rig.address("node"), 5061),
                          ["dave@partner.lan", "nobody@partner.lan", "someone@elsewhere.lan"])
        cls.carol = Peer(rig, rig.address("alice"), 5060, "udp")
        cls.carol.listener.last = (rig.address("node"), 5060)
        cls.dave = chat.Client(rig, "dave@partner.lan", "secret", outside.address, authority)

    def tearDown(self):
        self.assertTrue(self.edge.process.running(), "vestibule runs on")

    def test_messages_go_both_ways(self):
        for number in range(3):
            mark = self.bob.send("dave@partner.lan", f"out {number} <&> é")
            self.assertEqual("bob@example.lan", self.dave.wait_for_message(f"out {number} <&> é")[1].partition("/")[0])
            self.assertEqual(200, self.bob.wait_for_answer(mark)[0])
            mark = len(self.bob.process.output())
            self.dave.send("bob@example.lan", f"in {number} <&> é")
            self.bob.wait_for_message("dave@partner.lan", f"in {number} <&> é", since=mark)

    def test_what_the_xmpp_side_says_is_told_to_a_sip_user(self):
        self.assertEqual(403, self.bob.wait_for_answer(self.bob.send("nobody@partner.lan", "anybody?"))[0])
        self.assertEqual(403, self.bob.wait_for_answer(self.bob.send("someone@elsewhere.lan", "anybody?"))[0])

    def test_what_the_sip_side_says_is_told_to_an_xmpp_user(self):
        for status, reason, condition in ((486, "Busy Here", "recipient-unavailable"), (403, "Forbidden", "forbidden"), (600, "Busy", "recipient-unavailable"),
                                          (410, "Gone", "gone")):
            with self.subTest(status):
                sent = self.dave.send("carol@example.lan", f"status {status}")
                message = self.carol.request("MESSAGE")
                self.assertEqual(f"status {status}".encode(), message.body)
                self.carol.answer(message, status, reason, tag="c")
                error = self.dave.wait_for_error(sent)
                self.assertEqual((condition, f"Your IM could not be delivered: {status} {reason}"), (error[3], error[4]))
                self.assertEqual("carol@example.lan", error[1])
        error = self.dave.wait_for_error(self.dave.send("nobody@example.lan", "anybody?"))
        self.assertEqual("item-not-found", error[3])
        inside = [self.rig.address(role) for role in ("node", "node2", "alice", "edge_inside")]
        for way, text in self.dave.raw:
            if way == "<-":
                self.assertFalse([name for name in inside if name in text], text)

    def test_who_types_inside_is_seen_to_type_outside(self):
        self.dave.send("carol@example.lan", "hello", extension=f'<active xmlns="{STATES}"/>')  # he wants to know (XEP-0085 section 5.1)
        self.carol.answer(self.carol.request("MESSAGE"), tag="c")
        self.carol.send("MESSAGE", "sip:dave@partner.lan", "carol@example.lan", "dave@partner.lan", kind="application/im-iscomposing+xml",
                        body=COMPOSING)
        self.assertEqual(200, self.carol.response().status)
        wait_until(lambda: any(f'<composing xmlns="{STATES}"' in text for way, text in list(self.dave.raw) if way == "<-"), "dave sees her type")
        self.carol.send("MESSAGE", "sip:dave@partner.lan", "carol@example.lan", "dave@partner.lan", body="what I typed")
        self.dave.wait_for_message("what I typed")
        self.assertEqual(200, self.carol.response().status)


if __name__ == "__main__":
    unittest.main()

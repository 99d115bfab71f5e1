"""Receipts and typing between a user agent of SIP SIMPLE outside and a real XMPP client at Prosody inside, in single messages.
Needs VESTIBULE_BINARY."""

import os
import re
import unittest

import chat
import prosody
import resolver
import simple
from pki import Authority
from rig import Rig
from vestibule import Vestibule

BINARY = os.environ["VESTIBULE_BINARY"]
ALICE, BOB = "alice@contoso.lan", "bob@example.lan"
RECEIPTS, MARKERS, STATES = "urn:xmpp:receipts", "urn:xmpp:chat-markers:0", "http://jabber.org/protocol/chatstates"


class Receipts(unittest.TestCase):
    """alice outside, bob inside; each test has an alice whom nobody knows yet."""

    @classmethod
    def setUpClass(cls):
        rig = cls.rig = Rig()
        cls.addClassCleanup(rig.close)
        authority = Authority(rig)
        resolver.start(rig, {"example.lan": rig.address("node")}, rig.address("edge_inside"))
        node = prosody.Prosody(rig, "example.lan", authority.issue("node", ["example.lan"]), authority)
        cls.vestibule = Vestibule(rig, BINARY, authority, "example.lan", {
            "contoso.lan": 'protocol = "sip"\nprofile = "simple"\ntls = "public"\n'
                           f'routes = [{{ next_hop = "{rig.address("alice")}", port = 5061, transport = "tls" }}]'})
        node.register("bob", "secret")
        node.start()
        cls.vestibule.start()
        cls.bob = chat.Client(rig, BOB, "secret", node.address, authority, plugins=("xep_0184",))
        cls.alice = simple.User(rig, rig.address("alice"), authority.issue("contoso.lan", ["contoso.lan"]), authority, ALICE)
        cls.alice.dial(rig.address("edge_outside"))

    def setUp(self):
        self.alice.user = f"{self.id().split('.')[-1]}@contoso.lan".replace("test_", "")

    def test_who_asks_is_told_what_the_client_of_the_receiver_says(self):
        self.assertEqual(200, self.alice.say(BOB, "got this?", "positive-delivery, display").status)
        shown = self.bob.wait_for_message("got this?")
        told = self.alice.hear("delivered")
        self.assertEqual(self.alice.last, told.told)
        self.assertIn("<datetime>2026-11-21T10:00:00+01:00</datetime>", told.request.body.decode())
        identifier = shown[3].split(' id="')[1].split('"')[0]
        for _ in range(2):
            self.bob.send(self.alice.user, "", extension=f'<displayed xmlns="{MARKERS}" id="{identifier}"/>')
        self.assertEqual(self.alice.last, self.alice.hear("displayed").told)
        self.bob.send(self.alice.user, "that is all")
        self.alice.hear("text", "that is all")
        self.assertFalse(self.alice.has_heard("displayed") or self.alice.has_heard("delivered"), "each once")

    def test_who_does_not_ask_is_told_nothing(self):
        self.assertEqual(200, self.alice.say(BOB, "no need", "").status)
        shown = self.bob.wait_for_message("no need")
        self.assertNotIn(RECEIPTS, shown[3])
        identifier = shown[3].split(' id="')[1].split('"')[0]
        self.bob.send(self.alice.user, "", extension=f'<received xmlns="{RECEIPTS}" id="{identifier}"/>')
        self.bob.send(self.alice.user, "well")
        self.alice.hear("text", "well")
        self.assertFalse(self.alice.has_heard("delivered"))

    def test_the_answer_is_the_receipt_of_who_knows_no_other(self):
        sent = self.bob.send(self.alice.user, "there?", extension=f'<request xmlns="{RECEIPTS}"/>')
        self.assertIsNone(self.alice.hear("text", "there?").asks)
        self.bob.wait_for_element("received", RECEIPTS, self.alice.user, id=sent)

    def test_who_asks_is_asked_and_his_notifications_are_the_receipts(self):
        self.alice.say(BOB, "first", "positive-delivery")
        self.alice.hear("delivered")
        asked = {"name": "request", "namespace": RECEIPTS}, {"name": "markable", "namespace": MARKERS}
        for mark, note, word, name in ((asked[0], "delivery", "delivered", "received"), (asked[1], "display", "displayed", "displayed")):
            with self.subTest(word):
                sent = self.bob.send(self.alice.user, f"ask {word}", extension=f'<{mark["name"]} xmlns="{mark["namespace"]}"/>')
                heard = self.alice.hear("text", f"ask {word}")
                self.assertIn("negative-delivery", heard.asks[1])
                self.assertEqual(200, self.alice.notify(heard, note, word).status)
                self.bob.wait_for_element(name, mark["namespace"], self.alice.user, id=sent)
        sent = self.bob.send(self.alice.user, "ask failed", extension=f'<request xmlns="{RECEIPTS}"/>')
        self.alice.notify(self.alice.hear("text", "ask failed"), "delivery", "failed")
        self.assertEqual("recipient-unavailable", self.bob.wait_for_error(sent)[3])

    def test_typing_of_a_user_of_single_messages_is_shown_once_somebody_wrote(self):
        self.bob.send(self.alice.user, "hello", extension=f'<active xmlns="{STATES}"/>')  # he wants to know (XEP-0085 section 5.1)
        self.alice.hear("text", "hello")
        self.assertEqual(200, self.alice.type(BOB, "active").status)
        self.bob.wait_for_element("composing", STATES, self.alice.user)
        self.assertEqual(200, self.alice.type(BOB, "idle").status)
        self.bob.wait_for_element("active", STATES, self.alice.user)
        for state, heard in (("composing", "active"), ("paused", "idle")):  # who shows it is shown it
            self.bob.send(self.alice.user, "", extension=f'<{state} xmlns="{STATES}"/>')
            self.assertIsNone(re.search("tag=", self.alice.hear(heard).request.get("To")), "in no session")


if __name__ == "__main__":
    unittest.main()

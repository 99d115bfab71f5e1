"""A clearing house, as AOL's: many domains behind one SIP server whose certificate names none of them. Needs VESTIBULE_BINARY."""

import os
import unittest

import chat
import prosody
import resolver
from aol import Gateway
from pki import Authority
from rig import Rig
from vestibule import Vestibule

BINARY = os.environ["VESTIBULE_BINARY"]
DOMAINS = ("aim.lan", "aol.lan", "hosted.lan")


class ClearingHouse(unittest.TestCase):
    """bob at a Prosody inside; outside the users of three domains behind oscar.lan, and a domain that stands for itself."""

    @classmethod
    def setUpClass(cls):
        rig = cls.rig = Rig(logs=os.environ.get("VESTIBULE_LOGS"))
        cls.addClassCleanup(rig.close)
        authority = Authority(rig)
        resolver.start(rig, {"example.lan": rig.address("node")}, rig.address("edge_inside"))
        cls.node = prosody.Prosody(rig, "example.lan", authority.issue("node", ["example.lan"]), authority)
        cls.node.register("bob", "secret")
        cls.node.start()
        route = f'routes = [{{ next_hop = "{rig.address("alice")}", port = 5061, transport = "tls" }}]'
        terms = 'protocol = "sip"\nprofile = "aol"\ntls = "public"\n'
        cls.edge = Vestibule(rig, BINARY, authority, "example.lan", {
            "oscar.lan": terms + route, **{domain: terms + 'via = "oscar.lan"' for domain in DOMAINS},
            "contoso.lan": terms + f'routes = [{{ next_hop = "{rig.address("dead")}", port = 5061, transport = "tls" }}]',
            "astray.lan": terms + 'via = "contoso.lan"'})
        cls.house = Gateway(rig, rig.address("alice"), authority.issue("oscar", ["oscar.lan"]), "oscar.lan", DOMAINS)
        cls.edge.start()
        cls.bob = chat.Client(rig, "bob@example.lan", "secret", cls.node.address, authority)
        cls.house.dial(rig.address("edge_outside"))

    def tearDown(self):
        self.assertTrue(self.edge.process.running(), "vestibule runs on")

    def test_users_of_each_domain_and_ours_write_to_each_other(self):
        for domain in DOMAINS:
            with self.subTest(domain):
                self.house.page(f"alice@{domain}", "bob@example.lan", f"from {domain}")
                self.assertEqual(f"alice@{domain}", self.bob.wait_for_message(f"from {domain}")[1].partition("/")[0])
                self.assertEqual(200, self.house.response().status)
                self.bob.send(f"alice@{domain}", f"to {domain}")
                message = self.house.request("MESSAGE")
                self.assertEqual((f"sip:alice@{domain}", f"to {domain}".encode()), (message.uri, message.body))
                self.assertIn("<sip:bob@example.lan;gr=rig>", message.get("From"))

    def test_whoever_does_not_stand_behind_the_house_is_refused(self):
        for sender in ("alice@contoso.lan", "alice@astray.lan", "alice@unlisted.lan", "carol@example.lan", "alice@sub.aim.lan"):
            with self.subTest(sender):
                self.house.page(sender, "bob@example.lan", f"forged by {sender}")
                self.assertEqual(403, self.house.response().status)
        self.assertEqual([], [event for event in self.bob.events.all() if event[0] == "message" and "forged" in event[2]])

    def test_who_is_not_signed_on_is_said_and_no_session_is_tried(self):
        self.house.away = {"carol"}
        error = self.bob.wait_for_error(self.bob.send("carol@aim.lan", "are you there?"))
        self.assertEqual("recipient-unavailable", error[3])
        self.assertEqual("MESSAGE", self.house.request().method)
        # Neither a text too long for one message nor a sign of typing begins a session.
        error = self.bob.wait_for_error(self.bob.send("dora@aim.lan", "x" * 2000))
        self.assertIn("<policy-violation ", error[5])
        self.bob.send("dora@aim.lan", "", extension='<composing xmlns="http://jabber.org/protocol/chatstates"/>')
        self.bob.send("dora@aim.lan", "and last")
        self.assertEqual(b"and last", self.house.request().body)
        self.house.page("dora@aim.lan", "nobody@example.lan", "hello?")
        self.assertEqual(403, self.house.response().status)


if __name__ == "__main__":
    unittest.main()

"""Users with two devices, at real XMPP servers inside: who writes to the user reaches both, until one answers. Needs VESTIBULE_BINARY."""

import itertools
import os
import unittest

import chat
import ejabberd
import kamailio
import prosody
import resolver
from pki import Authority
from rig import Rig
from sip_peer import Peer
from vestibule import Vestibule

BINARY = os.environ["VESTIBULE_BINARY"]
SECRET = "component secret"


class Devices:
    """bob inside with a desk and a phone, and alice outside behind a Kamailio."""

    link = "s2s"

    @classmethod
    def setUpClass(cls):
        rig = cls.rig = Rig(logs=os.environ.get("VESTIBULE_LOGS"))
        cls.addClassCleanup(rig.close)
        authority = cls.authority = Authority(rig)
        resolver.start(rig, {"example.lan": rig.address("node")}, rig.address("edge_inside"))
        cls.serve(authority.issue("node", ["example.lan"]))
        hop = f'routes = [{{ next_hop = "{rig.address("relay")}", port = 5061, transport = "tls" }}]'
        cls.edge = Vestibule(rig, BINARY, authority, "example.lan", {"contoso.lan": f'protocol = "sip"\ntls = "public"\n{hop}'}, cls.link, SECRET)
        kamailio.domain(rig, "contoso.lan", "relay", authority.issue("relay", ["contoso.lan"]), authority,
                        {"alice": (rig.address("alice"), 5060)}, (rig.address("edge_outside"), 5061))
        cls.alice = Peer(rig, rig.address("alice"), 5060, "udp")
        cls.alice.listener.last = (rig.address("relay"), 5060)
        cls.edge.start()
        cls.numbers = itertools.count(1)

    def setUp(self):
        self.desk, self.phone = self.device("desk"), self.device("phone")

    def tearDown(self):
        self.desk.close()
        self.phone.close()
        self.assertTrue(self.edge.process.running(), "vestibule runs on")

    def device(self, resource):
        """Logs bob in."""
        return chat.Client(self.rig, "bob@example.lan", "secret", self.rig.address("node"), self.authority, resource=resource)

    def page(self, to="bob@example.lan", status=200):
        """alice writes, and is answered: her text."""
        text = f"to bob {next(self.numbers)}"
        self.alice.send("MESSAGE", f"sip:{to}", "alice@contoso.lan", to.partition(";")[0], body=text)
        self.assertEqual(status, self.alice.response().status)
        return text

    def reply(self, device):
        """bob writes from a device, and alice reads it."""
        text = f"to alice {next(self.numbers)}"
        device.send("alice@contoso.lan", text)
        message = self.alice.request("MESSAGE")
        self.alice.answer(message, tag="a")
        self.assertEqual(text.encode(), message.body)
        self.assertIn(f"<sip:bob@example.lan;gr={device.resource}>", message.get("From"))

    def texts(self, device):
        """All that a device was shown."""
        return [event[2] for event in device.events.all() if event[0] == "message"]

    def test_a_conversation_is_with_the_device_that_answers_until_it_is_gone(self):
        both = self.page()
        for device in (self.desk, self.phone):
            device.wait_for_message(both)
        self.reply(self.phone)
        for _ in range(3):
            only = self.page()
            self.phone.wait_for_message(only)
            self.assertNotIn(only, self.texts(self.desk))
        # He takes up the other.
        self.reply(self.desk)
        only = self.page()
        self.desk.wait_for_message(only)
        # It goes, and nothing is lost.
        self.desk.close()
        left = self.page()
        self.phone.wait_for_message(left)
        self.reply(self.phone)
        self.desk = self.device("desk")
        only = self.page()
        self.phone.wait_for_message(only)
        # She may name one herself.
        named = self.page("bob@example.lan;gr=desk")
        self.desk.wait_for_message(named)
        self.assertNotIn(named, self.texts(self.phone))
        self.assertEqual([named], self.texts(self.desk))

    def test_what_comes_for_nobody_who_is_there_is_taken_or_told(self):
        self.alice.send("MESSAGE", "sip:nobody@example.lan", "alice@contoso.lan", "nobody@example.lan", body="anybody?")
        self.assertIn(self.alice.response().status, (403, 404, 480, 604))


class ProsodyInside(Devices, unittest.TestCase):
    """Over s2s."""

    @classmethod
    def serve(cls, identity):
        """Starts the server."""
        node = prosody.Prosody(cls.rig, "example.lan", identity, cls.authority)
        node.register("bob", "secret")
        node.start()


@unittest.skipIf(os.getuid() != 0, "ejabberd needs a resolv.conf of its own")
class EjabberdInside(Devices, unittest.TestCase):
    """By a component link."""

    link = "component"

    @classmethod
    def serve(cls, identity):
        """Starts the server."""
        ejabberd.start(cls.rig, "example.lan", identity, cls.authority, ["contoso.lan"], SECRET, "node", users=["bob"])


if __name__ == "__main__":
    unittest.main()

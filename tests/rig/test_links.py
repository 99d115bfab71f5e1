"""The life of XMPP streams beside real servers with stream management: what is acknowledged, and what happens to the rest when a server
is killed. Needs VESTIBULE_BINARY."""

import os
import unittest

import chat
import prosody
import resolver
from pki import Authority
from rig import Rig, wait_until
from vestibule import Vestibule
from xmpp_peer import Manners, Server, Stream, context

BINARY = os.environ["VESTIBULE_BINARY"]
FEDERATED = 'protocol = "xmpp"\ntls = "public"\n[[policy.exception]]\ndomain = "partner.lan"'
MESSAGES = 600


class Links(unittest.TestCase):
    """bob inside and dave outside, each at a Prosody that has stream management; partner.lan is proven by its certificate."""

    def federation(self, terms="", extra="", smacks=("smacks",)):
        rig = self.rig = Rig()
        self.addCleanup(rig.close)
        authority = Authority(rig)
        resolver.start(rig, {"example.lan": rig.address("node")}, rig.address("edge_inside"))
        resolver.start(rig, {"example.lan": rig.address("edge_outside"), "partner.lan": rig.address("relay")}, role="outside_resolver")
        self.node = prosody.Prosody(rig, "example.lan", authority.issue("node", ["example.lan"]), authority, modules=smacks)
        self.foreign = prosody.Prosody(rig, "partner.lan", authority.issue("partner.lan", ["partner.lan"]), authority, role="relay",
                                       secure=True, resolver="outside_resolver", modules=smacks)
        self.edge = Vestibule(rig, BINARY, authority, "example.lan", {"partner.lan": terms + FEDERATED + extra})
        for server, user in ((self.node, "bob"), (self.foreign, "dave")):
            server.register(user, "secret")
            server.start()
        self.edge.start()
        self.bob = chat.Client(rig, "bob@example.lan", "secret", self.node.address, authority)
        self.dave = chat.Client(rig, "dave@partner.lan", "secret", self.foreign.address, authority)

    def test_a_killed_server_loses_nothing_in_silence_and_no_sender_hears_twice(self):
        self.federation()
        sent = {}
        for number in range(MESSAGES):
            body = f"message {number} of {MESSAGES}"
            sent[self.bob.send("dave@partner.lan", body)] = body
            if number == MESSAGES // 2:
                self.dave.wait_for_message(f"message {number // 2} of {MESSAGES}")
                self.foreign.process.popen.kill()

        def accounted():
            delivered = {event[2] for event in self.dave.events.all() if event[0] == "message"}
            reported = [sent[event[2]] for event in self.bob.events.all() if event[0] == "error"]
            return (delivered, reported) if delivered | set(reported) >= set(sent.values()) else None
        delivered, reported = wait_until(accounted, "every message is delivered or reported", 60)
        twice = delivered & set(reported)
        print(f"({len(delivered)} delivered, {len(reported)} reported, {len(twice)} both, of {len(sent)}) ", end="", flush=True)
        self.assertEqual(len(reported), len(set(reported)), "a sender was told twice")
        self.assertGreater(len(delivered), 0)
        self.assertGreater(len(reported), 0)
        self.assertIn("Received ack request", self.foreign.process.output(), "the stream was not acknowledged")
        self.assertRegex(self.edge.process.output(), r"acknowledged.{0,9}true")
        self.assertTrue(self.edge.process.running())

    def test_a_foreign_server_gets_its_stanzas_acknowledged(self):
        self.federation()
        # What waited for the stream is written before it is managed.
        self.dave.send("bob@example.lan", "first")
        self.bob.wait_for_message("first")
        for number in range(20):
            self.dave.send("bob@example.lan", f"in {number}")
        self.bob.wait_for_message("in 19")
        self.foreign.process.wait_for_text("#queue = 0 (acked:")
        self.bob.send("dave@partner.lan", "and back")
        self.dave.wait_for_message("and back")

    def test_servers_without_stream_management_are_served_without(self):
        self.federation(smacks=())
        self.bob.send("dave@partner.lan", "out")
        self.dave.wait_for_message("out")
        self.assertNotRegex(self.edge.process.output(), r"acknowledged.{0,9}true")

    def test_who_sends_too_fast_is_held_back_and_loses_nothing(self):
        self.federation(terms="rate = { requests_per_second = 20 }\n")
        # What its server sends before its stream is up may come in another order.
        self.dave.send("bob@example.lan", "first")
        self.bob.wait_for_message("first")
        bodies = [f"fast {number}" for number in range(60)]
        for body in bodies:
            self.dave.send("bob@example.lan", body)
        self.bob.wait_for_message(bodies[-1], 30)
        arrived = [event[2] for event in self.bob.events.all() if event[0] == "message"]
        self.assertEqual(["first", *bodies], arrived)
        self.assertEqual([], [event for event in self.dave.events.all() if event[0] == "error"])


class Farewell(unittest.TestCase):
    """What a server without stream management still sends on a stream that vestibule has closed to stop."""

    def test_each_message_after_the_closing_tag_is_reported_to_its_sender(self):
        rig = Rig()
        self.addCleanup(rig.close)
        authority = Authority(rig)
        identity = authority.issue("partner", ["partner.lan"])
        hop = f'routes = [{{ next_hop = "{rig.address("relay")}", port = 5269, transport = "tcp" }}]'
        edge = Vestibule(rig, BINARY, authority, "example.lan", {"partner.lan": FEDERATED.replace("[[", hop + "\n[[", 1)}, "plain").start("/healthz")
        foreign = Server(rig, rig.address("relay"), authority, {"partner.lan": Manners(identity)})
        stream = Stream.dial(rig.address("edge_outside"), "partner.lan", "example.lan").open()
        self.addCleanup(stream.close)
        self.assertTrue(stream.ask_for_tls())
        self.assertIsNone(stream.secure(context(identity, authority, False)).open().external())
        stream.open()
        edge.process.popen.terminate()
        while stream.next()[0] != "close":
            pass
        for number in range(20):
            stream.message(f"late {number}")
        stream.write("</stream:stream>")
        for number in range(20):
            foreign.events.wait(lambda event, number=number: event[0] == "error" and event[4] == f"late {number}", "the error")
        edge.process.popen.wait(30)
        self.assertEqual(20, len([event for event in foreign.events.all() if event[0] == "error"]))


if __name__ == "__main__":
    unittest.main()

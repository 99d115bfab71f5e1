"""Which SIP servers get traffic: nodes that are watched, static routes, SRV names and clearing houses, on the wire. Needs VESTIBULE_BINARY."""

import os
import unittest

import resolver
from pki import Authority
from rig import Rig, wait_until
from sip_peer import Peer
from vestibule import Vestibule

BINARY = os.environ["VESTIBULE_BINARY"]
INSIDE = '[[listen]]\nzone = "inside"\nprotocol = "sip"\ntransport = "tls"\nport = 5061\ntls = "internal"\n'


class Answering(Peer):
    """Answers every request as it is told to, and notes whose it was."""

    def __init__(self, *arguments, **more):
        self.said = (200, "OK", ())
        super().__init__(*arguments, **more)

    def take(self, message):
        super().take(message)
        if message.method and message.method != "ACK":
            status, reason, headers = self.said
            self.answer(message, status, reason, headers, tag="n")

    def users(self):
        """Whom the messages were for, in their order."""
        return [message.uri.split("@")[0].split(":")[1] for message in list(self.seen) if message.method == "MESSAGE"]


class Nodes(unittest.TestCase):
    """alice at contoso.lan outside; two nodes of example.lan inside, the second for when the first fails."""

    def test_a_node_that_fails_gives_its_share_away_and_gets_it_back_when_it_answers(self):
        rig = Rig()
        self.addCleanup(rig.close)
        authority = Authority(rig)
        resolver.start(rig, {}, role="outside_resolver")
        routes = f'routes = [{{ next_hop = "{rig.address("alice")}", port = 5061, transport = "tls" }}]'
        edge = Vestibule(rig, BINARY, authority, "example.lan", {"contoso.lan": f'protocol = "sip"\ntls = "public"\n{routes}'}, link="sip",
                         nodes=("node", "node2"), extra=INSIDE)
        with open(edge.config, encoding="utf-8") as config:
            text = config.read()
        second = f'host = "{rig.address("node2")}", port = 5061'
        self.assertIn(second, text)
        with open(edge.config, "w", encoding="utf-8") as config:  # in place: the file keeps its owner
            config.write(text.replace(second, second + ", priority = 2"))
        names = ("node", "node2")
        nodes = [Answering(rig, rig.address(name), identity=authority.issue(name, ["example.lan"])) for name in names]
        edge.start()
        alice = Peer(rig, rig.address("alice"), identity=authority.issue("alice", ["contoso.lan"]), name="ua.contoso.lan")
        alice.dial(rig.address("edge_outside"))

        def up():
            return [int(next(line for line in edge.samples("vestibule_node_up") if f'"{rig.address(name)}"' in line).split()[-1]) for name in names]

        def goes_to(node, user):
            alice.send("MESSAGE", f"sip:{user}@example.lan", "alice@contoso.lan", f"{user}@example.lan", body="hello")
            self.assertEqual(alice.response().status, 200)
            self.assertEqual(user, node.users()[-1])
        wait_until(lambda: up() == [1, 1], "both nodes are up")
        question = nodes[0].questions[0]
        self.assertEqual((question.get("Max-Forwards"), question.get("From").split(";")[0]), ("0", "<sip:edge.lan>"))
        goes_to(nodes[0], "one")
        # It takes octets and says nothing: only a question can tell.
        nodes[0].lives = None
        wait_until(lambda: up() == [0, 1], "the first is down")
        goes_to(nodes[1], "two")
        nodes[0].lives = (501, "Not Implemented", ())
        wait_until(lambda: up() == [1, 1], "the first is back")
        goes_to(nodes[0], "three")
        nodes[0].lives = (503, "Service Unavailable", ["Retry-After: 3600"])
        nodes[1].lives = None
        wait_until(lambda: not edge.answers("/readyz"), "no node is there")
        asked = len(nodes[0].questions)
        nodes[1].lives = (405, "Method Not Allowed", ())
        wait_until(lambda: up() == [0, 1], "the second is back")
        goes_to(nodes[1], "four")
        self.assertEqual(len(nodes[0].questions), asked, "it asked to be left alone")


if __name__ == "__main__":
    unittest.main()

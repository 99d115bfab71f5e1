"""The inside leg in its plainer forms: without TLS, and with nodes that are found by SRV records. Needs VESTIBULE_BINARY."""

import os
import unittest

import chat
import ejabberd
import prosody
import resolver
from component import Component
from pki import Authority
from rig import Rig
from test_targets import Foreign
from vestibule import Vestibule

BINARY = os.environ["VESTIBULE_BINARY"]
FEDERATED = 'protocol = "xmpp"\ntls = "public"\n[[policy.exception]]\ndomain = "partner.lan"'
SECRET = "component secret"


class Inside(unittest.TestCase):
    """dave at a Prosody outside, and somebody at example.lan inside."""

    def set_up(self, start_node, link="plain", nodes=None, records=()):
        """`start_node` starts the node; `nodes` stands in the place of the list of nodes."""
        rig = self.rig = Rig(logs=os.environ.get("VESTIBULE_LOGS"))
        self.addCleanup(rig.close)
        self.authority = Authority(rig)
        resolver.start(rig, {"example.lan": rig.address("node")}, rig.address("edge_inside"))
        resolver.start(rig, {"example.lan": rig.address("edge_outside"), "partner.lan": rig.address("relay"), "alive.lan": rig.address("node"),
                             "nobody.lan": rig.address("dead")}, role="outside_resolver", records=records)
        self.foreign = prosody.Prosody(rig, "partner.lan", self.authority.issue("partner", ["partner.lan"]), self.authority, role="relay",
                                       secure=True, resolver="outside_resolver")
        self.foreign.register("dave", "secret")
        self.foreign.start()
        node = start_node(self.authority.issue("node", ["example.lan"]))
        self.edge = Vestibule(rig, BINARY, self.authority, "example.lan", {"partner.lan": FEDERATED}, link)
        if nodes:
            with open(self.edge.config, encoding="utf-8") as config:
                text = config.read()
            old = f'nodes = [{{ host = "{rig.address("node")}", port = 5269 }}]'
            assert old in text
            with open(self.edge.config, "w", encoding="utf-8") as config:  # in place: the file keeps its owner
                config.write(text.replace(old, nodes))
        self.edge.start()
        self.dave = chat.Client(rig, "dave@partner.lan", "secret", self.foreign.address, self.authority)
        return node

    def prosody(self, *changes):
        """Starts Prosody as the node, with changes to its configuration."""
        def start(identity):
            node = Foreign(self.rig, "example.lan", identity, self.authority)
            node.adjust(*changes)
            node.register("bob", "secret")
            return node.start()
        return start

    def chats(self, node):
        """Messages go both ways."""
        bob = chat.Client(self.rig, "bob@example.lan", "secret", node.address, self.authority)
        self.dave.send("bob@example.lan", "in")
        bob.wait_for_message("in")
        bob.send("dave@partner.lan", "out")
        self.dave.wait_for_message("out")

    def methods(self):
        """How the streams of the inside were proven."""
        lines = [line for line in self.edge.process.output().splitlines() if "XMPP stream authenticated" in line and "side=inside" in line]
        return {line.rpartition("method=")[2].split()[0] for line in lines}

    def test_prosody_without_tls(self):
        self.chats(self.set_up(self.prosody(("s2s_require_encryption = true", "s2s_require_encryption = false"))))
        self.assertEqual({"Dialback"}, self.methods())

    @unittest.skipIf(os.getuid() != 0, "ejabberd needs a resolv.conf of its own")
    def test_ejabberd_without_tls(self):
        self.set_up(lambda identity: ejabberd.start(self.rig, "server.lan", identity, self.authority, ["example.lan"], SECRET, "node", "optional"))
        bob = Component(self.rig, "example.lan", SECRET, self.rig.address("node"))
        self.dave.send("bob@example.lan", "in")
        bob.events.wait(lambda event: event[0] == "message" and ">in<" in event[5], "the message")
        bob.send_message("bob@example.lan", "dave@partner.lan", "out", "out")
        self.dave.wait_for_message("out")
        self.assertEqual({"Dialback"}, self.methods())

    def test_a_node_that_is_found_by_the_srv_records_of_a_name(self):
        self.chats(self.set_up(self.prosody(), "s2s", 'srv = "cluster.lan"',
                               ["--srv-host=_xmpp-server._tcp.cluster.lan,alive.lan,5269"]))

    def test_the_next_of_the_srv_records_that_are_named_in_full(self):
        self.chats(self.set_up(self.prosody(), "s2s", 'srv = "_xmpp-server._tcp.cluster.lan"',
                               ["--srv-host=_xmpp-server._tcp.cluster.lan,nobody.lan,5269,1,1",
                                "--srv-host=_xmpp-server._tcp.cluster.lan,alive.lan,5269,2,1"]))


if __name__ == "__main__":
    unittest.main()

"""Ways of proof and a hostile peer over IPv6, against scripted servers. Needs VESTIBULE_BINARY."""

import os
import socket
import unittest

import resolver
from pki import Authority
from rig import DEADLINE, Rig, wait_until
from vestibule import Vestibule
from xmpp_peer import Manners, Refused, Server, Stream, context

BINARY = os.environ["VESTIBULE_BINARY"]
SECRET, NODE_SECRET = "a secret of the peer", "a secret of the node"

# Domains, their terms, and by which way they are proven.
WAYS = {
    "external.lan": ('tls = "required", sasl = "required", dialback = false', "external"),
    "dialback.lan": ('tls = "required", sasl = "off", dialback = true', "dialback over TLS"),
    "plain.lan": ('tls = "none", sasl = "off", dialback = true', "dialback over TCP"),
}


class OverIpv6(unittest.TestCase):
    """One proxy that listens outside on [::1] too, a scripted foreign server there, and a node there."""

    @classmethod
    def setUpClass(cls):
        rig = cls.rig = Rig()
        cls.addClassCleanup(rig.close)
        authority = cls.authority = Authority(rig)
        resolver.start(rig, {}, role="outside_resolver")
        cls.identity = authority.issue("peers", list(WAYS))
        cls.false = Authority(rig, "Another CA").issue("false", list(WAYS))
        cls.foreign = Server(rig, "::1", authority, {domain: Manners(cls.identity) for domain in WAYS}, SECRET, port=0)
        cls.node = Server(rig, "::1", authority, {"example.lan": Manners(tls="off")}, NODE_SECRET, port=0)
        hop = f'routes = [{{ next_hop = "::1", port = {cls.foreign.port}, transport = "tcp" }}]'
        entries = {domain: f'protocol = "xmpp"\ntls = "public"\nxmpp = {{ {terms} }}\n{hop}\n[[policy.exception]]\ndomain = "{domain}"'
                   for domain, (terms, _) in WAYS.items()}
        cls.port = _free_port()
        cls.edge = Vestibule(rig, BINARY, authority, "example.lan", entries, link="plain", peer_certificate="optional", extra="""
[xmpp]
max_unauthenticated_per_address = 30
[limits]
first_message_timeout = "2s"
""")
        with open(cls.edge.config, encoding="utf-8") as config:
            text = config.read()
        four = rig.address("edge_outside")
        # The usual ports of [::1] are for one rig only, and several may run.
        for old, new in ((f'addresses = ["{four}"]', f'addresses = ["{four}", "::1"]'),
                         ('zone = "outside"', f'zone = "outside"\naddress = "{four}"'),
                         (f'host = "{rig.address("node")}", port = 5269', f'host = "::1", port = {cls.node.port}')):
            assert old in text, old
            text = text.replace(old, new)
        text += f'\n[[listen]]\nzone = "outside"\naddress = "::1"\nprotocol = "xmpp"\nport = {cls.port}\ntls = "public"\n'
        with open(cls.edge.config, "w", encoding="utf-8") as config:  # in place: the file keeps its owner
            config.write(text)
        cls.edge.start()

    def dial(self, domain, identity=None):
        """Connects as the server of a foreign domain; with an identity up to its features within TLS."""
        stream = Stream.dial("::1", domain, "example.lan", self.port)
        self.addCleanup(stream.close)
        stream.open()
        if identity:
            self.assertTrue(stream.ask_for_tls())
            stream.secure(context(identity, self.authority, False), name="example.lan").open()
        return stream

    def test_each_way_of_proof_both_ways(self):
        for domain, (_, way) in WAYS.items():
            with self.subTest(way):
                stream = self.dial(domain, None if way == "dialback over TCP" else self.identity)
                if way == "external":
                    self.assertIsNone(stream.external())
                    stream.open()
                else:
                    self.assertEqual("valid", stream.dialback(SECRET))
                    self.assertIn(("verify", domain, way == "dialback over TLS"), self.foreign.events.all())
                stream.message(f"from {domain}")
                self.assertEqual(f"dave@{domain}", self.node.wait_for_message(f"from {domain}")[1])
                inside = Stream.dial(self.rig.address("edge_inside"), "example.lan", domain).open()
                self.addCleanup(inside.close)
                self.assertEqual("valid", inside.dialback(NODE_SECRET))
                inside.message(f"to {domain}", "bob@example.lan", f"dave@{domain}")
                self.foreign.wait_for_message(f"to {domain}")
                self.assertEqual([way], [event[3] for event in self.foreign.events.all() if event[:2] == ("proven", domain)])

    def test_who_proves_nothing_is_not_let_in(self):
        with self.assertRaises(Refused) as refused:
            self.dial("external.lan", self.false)
        self.assertEqual("policy-violation", str(refused.exception))
        stream = self.dial("plain.lan")
        self.assertEqual("invalid", stream.dialback("another secret"))
        for domain in ("plain.lan", "external.lan"):
            stream = self.dial(domain)
            stream.message("evil")
            self.assertIn(stream.ended(), ("not-authorized", "policy-violation"))
        self.assertEqual([], [event for event in self.node.events.all() if event[0] == "message" and event[3] == "evil"])

    def test_strangers_of_one_network_do_not_take_the_places_of_all(self):
        silent = []
        self.addCleanup(lambda: [connection.close() for connection in silent])
        for _ in range(60):
            silent.append(socket.create_connection(("::1", self.port), DEADLINE))

        def refused():
            return any("xmpp_strangers" in line for line in self.edge.samples("vestibule_refusals"))
        wait_until(refused, "the bound of strangers of one network is met")
        for connection in silent:
            connection.settimeout(DEADLINE)
            try:
                while connection.recv(4096):
                    pass
            except ConnectionResetError:
                pass
        stream = self.dial("external.lan", self.identity)
        self.assertIsNone(stream.external())


def _free_port():
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as probe:
        return probe.getsockname()[1]


if __name__ == "__main__":
    unittest.main()

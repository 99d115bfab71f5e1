"""Where messages to a foreign domain go over XMPP: static routes, SRV names and clearing houses, on the wire. Needs VESTIBULE_BINARY."""

import os
import unittest

import resolver
from pki import Authority
from rig import DEADLINE, Rig, wait_until
from vestibule import Vestibule
from xmpp_peer import Manners, Refused, Server, Stream, context

BINARY = os.environ["VESTIBULE_BINARY"]
SECRET, NODE_SECRET = "a secret of the peer", "a secret of the node"

# The routes of each foreign domain, and where its messages arrive: `$first` and `$second` are servers, nobody is at `$dead`.
ROUTES = {
    "to-address.lan": ('{ next_hop = "$address", port = 5269 }', "first"),
    "to-port.lan": ('{ next_hop = "$address", port = 5299 }', "second"),
    "to-name.lan": ('{ next_hop = "hub.lan", port = 5269 }', "first"),
    "to-host.lan": ('{ next_hop = "hub.lan" }', "second"),
    "to-plain-host.lan": ('{ next_hop = "plain-hub.lan" }', "first"),
    "to-srv.lan": ('{ next_hop = "_xmpp-server._tcp.hub.lan" }', "second"),
    "to-other-service.lan": ('{ next_hop = "_federation._tcp.hub.lan", port = 0 }', "first"),
    "to-srv-twice.lan": ('{ next_hop = "_xmpp-server._tcp.half-dead.lan" }', "second"),
    "to-no-srv.lan": ('{ next_hop = "_xmpp-server._tcp.plain-hub.lan", allow_less_specific = false }', None),
    "over.lan": ('{ next_hop = "$dead", port = 5269, priority = 1 }, { next_hop = "$address", port = 5299, priority = 2 }', "second"),
    "by-priority.lan": ('{ next_hop = "$address", port = 5299, priority = 7 }, { next_hop = "$address", port = 5269, priority = 3 }', "first"),
    "resting.lan": ('{ next_hop = "$address", port = 5269, in_service = false }, { next_hop = "$address", port = 5299, priority = 9 }', "second"),
    "all-resting.lan": ('{ next_hop = "$dead", port = 5269, in_service = false }', "first"),  # by DNS
    "blocked.lan": ('{ next_hop = "$address", port = 5269, block = true }', "route_blocked"),
    "half-blocked.lan": ('{ next_hop = "$dead", port = 5269, block = true }, { next_hop = "$address", port = 5299 }', "second"),
    "then-dns.lan": ('{ next_hop = "$dead", port = 5269 }', "first"),
    "never-dns.lan": ('{ next_hop = "$dead", port = 5269, allow_less_specific = false }', None),
}

# Domains behind a clearing house: more of their entry, and how their messages arrive at which server.
HOUSES = {
    "tenant.lan": ('via = "house.lan"', "second", "external"),
    "called.lan": ('via = "house.lan"\nxmpp = { sasl = "off" }', "second", "dialback over TLS"),
    "own-route.lan": ('via = "house.lan"\nroutes = [{ next_hop = "$address", port = 5269, transport = "tcp" }]', "first", "external"),
    "own-route-of-house.lan": ('via = "house.lan"\nroutes = [{ next_hop = "$address", port = 5299, transport = "tcp" }]', "second", "external"),
    "dead-route.lan": ('via = "house.lan"\nroutes = [{ next_hop = "$dead", port = 5269, transport = "tcp" }]', "second", "external"),
    "routed-house.lan": ('via = "fixed.lan"', "first", "external"),
    "trusting-house.lan": ('via = "trusted.lan"', "second", "external"),
    "false-house.lan": ('via = "false.lan"', None, None),
    "unlisted-house.lan": ('via = "unlisted.lan"', "second", "external"),
}
POLICY = '\n[[policy.exception]]\ndomain = "{}"'


class Routes(unittest.TestCase):
    """One proxy, a node inside, and two servers outside, at two ports of one address, for all these domains."""

    @classmethod
    def setUpClass(cls):
        rig = cls.rig = Rig()
        cls.addClassCleanup(rig.close)
        authority = cls.authority = Authority(rig)
        stranger = Authority(rig, "Another CA")
        address, dead = rig.address("relay"), rig.address("dead")

        def fill(text):
            return text.replace("$address", address).replace("$dead", dead)

        def entry(domain, more):
            return f'protocol = "xmpp"\n{fill(more)}\n' + POLICY.format(domain)
        entries = {domain: entry(domain, 'tls = "public"\nroutes = [' + text.replace(" }", ', transport = "tcp" }') + "]")
                   for domain, (text, _) in ROUTES.items()}
        entries |= {domain: entry(domain, 'tls = "public"\n' + more) for domain, (more, *_) in HOUSES.items()}
        entries |= {domain: entry(domain, 'tls = "public"') for domain in ("house.lan", "false.lan", "bystander.lan")}
        entries["fixed.lan"] = entry("fixed.lan", f'tls = "public"\nroutes = [{{ next_hop = "{address}", port = 5269, transport = "tcp" }}]')
        entries["trusted.lan"] = entry("trusted.lan", 'tls = "trusting"')
        hosts = {"hub.lan": address, "plain-hub.lan": address, "second.lan": address, "nobody.lan": dead, "all-resting.lan": address,
                 "then-dns.lan": address, "never-dns.lan": address}

        def srv(name, host, port, priority=1):
            return f"--srv-host={name},{host},{port},{priority},1"
        resolver.start(rig, hosts, role="outside_resolver", records=[
            srv("_xmpp-server._tcp.hub.lan", "second.lan", 5299), srv("_federation._tcp.hub.lan", "second.lan", 5269),
            srv("_xmpp-server._tcp.half-dead.lan", "nobody.lan", 5269), srv("_xmpp-server._tcp.half-dead.lan", "second.lan", 5299, 2),
            *(srv(f"_xmpp-server._tcp.{house}.lan", "second.lan", 5299) for house in ("house", "trusted", "false", "unlisted"))])
        public = os.path.join(os.path.dirname(authority.certificate), "edge-public")
        cls.edge = Vestibule(rig, BINARY, authority, "example.lan", entries, link="plain", peer_certificate="optional", extra=f"""
[tls.trusting]
certificates = [{{ chain = "{public}.pem", key = "{public}.key" }}]
trust = ["{stranger.certificate}"]
""")
        cls.house = authority.issue("house", ["house.lan", "fixed.lan", "unlisted.lan"])
        cls.trusted = stranger.issue("trusted", ["trusted.lan", "house.lan"])
        own = authority.issue("own", ["own-route.lan", *ROUTES])
        identities = {domain: own for domain in [*ROUTES, "own-route.lan"]}
        identities["trusting-house.lan"] = cls.trusted
        manners = {domain: Manners(identities.get(domain, cls.house)) for domain in [*ROUTES, *HOUSES]}
        cls.servers = {name: Server(rig, address, authority, manners, SECRET, port=port) for name, port in (("first", 5269), ("second", 5299))}
        cls.node = Server(rig, rig.address("node"), authority, {"example.lan": Manners(tls="off")}, NODE_SECRET)
        cls.edge.start()
        cls.inside = Stream.dial(rig.address("edge_inside"), "example.lan", "house.lan").open()
        rig.on_close(cls.inside.close)

    def outcome(self, domain, user="dave"):
        """Sends a message from inside; gives the server where it arrived, or the condition of the error that came back."""
        body = f"to {user} at {domain}"
        self.assertEqual("valid", self.inside.dialback(NODE_SECRET, remote=domain))
        self.inside.message(body, "bob@example.lan", f"{user}@{domain}")

        def known():
            for name, server in self.servers.items():
                if any(event[0] == "message" and event[3] == body for event in server.events.all()):
                    return name
            return next((event[3] for event in self.node.events.all() if event[0] == "error" and event[4] == body), None)
        return wait_until(known, f"an outcome of {body}", DEADLINE)

    def seen(self, server, kind, domain):
        """The last parts of the events of a kind that a server saw for a domain."""
        return [event[-1] for event in self.servers[server].events.all() if event[0] == kind and event[1] == domain]

    def test_static_routes(self):
        for domain, (text, where) in ROUTES.items():
            with self.subTest(text):
                got = self.outcome(domain)
                if where in self.servers:
                    self.assertEqual(where, got)
                elif where == "route_blocked":
                    self.assertEqual("policy-violation", got)
                else:
                    self.assertIn(got, ("remote-server-not-found", "remote-server-timeout"))
                for server in self.servers:
                    self.assertEqual(server == where, bool(self.seen(server, "connected", domain)), f"{server} was asked for {domain}")

    def test_behind_a_clearing_house(self):
        for domain, (more, where, method) in HOUSES.items():
            with self.subTest(more):
                got = self.outcome(domain)
                if where is None:
                    self.assertEqual("policy-violation", got)
                    self.assertEqual([], self.seen("second", "proven", domain))
                    continue
                self.assertEqual(where, got)
                self.assertEqual([method], self.seen(where, "proven", domain))
        # The server is asked by the name of the house, and for the domain behind it.
        self.assertEqual(["house.lan"], self.seen("second", "name", "tenant.lan"))
        self.assertEqual(["own-route.lan"], self.seen("first", "name", "own-route.lan"))

    def dial(self, domain, identity):
        """Connects as the server of a foreign domain, up to its features within TLS."""
        stream = Stream.dial(self.rig.address("edge_outside"), domain, "example.lan").open()
        self.addCleanup(stream.close)
        self.assertTrue(stream.ask_for_tls())
        return stream.secure(context(identity, self.authority, False), name="example.lan").open()

    def arrives(self, stream, domain):
        """Whether a message on the stream gets to the node inside."""
        body = f"{domain} {id(stream)}"
        stream.message(body, f"dave@{domain}")
        self.assertEqual(f"dave@{domain}", self.node.wait_for_message(body)[1])

    def test_a_clearing_house_speaks_for_the_domains_behind_it_and_for_no_other(self):
        stream = self.dial("tenant.lan", self.house)
        self.assertIsNone(stream.external())
        self.arrives(stream.open(), "tenant.lan")
        # More of them on the same stream, each by its own terms; nobody who is not behind the house.
        for domain, outcome in (("dead-route.lan", "valid"), ("called.lan", "valid"), ("bystander.lan", "not-authorized"),
                                ("false-house.lan", "not-authorized"), ("trusting-house.lan", "not-authorized")):
            with self.subTest(domain):
                self.assertEqual(outcome, stream.dialback(SECRET, local=domain))
                if outcome == "valid":
                    self.arrives(stream, domain)
        self.assertIn(("verify", "dead-route.lan", True), self.servers["second"].events.all())

    def test_a_house_does_not_send_for_a_domain_that_it_has_not_named_on_the_stream(self):
        stream = self.dial("house.lan", self.house)
        self.assertIsNone(stream.external())
        stream.open()
        self.arrives(stream, "house.lan")
        stream.message("unnamed", "dave@tenant.lan")
        self.assertEqual("invalid-from", stream.ended())

    def test_a_house_is_judged_by_its_own_context(self):
        stream = self.dial("trusting-house.lan", self.trusted)
        self.assertIsNone(stream.external())
        self.arrives(stream.open(), "trusting-house.lan")
        for domain, identity in (("tenant.lan", self.trusted), ("trusting-house.lan", self.house), ("bystander.lan", self.house),
                                 ("false-house.lan", self.house)):
            with self.subTest(domain=domain), self.assertRaises(Refused):
                self.dial(domain, identity)


if __name__ == "__main__":
    unittest.main()

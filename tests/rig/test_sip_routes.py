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



# The routes of each foreign domain, and where a message to it arrives: `first` and `second` are servers, nobody is at `$dead`; a number
# is the status that says it arrives nowhere.
ROUTES = {
    "to-address.lan": ('{ next_hop = "$address", port = 5061 }', "first"),
    "to-port.lan": ('{ next_hop = "$address", port = 5071 }', "second"),
    "to-name.lan": ('{ next_hop = "hub.lan", port = 5061 }', "first"),
    "to-host.lan": ('{ next_hop = "hub.lan" }', "second"),
    "to-plain-host.lan": ('{ next_hop = "plain-hub.lan" }', "first"),
    "to-srv.lan": ('{ next_hop = "_sips._tcp.hub.lan" }', "second"),
    "to-srv-twice.lan": ('{ next_hop = "_sips._tcp.half-dead.lan" }', "second"),
    "to-no-srv.lan": ('{ next_hop = "_sips._tcp.plain-hub.lan", allow_less_specific = false }', 404),
    "over.lan": ('{ next_hop = "$dead", port = 5061, priority = 1 }, { next_hop = "$address", port = 5071, priority = 2 }', "second"),
    "by-priority.lan": ('{ next_hop = "$address", port = 5071, priority = 7 }, { next_hop = "$address", port = 5061, priority = 3 }', "first"),
    "resting.lan": ('{ next_hop = "$address", port = 5061, in_service = false }, { next_hop = "$address", port = 5071, priority = 9 }', "second"),
    "all-resting.lan": ('{ next_hop = "$dead", port = 5061, in_service = false }', "first"),  # by DNS
    "blocked.lan": ('{ next_hop = "$address", port = 5061, block = true }', 403),
    "half-blocked.lan": ('{ next_hop = "$dead", port = 5061, block = true }, { next_hop = "$address", port = 5071 }', "second"),
    "then-dns.lan": ('{ next_hop = "$dead", port = 5061 }', "first"),
    "never-dns.lan": ('{ next_hop = "$dead", port = 5061, allow_less_specific = false }', 504),
}

USERS = ('{ next_hop = "$address", port = 5061, user = "ann" }, { next_hop = "$address", port = 5071, user = "a*" }, '
         '{ next_hop = "$address", port = 5061, user = "b.b", block = true }, '
         '{ next_hop = "$dead", port = 5061, user = "carol", allow_less_specific = false }, { next_hop = "$address", port = 5061, user = "c*" }, '
         '{ next_hop = "$dead", port = 5061, user = "dora" }, { next_hop = "$address", port = 5071 }')
"""The routes of users.lan by user, and what becomes of a message to each."""
OF_USERS = {"ann": "first", "anna": "second", "bob": 403, "bobby": "second", "carol": 504, "cora": "first", "dora": "second", "eve": "second"}

# Domains behind a clearing house: more of their entry, and where their messages arrive. Each stage but the last leads astray in turn.
OWN, OWN_DEAD = ('routes = [{{ next_hop = "{}", port = 5061, transport = "tls" }}]'.format(host) for host in ("$address", "$dead"))
HOUSES = {
    "own-route.lan": ('via = "routed-house.lan"\n' + OWN, "first"),
    "own-srv.lan": ('via = "routed-house.lan"\n' + OWN_DEAD, "second"),
    "route-of-house.lan": ('via = "routed-house.lan"\n' + OWN_DEAD, "house"),
    "srv-of-house.lan": ('via = "house.lan"\n' + OWN_DEAD, "house"),
    "all-dead.lan": ('via = "dead-house.lan"\n' + OWN_DEAD, "house"),
    "false-house.lan": ('via = "false.lan"', 403),
}


class Routes(unittest.TestCase):
    """bob at example.lan inside; outside the servers of all these domains, at ports of one address."""

    @classmethod
    def setUpClass(cls):
        rig = cls.rig = Rig()
        cls.addClassCleanup(rig.close)
        authority = Authority(rig)
        address, dead = rig.address("relay"), rig.address("dead")

        def entry(more):
            return 'protocol = "sip"\ntls = "public"\n' + more.replace("$address", address).replace("$dead", dead).replace(
                " }", ', transport = "tls" }' if ', transport = "tls"' not in more else " }")
        entries = {domain: entry(f"routes = [{text}]") for domain, (text, _) in ROUTES.items()}
        entries["users.lan"] = entry(f"routes = [{USERS}]")
        both = '{{ next_hop = "$address", port = 5061, {} }}, {{ next_hop = "$address", port = 5071, {} }}'
        entries["shared.lan"] = entry(f"routes = [{both.format('weight = 3', 'weight = 1')}]")
        entries["busy.lan"] = entry(f"routes = [{both.format('priority = 1', 'priority = 2')}]")
        entries |= {domain: entry(more) for domain, (more, _) in HOUSES.items()}
        entries |= {domain: entry("") for domain in ("house.lan", "false.lan")}
        entries["routed-house.lan"] = entry(f'routes = [{{ next_hop = "{address}", port = 5081, transport = "tls" }}]')
        entries["dead-house.lan"] = entry(f'routes = [{{ next_hop = "{dead}", port = 5081, transport = "tls" }}]')
        hosts = {"hub.lan": address, "plain-hub.lan": address, "nobody.lan": dead, "at.lan": address}

        def srv(name, host, port, priority=1):
            return f"--srv-host={name},{host},{port},{priority},1"
        found = "_sipfederationtls._tcp"
        resolver.start(rig, hosts, role="outside_resolver", records=[
            srv("_sips._tcp.hub.lan", "at.lan", 5071), srv("_sips._tcp.half-dead.lan", "nobody.lan", 5061),
            srv("_sips._tcp.half-dead.lan", "at.lan", 5071, 2), srv(f"{found}.all-resting.lan", "at.lan", 5061),
            srv(f"{found}.then-dns.lan", "at.lan", 5061), srv(f"{found}.never-dns.lan", "at.lan", 5061),
            srv(f"{found}.own-srv.lan", "at.lan", 5071), srv(f"{found}.routed-house.lan", "nobody.lan", 5081),
            srv(f"{found}.all-dead.lan", "nobody.lan", 5061),
            *(srv(f"{found}.{house}.lan", "at.lan", port) for house, port in (("house", 5081), ("dead-house", 5081), ("false", 5071)))])
        cls.edge = Vestibule(rig, BINARY, authority, "example.lan", entries, link="sip", level="info", extra=INSIDE)
        domains = [*ROUTES, "users.lan", "shared.lan", "busy.lan", "own-route.lan", "own-srv.lan"]
        every = authority.issue("every", domains)
        house = authority.issue("house", ["house.lan", "routed-house.lan", "dead-house.lan"])
        cls.servers = {"first": Answering(rig, address, 5061, identity=every), "second": Answering(rig, address, 5071, identity=every),
                       "house": Answering(rig, address, 5081, identity=house)}
        cls.house = house
        cls.bob = Peer(rig, rig.address("node"), identity=authority.issue("node", ["example.lan"]))
        cls.edge.start()
        cls.bob.dial(rig.address("edge_inside"))

    def outcome(self, domain, user="dave"):
        """Sends a message from inside; gives the servers that got it, and the status."""
        body = f"to {user} at {domain}, {len(self.bob.seen)}"
        self.bob.send("MESSAGE", f"sip:{user}@{domain}", "bob@example.lan", f"{user}@{domain}", body=body)
        status = self.bob.response().status
        return [name for name, server in self.servers.items() if any(message.body == body.encode() for message in server.seen)], status

    def check(self, where, got):
        """Whether it arrived where it was to, and nowhere else."""
        self.assertEqual(([], where) if isinstance(where, int) else ([where], 200), got)

    def test_static_routes(self):
        for domain, (text, where) in ROUTES.items():
            with self.subTest(text):
                self.check(where, self.outcome(domain))

    def test_static_routes_of_users(self):
        for user, where in OF_USERS.items():
            with self.subTest(user):
                self.check(where, self.outcome("users.lan", user))

    def test_behind_a_clearing_house(self):
        for domain, (more, where) in HOUSES.items():
            with self.subTest(domain):
                self.check(where, self.outcome(domain))

    def test_a_clearing_house_speaks_for_the_domains_behind_it_and_for_no_other(self):
        house = Peer(self.rig, self.rig.address("mallory"), identity=self.house, name="proxy.house.lan")
        self.addCleanup(house.close)
        house.dial(self.rig.address("edge_outside"))
        for domain, status in (("srv-of-house.lan", 200), ("house.lan", 200), ("own-route.lan", 200), ("false-house.lan", 403), ("busy.lan", 403)):
            with self.subTest(domain):
                house.send("MESSAGE", "sip:bob@example.lan", f"dave@{domain}", "bob@example.lan", body="hello")
                if status == 200:
                    self.bob.answer(self.bob.request("MESSAGE"), tag="b")
                self.assertEqual(status, house.response().status)

    def test_servers_of_one_priority_share_the_users(self):
        users = [f"user{number}" for number in range(60)]
        where = {user: self.outcome("shared.lan", user)[0][0] for user in users}
        share = sum(name == "first" for name in where.values())
        self.assertTrue(30 < share < 60, share)
        self.assertEqual(where, {user: self.outcome("shared.lan", user)[0][0] for user in users}, "each stays with his server")

    def test_a_server_that_is_busy_is_left_alone_for_its_time_and_others_are_asked(self):
        first = self.servers["first"]
        self.check("first", self.outcome("busy.lan"))
        first.said = (503, "Service Unavailable", ["Retry-After: 3600"])
        try:
            self.assertEqual((["first", "second"], 200), self.outcome("busy.lan"))
        finally:
            first.said = (200, "OK", ())
        self.check("second", self.outcome("busy.lan"))
        # Of other domains it was not said.
        self.check("first", self.outcome("to-address.lan"))


class Discovered(unittest.TestCase):
    """bob at example.lan inside; outside two domains that only a pattern covers, and DNS leads to."""

    def test_a_peer_that_was_only_discovered_is_not_sent_more_than_it_takes_and_who_would_wait_too_long_is_told(self):
        rig = Rig()
        self.addCleanup(rig.close)
        authority = Authority(rig)
        resolver.start(rig, {"at.lan": rig.address("relay")}, role="outside_resolver", records=[
            "--srv-host=_sipfederationtls._tcp.discovered.found.lan,at.lan,5061,1,1", "--srv-host=_sips._tcp.other.found.lan,at.lan,5061,1,1"])
        edge = Vestibule(rig, BINARY, authority, "example.lan", {"*.found.lan": 'protocol = "sip"\ntls = "public"'}, link="sip",
                         level="info", extra=INSIDE)
        server = Answering(rig, rig.address("relay"), identity=authority.issue("relay", ["discovered.found.lan", "other.found.lan"]))
        bob = Peer(rig, rig.address("node"), identity=authority.issue("node", ["example.lan"]))
        edge.start()
        bob.dial(rig.address("edge_inside"))
        for domain, statuses in (("other.found.lan", {200}), ("discovered.found.lan", {200, 503})):
            for number in range(MANY):
                bob.send("MESSAGE", f"sip:u@{domain}", "bob@example.lan", f"u@{domain}", body=f"{domain} {number}")
            seen = set()
            for _ in range(MANY):
                seen.add(bob.response().status)
                if seen == {200, 503}:
                    break
            self.assertEqual(statuses, seen)
        last = [int(message.body.split()[1]) for message in list(server.seen) if message.body.startswith(b"discovered.found.lan")]
        self.assertEqual(list(range(len(last))), last, "each in its turn")


MANY = 700
"""More than 20 a second for as long as one of them may wait."""


if __name__ == "__main__":
    unittest.main()

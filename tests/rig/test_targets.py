"""Where a foreign domain is, by a real DNS server, and what happens when some of its servers, or some of our nodes, are not there.
Needs VESTIBULE_BINARY."""

import os
import signal
import socket
import string
import threading
import unittest

import chat
import prosody
import resolver
from pki import Authority
from rig import Rig, wait_until
from vestibule import Vestibule

BINARY = os.environ["VESTIBULE_BINARY"]
FEDERATED = 'protocol = "xmpp"\ntls = "public"\n[[policy.exception]]\ndomain = "partner.lan"'
MESSAGES = 400


class Foreign(prosody.Prosody):
    """The server of partner.lan, on other ports and addresses than the usual ones."""

    def adjust(self, *changes):
        """Changes lines of its configuration before the start."""
        with open(self.config, encoding="utf-8") as config:
            text = config.read()
        for old, new in changes:
            assert old in text, old
            text = text.replace(old, new)
        self.rig.write(os.path.relpath(self.config, self.rig.folder), text)

    def start_on(self, address, port):
        """Starts it and waits for this port and that for clients."""
        self.process = self.rig.spawn(self.name, ["prosody", "-F", "--config", self.config])
        self.process.wait_for_port(self.address, 5222)
        wait_until(lambda: _answers(address, port), f"{self.name} listens on {address} port {port}", alive=self.process)
        return self


class Federation(unittest.TestCase):
    """bob inside, dave at partner.lan outside, whose DNS is different in each test. In what tests give, `$relay` is an address."""

    def set_up(self, records, answers=None, adjust=(), listens=None, configure=(), hosts=(), secure=True):
        """DNS options of partner.lan, changes to the configurations of its server and of vestibule, more domains of the node, and whether
        the server of partner.lan asks for certificates."""
        rig = self.rig = Rig()
        self.addCleanup(rig.close)
        self.authority = Authority(rig)
        self.places = {role: rig.address(role) for role in ("relay", "dead", "node", "node2", "edge_inside", "edge_outside")}
        resolver.start(rig, {"example.lan": rig.address("node")}, rig.address("edge_inside"))
        answers = {"example.lan": "$edge_outside", **(answers or {})}
        resolver.start(rig, {name: self.fill(to) for name, to in answers.items()}, role="outside_resolver",
                       records=[self.fill(record) for record in records])
        self.node = self.inside("node", hosts)
        self.foreign = Foreign(rig, "partner.lan", self.authority.issue("partner", ["partner.lan"]), self.authority, role="relay",
                               secure=secure, resolver="outside_resolver")
        self.foreign.adjust(*adjust)
        self.edge = Vestibule(rig, BINARY, self.authority, "example.lan", {"partner.lan": FEDERATED})
        for old, new in configure:
            self.configure(old, new)
        self.foreign.register("dave", "secret")
        address, port = listens or (None, 5269)
        self.foreign.start_on(address or self.foreign.address, port)
        self.edge.start()
        return self.user(self.node, "bob@example.lan"), self.user(self.foreign, "dave@partner.lan")

    def inside(self, role, hosts=()):
        """Starts a node of example.lan, and of more domains, with the user bob in each."""
        node = Foreign(self.rig, "example.lan", self.authority.issue(role, ["example.lan", *hosts]), self.authority, role=role)
        node.adjust(*[('VirtualHost "example.lan"', f'VirtualHost "{host}"\nVirtualHost "example.lan"') for host in hosts])
        for host in ("example.lan", *hosts):
            node.domain = host
            node.register("bob", "secret")
        node.domain = "example.lan"
        return node.start()

    def user(self, server, jid):
        """Logs a user in."""
        return chat.Client(self.rig, jid, "secret", server.address, self.authority)

    def fill(self, text):
        """Puts addresses in."""
        return string.Template(text).substitute(self.places)

    def configure(self, old, new):
        """Changes a line of vestibule's configuration."""
        with open(self.edge.config, encoding="utf-8") as config:
            text = config.read()
        old = self.fill(old)
        assert old in text, old
        with open(self.edge.config, "w", encoding="utf-8") as config:  # in place: the file keeps its owner
            config.write(text.replace(old, self.fill(new)))

    def connections(self):
        """What somebody of this machine is connected to."""
        found = set()
        for family in ("tcp", "tcp6"):
            with open(f"/proc/{self.edge.process.pid}/net/{family}", encoding="ascii") as table:
                for line in list(table)[1:]:
                    remote, state = line.split()[2:4]
                    address, port = remote.split(":")
                    if state == "01":
                        octets = bytes.fromhex(address)
                        words = b"".join(octets[at:at + 4][::-1] for at in range(0, len(octets), 4))
                        found.add(f"{socket.inet_ntop(socket.AF_INET if len(words) == 4 else socket.AF_INET6, words)}:{int(port, 16)}")
        return found


class Targets(Federation):
    """By which of its servers a foreign domain is reached."""

    def test_the_next_srv_target_is_taken_when_the_first_cannot_be_connected_to(self):
        bob, dave = self.set_up(["--srv-host=_xmpp-server._tcp.partner.lan,dead.lan,5269,1,1",
                                 "--srv-host=_xmpp-server._tcp.partner.lan,live.lan,5269,2,1"], {"dead.lan": "$dead", "live.lan": "$relay"})
        sent = self.send_many(bob)
        dave.wait_for_message(sent[-1])
        self.assertEqual(sent, [event[2] for event in dave.events.all() if event[0] == "message"], "nothing lost, nothing out of order")
        self.assertIn("dead.lan:5269", self.edge.process.output())

    def test_the_next_srv_target_is_taken_when_the_first_makes_no_stream(self):
        for what, behave in (("ends at once", lambda peer: peer.close()),
                             ("speaks another protocol", lambda peer: peer.sendall(b"220 mail.partner.lan ESMTP\r\n")),
                             ("is silent", lambda peer: None)):
            with self.subTest(what):
                os.environ["VESTIBULE__INTERWORKING__DELIVER_TIMEOUT"] = "8s"  # half of it is for the first target
                self.addCleanup(os.environ.pop, "VESTIBULE__INTERWORKING__DELIVER_TIMEOUT", None)
                bob, dave = self.set_up(["--srv-host=_xmpp-server._tcp.partner.lan,bad.lan,5269,1,1",
                                         "--srv-host=_xmpp-server._tcp.partner.lan,live.lan,5269,2,1"], {"bad.lan": "$dead", "live.lan": "$relay"})
                bad = Listener(self.rig, self.rig.address("dead"), 5269, behave)
                sent = self.send_many(bob)
                dave.wait_for_message(sent[-1])
                self.assertEqual(sent, [event[2] for event in dave.events.all() if event[0] == "message"])
                self.assertEqual(1, bad.connections)
                self.rig.close()

    def send_many(self, bob):
        """Sends many messages, most of them while vestibule is looking for a server that works. Only one goes out while the node's own
        stream is set up: Prosody sends what comes between its SASL success and the stream features before what waited for them."""
        sent = [f"number {number}" for number in range(20)]
        bob.send("dave@partner.lan", sent[0])
        self.node.process.wait_for_text("connection example.lan->partner.lan complete")
        for body in sent[1:]:
            bob.send("dave@partner.lan", body)
        return sent

    def test_direct_tls_is_used_where_the_records_say_so(self):
        bob, dave = self.set_up(["--srv-host=_xmpps-server._tcp.partner.lan,live.lan,5270,1,1"], {"live.lan": "$relay", "partner.lan": "$dead"},
                                adjust=[("s2s_ports = { 5269 }", "s2s_ports = { }\ns2s_direct_tls_ports = { 5270 }")],
                                listens=(None, 5270))
        bob.send("dave@partner.lan", "by TLS from the first octet on")
        dave.wait_for_message("by TLS from the first octet on")

    def test_both_services_are_one_list_by_priority(self):
        bob, dave = self.set_up(["--srv-host=_xmpps-server._tcp.partner.lan,live.lan,5270,5,1",
                                 "--srv-host=_xmpp-server._tcp.partner.lan,live.lan,5269,1,1"], {"live.lan": "$relay"},
                                adjust=[("s2s_ports = { 5269 }", "s2s_ports = { 5269 }\ns2s_direct_tls_ports = { 5270 }")])
        bob.send("dave@partner.lan", "by STARTTLS")
        dave.wait_for_message("by STARTTLS")
        self.assertIn(f"{self.foreign.address}:5269", self.connections())

    def test_a_domain_that_is_only_on_ipv6_is_reached(self):
        port = _free_port("::1")
        bob, dave = self.set_up([f"--srv-host=_xmpp-server._tcp.partner.lan,live.lan,{port},1,1", "--host-record=live.lan,::1"],
                                adjust=[("s2s_ports = { 5269 }", f"s2s_ports = {{ {port} }}\ns2s_interfaces = {{ \"::1\" }}"), ("use_ipv6 = false", "use_ipv6 = true")],
                                listens=("::1", port), configure=[('networks = ["', 'networks = ["::1/128", "')])
        bob.send("dave@partner.lan", "over IPv6")
        dave.wait_for_message("over IPv6")

    def test_address_records_are_used_only_where_there_is_no_srv_record(self):
        bob, dave = self.set_up([], {"partner.lan": "$relay"})
        bob.send("dave@partner.lan", "by address")
        dave.wait_for_message("by address")

    def test_a_domain_that_says_it_has_no_service_is_not_found_though_it_has_an_address(self):
        bob, dave = self.set_up(["--srv-host=_xmpp-server._tcp.partner.lan"], {"partner.lan": "$relay"})
        self.assertEqual("remote-server-not-found", bob.wait_for_error(bob.send("dave@partner.lan", "anybody?"))[3])
        self.assertEqual([], [event for event in dave.events.all() if event[0] == "message"])

    def test_a_name_that_leads_inside_is_refused(self):
        for what, records, answers in (
                ("a node", ["--srv-host=_xmpp-server._tcp.partner.lan,live.lan,5269"], {"live.lan": "$node"}),
                ("ourselves", [], {"partner.lan": "$edge_inside"}),
                ("this machine", ["--srv-host=_xmpps-server._tcp.partner.lan,live.lan,9"], {"live.lan": "127.0.0.1"}),
                ("mapped into IPv6", ["--srv-host=_xmpp-server._tcp.partner.lan,live.lan,5269", "--host-record=live.lan,::ffff:127.0.0.1"], {}),
                ("a private network", ["--srv-host=_xmpp-server._tcp.partner.lan,live.lan,5269"], {"live.lan": "10.1.2.3"})):
            with self.subTest(what):
                bob, _dave = self.set_up(records, answers)
                self.assertEqual("remote-server-not-found", bob.wait_for_error(bob.send("dave@partner.lan", "anybody?"))[3])
                self.assertIn("address_inside", self.edge.process.output())
                self.rig.close()


class Nodes(Federation):
    """dave outside writes to domains of ours. Each node has users of its own and knows nothing of the other."""

    def test_killing_one_of_two_nodes_amid_messages_loses_none_and_the_other_carries_on(self):
        bob, dave = self.set_up([], {"partner.lan": "$relay"}, configure=[
            ('nodes = [{ host = "', 'nodes = [{ host = "$node2", port = 5269, priority = 2 }, { host = "')])
        bobs = [bob, self.user(self.inside("node2"), "bob@example.lan")]
        dave.send("bob@example.lan", "the stream is set up")
        bob.wait_for_message("the stream is set up")
        sent = {}
        for number in range(MESSAGES):
            body = f"message {number}"
            sent[dave.send("bob@example.lan", body)] = body
            if number == MESSAGES // 2:
                bob.wait_for_message(f"message {number // 2}")
                self.node.process.popen.kill()

        def accounted():
            reported = {sent[event[2]] for event in dave.events.all() if event[0] == "error"}
            delivered = [[event[2] for event in at.events.all() if event[0] == "message" and event[2] in sent.values()] for at in bobs]
            return (delivered, reported) if set(delivered[0] + delivered[1]) | reported >= set(sent.values()) else None
        delivered, reported = wait_until(accounted, "every message is delivered or reported", 60)
        print(f"({len(delivered[0])} and {len(delivered[1])} delivered, {len(reported)} reported, of {len(sent)}) ", end="", flush=True)
        for at_one in delivered:
            self.assertGreater(len(at_one), 0)
            self.assertEqual(sorted(at_one, key=lambda body: int(body.split()[1])), at_one, "order is kept")
        self.assertEqual(set(), set(delivered[0]) & set(delivered[1]))
        self.node.start()
        wait_until(lambda: [line for line in self.edge.samples("vestibule_node_up") if f'"{self.node.address}"' in line and line.endswith(" 1")],
                   "the first node is seen to be up again")

    def test_an_alias_is_a_domain_of_its_own_and_moves_to_another_node_by_one_line_and_a_reload(self):
        alias = "conference-2.example.lan"
        bob, dave = self.set_up([], {"partner.lan": "$relay", alias: "$edge_outside"}, hosts=[alias], secure=False, configure=[
            ("[[federate]]", f'[[local]]\ndomain = "{alias}"\nprotocol = "xmpp"\nrole = "chat"\ntls = "internal"\n'
                             'nodes = [{ host = "$node" }]\n\n[[federate]]')])
        there = self.user(self.node, f"bob@{alias}")
        dave.send("bob@example.lan", "to the user domain")
        dave.send(f"bob@{alias}", "to the alias")
        bob.wait_for_message("to the user domain")
        there.wait_for_message("to the alias")
        moved = self.user(self.inside("node2", [alias]), f"bob@{alias}")
        self.configure('nodes = [{ host = "$node" }]', 'nodes = [{ host = "$node2" }]')
        self.edge.process.popen.send_signal(signal.SIGHUP)
        self.edge.process.wait_for_text("the configuration and its files were read again")
        dave.send(f"bob@{alias}", "after the move")
        moved.wait_for_message("after the move")
        dave.send("bob@example.lan", "the user domain has stayed")
        bob.wait_for_message("the user domain has stayed")


class Listener:
    """Accepts connections on an address, and does to each what it is told to; it reads nothing."""

    def __init__(self, rig, address, port, behave):
        self.connections = 0
        self._behave = behave
        self._socket = socket.create_server((address, port))
        self._peers = []
        rig.on_close(self._close)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                peer, _address = self._socket.accept()
            except OSError:
                return
            self._peers.append(peer)
            self.connections += 1
            self._behave(peer)

    def _close(self):
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        for peer in self._peers:
            peer.close()


def _answers(address, port):
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as probe:
        probe.settimeout(1)
        return probe.connect_ex((address, port)) == 0


def _free_port(address):
    with socket.create_server((address, 0), family=socket.AF_INET6) as probe:
        return probe.getsockname()[1]


if __name__ == "__main__":
    unittest.main()

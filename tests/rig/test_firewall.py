"""The packet filter in a DMZ of network namespaces: what a scan from outside finds, what the kernel maps, and what becomes of rules that nobody
confirms. Needs VESTIBULE_BINARY, and root for the namespaces."""

import contextlib
import errno
import os
import selectors
import signal
import socket
import subprocess
import threading
import unittest

import dmz

BINARY = os.environ["VESTIBULE_BINARY"]
SCANNED = range(1, 12_001)
AT_ONCE = 3000
OTHERS = (22, 8080)
"""Services of the machine that are not the proxy's."""


def setUpModule():
    """Nothing without namespaces."""
    missing = dmz.available()
    if missing:
        print(f"\nSKIPPED: the firewall in a DMZ: {missing}")
        raise unittest.SkipTest(missing)


class Echo:
    """A service of TCP or UDP in a namespace that says what it hears, and whence it came."""

    def __init__(self, namespace, address, port, kind=socket.SOCK_STREAM):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET

        def listen():
            made = socket.socket(family, kind)
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            made.bind((address, port))
            if kind == socket.SOCK_STREAM:
                made.listen()
            return made
        self.sources = []
        self.socket = namespace.run(listen)
        threading.Thread(target=self._stream if kind == socket.SOCK_STREAM else self._datagrams, daemon=True).start()

    def _stream(self):
        with contextlib.suppress(OSError):
            while True:
                connection, source = self.socket.accept()
                self.sources.append(source[0])
                threading.Thread(target=self._say, args=[connection], daemon=True).start()

    @staticmethod
    def _say(connection):
        with connection, contextlib.suppress(OSError):
            while part := connection.recv(4096):
                connection.sendall(part)

    def _datagrams(self):
        with contextlib.suppress(OSError):
            while True:
                data, source = self.socket.recvfrom(4096)
                if source is None:  # it was ended
                    return
                self.sources.append(source[0])
                self.socket.sendto(data, source)

    def close(self):
        """Ends it; what it gave out lives on."""
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()


def connected(namespace, address, port, within=1.0, source=None):
    """A connection made from a namespace, or nothing where none comes about."""
    def connect():
        made = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
        made.settimeout(within)
        if source:
            made.bind((source, 0))
        try:
            made.connect((address, port))
        except OSError:
            made.close()
            return None
        return made
    return namespace.run(connect)


def reaches(*arguments):
    """Whether a connection comes about."""
    made = connected(*arguments)
    if made:
        made.close()
    return made is not None


def says(connection, text=b"hello"):
    """Whether the other end says what it is told."""
    with connection:
        connection.settimeout(10)
        connection.sendall(text)
        return connection.recv(100) == text


def asked(namespace, address, port, within=1.0):
    """What a service of UDP answers, or nothing."""
    def ask():
        with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM) as made:
            made.settimeout(within)
            made.sendto(b"hello", (address, port))
            try:
                return made.recv(100)
            except OSError:
                return None
    return namespace.run(ask)


def scan(namespace, address, ports=SCANNED, quiet=1.0):
    """The ports of an address that take connections; who has not answered for a second does not."""
    def connect_all(some):
        found, selector = set(), selectors.DefaultSelector()
        for port in some:
            made = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
            made.setblocking(False)
            if made.connect_ex((address, port)) == errno.EINPROGRESS:
                selector.register(made, selectors.EVENT_WRITE, port)
            else:
                made.close()
        while ready := selector.select(quiet):
            for key, _ in ready:
                selector.unregister(key.fileobj)
                if key.fileobj.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0:
                    found.add(key.data)
                key.fileobj.close()
        for key in list(selector.get_map().values()):
            key.fileobj.close()
        selector.close()
        return found
    ports = list(ports)
    return set().union(*(namespace.run(lambda part=ports[at:at + AT_ONCE]: connect_all(part)) for at in range(0, len(ports), AT_ONCE)))


class Firewalls(unittest.TestCase):
    """Each test has a DMZ of its own."""

    def setUp(self):
        self.rig = dmz.Dmz()
        self.addCleanup(self.rig.close)
        self.outside, self.dmz, self.inside = (self.rig.namespaces[name] for name in ("outside", "dmz", "inside"))
        # Replies find their way, and nothing but the filter keeps the two networks apart.
        for far, role in ((self.outside, "edge_outside"), (self.inside, "edge_inside")):
            far._ip("route", "add", "default", "via", self.rig.address(role))
            far._ip("-6", "route", "add", "default", "via", self.rig.address6(role))

    def configure(self, more="", manage=True, run_as=""):
        """Writes the configuration; gives its path."""
        address, six = self.rig.address, self.rig.address6
        return self.rig.write("vestibule.toml", f"""
[edge]
name = "edge.lan"
state_dir = ""
run_as = "{run_as}"
[zone.outside]
addresses = ["{address('edge_outside')}", "{six('edge_outside')}", "{address('edge_outside_1')}"]
[zone.inside]
addresses = ["{address('edge_inside')}"]
networks = ["198.51.100.0/24", "2001:db8:0:2::/64"]
[[listen]]
zone = "outside"
protocol = "sip"
transport = "tcp"
[[listen]]
zone = "inside"
protocol = "sip"
transport = "tcp"
[[local]]
domain = "example.lan"
protocol = "sip"
nodes = [{{ host = "{address('prosody_inside')}" }}]
[admin]
control = ""
metrics = "{address('edge_inside')}:9464"
{more}
[firewall]
manage = {str(manage).lower()}
management_from = ["{address('prosody_inside')}/32", "{six('prosody_inside')}/128"]
""" + ('outgoing = "own"\n' if run_as else ""))

    def firewall(self, config, *arguments):
        """`vestibule firewall ...` in the DMZ."""
        return self.dmz.spawn(self.rig, "-".join(("firewall", *arguments)).replace("--", ""), [BINARY, "--config", config, "firewall", *arguments])

    def apply(self, config, *arguments):
        """The same, to its end; gives the exit code and what was printed."""
        process = self.firewall(config, "apply", *(arguments or ("--yes",)))
        code = process.popen.wait(60)
        return code, process.output()

    def applied(self, config):
        """Loads the rules."""
        self.assertEqual(self.apply(config), (0, "The rules are loaded.\n"))

    def table(self):
        """The table of ours as the kernel has it, without its counters."""
        done = subprocess.run(["nsenter", f"--net={self.dmz.path}", "--", "nft", "--stateless", "list", "table", "inet", "vestibule"],
                              capture_output=True, text=True, check=False)
        return done.stdout

    def echo(self, *arguments):
        """An `Echo` that ends with the test."""
        made = Echo(*arguments)
        self.addCleanup(made.close)
        return made

    def test_a_scan_from_outside_finds_the_configured_ports_and_no_others(self):
        config = self.configure()
        edge = self.dmz.spawn(self.rig, "edge", [BINARY, "--config", config, "run"])
        self.dmz.wait_for_port(edge, self.rig.address("edge_outside"), 5060)
        for port in OTHERS:
            for everywhere in ("0.0.0.0", "::"):
                self.echo(self.dmz, everywhere, port)
        self.echo(self.dmz, "0.0.0.0", 8081, socket.SOCK_DGRAM)
        places = [self.rig.address("edge_outside"), self.rig.address6("edge_outside")]
        for place in places:
            self.assertEqual(scan(self.outside, place), {5060, *OTHERS}, "without rules all is open")
        self.assertEqual(asked(self.outside, places[0], 8081, 10), b"hello")
        # Connections to the inside leg reach the machine from outside, as long as nothing keeps them from it.
        self.assertTrue(reaches(self.outside, self.rig.address("edge_inside"), 9464, 10))
        self.applied(config)
        for place in places:
            self.assertEqual(scan(self.outside, place), {5060})
        self.assertIsNone(asked(self.outside, places[0], 8081))
        self.assertEqual(scan(self.outside, self.rig.address("edge_inside")), set())
        # Whoever manages it comes from one address inside.
        manager, other = (self.rig.address(role) for role in ("prosody_inside", "ejabberd_inside"))
        for port, expected in ((22, True), (9464, True), (8080, False)):
            self.assertEqual(reaches(self.inside, self.rig.address("edge_inside"), port, 10 if expected else 1, manager), expected, port)
            self.assertFalse(reaches(self.inside, self.rig.address("edge_inside"), port, 1, other), port)

    def test_the_kernel_maps_ports_to_nodes_and_nodes_leave_by_their_public_address(self):
        chat, media, two = (self.rig.address(role) for role in ("chat_1", "chat_2", "chat_3"))
        public = self.rig.address("edge_outside_1")
        config = self.configure(f"""
[[port_map]]
name = "chat"
mode = "kernel"
public = "outside:25269"
nodes = [{{ host = "{chat}", port = 5269 }}, {{ host = "{two}", port = 5270 }}, {{ host = "{self.rig.address6('chat_1')}", port = 5269 }}]
max_connections = 3
outbound = true
[[port_map]]
name = "media"
mode = "kernel"
protocol = "udp"
public = "{public}:3478"
nodes = [{{ host = "{media}", port = 3479 }}]
allow_from = ["{self.rig.address('prosody_outside')}/32"]
""")
        nodes = [self.echo(self.inside, chat, 5269), self.echo(self.inside, two, 5270), self.echo(self.inside, self.rig.address6("chat_1"), 5269)]
        turn = self.echo(self.inside, media, 3479, socket.SOCK_DGRAM)
        # Not a mapped port, behind the same machine.
        self.echo(self.inside, chat, 8080)
        self.applied(config)
        edge, six = self.rig.address("edge_outside"), self.rig.address6("edge_outside")
        source = self.rig.address("prosody_outside")
        for _ in range(40):  # both nodes get a share: that one of them gets none has a chance of 2 in 2^40
            connection = connected(self.outside, edge, 25269, 10, source)
            self.assertTrue(connection and says(connection))
            if nodes[0].sources and nodes[1].sources:
                break
        self.assertEqual(set(nodes[0].sources), {source}, "a node sees who it is")
        self.assertEqual(set(nodes[1].sources), {source})
        self.assertTrue(says(connected(self.outside, six, 25269, 10)))
        self.assertEqual(asked(self.outside, public, 3478, 10), b"hello")
        self.assertEqual(turn.sources, [source])
        self.assertFalse(reaches(self.outside, chat, 8080), "nothing is forwarded but what is mapped")
        self.assertFalse(reaches(self.outside, chat, 5269), "nor to a mapped node past its map")
        # What a node opens itself leaves from the address of its map, and leads nowhere but outside.
        there = self.echo(self.outside, source, 5269)
        self.assertTrue(says(connected(self.inside, source, 5269, 10, chat)))
        self.assertEqual(there.sources, [edge])
        self.assertFalse(reaches(self.inside, source, 5269, 1, media), "a node whose map does not say so")

    def test_a_map_has_its_sources_and_its_places(self):
        chat = self.rig.address("chat_1")
        friend, stranger = self.rig.address("prosody_outside"), self.rig.address("ejabberd_outside")
        config = self.configure(f"""
[[port_map]]
name = "chat"
mode = "kernel"
public = "{self.rig.address('edge_outside')}:25269"
nodes = [{{ host = "{chat}", port = 5269 }}]
allow_from = ["{friend}/32"]
max_connections = 2
""")
        self.echo(self.inside, chat, 5269)
        self.applied(config)
        edge = self.rig.address("edge_outside")
        self.assertFalse(reaches(self.outside, edge, 25269, 1, stranger))
        held = [connected(self.outside, edge, 25269, 10, friend) for _ in range(2)]
        self.assertTrue(all(held))
        self.assertFalse(reaches(self.outside, edge, 25269, 1, friend), "one more than it may have")
        for connection in held:
            self.assertTrue(says(connection))

    def test_rules_that_nobody_confirms_are_taken_back(self):
        config = self.configure()
        for arguments, end in ((("--within", "5"), None), (("--within", "60"), b"no\n"), (("--within", "60"), signal.SIGHUP)):
            with self.subTest(end=end):
                process = self.firewall(config, "apply", *arguments)
                process.wait_for_text("Type yes")
                self.assertIn("chain input", self.table())
                if isinstance(end, bytes):
                    process.popen.stdin.write(end)
                    process.popen.stdin.flush()
                elif end:
                    process.popen.send_signal(end)
                self.assertEqual(process.popen.wait(30), 1)
                self.assertIn("the rules from before are back", process.output())
                self.assertEqual(self.table(), "")
        process = self.firewall(config, "apply")
        process.wait_for_text("Type yes")
        process.popen.stdin.write(b"yes\n")
        process.popen.stdin.flush()
        self.assertEqual(process.popen.wait(30), 0)
        kept = self.table()
        self.assertIn("tcp dport 5060 accept", kept)
        # Other rules over these, not confirmed: these come back as they were.
        other = self.configure('[[port_map]]\nname = "chat"\nmode = "kernel"\npublic = "outside:25269"\n'
                               f'nodes = [{{ host = "{self.rig.address("chat_1")}", port = 5269 }}, {{ host = "{self.rig.address6("chat_1")}", port = 5269 }}]\n')
        process = self.firewall(other, "apply")
        process.wait_for_text("Type yes")
        self.assertIn("25269", self.table())
        self.assertEqual(self.forwarding(), "1")
        process.popen.stdin.close()
        self.assertEqual(process.popen.wait(30), 1)
        self.assertEqual(self.table(), kept)
        self.assertEqual(self.forwarding(), "0")

    def forwarding(self):
        """Whether the DMZ's machine forwards."""
        done = subprocess.run(["nsenter", f"--net={self.dmz.path}", "--", "sysctl", "-n", "net.ipv4.ip_forward"], capture_output=True, text=True, check=False)
        return done.stdout.strip()

    def test_while_rules_wait_for_their_answer_no_others_are_loaded(self):
        config = self.configure()
        first = self.firewall(config, "apply")
        first.wait_for_text("Type yes")
        code, said = self.apply(config)
        self.assertEqual(code, 1)
        self.assertIn("waits for its answer", said)
        first.popen.send_signal(signal.SIGTSTP)
        self.assertEqual(first.popen.wait(30), 1, "a process that stood still would take nothing back")
        self.assertEqual(self.table(), "")
        self.applied(config)

    def test_what_cannot_be_loaded_changes_nothing(self):
        config = self.configure()
        self.applied(config)
        before = self.table()
        code, said = self.apply(self.configure(run_as="nobody-knows-this-user"))
        self.assertEqual(code, 1)
        self.assertIn("nothing was changed", said)
        self.assertIn("nobody-knows-this-user", said)
        code, said = self.apply(self.configure(manage=False))
        self.assertEqual(code, 1)
        self.assertIn("manage is false", said)
        self.assertEqual(self.table(), before)

    def test_who_would_be_cut_off_is_told_before(self):
        config = self.configure()
        outside = self.rig.address("prosody_outside")
        for source, is_told in ((outside, True), (self.rig.address("prosody_inside"), False)):
            session = f"SSH_CONNECTION={source} 50000 {self.rig.address('edge_inside')} 22"
            process = self.dmz.spawn(self.rig, "told", ["env", session, BINARY, "--config", config, "firewall", "apply"])
            process.wait_for_text("Type yes")
            process.popen.stdin.close()
            process.popen.wait(30)
            self.assertEqual(f"Careful: the rules do not let {source} connect" in process.output(), is_told)

    def test_the_machine_itself_opens_what_the_proxy_needs(self):
        config = self.configure(run_as="daemon")
        self.echo(self.outside, self.rig.address("prosody_outside"), 5269)
        self.applied(config)

        def opens(user):
            code = f"import socket; socket.create_connection(('{self.rig.address('prosody_outside')}', 5269), {10 if user == 'daemon' else 1})"
            process = self.dmz.spawn(self.rig, f"opens-{user}", ["setpriv", "--reuid", user, "--clear-groups", "/usr/bin/python3", "-c", code])
            return process.popen.wait(30) == 0
        self.assertTrue(opens("daemon"))
        self.assertFalse(opens("nobody"))


if __name__ == "__main__":
    unittest.main()

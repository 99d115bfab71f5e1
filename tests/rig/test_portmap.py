"""Ports of the edge that stand for nodes inside: every octet goes on, to the node that is well, from whom it may. Needs VESTIBULE_BINARY."""

import contextlib
import hashlib
import os
import socket
import threading
import unittest

import chat
import prosody
import resolver
from pki import Authority
from rig import DEADLINE, Rig, wait_until
from vestibule import Vestibule

BINARY = os.environ["VESTIBULE_BINARY"]
LARGE = 20_000_000
SOURCE = "mallory"


class Node:
    """A service inside that hands each connection to a function."""

    def __init__(self, address, port, serve):
        self.serve, self.count = serve, 0
        self.listener = socket.create_server((address, port))
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                self.count += 1
                threading.Thread(target=self._one, args=[connection], daemon=True).start()

    def _one(self, connection):
        with connection, contextlib.suppress(OSError):
            self.serve(connection)

    def close(self):
        """Takes no connection any more."""
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


def read_all(connection):
    """Everything until the other end has no more to say."""
    parts = []
    while part := connection.recv(65_536):
        parts.append(part)
    return b"".join(parts)


def answer_when_all_is_said(connection):
    """Reads to the end, and then says how much that was and what."""
    said = read_all(connection)
    connection.sendall(f"{len(said)} {hashlib.sha256(said).hexdigest()} ".encode() + said)


def echo(connection):
    """Says what it hears."""
    while part := connection.recv(65_536):
        connection.sendall(part)


class PortMaps(unittest.TestCase):
    """Each test has a proxy of its own with the maps that it needs."""

    def setUp(self):
        self.rig = Rig()
        self.addCleanup(self.rig.close)
        self.authority = Authority(self.rig)

    def start(self, *maps):
        """A proxy with these maps: each a name, its nodes, and more keys."""
        text = ""
        for number, (name, nodes, more) in enumerate(maps):
            listed = ", ".join(f'{{ host = "{self.rig.address(role)}", port = {port}, priority = {priority} }}' for role, port, priority in nodes)
            text += f'[[port_map]]\nname = "{name}"\npublic = "{self.rig.address("edge_outside")}:{7000 + number}"\nnodes = [{listed}]\n{more}\n'
        self.edge = Vestibule(self.rig, BINARY, self.authority, "example.lan", {}, "plain", extra=text)
        self.edge.start("/healthz")
        return self.edge

    def node(self, role, port, serve):
        """A service at a role's address."""
        node = Node(self.rig.address(role), port, serve)
        self.addCleanup(node.close)
        return node

    def connect(self, number=0, source=SOURCE):
        """A connection to a map from outside."""
        connection = socket.create_connection((self.rig.address("edge_outside"), 7000 + number), DEADLINE, (self.rig.address(source), 0))
        self.addCleanup(connection.close)
        return connection

    def sample(self, name):
        """The value of a metric."""
        lines = self.edge.samples(name)
        return int(lines[0].split()[-1]) if lines else 0

    def until(self, name, value):
        """Waits until a metric has a value."""
        wait_until(lambda: self.sample(name) == value, f"{name} is {value}", alive=self.edge.process)

    def test_every_octet_goes_both_ways_and_an_end_that_is_done_may_still_hear(self):
        self.node("node", 7100, answer_when_all_is_said)
        self.start(("files", [("node", 7100, 1)], ""))
        said = os.urandom(1_000_003) * (LARGE // 1_000_003)
        connection = self.connect()
        connection.sendall(said)
        connection.shutdown(socket.SHUT_WR)
        heard = read_all(connection)
        head = f"{len(said)} {hashlib.sha256(said).hexdigest()} ".encode()
        self.assertEqual(head, heard[:len(head)])
        self.assertEqual(hashlib.sha256(said).digest(), hashlib.sha256(heard[len(head):]).digest())
        self.until('vestibule_portmap_ended_total{class="closed",map="files"}', 1)
        self.assertEqual(len(said), self.sample('vestibule_portmap_bytes_total{map="files",way="inbound"}'))
        self.assertEqual(len(heard), self.sample('vestibule_portmap_bytes_total{map="files",way="outbound"}'))
        self.until('vestibule_portmap_connections{map="files"}', 0)

    def test_a_node_that_is_down_is_passed_over_until_it_is_back(self):
        second = self.node("node2", 7100, lambda connection: connection.sendall(b"second"))
        self.start(("chat", [("node", 7100, 1), ("node2", 7100, 2)], ""))
        self.assertEqual(b"second", read_all(self.connect()))
        down = f'vestibule_portmap_node_up{{map="chat",node="{self.rig.address("node")}:7100"}}'
        self.until(down, 0)
        first = self.node("node", 7100, lambda connection: connection.sendall(b"first"))
        self.until(down, 1)
        self.assertEqual(b"first", read_all(self.connect()))
        for node in (first, second):
            node.close()
        self.assertEqual(b"", read_all(self.connect()), "nobody is there, and the peer is told by the end")
        self.until('vestibule_portmap_ended_total{class="no_node",map="chat"}', 1)
        self.assertIn("no node of the map takes it", self.edge.process.output())

    def test_who_may_not_connect_or_is_one_too_many_is_closed(self):
        node = self.node("node", 7100, echo)
        sources = ", ".join(f'"{self.rig.address(role)}/32"' for role in (SOURCE, "simone"))
        self.start(("few", [("node", 7100, 1)], f'allow_from = [{sources}]\nmax_connections = 3\nmax_connections_per_source = 2'))
        with contextlib.suppress(ConnectionResetError):
            self.assertEqual(b"", self.connect(source="relay").recv(1))
        self.until('vestibule_portmap_ended_total{class="source_not_allowed",map="few"}', 1)
        inside = [self.connect() for _ in range(2)]
        for connection in inside:
            connection.sendall(b"here")
            self.assertEqual(b"here", connection.recv(4))
        with contextlib.suppress(ConnectionResetError):
            self.assertEqual(b"", self.connect().recv(1))
        self.until('vestibule_portmap_ended_total{class="source_limit",map="few"}', 1)
        inside.append(self.connect(source="simone"))
        inside[-1].sendall(b"here")
        self.assertEqual(b"here", inside[-1].recv(4))
        with contextlib.suppress(ConnectionResetError):
            self.assertEqual(b"", self.connect(source="simone").recv(1))
        self.until('vestibule_portmap_ended_total{class="connection_limit",map="few"}', 1)
        inside[0].close()
        self.until('vestibule_portmap_connections{map="few"}', 2)
        again = self.connect()
        again.sendall(b"more")
        self.assertEqual(b"more", again.recv(4))
        # The nodes are looked at as well.
        self.assertGreaterEqual(node.count, 3)

    def test_a_connection_on_which_nothing_passes_is_closed_and_one_that_is_used_is_not(self):
        self.node("node", 7100, echo)
        self.start(("idle", [("node", 7100, 1)], 'idle_timeout = "1s"'))
        used, idle = self.connect(), self.connect()
        ended = threading.Event()

        def use():
            while not ended.is_set():
                used.sendall(b"x")
                used.recv(1)
                ended.wait(0.2)
        user = threading.Thread(target=use, daemon=True)
        user.start()
        self.assertEqual(b"", idle.recv(1))
        ended.set()
        user.join()
        used.sendall(b"still")
        self.assertEqual(b"still", used.recv(5))

    def test_a_node_is_told_who_connects(self):
        heard = []
        self.node("node", 7100, lambda connection: heard.append(read_all(connection)))
        self.start(("told", [("node", 7100, 1)], "send_proxy = true"))
        connection = self.connect()
        source, port = connection.getsockname()
        connection.sendall(b"hello")
        connection.shutdown(socket.SHUT_WR)
        wait_until(lambda: [said for said in heard if said], "the node hears the header", alive=self.edge.process)
        expected = (b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c" + socket.inet_aton(source) + socket.inet_aton(self.rig.address("edge_outside"))
                    + port.to_bytes(2, "big") + (7000).to_bytes(2, "big") + b"hello")
        self.assertEqual([expected], [said for said in heard if said])

    def test_a_client_talks_to_its_server_through_a_map(self):
        resolver.start(self.rig, {}, None)
        node = prosody.Prosody(self.rig, "example.lan", self.authority.issue("node", ["example.lan"]), self.authority, log="info")
        for name in ("bob", "ann"):
            node.register(name, "secret")
        node.start()
        self.start(("clients", [("node", 5222, 1)], ""))
        edge = self.rig.address("edge_outside")
        bob, ann = (chat.Client(self.rig, f"{name}@example.lan", "secret", edge, self.authority, port=7000) for name in ("bob", "ann"))
        ann.send("bob@example.lan", "through the map")
        bob.wait_for_message("through the map")

    def test_a_port_that_is_taken_is_told_at_the_start(self):
        taken = self.node("edge_outside", 7000, echo)
        self.edge = Vestibule(self.rig, BINARY, self.authority, "example.lan", {}, "plain", extra=(
            f'[[port_map]]\nname = "late"\npublic = "{self.rig.address("edge_outside")}:7000"\n'
            f'nodes = [{{ host = "{self.rig.address("node")}", port = 1 }}]\n'))
        self.edge.start(None)
        self.edge.process.wait_for_text(f'[[port_map]] "late": {self.rig.address("edge_outside")}:7000 cannot be listened on')
        taken.close()


if __name__ == "__main__":
    unittest.main()

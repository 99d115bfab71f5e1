"""G11 of scripts/bench: what it costs to carry octets and connections from a public port to a node, beside nginx (stream) and HAProxy (TCP, with
and without splicing).

A node gives four gigabytes down one connection, then two thousand connections are made one after the other, each for one octet there and
back. What is measured is the processor time of the mapper's process group; the node and the client are processes of their own. Medians of
three interleaved runs. What the kernel does for a map of `mode = "kernel"` belongs to no process, and is not measured here.
"""

import contextlib
import multiprocessing
import os
import socket
import statistics
import time

import rig as rigs
from pki import Authority
from vestibule import Vestibule

RUNS = 3
OCTETS = 4 * 10**9
CONNECTIONS = 2000
BULK, SHORT = 7001, 7002
WANTED = 0.25
"""Seconds of processor time a gigabyte."""

NGINX = """load_module /usr/lib/nginx/modules/ngx_stream_module.so;
daemon off; master_process off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log crit;
events {{ worker_connections 512; }}
stream {{ server {{ listen {own}:{bulk}; proxy_pass {node}:{bulk}; }} server {{ listen {own}:{short}; proxy_pass {node}:{short}; }} }}
"""
HAPROXY = """global
  nbthread 1
defaults
  mode tcp
  timeout connect 5s
  timeout client 1h
  timeout server 1h
{option}
listen bulk
  bind {own}:{bulk}
  server node {node}:{bulk}
listen short
  bind {own}:{short}
  server node {node}:{short}
"""


def give(address):
    """The node's source: whoever connects gets all the octets."""
    source = os.memfd_create("octets")
    os.write(source, os.urandom(1 << 20) * 64)
    with socket.create_server((address, BULK)) as listener:
        while True:
            connection, _ = listener.accept()
            # One that only looks whether anybody is there goes at once.
            with connection, contextlib.suppress(OSError):
                left = OCTETS
                while left:
                    left -= os.sendfile(connection.fileno(), source, 0, min(left, 64 << 20))


def echo(address):
    """The node's other service: one octet back for each."""
    with socket.create_server((address, SHORT)) as listener:
        while True:
            connection, _ = listener.accept()
            with connection:
                connection.sendall(connection.recv(1))


def take(address):
    """Takes all octets; gives the seconds that it took."""
    start, left = time.monotonic(), OCTETS
    with socket.create_connection((address, BULK), rigs.DEADLINE) as connection:
        connection.settimeout(rigs.DEADLINE)
        room = bytearray(1 << 20)
        while got := connection.recv_into(room):
            left -= got
    if left:
        raise rigs.Failed(f"{left} octets are missing")
    return time.monotonic() - start


def connect(address):
    """Makes the connections; gives the seconds that it took."""
    start = time.monotonic()
    for _ in range(CONNECTIONS):
        with socket.create_connection((address, SHORT), rigs.DEADLINE) as connection:
            connection.sendall(b"x")
            if connection.recv(1) != b"x":
                raise rigs.Failed("no octet came back")
    return time.monotonic() - start


class Mapper:
    """A mapper on a network of its own, between a node and whoever measures."""

    def __init__(self, name, arguments, start):
        self.name = name
        self.rig = rigs.Rig(logs=os.path.join(arguments.logs, f"G11-{name.replace(' ', '-')}"))
        self.node = self.rig.address("node")
        self.servers = [multiprocessing.Process(target=serve, args=[self.node], daemon=True) for serve in (give, echo)]
        for server in self.servers:
            server.start()
        self.address, self.process = start(self, arguments)
        for address in {self.node, self.address}:
            for port in (BULK, SHORT):
                rigs.wait_until(lambda where=(address, port): self._answers(where), f"{self.name} listens on {address}:{port}")
        self.figures = []

    @staticmethod
    def _answers(where):
        with socket.socket() as probe:
            probe.settimeout(1)
            return probe.connect_ex(where) == 0

    def cpu(self):
        """Seconds of processor time so far."""
        return self.process.cpu_seconds() if self.process else 0.0

    def run(self):
        """One run of each kind."""
        before = self.cpu()
        bulk = take(self.address)
        between = self.cpu()
        short = connect(self.address)
        after = self.cpu()
        gigabytes = OCTETS / 1e9
        self.figures.append(((between - before) / gigabytes, gigabytes / bulk, (after - between) / CONNECTIONS * 1e6, CONNECTIONS / short))

    def close(self):
        """Ends everything."""
        for server in self.servers:
            server.terminate()
            server.join()
        self.rig.close()


def nothing(mapper, _arguments):
    """No mapper: what the two ends come to."""
    return mapper.node, None


def nginx(mapper, _arguments):
    """nginx of Debian, one worker."""
    own, folder = mapper.rig.address("relay"), mapper.rig.path("nginx", "x")[:-2]
    config = mapper.rig.write("nginx/nginx.conf", NGINX.format(folder=folder, own=own, node=mapper.node, bulk=BULK, short=SHORT))
    return own, mapper.rig.spawn("nginx", ["nginx", "-p", folder, "-c", config])


def haproxy(option):
    """HAProxy of Debian, one thread."""
    def start(mapper, _arguments):
        own = mapper.rig.address("relay")
        config = mapper.rig.write("haproxy.cfg", HAPROXY.format(option=option, own=own, node=mapper.node, bulk=BULK, short=SHORT))
        return own, mapper.rig.spawn("haproxy", ["haproxy", "-db", "-f", config])
    return start


def vestibule(mapper, arguments):
    """Ours, `mode = "proxy"`."""
    own = mapper.rig.address("edge_outside")
    maps = "".join(f'[[port_map]]\nname = "{name}"\npublic = "{own}:{port}"\nnodes = [{{ host = "{mapper.node}", port = {port} }}]\n'
                   for name, port in (("bulk", BULK), ("short", SHORT)))
    edge = Vestibule(mapper.rig, arguments.binary, Authority(mapper.rig), "inside.lan", {}, level="warn", extra=maps).start("/healthz")
    return own, edge.process


def run(arguments):
    """Measures all in turn and prints the table."""
    mappers = []
    try:
        for name, start in (("no mapper", nothing), ("nginx stream", nginx), ("HAProxy", haproxy("")), ("HAProxy splicing", haproxy("  option splice-auto")),
                            ("vestibule", vestibule)):
            mappers.append(Mapper(name, arguments, start))
        for number in range(RUNS):
            for mapper in mappers:
                mapper.run()
                print(f"run {number + 1} of {RUNS}: {mapper.name}: {mapper.figures[-1][0]:.3f} s a GB", flush=True)
    finally:
        for mapper in mappers:
            mapper.close()
    print(f"\nG11, port maps over TCP; processor time of the mapper, median of {RUNS} interleaved runs (lowest-highest)\n")
    print(f"{'':20} {'s a GB':>8} {'(range)':>15} {'GB/s':>6} {'us a connection':>16} {'connections/s':>14}")
    for mapper in mappers:
        cost, rate, each, opened = (statistics.median(values) for values in zip(*mapper.figures))
        costs = [figures[0] for figures in mapper.figures]
        print(f"{mapper.name:20} {cost:8.3f} {f'({min(costs):.3f}-{max(costs):.3f})':>15} {rate:6.2f} {each:16.1f} {opened:14.0f}")
    print(f"\nwanted of vestibule: {WANTED} s a GB\n")
    return 0

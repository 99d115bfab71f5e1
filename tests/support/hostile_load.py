"""L6 of scripts/bench: one hostile peer at three times its rate, and 500 connections a second that begin a handshake and hang up, beside a
good peer that keeps sending. Printed is what became of both before, during and after the storm."""

import collections
import multiprocessing
import os
import socket
import ssl
import statistics
import struct
import threading
import time

import resolver
import rig as rigs
from bench import INSIDE_SIP
from pki import Authority
from sip_peer import Peer
from vestibule import Vestibule

RATE, ALLOWED, FLOOD = 50, 100, 500
"""Messages a second of the good peer; what the hostile one may send; connections a second."""
CALM, STORM, RECOVERY = 5, 15, 2
"""Seconds of each part; what is sent after the recovery has to be as it was before."""
HELD = 500
"""Half-open handshakes at once."""
MEMORY = 512 * 2**20
SHARE = 0.95


def run(arguments):
    """Runs it, prints what was seen and the verdict, and gives the exit code."""
    with rigs.Rig(logs=os.path.join(arguments.logs, "L6")) as rig:
        return Storm(rig, arguments).run()


class Answering(Peer):
    """A node that accepts every message."""

    def take(self, message):
        if message.method:
            try:
                self.answer(message, tag="n")
            except OSError:
                pass  # the run is over


class Sender(Peer):
    """A peer that sends at a rate and notes what becomes of each message, and when."""

    def __init__(self, *arguments, **more):
        self.sent, self.told, self.hints = {}, {}, 0
        super().__init__(*arguments, **more)

    def take(self, message):
        if message.status and message.status >= 200:
            self.told[message.get("Call-ID")] = (message.status, time.monotonic())
            self.hints += message.get("Retry-After") is not None

    def keep_sending(self, user, domain, rate, until):
        """Sends at the rate until a time, however late the answers are."""
        begin, number = time.monotonic(), 0
        while time.monotonic() < until:
            call = f"{domain}-{begin}-{number}"
            self.sent[call] = time.monotonic()
            self.send("MESSAGE", "sip:bob@inside.lan", f"{user}@{domain}", "bob@inside.lan", body="x", call_id=call, branch=call.replace(".", ""))
            number += 1
            time.sleep(max(0, begin + number / rate - time.monotonic()))

    def outcome(self, since, until):
        """Of what was sent between two times: how many, how many accepted, and the times that the acceptance took."""
        calls = [call for call, at in self.sent.items() if since <= at < until]
        accepted = [call for call in calls if self.told.get(call, (0,))[0] == 200]
        return len(calls), len(accepted), sorted(self.told[call][1] - self.sent[call] for call in accepted)


class Storm:
    """One proxy, a good peer, a hostile one, and a flood of connections."""

    def __init__(self, rig, arguments):
        self.rig = rig
        self.orders, there = multiprocessing.get_context("fork").Pipe()
        # Before any thread is there.
        self.flood = multiprocessing.get_context("fork").Process(target=flood, args=(there, rig.address("dead"), (rig.address("edge_outside"), 5061)), daemon=True)
        self.flood.start()
        authority = Authority(rig)
        resolver.start(rig, {}, role="outside_resolver")
        self.edge = Vestibule(rig, arguments.binary, authority, "inside.lan", {
            domain: f'protocol = "sip"\ntls = "public"\nrate = {{ requests_per_second = {ALLOWED}, new_dialogs_per_second = {ALLOWED} }}\n'
                    f'routes = [{{ next_hop = "{rig.address(role)}", port = 5061, transport = "tls" }}]'
            for domain, role in (("good.lan", "alice"), ("hostile.lan", "mallory"))}, "sip", level="error", extra=INSIDE_SIP)
        self.node = Answering(rig, rig.address("node"), identity=authority.issue("node", ["inside.lan"]))
        self.edge.start()
        self.good, self.hostile = (Sender(rig, rig.address(role), identity=authority.issue(domain, [domain]), name=f"ua.{domain}")
                                   for domain, role in (("good.lan", "alice"), ("hostile.lan", "mallory")))
        for peer in (self.good, self.hostile):
            peer.dial(rig.address("edge_outside"))

    def run(self):
        """The three parts."""
        begin = time.monotonic()
        storm, after = begin + CALM, begin + CALM + STORM
        end = after + RECOVERY + CALM
        threads = [threading.Thread(target=self.good.keep_sending, args=("alice", "good.lan", RATE, end))]
        threads[0].start()
        time.sleep(storm - time.monotonic())
        self.orders.send(after)
        threads.append(threading.Thread(target=self.hostile.keep_sending, args=("eve", "hostile.lan", 3 * ALLOWED, after)))
        threads[1].start()
        memory = 0
        while time.monotonic() < end:
            memory = max(memory, rigs.group_memory(self.edge.process.pid))
            time.sleep(0.5)
        for thread in threads:
            thread.join()
        connections = self.orders.recv()
        rigs.wait_until(lambda: len(self.good.told) == len(self.good.sent), "each good message has its answer")
        parts = {"before": (begin, storm), "during": (storm, after), "after": (after + RECOVERY, end)}
        fine = memory <= MEMORY
        for name, part in parts.items():
            sent, accepted, took = self.good.outcome(*part)
            fine = fine and accepted >= SHARE * sent and sent >= SHARE * RATE * (part[1] - part[0])
            print(f"good peer {name:7} {sent:5} sent, {accepted:5} accepted, {statistics.median(took) * 1e3:.1f} ms in the middle, "
                  f"{took[len(took) * 99 // 100] * 1e3:.1f} ms for 99 of 100")
        kinds = collections.Counter(status for status, _ in self.hostile.told.values())
        print(f"hostile peer       {len(self.hostile.sent):5} sent in {STORM} s, allowed {ALLOWED * STORM}: answers {dict(kinds)}, {self.hostile.hints} with Retry-After")
        print(f"flood              {connections / STORM:5.0f} connections a second; at most {memory / 2**20:.0f} MiB")
        fine = fine and kinds[503] > 0 and kinds[503] == self.hostile.hints and set(kinds) <= {200, 503} and connections >= SHARE * FLOOD * STORM
        print(f"L6 {'reached' if fine else 'NOT reached'}")
        return 0 if fine else 1


def flood(orders, source, target):
    """Opens connections at a rate until the time that it is told, each with the beginning of a handshake; says how many."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    out = ssl.MemoryBIO()
    half = context.wrap_bio(ssl.MemoryBIO(), out, server_hostname="edge.lan")
    try:
        half.do_handshake()
    except ssl.SSLWantReadError:
        pass
    hello = out.read()
    until = orders.recv()
    begin, number, held = time.monotonic(), 0, collections.deque()
    while time.monotonic() < until:
        wire = socket.socket()
        wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        try:
            wire.bind((source, 0))
            wire.settimeout(1)
            wire.connect(target)
            wire.send(hello)
            number += 1
        except OSError:
            pass  # turned away, which is an answer too
        held.append(wire)
        if len(held) > HELD:
            held.popleft().close()
        time.sleep(max(0, begin + number / FLOOD - time.monotonic()))
    for wire in held:
        wire.close()
    orders.send(number)

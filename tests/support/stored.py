"""The start with many stored subscriptions (G15 of the project's list of qualities), and what the store costs.

Two proxies are started in turn, one with a full store and one with an empty one; what is timed is from the start of the process to the
answer to the first message, which is translated from SIP to XMPP. Their subscriptions are with a domain in which nobody answers.
"""

import os
import statistics
import subprocess
import time

import rig as rigs
from bench import RUNS, SECRET, Load
from pki import Authority
from vestibule import Vestibule

RECORDS = 100_000
MOST = 2.0
"""Seconds to the first message."""


def run(arguments):
    """Starts each so often, prints the table, and gives the exit code."""
    starts = {records: Start(arguments, records) for records in (0, RECORDS)}
    try:
        times = {records: [] for records in starts}
        for turn in range(RUNS):
            for records, start in starts.items():
                times[records].append(start.time())
                print(f"run {turn + 1} of {RUNS}: {records} records: {times[records][-1][0]:.2f} s", flush=True)
        print(f"\n{'records':>8} {'first message s':>16} {'(range)':>12} {'CPU s':>7} {'memory MiB':>11} {'handed over s':>14}")
        for records, looks in times.items():
            first, cpu, memory, handed = ([look[place] for look in looks] for place in range(4))
            print(f"{records:8} {statistics.median(first):16.2f} {f'({min(first):.2f}-{max(first):.2f})':>12} {statistics.median(cpu):7.2f} "
                  f"{statistics.median(memory):11.1f} {statistics.median(handed):14.2f}")
        good = statistics.median(look[0] for look in times[RECORDS]) <= MOST
        print(f"wanted: the first message within {MOST:.0f} s: {'reached' if good else 'not reached'}")
        return 0 if good else 1
    except rigs.Failed as error:
        print(f"G15 FAILED: {error}")
        return 1
    finally:
        for start in starts.values():
            start.rig.close()


class Start:
    """A proxy with so many stored records, and a load that sends it one message."""

    def __init__(self, arguments, records):
        self.arguments, self.records = arguments, records
        rig = self.rig = rigs.Rig(logs=os.path.join(arguments.logs, f"G15-{records}"))
        self._authority = Authority(rig)
        self._source = self._authority.issue("source", ["outside.lan", "inside.lan"])
        self.edge = Vestibule(rig, arguments.binary, self._authority, "inside.lan", {
            "outside.lan": 'protocol = "sip"\nprofile = "simple"\ntls = "public"\n'
                           f'routes = [{{ next_hop = "{rig.address("alice")}", port = 5061, transport = "tls" }}]',
        }, "component", SECRET, level="info")
        if records:
            filled = subprocess.run([arguments.load, "store", "--folder", self.edge.state, "--records", str(records), "--from-domain", "inside.lan",
                                     "--to-domain", "outside.lan"], check=True, stdout=subprocess.PIPE, text=True, timeout=300)
            print("the store alone:", "; ".join(filled.stdout.splitlines()), flush=True)
            self.edge.give(self.edge.state, os.path.join(self.edge.state, "vestibule.redb"))

    def time(self):
        """One start: seconds to the first message, CPU seconds and memory when everything is handed over, and seconds until then."""
        rig = self.rig
        load = Load(rig, self.arguments.load, "sip-to-server", {
            "sip_target": f"{rig.address('edge_outside')}:5061", "component_listen": f"{rig.address('node')}:5347", "server_name": "edge.lan",
            "from_domain": "outside.lan", "to_domain": "inside.lan", "warm": 1, "connections": 1,
            "chain": self._source.chain, "key": self._source.key, "ca": self._authority.certificate})
        try:
            load.expect("listening")
            began = time.monotonic()
            self.edge.start()
            load.go()
            load.expect("ready")
            first = time.monotonic() - began
            rigs.wait_until(lambda: "handed over" in self.edge.process.output(), "the records are handed over", 60, alive=self.edge.process)
            look = (first, self.edge.process.cpu_seconds(), rigs.group_memory(self.edge.process.pid) / 2**20, time.monotonic() - began)
        finally:
            load.close()
            if self.edge.process:
                self.edge.kill()
        return look

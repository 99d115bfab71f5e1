"""Presence under load (G14 of the project's list of qualities): users of SIP and of XMPP who see each other, and what a change costs.

One proxy between a server of SIP and one of XMPP, both in the load generator. First every user of SIP subscribes to one of XMPP, then the
reverse; then the state of every user changes, in turns. CPU time is that of the whole process, and memory what it has above that at rest.
The pause between two changes and the cap of changes a second are set so that they are not what is measured.
"""

import os
import statistics

import rig as rigs
from bench import RUNS, SECRET, Load
from pki import Authority
from vestibule import Vestibule

PAIRS = 10_000
MOST_CPU = 30.0
"""Microseconds a NOTIFY."""
MOST_MEMORY = 64.0
"""MiB above rest for all pairs."""
WORDS = {"serve": "SIP sees XMPP: subscribed", "watch": "XMPP sees SIP: subscribed", "change": "a change of XMPP, told by NOTIFY",
         "told": "a NOTIFY of SIP, told in XMPP"}


def run(arguments):
    """Runs the turns, prints the table, and gives the exit code."""
    with rigs.Rig(logs=os.path.join(arguments.logs, "G14")) as rig:
        authority = Authority(rig)
        source = authority.issue("source", ["outside.lan", "inside.lan"])
        sip = f"{rig.address('alice')}:5061"
        load = Load(rig, arguments.load, "presence", {
            "sip_listen": sip, "sip_target": f"{rig.address('edge_outside')}:5061", "component_listen": f"{rig.address('node')}:5347",
            "server_name": "edge.lan", "from_domain": "outside.lan", "to_domain": "inside.lan", "pairs": PAIRS,
            "chain": source.chain, "key": source.key, "ca": authority.certificate})
        try:
            load.expect("listening")
            edge = Vestibule(rig, arguments.binary, authority, "inside.lan", {
                "outside.lan": 'protocol = "sip"\nprofile = "simple"\ntls = "public"\n'
                               f'routes = [{{ next_hop = "{rig.address("alice")}", port = 5061, transport = "tls" }}]',
            }, "component", SECRET, level="warn",
                extra='[interworking]\npresence_burst_interval = "0s"\npresence_changes_per_second = 100000').start()
            load.go()
            load.expect("ready")
            return _measure(edge, load)
        except rigs.Failed as error:
            print(f"G14 FAILED: {error}")
            return 1
        finally:
            load.close()


def _measure(edge, load):
    pid, rest = edge.process.pid, rigs.group_memory(edge.process.pid)
    costs, memory = {}, {}
    print(f"\n{PAIRS} pairs of users; memory at rest {rest / 2**20:.1f} MiB\n\n{'':36} {'messages':>9} {'seconds':>8} {'CPU us/message':>15} {'MiB above rest':>15}")
    for turn in ["serve", "watch"] + ["change", "told"] * RUNS:
        cpu = edge.process.cpu_seconds()
        load.go(turn)
        messages, seconds = load.done()
        memory[turn] = (rigs.group_memory(pid) - rest) / 2**20
        costs.setdefault(turn, []).append((edge.process.cpu_seconds() - cpu) / messages * 1e6)
        print(f"{WORDS[turn]:36} {messages:9} {seconds:8.2f} {costs[turn][-1]:15.1f} {memory[turn]:15.1f}", flush=True)
    cpu = statistics.median(costs["change"])
    good = cpu <= MOST_CPU and memory["watch"] <= MOST_MEMORY
    print(f"\na change of XMPP costs {cpu:.1f} us a NOTIFY, one of SIP {statistics.median(costs['told']):.1f} us (medians of {RUNS}); wanted: at most "
          f"{MOST_CPU:.0f} us a NOTIFY, and {MOST_MEMORY:.0f} MiB for {PAIRS} pairs: {'reached' if good else 'not reached'}")
    return 0 if good else 1

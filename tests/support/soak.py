"""The long soak of scripts/bench (L4 of the project's list of qualities): a mixed load for minutes, with memory and descriptors watched.

Half of the messages are forwarded from XMPP to XMPP, a quarter is translated from SIP to XMPP and a quarter back, all through one proxy
and each of them acknowledged end to end: a minute ends when all of its messages have arrived, so one that is lost stops the soak.
"""

import os

import rig as rigs
from bench import SECRET, Load
from pki import Authority
from vestibule import Vestibule

RATES = {"xmpp-to-server": 500, "sip-to-server": 250, "server-to-sip": 250}
"""Messages a second of each load."""
MINUTE = 60
SETTLED = 5
"""The minute at whose end the proxy is taken to have all the memory that it needs."""
MOST_GROWTH = 0.05
NODES = {"xmpp-to-server": ("forwarded.lan", "node"), "sip-to-server": ("translated.lan", "node2"), "server-to-sip": ("sending.lan", "relay")}
"""The local domain of each load, and where its node is."""


def run(arguments):
    """Runs it, prints a line a minute and the verdict, and gives the exit code."""
    with rigs.Rig(logs=os.path.join(arguments.logs, "L4")) as rig:
        soak = Soak(rig, arguments)
        try:
            return soak.run(arguments.minutes)
        except rigs.Failed as error:
            print(f"L4 FAILED: {error}")
            return 1
        finally:
            soak.close()


class Soak:
    """One proxy, and a load generator for each kind of traffic."""

    def __init__(self, rig, arguments):
        authority = Authority(rig)
        domains = [domain for domain, _ in NODES.values()]
        source = authority.issue("source", ["outside.lan", "peer.lan", *domains])
        sip, edge = f"{rig.address('alice')}:5061", rig.address("edge_outside")
        more = {
            "xmpp-to-server": {"xmpp_target": f"{edge}:5269", "from_domain": "peer.lan", "to_domain": "forwarded.lan", "connections": 1},
            "sip-to-server": {"sip_target": f"{edge}:5061", "server_name": "edge.lan", "from_domain": "outside.lan", "to_domain": "translated.lan"},
            "server-to-sip": {"sip_listen": sip, "from_domain": "sending.lan", "to_domain": "outside.lan"},
        }
        self._loads = {}
        for mode, options in more.items():
            options |= {"component_listen": f"{rig.address(NODES[mode][1])}:5347", "chain": source.chain, "key": source.key,
                        "ca": authority.certificate, "rate": RATES[mode], "messages": RATES[mode] * MINUTE}
            self._loads[mode] = Load(rig, arguments.load, mode, options)
            self._loads[mode].expect("listening")
        locals_ = "".join(
            f'[[local]]\ndomain = "{domain}"\nprotocol = "xmpp"\nnodes = [{{ host = "{rig.address(role)}" }}]\nlink = "component"\n'
            f'secret = "file:{rig.path("vestibule", "component.secret")}"\n' for domain, role in list(NODES.values())[1:])
        self._edge = Vestibule(rig, arguments.binary, authority, NODES["xmpp-to-server"][0], {
            "outside.lan": 'protocol = "sip"\nprofile = "simple"\ntls = "public"\n'
                           f'routes = [{{ next_hop = "{rig.address("alice")}", port = 5061, transport = "tls" }}]',
            "peer.lan": 'protocol = "xmpp"\ntls = "public"\n[[policy.exception]]\ndomain = "peer.lan"',
        }, "component", SECRET, level="warn", extra=locals_).start()
        for load in self._loads.values():
            load.go()
            load.expect("ready")

    def run(self, minutes):
        """A batch a minute, with a look at the proxy after each."""
        print(f"\nL4: {sum(RATES.values())} messages a second, mixed, for {minutes} minutes\n\n{'minute':>6} {'messages':>9} {'memory MiB':>11} "
              f"{'descriptors':>12} {'CPU us/message':>15}", flush=True)
        looks, sent = [], 0
        for minute in range(1, minutes + 1):
            cpu, batch = self._edge.process.cpu_seconds(), 0
            for load in self._loads.values():
                load.go()
            for load in self._loads.values():
                batch += load.done()[0]
            sent += batch
            cost = (self._edge.process.cpu_seconds() - cpu) / batch * 1e6
            looks.append((rigs.group_memory(self._edge.process.pid) / 2**20, self._descriptors()))
            print(f"{minute:6} {sent:9} {looks[-1][0]:11.2f} {looks[-1][1]:12} {cost:15.1f}", flush=True)
        first = looks[min(SETTLED, len(looks)) - 1] if len(looks) > SETTLED else looks[0]
        growth = looks[-1][0] / first[0] - 1
        failed = self._failed()
        good = growth <= MOST_GROWTH and looks[-1][1] <= first[1] and not failed
        print(f"\n{sent} messages sent, all of them arrived; memory grew by {growth:.1%} since minute {looks.index(first) + 1} (wanted: at most "
              f"{MOST_GROWTH:.0%} after minute {SETTLED}), descriptors from {first[1]} to {looks[-1][1]}; {failed} reported as failed: "
              f"{'reached' if good else 'not reached'}")
        return 0 if good else 1

    def _descriptors(self):
        return len(os.listdir(f"/proc/{self._edge.process.pid}/fd"))

    def _failed(self):
        lines = [line for line in self._edge.samples("vestibule_messages_total{") if 'outcome="delivered"' not in line]
        return sum(int(float(line.rpartition(" ")[2])) for line in lines)

    def close(self):
        """Ends the loads; the rig ends the proxy."""
        for load in self._loads.values():
            load.close()

"""The comparison that scripts/bench runs: CPU time a message of each server, medians of three interleaved runs."""

import argparse
import os
import statistics
import sys

import ejabberd
import kamailio
import prosody
import resolver
import rig as rigs
from load import Load
from pki import Authority
from vestibule import Vestibule

RUNS = 3
INSIDE_SIP = '[[listen]]\nzone = "inside"\nprotocol = "sip"\ntransport = "tls"\nport = 5061\ntls = "internal"\n'
SECRET = "component secret"


class Case:
    """One server under one load, on a network of its own."""

    figure = None
    """The figure to reach (of the project's list of qualities)."""
    restarts = 0
    """How often it may be started anew when it fails: more than never only for peers that are known to crash."""
    runs = RUNS

    def __init__(self, name, arguments, traffic=None):
        """`traffic`: options of the load that make this case different: the octets of a body, a rate, the number of messages."""
        self.name, self.arguments, self.traffic = name, arguments, traffic or {}
        self.rig = rigs.Rig(logs=os.path.join(arguments.logs, name.replace(" ", "-")))
        self.authority = Authority(self.rig)
        self.source = self.authority.issue("source", ["outside.lan", "inside.lan"])
        self.costs, self.rates, self.load_costs, self.failure = [], [], [], None
        self.server = self.load = None

    def start(self):
        """Starts the server, and the load in the order that both need."""
        raise NotImplementedError

    def run(self):
        """Sends one batch; notes the server's CPU time a message, and the load's own."""
        server, load = self.server.cpu_seconds(), rigs.group_cpu_seconds(self.load.pid)
        self.load.go()
        messages, seconds = self.load.done()
        # Acknowledgements that are still on their way belong to the batch; idle servers cost nothing here.
        self.costs.append((self.server.cpu_seconds() - server) / messages * 1e6)
        self.load_costs.append((rigs.group_cpu_seconds(self.load.pid) - load) / messages * 1e6)
        self.rates.append(messages / seconds)

    def load_with(self, mode, **options):
        """Starts the load generator and waits until its listeners are up."""
        options = {"chain": self.source.chain, "key": self.source.key, "ca": self.authority.certificate,
                   "messages": self.arguments.messages, **self.traffic, **options}
        self.load = Load(self.rig, self.arguments.load, mode, options)
        self.load.expect("listening")

    def warm(self):
        """Lets the load connect and warm up."""
        self.load.go()
        self.load.expect("ready")

    def stop(self):
        """Ends its processes."""
        if self.load:
            self.load.close()
            self.load = None
        for process in reversed(self.rig.processes):
            process.stop()
        self.rig.processes.clear()

    def close(self):
        """Ends everything of this case."""
        self.stop()
        self.rig.close()


class Kamailio(Case):
    """SIP MESSAGE, TLS in to TLS out. Kamailio 5.6 with OpenSSL 3 now and then crashes while connections are set up."""

    restarts = 3

    def __init__(self, name, arguments, stateful, traffic=None):
        super().__init__(name, arguments, traffic)
        self._stateful = stateful

    def start(self):
        sink = (self.rig.address("alice"), 5061)
        self.load_with("sip-to-sip", sip_listen=f"{sink[0]}:{sink[1]}", sip_target=f"{self.rig.address('relay')}:5061",
                       server_name="relay.lan", from_domain="outside.lan", to_domain="inside.lan")
        self.server = kamailio.start(self.rig, self.authority.issue("relay", ["relay.lan"]), self.authority, sink, self._stateful)
        self.warm()


class Ejabberd(Case):
    """XMPP s2s TLS in to a component."""

    mode = "xmpp-to-component"

    def start(self):
        address = self.rig.address("relay")
        self.load_with(self.mode, xmpp_target=f"{address}:5269", component_target=f"{address}:5347", secret=SECRET,
                       from_domain="outside.lan", to_domain="inside.lan", connections=1)
        resolver.start(self.rig, {"outside.lan": self.rig.address("alice")})
        self.server = ejabberd.start(self.rig, "relay.lan", self.authority.issue("relay", ["inside.lan", "relay.lan"]), self.authority,
                                     ["inside.lan"], SECRET)
        self.warm()


class Prosody(Case):
    """XMPP s2s TLS in to a component."""

    mode = "xmpp-to-component"

    def start(self):
        address = self.rig.address("node")
        self.load_with(self.mode, xmpp_target=f"{address}:5269", component_target=f"{address}:5347", secret=SECRET,
                       from_domain="outside.lan", to_domain="inside.lan", connections=1)
        resolver.start(self.rig, {"outside.lan": self.rig.address("alice")})
        identity = self.authority.issue("relay", ["inside.lan", "relay.lan"])
        self.server = prosody.Prosody(self.rig, "relay.lan", identity, self.authority, components=["inside.lan"], secret=SECRET,
                                      secure=True, log="warn").start().process
        self.server.wait_for_port(address, 5347)
        self.warm()


class Edge(Case):
    """vestibule in one of its ways."""

    def __init__(self, name, arguments, mode, figure, traffic=None):
        super().__init__(name, arguments, traffic)
        self.mode, self.figure = mode, figure

    def start(self):
        rig, mode = self.rig, self.mode
        outside, inside = rig.address("edge_outside"), rig.address("node")
        sink = f"{rig.address('alice')}:5061"
        options = {
            "sip-to-server": {"sip_target": f"{outside}:5061", "component_listen": f"{inside}:5347", "server_name": "edge.lan",
                              "from_domain": "outside.lan", "to_domain": "inside.lan"},
            "sip-to-sip": {"sip_target": f"{outside}:5061", "sip_listen": f"{inside}:5061", "server_name": "edge.lan",
                           "from_domain": "outside.lan", "to_domain": "inside.lan"},
            "server-to-sip": {"sip_listen": sink, "component_listen": f"{inside}:5347",
                              "from_domain": "inside.lan", "to_domain": "outside.lan"},
            "xmpp-to-server": {"xmpp_target": f"{outside}:5269", "component_listen": f"{inside}:5347",
                               "from_domain": "outside.lan", "to_domain": "inside.lan", "connections": 1},
            "setup-to-nothing": (streams := {"xmpp_target": f"{outside}:5269", "from_domain": "outside.lan", "to_domain": "inside.lan"}),
            "idle-to-nothing": {**streams, "sip_target": f"{outside}:5061", "server_name": "edge.lan"},
        }[mode]
        self.load_with(mode, **options)
        xmpp = "sip" not in mode
        allowed = ('\n[[policy.exception]]\ndomain = "outside.lan"\n[xmpp]\nmax_connections = 9000\nmax_connections_per_domain = 9000'
                   if xmpp else "")
        peer = ('protocol = "xmpp"\n' if xmpp else
                f'protocol = "sip"\nprofile = "simple"\nroutes = [{{ next_hop = "{rig.address("alice")}", port = 5061, transport = "tls" }}]\n')
        edge = Vestibule(rig, self.arguments.binary, self.authority, "inside.lan",
                         {"outside.lan": peer + 'tls = "public"' + allowed},
                         "sip" if mode == "sip-to-sip" else "component", SECRET, level="warn",
                         extra=INSIDE_SIP if mode == "sip-to-sip" else "").start("/readyz" if "nothing" not in mode else "/healthz")
        self.server = edge.process
        self.warm()


def setting_up(kind):
    """The same server under streams that are opened and given up: CPU and wall-clock time of one, opened one after the other."""
    class SetUp(kind):
        """Measured in microseconds a stream."""

        mode = "setup-to-nothing"

    return SetUp


def holding(kind):
    """The same server under streams that are idle: the memory that each takes."""
    class Holding(kind):
        """Measured once: a second batch would tell of the allocator's reserves."""

        mode = "idle-to-nothing"
        runs = 1

        def run(self):
            before = rigs.group_memory(self.server.pid)
            self.load.go()
            streams, _seconds = self.load.done()
            self.memory = (rigs.group_memory(self.server.pid) - before) / streams / 1024
            self.at_rest = before / 2**20
    return Holding


class Held(Edge):
    """A load that is offered at a rate for half a minute; what is lost shows as a run that does not end."""

    runs = 1


def main():
    """Runs the groups in turn, the cases of a group interleaved, and prints the table."""
    arguments = _arguments()
    os.makedirs(arguments.logs, exist_ok=True)
    if "L4" in (arguments.only or []):
        import soak  # it needs what stands here
        return soak.run(arguments)
    if {"L3", "R1", "R2", "R5"} & set(arguments.only or []):
        import faults  # as above
        return faults.run(arguments)
    if "G11" in (arguments.only or []):
        import mapping  # as above
        return mapping.run(arguments)
    if "G14" in (arguments.only or []):
        import presence_load  # as above
        return presence_load.run(arguments)
    if "G15" in (arguments.only or []):
        import stored  # as above
        return stored.run(arguments)
    if "L6" in (arguments.only or []):
        import hostile_load  # as above
        return hostile_load.run(arguments)
    cases = []
    for group in _groups(arguments):
        cases += _run(group, arguments.only)
    _table(cases)
    return 1 if any(case.failure for case in cases) else 0


def _groups(arguments):
    """What is compared with what, as makers of cases: each group has the machine for itself."""
    def of_all(figure, traffic, wanted, kind=lambda case: case, mode="xmpp-to-server"):
        return [
            lambda: kind(Ejabberd)(f"{figure} ejabberd", arguments, traffic),
            lambda: kind(Prosody)(f"{figure} Prosody", arguments, traffic),
            lambda: kind(Edge)(f"{figure} vestibule", arguments, mode, (f"{figure} ejabberd", *wanted), traffic),
        ]
    import handshakes  # it needs what stands here
    messages = arguments.messages
    idle = {"messages": 500}
    paced = {"rate": 2000, "messages": max(1, messages // 3)}
    return [
        [
            lambda: Kamailio("G1 Kamailio stateful", arguments, True),
            lambda: Kamailio("G1 Kamailio stateless", arguments, False),
            lambda: Edge("G1 vestibule SIP to SIP", arguments, "sip-to-sip", ("G1 Kamailio stateful", 0.5, None)),
            lambda: Edge("G7 vestibule SIP to XMPP", arguments, "sip-to-server", ("G1 Kamailio stateful", None, 30)),
            lambda: Edge("G7 vestibule XMPP to SIP", arguments, "server-to-sip", ("G1 Kamailio stateful", None, 35)),
        ],
        [
            lambda: Kamailio("G2 2,000/s, Kamailio stateful", arguments, True, paced),
            lambda: Kamailio("G2 2,000/s, Kamailio stateless", arguments, False, paced),
            lambda: Edge("G2 2,000/s, vestibule SIP to SIP", arguments, "sip-to-sip", ("G2 2,000/s, Kamailio stateful", 0.6, None), paced),
        ],
        of_all("G4", {}, (0.6, None)),
        of_all("G5 4,000 octets,", {"body": 4000, "messages": max(1, messages // 3)}, (None, 35)),
        of_all("G6 1,000/s,", {"rate": 1000, "messages": max(1, messages // 6)}, (None, 60)),
        of_all("G8 stream set-up,", {"messages": 200}, (None, 1000), setting_up, "setup-to-nothing"),
        [lambda: handshakes.Nginx("G9 TLS handshake and an answer, nginx", arguments),
         lambda: handshakes.Edge("G9 TLS handshake and an answer, vestibule", arguments,
                                 figure=("G9 TLS handshake and an answer, nginx", 1.0, None))],
        of_all("G12 idle streams,", idle, (None, None), holding, "idle-to-nothing"),
        [lambda: holding(Edge)("G12 idle TLS, vestibule", arguments, "idle-to-nothing", None, {**idle, "bare": 1})],
        [lambda: Held("L1 5,000/s for 60 s, vestibule", arguments, "sip-to-sip", None, {"rate": 5_000, "messages": 300_000})],
        [lambda: Held("L2 20,000/s for 30 s, vestibule", arguments, "xmpp-to-server", None, {"rate": 20_000, "messages": 600_000})],
    ]


def _run(makers, only):
    """Starts the cases of a group, runs them in turn, ends them."""
    cases = []
    try:
        for make in makers:
            case = make()
            if only and not any(part.lower() in case.name.lower() for part in only):
                case.close()
                continue
            cases.append(case)
            print(f"starting {case.name}", flush=True)
            _guard(case, case.start)
        for run in range(RUNS):
            for case in cases:
                if case.failure or run >= case.runs:
                    continue
                _guard(case, case.run)
                if not case.failure:
                    seen = f"{case.costs[-1]:.1f} us" if case.costs else f"{case.memory:.1f} KiB"
                    print(f"run {run + 1} of {case.runs}: {case.name}: {seen}", flush=True)
    finally:
        for case in cases:
            case.close()
    return cases


def _guard(case, step):
    """Does a step; a case that may be restarted is, and the step is done again. What fails for good is left out of the later runs."""
    while True:
        try:
            if case.load is None and step != case.start:
                case.start()
            step()
            return
        except (rigs.Failed, RuntimeError, OSError) as error:
            print(f"{case.name} FAILED: {error}", flush=True)
            for process in case.rig.processes:
                print(rigs.tail(process.log, 8))
            case.stop()
            if case.restarts == 0:
                case.failure = str(error).splitlines()
                return
            case.restarts -= 1
            print(f"starting {case.name} anew", flush=True)


def _table(cases):
    cost = {case.name: statistics.median(case.costs) for case in cases if case.costs}
    print(f"\nCPU time of the server's whole process tree, microseconds a message; median of {RUNS} interleaved runs (lowest-highest)\n")
    print(f"{'':36} {'us/message':>10} {'(range)':>17} {'messages/s':>11} {'load us':>8}   ratio and figure")
    for case in cases:
        if case.failure:
            print(f"{case.name:36} FAILED: {case.failure[0]}")
            continue
        if not case.costs:
            continue
        ours, span = cost[case.name], f"({min(case.costs):.1f}-{max(case.costs):.1f})"
        line = (f"{case.name:36} {ours:10.1f} {span:>17} {statistics.median(case.rates):11.0f} "
                f"{statistics.median(case.load_costs):8.1f}")
        if case.figure:
            peer, ratio, absolute = case.figure
            if peer in cost:
                line += f"   {ours / cost[peer]:.2f}x {peer}"
                if ratio:
                    line += f" (wanted {ratio}x: {'reached' if ours <= ratio * cost[peer] else 'not reached'})"
            if absolute:
                line += f"; wanted {absolute} us on a quiet machine"
        print(line)
    held = [case for case in cases if not case.failure and not case.costs]
    if held:
        print("\nMemory of the server (proportional set size) that one idle connection adds, KiB; in brackets its memory at rest, MiB\n")
    for case in held:
        print(f"{case.name:36} {case.memory:10.1f} ({case.at_rest:.0f})")
    if held:
        print("wanted of vestibule: 24 KiB a stream, 20 KiB a TLS connection, 25 MiB at rest")
    print("\nIn G9 a message is a connection: a full TLS 1.3 handshake with both certificates and one request with its answer (handshakes.py).\n"
          "In G8 a message is a stream: TCP, TLS with both certificates, EXTERNAL; 1e6 / messages/s is its wall-clock time (wanted 5000 us)."
          "\n")


def _arguments():
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument("--binary", required=True, help="the vestibule to measure")
    parser.add_argument("--load", required=True, help="the load generator")
    parser.add_argument("--logs", required=True, help="where the logs go")
    parser.add_argument("--messages", type=int, default=30_000, help="messages a run")
    parser.add_argument("--only", action="append", help="only cases whose name contains this")
    parser.add_argument("--minutes", type=int, default=30, help="how long L4, the soak, lasts; it runs only when asked for by --only L4")
    parser.add_argument("--rate", type=int, default=5000, help="messages a second each way of L3")
    parser.add_argument("--seconds", type=int, default=60, help="how long L3 lasts")
    parser.add_argument("--times", type=int, help="how often R1 and R2 kill")
    parser.add_argument("--fault-seconds", type=float, default=5.0, help="how long each fault of R5 lasts")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())

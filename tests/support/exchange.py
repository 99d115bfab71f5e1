"""Messages both ways at once between SIP (TLS) and an XMPP node (s2s with TLS) through one vestibule, each followed by its number.

The load generator (`tests/bench/load/exchange.rs`) is both ends. What it counts, for each way: messages sent; accepted, refused or broken as
their senders see them; arrived, twice, out of order in their conversation; and lost, which is accepted or never heard of again, and not there.
"""

import os

import rig as rigs
from load import Load
from pki import Authority
from vestibule import Vestibule

WAYS = ("to_xmpp", "to_sip")
WINDOW = 512
"""Messages each way whose outcome may be unknown at a time: what a machine that was busy elsewhere is behind with does not come as a flood."""
PEER = 'protocol = "sip"\nprofile = "simple"\ntls = "public"\nroutes = [{{ next_hop = "{}", port = 5061, transport = "tls" }}]'


class Counted(dict):
    """What was counted of one batch, by name."""

    def faults(self):
        """What must not be: a text for each, empty where all is well."""
        return [f"{name}: {self[name]}" for way in WAYS for name in (f"{way}_lost", f"{way}_twice", f"{way}_disordered", f"{way}_unsettled")
                if self[name]]

    def sent(self, way):
        """Messages sent one way."""
        return self[f"{way}_sent"]


class Exchange:
    """One proxy and the load around it."""

    def __init__(self, rig, binary, load, rate, messages=0, faults=False, nodes=1, extra="", detour=None):
        """`nodes` beyond one are processes of their own, which can be killed. `detour` maps the places that the ends would connect to or
        announce to others, for who stands between: a function of (name, address, port)."""
        self.rig, self.binary = rig, binary
        detour = detour or (lambda _name, address, port: (address, port))
        self.authority = authority = Authority(rig)
        identity = authority.issue("source", ["outside.lan", "inside.lan"])
        outside = detour("sip-target", rig.address("edge_outside"), 5061)
        inside = detour("xmpp-target", rig.address("edge_inside"), 5269)
        options = {"chain": identity.chain, "key": identity.key, "ca": authority.certificate, "from_domain": "outside.lan",
                   "to_domain": "inside.lan", "server_name": "edge.lan", "rate": rate, "messages": messages, "faults": int(faults), "window": WINDOW,
                   "xmpp_target": "{}:{}".format(*inside)}
        roles = ["node", "node2"][:nodes]
        self.nodes, self._load = {}, load
        ends = {"xmpp_listen": f"{rig.address('node')}:5269"} if nodes == 1 else {"told": f"{rig.address('control')}:5400"}
        self.load = Load(rig, load, "exchange", {**options, **ends, "sip_target": "{}:{}".format(*outside),
                                                 "sip_listen": f"{rig.address('alice')}:5061"})
        rig.on_close(self.load.close)
        self.load.expect("listening")
        self._node_options = {**options, "tell": ends.get("told")}
        if nodes > 1:
            for role in roles:
                self.start_node(role)
        sip = detour("sip-listen", rig.address("alice"), 5061)
        self.edge = Vestibule(rig, binary, authority, "inside.lan", {"outside.lan": PEER.format(sip[0]).replace("5061", str(sip[1]))}, "s2s",
                              level="warn", nodes=roles, extra=extra, node_port=detour("xmpp-listen", rig.address("node"), 5269)[1])

    def start(self):
        """Starts the proxy, and waits until the load is connected and warm."""
        self.edge.start("/healthz")
        self.load.go()
        self.load.expect("ready")
        return self

    def start_node(self, role):
        """Starts one of several nodes."""
        self.nodes[role] = node = Load(self.rig, self._load, "node", {**self._node_options, "xmpp_listen": f"{self.rig.address(role)}:5269"})
        self.rig.on_close(node.close)
        node.expect("listening")

    def order(self, word):
        """Tells the load something."""
        self.load.go(word)

    def counted(self):
        """Waits for the end of a batch: what was counted."""
        pairs = (word.split("=") for word in self.load.expect("done"))
        return Counted({name: float(value) if name == "seconds" else int(value) for name, value in pairs})

    def crossed(self):
        """Waits until a message each way that was sent after the `mark` has arrived: milliseconds."""
        return [int(word) for word in self.load.expect("crossed")]


def beside(binary):
    """Where the load generator is: built beside the proxy, or named by VESTIBULE_LOAD."""
    here = os.environ.get("VESTIBULE_LOAD")
    folders = os.path.dirname(binary), os.path.join(os.path.dirname(os.path.dirname(binary)), "debug")
    built = [path for path in ([here] if here else [os.path.join(folder, "examples", "load") for folder in folders]) if os.path.exists(path)]
    if built:
        return max(built, key=os.path.getmtime)  # one of both may be of another time
    raise rigs.Failed("the load generator is not there: cargo build --example load")

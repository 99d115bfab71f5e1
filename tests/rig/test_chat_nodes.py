"""Three chat nodes inside, each a Prosody with rooms, that a server outside reaches through the edge in each of the three ways: by a port for
each, by an address for each, and all by one port, where the edge reads for which domain a stream is. In a DMZ of network namespaces, with
nothing forwarded. Needs VESTIBULE_BINARY, and root for the namespaces."""

import os
import unittest

import chat
import dmz
import prosody
import resolver
from matrix import Edge
from pki import Authority

BINARY = os.environ["VESTIBULE_BINARY"]
LOGS = os.environ.get("VESTIBULE_LOGS")
NODES = (1, 2, 3)
FOREIGN = "peers.lan"
WAYS = ("port", "address", "domain")
JOIN = '<x xmlns="http://jabber.org/protocol/muc"/>'
AS_IT_IS = '<query xmlns="http://jabber.org/protocol/muc#owner"><x xmlns="jabber:x:data" type="submit"/></query>'

nodes = None


def setUpModule():
    """All servers, once."""
    global nodes
    missing = dmz.available()
    if missing:
        print(f"\nSKIPPED: the chat nodes in a DMZ: {missing}")
        raise unittest.SkipTest(missing)
    nodes = ChatNodes()
    unittest.addModuleCleanup(nodes.rig.close)


def alias(node, way):
    """The chat service of a node that is reached in a way."""
    return f"{way}-{node}.ours.lan"


class ChatNodes:
    """The nodes, the server outside with its user dave, and the edge between them."""

    def __init__(self):
        rig = self.rig = dmz.Dmz(logs=LOGS)
        try:
            self._start()
        except BaseException:
            rig.close()
            raise

    def _start(self):
        rig = self.rig
        authority = self.authority = Authority(rig)
        hosts = {"edge.lan": [rig.address("edge_outside")]} | {f"edge-{node}.lan": [rig.address(f"edge_outside_{node}")] for node in NODES}
        services = {alias(node, "port"): [("xmpp-server", 1, 5269 + 10_000 * node, "edge.lan")] for node in NODES}
        services |= {alias(node, "address"): [("xmpp-server", 1, 5269, f"edge-{node}.lan")] for node in NODES}
        services |= {alias(node, "domain"): [("xmpp-server", 1, 5269, "edge.lan")] for node in NODES}
        hosts["server.peers.lan"] = [rig.address("prosody_outside")]
        services[FOREIGN] = [("xmpp-server", 1, 5269, "server.peers.lan")]
        resolver.authority(rig, "resolver_outside", hosts, services)
        resolver.authority(rig, "resolver_inside", {}, {}, {FOREIGN: [rig.address("edge_inside")]})
        servers = [prosody.Domains(rig, "prosody_outside", authority, {FOREIGN: authority.issue("peer", [FOREIGN])}, "dave", bidi=True)]
        for node in NODES:
            rooms = [alias(node, way) for way in WAYS]
            domains = [f"node-{node}.ours.lan", *rooms]
            identity = authority.issue(f"chat-{node}", domains)
            servers.append(prosody.Domains(rig, f"chat_{node}", authority, dict.fromkeys(domains, identity), "bob", rooms, bidi=True))
        for server in servers:
            server.spawn()
        for server in servers:
            server.ready()
        self.edge = NodesEdge(rig, BINARY, authority).start()
        self.dave = chat.Client(rig, f"dave@{FOREIGN}", "secret", rig.address("prosody_outside"), authority, rig.where("prosody_outside"))


class NodesEdge(Edge):
    """The proxy with a map for each node and port, one for each node and address, and a listener that serves the rest."""

    def __init__(self, rig, binary, authority):
        self._install(rig, binary)
        self._starts, self.metrics = 0, "http://127.0.0.1:9464"
        public = authority.issue("edge-public", ["edge.lan", *(alias(node, "domain") for node in NODES)])
        internal = authority.issue("edge-internal", ["edge.lan", FOREIGN])
        maps = "".join(
            f'[[port_map]]\nname = "by-{way}-{node}"\npublic = "{public_address}"\nnodes = [{{ host = "{rig.address(f"chat_{node}")}", port = 5269 }}]\n'
            for node in NODES for way, public_address in (("port", f"{rig.address('edge_outside')}:{5269 + 10_000 * node}"),
                                                          ("address", f"{rig.address(f'edge_outside_{node}')}:5269")))
        locals_ = "".join(
            f'[[local]]\ndomain = "{alias(node, "domain")}"\nprotocol = "xmpp"\nrole = "chat"\ntls = "internal"\n'
            f'nodes = [{{ host = "{rig.address(f"chat_{node}")}" }}]\n' for node in NODES)
        outside = ", ".join(f'"{rig.address(role)}"' for role in ("edge_outside", *(f"edge_outside_{node}" for node in NODES)))
        self.config = rig.write("vestibule/vestibule.toml", f"""# Written for one run of the rig.
[edge]
name = "edge.lan"
state_dir = "{self._folder}/state"
run_as = ""

[zone.outside]
addresses = [{outside}]
[zone.inside]
addresses = ["{rig.address('edge_inside')}"]

[dns]
servers = ["{rig.address('resolver_outside')}"]

[[listen]]
zone = "outside"
protocol = "xmpp"
address = "{rig.address('edge_outside')}"
tls = "public"

[[listen]]
zone = "inside"
protocol = "xmpp"
tls = "internal"

[tls.public]
certificates = [{{ chain = "{public.chain}", key = "{public.key}" }}]
trust = ["{authority.certificate}"]

[tls.internal]
certificates = [{{ chain = "{internal.chain}", key = "{internal.key}" }}]
trust = ["{authority.certificate}"]

{locals_}
{maps}
[[federate]]
domain = "{FOREIGN}"
protocol = "xmpp"
tls = "public"
xmpp = {{ tls = "required", sasl = "required", dialback = false }}

[[policy.exception]]
domain = "{FOREIGN}"

[admin]
control = "{self.control}"
metrics = "127.0.0.1:9464"

[log]
level = "debug"
""", 0o600)
        self._hand_over(public.key, internal.key)

    def samples(self, name):
        """The samples of a metric."""
        return self.rig.namespaces["dmz"].run(lambda: super(NodesEdge, self).samples(name))


class Rooms(unittest.TestCase):
    """A user outside meets others in a room of each node."""

    def meet(self, way):
        """Joins a room of each node and is heard there."""
        for node in NODES:
            with self.subTest(node=node):
                dave, room = nodes.dave, f"meeting@{alias(node, way)}"
                dave.presence(to=f"{room}/dave", extension=JOIN)
                dave.wait_for_presence(f"{room}/dave")
                self.assertEqual("result", dave.ask(room, AS_IT_IS, "set")[2])
                dave.send(room, f"hello {room}", kind="groupchat")
                self.assertEqual(f"{room}/dave", dave.wait_for_message(f"hello {room}")[1])

    def carried(self, way):
        """The maps of a way that have carried something both ways."""
        lines = [line for line in nodes.edge.samples("vestibule_portmap_bytes_total") if f'map="by-{way}-' in line and not line.endswith(" 0")]
        return sorted(line.split('map="')[1].split('"')[0] for line in lines)

    def test_by_a_port_for_each_node(self):
        self.meet("port")
        self.assertEqual(sorted(2 * [f"by-port-{node}" for node in NODES]), self.carried("port"))

    def test_by_an_address_for_each_node(self):
        self.meet("address")
        self.assertEqual(sorted(2 * [f"by-address-{node}" for node in NODES]), self.carried("address"))

    def test_by_the_domain_on_one_port(self):
        self.meet("domain")
        for node in NODES:
            self.assertIn("External", nodes.edge.authenticated("outside", FOREIGN, alias(node, "domain")))


if __name__ == "__main__":
    unittest.main()

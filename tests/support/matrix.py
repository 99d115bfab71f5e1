"""Real XMPP servers on both sides of a DMZ: Prosody and ejabberd outside, Prosody and ejabberd inside, one proxy between them all.

Each outside server has a foreign domain for each way in which a domain can be proven, and each inside server a local domain for each way in
which it can be linked, with one user everywhere. So every combination is there at once, and no server is started twice.
"""

import time

import chat
import dmz
import ejabberd
import prosody
import resolver
from pki import Authority
from rig import Failed, wait_until
from vestibule import Vestibule

KINDS = {"prosody": prosody.Domains, "ejabberd": ejabberd.Domains}
SECRET = "component secret"

TERMS = {
    "external": 'tls = "required", sasl = "required", dialback = false',
    "dialback": 'tls = "required", sasl = "off", dialback = true',
    "plain": 'tls = "none", sasl = "off", dialback = true',
    "direct": 'tls = "required", sasl = "required", dialback = false',
}
"""How foreign domains are proven: MODE.KIND.peers.lan. `direct` has SRV records for direct TLS alone."""

LINKS = ("external", "dialback", "direct", "component")
"""How local domains are linked: LINK.KIND.ours.lan. `direct` is linked like `external`, and reached by direct TLS from outside."""

FAMILIES = {
    ("prosody", "external"): 4, ("prosody", "dialback"): 6, ("prosody", "plain"): 4, ("prosody", "direct"): 6,
    ("ejabberd", "external"): 6, ("ejabberd", "dialback"): 4, ("ejabberd", "plain"): 6, ("ejabberd", "direct"): 4,
}
"""By which family a domain is reached from the other side, and no other: so each mode is seen over both."""


def foreign(kind, mode):
    """A domain of an outside server."""
    return f"{mode}.{kind}.peers.lan"


def local(kind, link):
    """A domain of an inside server."""
    return f"{link}.{kind}.ours.lan"


def room_service(kind):
    """The chat service of an inside server."""
    return f"conference.external.{kind}.ours.lan"


FOREIGN = [foreign(kind, mode) for kind in KINDS for mode in TERMS]
LOCAL = [local(kind, link) for kind in KINDS for link in LINKS]


class Matrix:
    """All of it, up and running; `close` ends it."""

    def __init__(self, binary, logs=None):
        rig = self.rig = dmz.Dmz(logs=logs)
        self._clients = {}
        try:
            self._start(binary)
        except BaseException:
            rig.close()
            raise

    def close(self):
        """Ends every process."""
        self.rig.close()

    def _start(self, binary):
        rig = self.rig
        authority = self.authority = Authority(rig)
        self._names()
        self.outside, self.inside, self.components = {}, {}, {}
        for kind, server in KINDS.items():
            domains = [foreign(kind, mode) for mode in TERMS]
            identity = authority.issue(f"peer-{kind}", domains)
            self.outside[kind] = server(rig, f"{kind}_outside", authority, dict.fromkeys(domains, identity), "dave", direct=identity).spawn()
            rooms = room_service(kind)
            domains = [local(kind, link) for link in LINKS if link != "component"] + [rooms]
            identities = {domain: authority.issue(domain, [domain], "serverAuth" if domain == local(kind, "dialback") else "serverAuth,clientAuth")
                          for domain in domains}
            self.inside[kind] = server(rig, f"{kind}_inside", authority, identities, "bob", rooms=[rooms]).spawn()
            domain = local(kind, "component")
            self.components[kind] = server(rig, f"{kind}_component", authority, {domain: authority.issue(domain, [domain])}, "bob",
                                           components=FOREIGN, secret=SECRET).spawn()
        for servers in (self.outside, self.inside, self.components):
            for server in servers.values():
                server.ready()
        self.edge = Edge(rig, binary, authority).start()

    def _names(self):
        rig = self.rig
        hosts, services = {}, {}
        for kind in KINDS:
            role = f"{kind}_outside"
            hosts[f"four.{kind}.peers.lan"] = [rig.address(role)]
            hosts[f"six.{kind}.peers.lan"] = [rig.address6(role)]
            for mode in TERMS:
                host = f"{'four' if FAMILIES[kind, mode] == 4 else 'six'}.{kind}.peers.lan"
                services[foreign(kind, mode)] = [("xmpps-server", 1, 5270, host)] if mode == "direct" else [("xmpp-server", 1, 5269, host)]
            for link in LINKS:
                host = "four.edge.lan" if FAMILIES[kind, "plain" if link == "component" else link] == 4 else "six.edge.lan"
                services[local(kind, link)] = [("xmpps-server", 1, 5270, host)] if link == "direct" else [("xmpp-server", 1, 5269, host)]
            services[room_service(kind)] = services[local(kind, "external")]
        hosts["four.edge.lan"] = [rig.address("edge_outside")]
        hosts["six.edge.lan"] = [rig.address6("edge_outside")]
        resolver.authority(rig, "resolver_outside", hosts, services)
        # Inside, all foreign names lead to the edge, and there are no SRV records.
        resolver.authority(rig, "resolver_inside", {}, {}, {"peers.lan": [rig.address("edge_inside"), rig.address6("edge_inside")]})

    def server(self, domain):
        """The server that has a domain."""
        link, kind, whose, _ = domain.rsplit(".", 3)
        if whose == "peers":
            return self.outside[kind]
        return self.components[kind] if link == "component" else self.inside[kind]

    def user(self, domain):
        """The user of a domain, logged in; the same one each time."""
        if domain not in self._clients:
            self._clients[domain] = self.log_in(domain)
        return self._clients[domain]

    def log_in(self, domain):
        """A new session of the user of a domain."""
        server = self.server(domain)
        name = "dave" if domain.endswith(".peers.lan") else "bob"
        return chat.Client(self.rig, f"{name}@{domain}", "secret", server.address, self.authority, self.rig.where(server.role))

    def comes_through(self, sender, receiver, deadline=60):
        """Sends one message after the other, the next when the last was reported as failed, until one arrives."""
        end = time.monotonic() + deadline
        while True:
            body = f"once more, {time.monotonic()}"
            sent = sender.send(receiver.jid, body)

            def known():
                return [event[0] for event in receiver.events.all() if event[0] == "message" and event[2] == body] or [
                    event[0] for event in sender.events.all() if event[0] == "error" and event[2] == sent]
            if wait_until(known, f"{sender.jid} to {receiver.jid}: a message that arrives or is reported")[0] == "message":
                return
            if time.monotonic() > end:
                raise Failed(f"nothing from {sender.jid} to {receiver.jid} comes through any more")

    def forget(self, server):
        """Forgets the sessions at a server that is no more."""
        for domain in [domain for domain in self._clients if self.server(domain) is server]:
            self._clients.pop(domain).close()


class Edge(Vestibule):
    """The proxy in the DMZ, with every local and foreign domain of the matrix."""

    def __init__(self, rig, binary, authority):
        self._install(rig, binary)
        self._starts = 0
        public = authority.issue("edge-public", ["edge.lan", *LOCAL, *(room_service(kind) for kind in KINDS)])
        # For EXTERNAL inside, nodes have to believe that the edge speaks for the foreign domains.
        internal = authority.issue("edge-internal", ["edge.lan", *FOREIGN])
        bare = authority.issue("edge-bare", ["edge.lan"])
        self.metrics = "http://127.0.0.1:9464"
        rig.write("vestibule/component.secret", SECRET, 0o600)
        locals_ = "".join(self._local(rig, kind, link) for kind in KINDS for link in LINKS)
        federates = "".join(f'[[federate]]\ndomain = "{foreign(kind, mode)}"\nprotocol = "xmpp"\ntls = "public"\nxmpp = {{ {terms} }}\n'
                            for kind in KINDS for mode, terms in TERMS.items())
        self.config = rig.write("vestibule/vestibule.toml", f"""# Written for one run of the rig.
[edge]
name = "edge.lan"
state_dir = "{self._folder}/state"
run_as = ""

[zone.outside]
addresses = ["{rig.address('edge_outside')}", "{rig.address6('edge_outside')}"]
[zone.inside]
addresses = ["{rig.address('edge_inside')}", "{rig.address6('edge_inside')}"]

[dns]
servers = ["{rig.address('resolver_outside')}"]

[[listen]]
zone = "outside"
protocol = "xmpp"
tls = "public"

[[listen]]
zone = "outside"
protocol = "xmpps"
tls = "public"

[[listen]]
zone = "inside"
protocol = "xmpp"
tls = "internal"

[tls.public]
certificates = [{{ chain = "{public.chain}", key = "{public.key}" }}]
trust = ["{authority.certificate}"]
peer_certificate = "required"

[tls.internal]
certificates = [{{ chain = "{internal.chain}", key = "{internal.key}" }}]
trust = ["{authority.certificate}"]
peer_certificate = "required"

[tls.bare]
certificates = [{{ chain = "{bare.chain}", key = "{bare.key}" }}]
trust = ["{authority.certificate}"]
peer_certificate = "required"
eku = "strict"

{locals_}
{federates}
[policy]
default = "deny"
[[policy.exception]]
domain = "*.peers.lan"

[admin]
control = "{self.control}"
metrics = "127.0.0.1:9464"
snmp_agentx = ""

[log]
format = "text"
level = "debug"
""", 0o600)
        self._hand_over(public.key, internal.key, bare.key, rig.path("vestibule", "component.secret"))

    def _local(self, rig, kind, link):
        role = f"{kind}_component" if link == "component" else f"{kind}_inside"
        node = rig.address(role) if link == "external" else rig.address6(role)
        table = f'[[local]]\ndomain = "{local(kind, link)}"\nprotocol = "xmpp"\nnodes = [{{ host = "{node}" }}]\n'
        if link == "component":
            return table + f'link = "component"\nsecret = "file:{self._folder}/component.secret"\n'
        if link == "external":
            table += f'tls = "internal"\n{table.replace(local(kind, link), room_service(kind))}role = "chat"\n'
        return table + f'tls = "{"bare" if link == "dialback" else "internal"}"\n'

    def start(self, until="/readyz"):
        """Starts it in the DMZ, and waits until it says that it is ready."""
        super().start(until)
        return self

    def answers(self, path):
        """Whether a path of the management listener answers 200."""
        return self.rig.namespaces["dmz"].run(lambda: super(Edge, self).answers(path))

    def _spawn(self, command):
        self._starts += 1
        return self.rig.namespaces["dmz"].spawn(self.rig, f"vestibule-{self._starts}", command)

    def authenticated(self, side, peer, here, since=0):
        """By which method a stream of a pair was authenticated, as the log has it; the last one."""
        lines = [line for line in self.process.output()[since:].splitlines()
                 if "XMPP stream authenticated" in line and f"side={side}" in line and f"peer={peer}" in line and f"local={here}" in line]
        return [line.rpartition("method=")[2].split()[0] for line in lines]



"""A rig with a DMZ: an outside and an inside network that cannot reach each other, with the proxy between them.

Three network namespaces, each held open by a process of the rig, so that nothing is left when the rig ends, however that happens:
`outside` and `inside` have one address for each role, of IPv4 and of IPv6, and `dmz` has a leg in each of them. Nothing is forwarded and
there are no routes, so whoever is outside can only reach the outside leg of the proxy. Addresses are those that documentation may use.
Only root can make this; `available()` says whether it works here.
"""

import ctypes
import os
import socket
import subprocess
import threading

from rig import DEADLINE, Rig, wait_until

NETWORKS = {"outside": ("192.0.2", "2001:db8:0:1::"), "inside": ("198.51.100", "2001:db8:0:2::")}
"""The networks: the first three octets, and the prefix of 64 bits."""

ROLES = {
    "edge_outside": ("outside", 3), "prosody_outside": ("outside", 7), "ejabberd_outside": ("outside", 8), "resolver_outside": ("outside", 10),
    "edge_inside": ("inside", 3), "prosody_inside": ("inside", 7), "ejabberd_inside": ("inside", 8), "resolver_inside": ("inside", 10),
    "prosody_component": ("inside", 17), "ejabberd_component": ("inside", 18),
    "edge_outside_1": ("outside", 21), "edge_outside_2": ("outside", 22), "edge_outside_3": ("outside", 23),
    "chat_1": ("inside", 21), "chat_2": ("inside", 22), "chat_3": ("inside", 23),
}
"""Who lives at which host number of which network; those of the proxy are in the namespace `dmz`."""


class Namespace:
    """A network with a resolver of its own: a namespace, alive as long as the process that holds it."""

    def __init__(self, rig, name, resolver):
        self.name = name
        resolvers = rig.write(f"{name}.resolv.conf", f"nameserver {resolver}\n")
        self._holder = rig.spawn(f"namespace-{name}", ["unshare", "--net", "--mount", "sh", "-c", "mount --bind \"$0\" /etc/resolv.conf"
                                                       " && echo made && exec sleep infinity", resolvers])
        self._holder.wait_for_text("made")
        self.path = f"/proc/{self._holder.pid}/ns/net"
        self._ip("link", "set", "lo", "up")

    @property
    def pid(self):
        """The process that holds it."""
        return self._holder.pid

    def enter(self):
        """Moves the calling thread, and no other, into the namespace; for threads that end there."""
        with open(self.path, "rb") as namespace:
            libc = ctypes.CDLL(None, use_errno=True)
            if libc.setns(namespace.fileno(), 0x40000000) != 0:  # CLONE_NEWNET
                raise OSError(ctypes.get_errno(), f"setns {self.name}")

    def run(self, work):
        """Runs a function in a thread inside and gives back what it returned; a socket made there stays there."""
        result = {}

        def inside():
            try:
                self.enter()
                result["value"] = work()
            except Exception as error:  # it belongs to the caller
                result["error"] = error
        thread = threading.Thread(target=inside, daemon=True)
        thread.start()
        thread.join(DEADLINE)
        if "error" in result:
            raise result["error"]
        return result.get("value")

    def spawn(self, rig, name, command, env=None):
        """Starts a foreground process of the rig inside."""
        return rig.spawn(name, ["nsenter", f"--net={self.path}", f"--mount=/proc/{self.pid}/ns/mnt", "--", *command], env)

    def wait_for_port(self, process, address, port, deadline=DEADLINE):
        """Waits until a process inside accepts TCP connections."""
        def answers():
            with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as probe:
                probe.settimeout(1)
                return probe.connect_ex((address, port)) == 0
        wait_until(lambda: self.run(answers), f"{process.name} listens on {address} port {port}", deadline, alive=process)

    def join(self, device, other, far_device):
        """Lays a cable between two namespaces."""
        self._ip("link", "add", device, "type", "veth", "peer", "name", far_device, "netns", str(other.pid))

    def address(self, device, network, numbers):
        """Gives addresses of a network to one of its devices."""
        four, six = NETWORKS[network]
        for number in numbers:
            self._ip("address", "add", f"{four}.{number}/24", "dev", device)
            self._ip("address", "add", f"{six}{number:x}/64", "dev", device, "nodad")
        self._ip("link", "set", device, "up")

    def _ip(self, *arguments):
        done = subprocess.run(["nsenter", f"--net={self.path}", "--", "ip", *arguments], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"ip {' '.join(arguments)} in {self.name}: {done.stderr}")


class Dmz(Rig):
    """A rig whose processes live in three namespaces."""

    def __init__(self, **options):
        super().__init__(**options)
        self.namespaces = {name: Namespace(self, name, self.address(f"resolver_{'outside' if name == 'dmz' else name}"))
                           for name in ("outside", "dmz", "inside")}
        dmz = self.namespaces["dmz"]
        for network in NETWORKS:
            far = self.namespaces[network]
            dmz.join(network, far, "lan")
            numbers = {role: number for role, (where, number) in ROLES.items() if where == network}
            dmz.address(network, network, [numbers.pop(role) for role in list(numbers) if role.startswith("edge_")])
            far.address("lan", network, numbers.values())

    def where(self, role):
        """The namespace that a role lives in."""
        return self.namespaces["dmz" if role.startswith("edge_") else ROLES[role][0]]

    def address(self, role):
        """A role's IPv4 address."""
        network, number = ROLES[role]
        return f"{NETWORKS[network][0]}.{number}"

    def address6(self, role):
        """A role's IPv6 address."""
        network, number = ROLES[role]
        return f"{NETWORKS[network][1]}{number:x}"


def available():
    """Why namespaces cannot be made here, or nothing."""
    if os.getuid() != 0:
        return "network namespaces need root"
    done = subprocess.run(["unshare", "--net", "ip", "link", "add", "one", "type", "veth", "peer", "name", "two"],
                          capture_output=True, text=True, check=False)
    return f"no network namespaces here: {done.stderr}" if done.returncode != 0 else None

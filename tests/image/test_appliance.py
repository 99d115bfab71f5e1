"""The image boots, is closed until it is configured, and then passes messages. Needs VESTIBULE_IMAGE, the folder of scripts/build-image.

Three machines, each with a copy of the disk: one as it was made, which is set up on its serial port, one whose config partition holds
what setup would have written, and one whose root file system was changed.
"""

import os
import secrets
import ssl
import time
import unittest

import chat
import prosody
import resolver
import sip_peer
from appliance import LIMIT, Appliance, Image, logs, memory
from pki import Authority
from rig import Rig, wait_until

FOLDER = os.environ["VESTIBULE_IMAGE"]
GUEST = "10.0.2.15"
NODE = "10.0.2.100"
PARTNER = "10.0.2.101"
MOST_MEMORY = 256
"""MiB that may be used after the start."""
MOST_OCTETS = 100_000_000
"""How long the compressed image may be."""

CONFIGURATION = f"""
[edge]
name = "edge.lan"
[zone.outside]
addresses = ["{GUEST}"]
networks = ["10.0.2.0/24"]
[dns]
servers = ["10.0.2.3"]
[[listen]]
zone = "outside"
protocol = "sip"
transport = "tls"
port = 5061
tls = "public"
[tls.public]
certificates = [{{ chain = "/etc/vestibule/tls/edge.pem", key = "/etc/vestibule/tls/edge.key" }}]
trust = ["/etc/vestibule/trust"]
peer_certificate = "required"
[[local]]
domain = "example.lan"
protocol = "xmpp"
nodes = [{{ host = "{NODE}" }}]
link = "component"
secret = "file:/etc/vestibule/component.secret"
[[federate]]
domain = "contoso.lan"
protocol = "sip"
tls = "public"
routes = [{{ next_hop = "{PARTNER}", port = 5061, transport = "tls" }}]
"""

NETWORK = f"""
[Match]
Type=ether
[Network]
Address={GUEST}/24
Gateway=10.0.2.2
LinkLocalAddressing=no
IPv6AcceptRA=no
"""

FIREWALL = """
table inet vestibule {
    chain input {
        type filter hook input priority filter; policy drop;
        iif lo accept
        ct state established,related accept
        tcp dport 5061 accept
    }
    chain output {
        type filter hook output priority filter; policy drop;
        oif lo accept
        ct state established,related accept
        tcp dport { 5061, 5347 } accept
        udp dport 53 accept
    }
    chain forward { type filter hook forward priority filter; policy drop; }
}
"""


class Outside(unittest.TestCase):
    """What both machines are shown to do: they stand between a SIP peer and a Prosody on loopback."""

    def surroundings(self, rig):
        """A Prosody with bob, bob, and alice, who is a partner's."""
        self.rig, self.authority, self.secret = rig, Authority(rig), secrets.token_hex(16)
        self.image, self.edge = Image(FOLDER), rig.address("edge_outside")
        resolver.start(rig, {"example.lan": rig.address("node")}, None)
        self.node = prosody.Prosody(rig, "example.lan", self.authority.issue("node", ["example.lan"]), self.authority,
                                    components=["contoso.lan"], secret=self.secret)
        self.node.register("bob", "secret")
        self.node.start()
        self.bob = chat.Client(rig, "bob@example.lan", "secret", self.node.address, self.authority)
        self.partner = self.authority.issue("contoso.lan", ["contoso.lan"])
        self.alice = sip_peer.Peer(rig, rig.address("alice"), identity=self.partner, authority=self.authority)
        self.appliance = Appliance(rig, self.image)

    def boot(self):
        """Boots with ways in to port 5061 and out to Prosody and alice, and no others."""
        self.started = time.monotonic()
        self.appliance.start("--port-forward", f"{self.edge}:5061:5061", "--guest-forward", f"{NODE}:5347={self.node.address}:5347",
                             "--guest-forward", f"{PARTNER}:5061={self.alice.address}:5061")

    def pass_messages(self):
        """A message each way."""
        machine = self.appliance.machine
        wait_until(lambda: self.dialled(self.alice, self.edge), "the appliance answers with TLS", LIMIT, alive=machine)
        print(f"\nMEASURED: TLS on 5061 {time.monotonic() - self.started:.0f} s after the power was switched on or setup ended")
        wait_until(lambda: self.answered(self.alice) == 200, "a message of alice's is answered 200", 60, alive=machine)
        self.assertEqual(self.bob.wait_for_message("Hello from outside")[1].split("/")[0], "alice@contoso.lan")
        self.bob.send("alice@contoso.lan", "Hello from inside")
        request = self.alice.request("MESSAGE", 60)
        self.assertIn(b"Hello from inside", request.body)
        self.alice.answer(request, tag="a")

    def check_configured(self, *ports, time=False):
        """Only what is configured listens outside, and nothing has failed."""
        report = self.appliance.report(lambda report: any("vestibule.service" in line for line in report["units"]))
        print(f"MEASURED: memory used with a configuration {memory(report)[1]:.0f} of {memory(report)[0]:.0f} MiB")
        listening = sorted(line.split()[4] for line in report["listening"])
        self.assertEqual(listening, [*(f"{GUEST}:{port}" for port in ports), "127.0.0.1:9464"])
        self.assertLess(memory(report)[1], MOST_MEMORY)
        self.assertEqual(report["firewall"], ["table inet vestibule"])
        self.assertEqual(any("chrony.service" in line for line in report["units"]), time)
        self.assertEqual(report["failed"], [])
        self.check_root(report)

    def check_root(self, report):
        """The root is what dm-verity opened, and nothing that can be written runs programs."""
        mounts = {line.split()[0]: line.split()[1:] for line in report["mounts"]}
        self.assertEqual(mounts["/"][:2], ["/dev/mapper/root", "erofs"])
        self.assertIn("ro", mounts["/"][2].split(","))
        self.assertTrue(report["root"][0].startswith("CRYPT-VERITY-"), report["root"])
        self.assertEqual(report["root"][1], "1")
        self.assertIn("[integrity]", report["lockdown"][0])
        for path in ("/var", "/etc/vestibule"):
            self.assertLessEqual({"nosuid", "nodev", "noexec"}, set(mounts[path][2].split(",")), path)

    @staticmethod
    def dialled(alice, edge):
        """Whether a connection with TLS could be made; QEMU takes connections before the machine does."""
        try:
            return alice.dial(edge)
        except (OSError, ssl.SSLError):
            return None

    @staticmethod
    def answered(alice):
        """The answer to one message: 480 or 504 until the link to Prosody is up."""
        alice.send("MESSAGE", "sip:bob@example.lan", "alice@contoso.lan", "bob@example.lan", body="Hello from outside")
        return alice.response(40).status


class SetUpByHand(Outside):
    """A machine that nobody has configured, until somebody does."""

    def test_nothing_listens_until_setup_was_typed_and_then_messages_pass(self):
        with Rig(logs=logs("by-hand")) as rig:
            self.surroundings(rig)
            self.boot()
            report = self.appliance.report(lambda report: any("vestibule-setup@ttyS0.service" in line for line in report["units"]),
                                           "runs setup on its serial port")
            print(f"\nMEASURED: a first start to setup in {time.monotonic() - self.started:.0f} s ({report['uptime'][0].split()[0]} s of the "
                  f"guest), memory used {memory(report)[1]:.0f} of {memory(report)[0]:.0f} MiB, "
                  f"qcow2 {os.path.getsize(self.image.compressed) / 1e6:.0f} MB")
            self.check_closed(report)
            self.appliance.answer({
                "Password": "correct horse battery", "The same again": "correct horse battery", "Address outside": f"{GUEST}/24", "Gateway": "10.0.2.2",
                "Address inside": "10.0.2.16/24", "Name of the edge": "edge.lan", "DNS servers": "10.0.2.3", "Our domains": "example.lan",
                "Their servers": NODE, "Link to them": "component", "Secret of the component": self.secret, "Domain": "contoso.lan",
                "It speaks": "sip", "Its server": PARTNER, "SHA-256 of its key": self.authority.pin(self.partner),
            }, "Write this")
            self.started = time.monotonic()
            self.pass_messages()
            self.check_configured(5061, 5269)

    def check_closed(self, report):
        """Nothing listens, no card is up, all is dropped, and nobody can log in."""
        self.assertLess(os.path.getsize(self.image.compressed), MOST_OCTETS)
        self.assertLess(memory(report)[1], MOST_MEMORY)
        self.assertEqual(report["listening"], [])
        self.assertEqual(report["firewall"], ["table inet vestibule_closed"])
        self.assertNotIn("10.0.2.", "".join(report["addresses"]))
        self.assertFalse([line for line in report["units"] if "getty" in line or " vestibule.service" in line])
        self.assertIsNone(self.dialled(self.alice, self.edge))
        self.check_root(report)
        self.assertEqual(report["failed"], [])


class Configured(Outside):
    """A machine with a configuration, from its first start on."""

    def test_messages_pass_both_ways(self):
        with Rig(logs=logs("configured")) as rig:
            self.surroundings(rig)
            identity = self.authority.issue("edge", ["edge.lan", "example.lan"])
            self.appliance.store({
                "vestibule.toml": CONFIGURATION, "firewall.nft": FIREWALL, "network/10-outside.network": NETWORK, "hostname": "edge\n",
                "timezone": "Asia/Tokyo\n", "time-servers": "10.0.2.102\n", "tls/edge.pem": identity.chain, "tls/edge.key": identity.key,
                "trust/partners.pem": self.authority.certificate, "component.secret": self.secret + "\n",
            })
            self.boot()
            self.pass_messages()
            self.check_configured(5061, time=True)
            report = self.appliance.report()
            self.assertIn("10.0.2.102", "".join(report["time"]))
            self.assertIn("JST", report["zone"][0])


class Tampered(unittest.TestCase):
    """A machine whose root file system is not what was built."""

    def test_it_does_not_start(self):
        with Rig(logs=logs("tampered")) as rig:
            appliance = Appliance(rig, Image(FOLDER))
            appliance.tamper()
            appliance.start()
            appliance.machine.wait_for_text("dm-verity device corrupted", LIMIT)
            self.assertNotIn("systemd", appliance.machine.output())


if __name__ == "__main__":
    unittest.main()

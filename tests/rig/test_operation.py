"""vestibule in operation: reload, renewed certificates, SIP over plain TCP where a route says so, the orderly stop."""

import os
import re
import signal
import socket
import subprocess
import unittest

import chat
import prosody
import resolver
from baresip import Baresip
from pki import Authority
from rig import Rig, wait_until
from vestibule import Vestibule

BINARY = os.environ["VESTIBULE_BINARY"]
SECRET = "component secret"


class Operation(unittest.TestCase):
    """Each test has a proxy of its own, with Prosody inside by a component link and two federated domains."""

    def setUp(self):
        rig = self.rig = Rig()
        self.addCleanup(rig.close)
        authority = self.authority = Authority(rig)
        resolver.start(rig, {"example.lan": rig.address("node")}, None)
        self.node = prosody.Prosody(rig, "example.lan", authority.issue("node", ["example.lan"]), authority, log="info",
                                    components=["contoso.lan", "old.lan"], secret=SECRET)
        self.node.register("bob", "secret")
        self.node.start()
        self.edge = Vestibule(rig, BINARY, authority, "example.lan", {
            "contoso.lan": f'protocol = "sip"\ntls = "public"\n'
                           f'routes = [{{ next_hop = "{rig.address("alice")}", port = 5061, transport = "tls" }}]',
            "old.lan": f'protocol = "sip"\nroutes = [{{ next_hop = "{rig.address("mallory")}", port = 5060, transport = "tcp" }}]',
        }, "component", SECRET)
        with open(self.edge.config, encoding="utf-8") as file:
            self.text = file.read()
        self.text += f'\n[[listen]]\nzone = "outside"\nprotocol = "sip"\ntransport = "tcp"\nport = 5060\n'
        self.write(self.text)
        self.edge.start()
        self.bob = chat.Client(rig, "bob@example.lan", "secret", self.node.address, authority)

    def write(self, text):
        """Replaces the configuration, leaving owner and mode."""
        with open(self.edge.config, "w", encoding="utf-8") as file:
            file.write(text)

    def reload(self, result):
        """Sends HUP and waits until the proxy has counted this result of it."""
        def count():
            lines = self.edge.samples(f'vestibule_reloads_total{{result="{result}"}}')
            return int(lines[0].split()[-1]) if lines else 0
        before = count()
        self.edge.process.popen.send_signal(signal.SIGHUP)
        wait_until(lambda: count() == before + 1, f"a reload is {result}", alive=self.edge.process)

    def user_agent(self):
        return Baresip(self.rig, "alice", "contoso.lan", "alice", self.authority.issue("contoso", ["contoso.lan"]), self.authority,
                       (self.rig.address("edge_outside"), 5061), ["bob@example.lan"])

    def test_a_reload_takes_up_policy_and_a_wrong_file_changes_nothing(self):
        alice = self.user_agent()
        self.assertEqual(200, alice.wait_for_answer(alice.send("bob@example.lan", "before"))[0])
        self.write(self.text + '\n[[policy.exception]]\ndomain = "contoso.lan"\naction = "deny"\n')
        self.reload("taken")
        self.assertEqual(403, alice.wait_for_answer(alice.send("bob@example.lan", "denied"))[0])
        decided = self.edge.samples("vestibule_policy_decisions_total")
        self.assertEqual(['vestibule_policy_decisions_total{verdict="allow",way="inbound"} 1',
                          'vestibule_policy_decisions_total{verdict="deny",way="inbound"} 1'], decided)
        self.write(self.text + "\n[policy.wrong]\n")
        self.reload("refused")
        self.assertEqual(403, alice.wait_for_answer(alice.send("bob@example.lan", "still denied"))[0])
        self.write(self.text.replace("port = 5060\n", "port = 5070\n"))
        self.reload("refused")
        self.write(self.text)
        self.reload("taken")
        self.assertEqual(200, alice.wait_for_answer(alice.send("bob@example.lan", "after"))[0])
        self.bob.wait_for_message("after")
        self.assertEqual(["before", "after"], [event[2] for event in self.bob.events.all() if event[0] == "message"])

    def test_a_renewed_certificate_is_shown_after_a_reload_and_live_flows_go_on(self):
        alice = self.user_agent()
        self.assertEqual(200, alice.wait_for_answer(alice.send("bob@example.lan", "before"))[0])
        before = self.serial()
        chain, key = re.search(r'\[tls\.public\]\ncertificates = \[\{ chain = "([^"]+)", key = "([^"]+)"', self.text).groups()
        renewed = self.authority.issue("edge-renewed", ["edge.lan", "example.lan"])
        for source, target in ((renewed.chain, chain), (renewed.key, key)):
            with open(source, "rb") as new, open(target, "wb") as old:
                old.write(new.read())
        self.assertEqual(before, self.serial(), "nothing changes before the reload")
        self.reload("taken")
        self.assertNotEqual(before, self.serial())
        flows = len(re.findall("SIP flow accepted", self.edge.process.output()))
        self.assertEqual(200, alice.wait_for_answer(alice.send("bob@example.lan", "after"))[0])
        self.assertEqual(flows, len(re.findall("SIP flow accepted", self.edge.process.output())), "the live flow was used")

    def test_sip_over_tcp_passes_only_from_the_address_of_its_route(self):
        body = "over TCP"
        request = ("MESSAGE sip:bob@example.lan SIP/2.0\r\nVia: SIP/2.0/TCP old.lan;branch=z9hG4bK{branch}\r\nMax-Forwards: 70\r\n"
                   "From: <sip:carl@{domain}>;tag=1\r\nTo: <sip:bob@example.lan>\r\nCall-ID: {branch}\r\nCSeq: 1 MESSAGE\r\n"
                   f"Content-Type: text/plain\r\nContent-Length: {len(body)}\r\n\r\n{body}")

        def status(source, domain, branch):
            with socket.create_connection((self.rig.address("edge_outside"), 5060), 10, (source, 0)) as connection:
                connection.settimeout(20)
                connection.sendall(request.format(domain=domain, branch=branch).encode())
                return int(connection.recv(4096).split()[1])
        self.assertEqual(200, status(self.rig.address("mallory"), "old.lan", "a"))
        self.bob.wait_for_message(body)
        self.assertEqual(403, status(self.rig.address("alice"), "old.lan", "b"))
        self.assertEqual(403, status(self.rig.address("mallory"), "contoso.lan", "c"), "this domain has TLS routes only")
        self.assertEqual(1, len([event for event in self.bob.events.all() if event[0] == "message"]))

    def test_it_stops_in_order_when_asked(self):
        alice = self.user_agent()
        self.assertEqual(200, alice.wait_for_answer(alice.send("bob@example.lan", "before"))[0])
        self.edge.process.popen.terminate()
        self.assertEqual(0, self.edge.process.popen.wait(30))
        phases = re.findall(r"phase=(\w+)", self.edge.process.output())
        self.assertEqual(["not_ready", "stop_accept", "refuse_new", "finish_transactions", "close_streams"], phases[:5])

    def serial(self):
        """The serial number of the certificate that the outside SIP listener shows."""
        address = f"{self.rig.address('edge_outside')}:5061"
        shown = subprocess.run(["openssl", "s_client", "-connect", address, "-servername", "edge.lan"], input="", capture_output=True,
                               text=True, timeout=20, check=False).stdout
        return subprocess.run(["openssl", "x509", "-noout", "-serial"], input=shown, capture_output=True, text=True, check=True).stdout


if __name__ == "__main__":
    unittest.main()

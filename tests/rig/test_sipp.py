"""Many dialogs at once through vestibule, by sipp at both ends, over TCP and over UDP: each ends as its scenario says. Needs VESTIBULE_BINARY."""

import os
import shutil
import unittest

import resolver
from pki import Authority
from rig import Failed, Rig, tail
from sipp import SESSION, Sipp, answer, cancel, linger, pause, receive, send
from vestibule import Vestibule

BINARY = os.environ["VESTIBULE_BINARY"]
BOB, ALICE = "bob@example.lan", "alice@contoso.lan"


def caller(hold=0):
    """A session with one message in it."""
    return [send("INVITE", BOB, SESSION, "application/sdp"), receive(100, optional=True), receive(180, optional=True), receive(200, routes=True),
            send("ACK", BOB, retransmit=False, in_dialog=True), *([pause(hold)] if hold else []),
            send("MESSAGE", BOB, "hello", in_dialog=True), receive(100, optional=True), receive(200),
            send("BYE", BOB, in_dialog=True), receive(100, optional=True), receive(200)]


CALLEE = [receive("INVITE", routes=True), answer(180, "Ringing"), answer(200, "OK", body=SESSION, kind="application/sdp", retransmit=True),
          receive("ACK", optional=True), receive("MESSAGE"), answer(200, "OK", tag=False), receive("BYE"), answer(200, "OK", tag=False), linger(20_000)]

# An INVITE that is taken back while it rings.
REGRETTING = [send("INVITE", BOB, SESSION, "application/sdp", txn="invite"), receive(100, optional=True, txn="invite"), receive(180, txn="invite"),
              cancel(BOB, 3, txn="cancel"), receive(200, txn="cancel"), receive(487, txn="invite"), send("ACK", BOB, retransmit=False, ack="invite", cseq=1, back=6)]
TAKEN_BACK = [receive("INVITE"), answer(180, "Ringing"), receive("CANCEL"), answer(200, "OK"),
              answer(487, "Request Terminated", cseq="1 INVITE", retransmit=True), receive("ACK")]


@unittest.skipUnless(shutil.which("sipp"), "sipp is not installed (Debian: sip-tester)")
class Load(unittest.TestCase):
    """sipp as alice outside, by a static route without TLS, and as the node inside."""

    def start(self, transport, callee):
        rig = self.rig = Rig()
        self.addCleanup(rig.close)
        authority = Authority(rig)
        resolver.start(rig, {}, role="outside_resolver")
        route = f'routes = [{{ next_hop = "{rig.address("alice")}", port = 5060, transport = "{transport}" }}]'
        listen = "".join(f'[[listen]]\nzone = "{zone}"\nprotocol = "sip"\ntransport = "{transport}"\nport = 5060\n' for zone in ("outside", "inside"))
        self.edge = Vestibule(rig, BINARY, authority, "example.lan", {
            "contoso.lan": f'protocol = "sip"\ntls = "public"\nrate = {{ requests_per_second = 10000, new_dialogs_per_second = 10000 }}\n{route}'},
            link="sip", level="info", extra=listen)
        with open(self.edge.config, encoding="utf-8") as config:
            text = config.read()
        with open(self.edge.config, "w", encoding="utf-8") as config:  # in place: the file keeps its owner
            config.write(text.replace('tls = "internal"\ntransport = "tls"', f'transport = "{transport}"'))
        self.transport = transport
        self.callee = Sipp(rig, "callee", rig.address("node"), 5061, transport, BOB, callee)
        self.edge.start()

    def call(self, steps, calls, **more):
        made = Sipp(self.rig, "caller", self.rig.address("alice"), 5060, self.transport, ALICE, steps, (self.rig.address("edge_outside"), 5060),
                    calls, **more)
        try:
            made.wait()
        except Failed as failure:
            raise Failed(f"{failure}\n{tail(self.callee.errors, 30)}\n{tail(self.callee.process.log)}") from None
        self.assertEqual(made.counted("Successful call"), calls)
        self.assertEqual(made.counted("Failed call"), 0)
        self.assertTrue(self.edge.process.running())

    def test_many_sessions_at_once_over_tcp(self):
        self.start("tcp", CALLEE)
        self.call(caller(hold=2000), 300, rate=100, at_once=300)

    def test_many_sessions_at_once_over_udp(self):
        self.start("udp", CALLEE)
        self.call(caller(hold=2000), 300, rate=100, at_once=300)

    def test_invitations_are_taken_back_over_tcp(self):
        self.start("tcp", TAKEN_BACK)
        self.call(REGRETTING, 200, rate=100)

    def test_invitations_are_taken_back_over_udp(self):
        self.start("udp", TAKEN_BACK)
        self.call(REGRETTING, 200, rate=100)


if __name__ == "__main__":
    unittest.main()

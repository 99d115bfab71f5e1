"""vestibule between SIP elements that speak UDP, which loses and repeats. Needs VESTIBULE_BINARY."""

import os
import socket
import unittest

import resolver
from pki import Authority
from rig import Failed, Rig, wait_until
from sip_peer import Peer
from vestibule import Vestibule

BINARY = os.environ["VESTIBULE_BINARY"]
SESSION = "v=0\r\no=- 0 0 IN IP4 {0}\r\ns=session\r\nc=IN IP4 {0}\r\nt=0 0\r\nm=message 5060 sip null\r\n"
LISTEN = "".join(f'[[listen]]\nzone = "{zone}"\nprotocol = "sip"\ntransport = "udp"\nport = 5060\n' for zone in ("outside", "inside"))


class Deaf(Peer):
    """Hears only the second copy of each request."""

    def __init__(self, *arguments, **more):
        self.lost = set()
        super().__init__(*arguments, **more)

    def take(self, message):
        name = (message.method, message.get("Via"))
        if message.method and message.method != "ACK" and name not in self.lost:
            self.lost.add(name)
            return
        super().take(message)


class OverUdp(unittest.TestCase):
    """bob at example.lan inside, alice at contoso.lan outside; both are scripted, and there is nothing but UDP."""

    def start(self, bob=Peer):
        rig = self.rig = Rig()
        self.addCleanup(rig.close)
        authority = Authority(rig)
        resolver.start(rig, {}, role="outside_resolver")
        routes = f'routes = [{{ next_hop = "{rig.address("alice")}", port = 5060, transport = "udp" }}]'
        self.edge = Vestibule(rig, BINARY, authority, "example.lan", {"contoso.lan": f'protocol = "sip"\ntls = "public"\n{routes}'}, link="sip",
                              extra=LISTEN)
        with open(self.edge.config, encoding="utf-8") as config:
            text = config.read()
        over_tls = 'tls = "internal"\ntransport = "tls"'
        self.assertIn(over_tls, text)
        with open(self.edge.config, "w", encoding="utf-8") as config:  # in place: the file keeps its owner
            config.write(text.replace(over_tls, 'transport = "udp"'))
        self.alice = Peer(rig, rig.address("alice"), 5060, "udp")
        self.bob = bob(rig, rig.address("node"), 5061, "udp")
        self.edge.start()
        self.alice.connection.last = (rig.address("edge_outside"), 5060)
        self.bob.connection.last = (rig.address("edge_inside"), 5060)

    def test_messages_pass_both_ways(self):
        self.start()
        self.alice.send("MESSAGE", "sip:bob@example.lan", "alice@contoso.lan", "bob@example.lan", body="hello")
        request = self.bob.request("MESSAGE")
        self.assertEqual(request.body, b"hello")
        self.bob.answer(request, tag="b")
        self.assertEqual(self.alice.response().status, 200)
        self.bob.send("MESSAGE", "sip:alice@contoso.lan", "bob@example.lan", "alice@contoso.lan", body="and back")
        request = self.alice.request("MESSAGE")
        self.assertEqual(request.body, b"and back")
        self.assertNotIn(self.rig.address("node"), repr(request))
        self.alice.answer(request, 486, "Busy Here", tag="a")
        self.assertEqual(self.bob.response().status, 486)

    def test_what_is_lost_comes_again_and_what_comes_twice_passes_once(self):
        self.start(Deaf)
        for _ in range(2):
            self.alice.send("MESSAGE", "sip:bob@example.lan", "alice@contoso.lan", "bob@example.lan", body="hello", call_id="c", branch="same")
        request = self.bob.request("MESSAGE")
        self.bob.answer(request, tag="b")
        answer = self.alice.response()
        self.assertEqual((answer.status, answer.tag("To")), (200, "b"))
        # Its answer was lost: it is given again, and the node hears nothing of it.
        self.alice.send("MESSAGE", "sip:bob@example.lan", "alice@contoso.lan", "bob@example.lan", body="hello", call_id="c", branch="same")
        self.assertEqual(self.alice.response().tag("To"), "b")
        self.alice.send("MESSAGE", "sip:bob@example.lan", "alice@contoso.lan", "bob@example.lan", body="more", call_id="d")
        again = self.bob.request("MESSAGE")
        self.assertEqual(again.body, b"more", "the first went on once")
        self.bob.answer(again, tag="c")
        self.assertEqual(self.alice.response().tag("To"), "c")

    def test_a_session_is_made_and_ended(self):
        self.start()
        bob_is = f"<sip:bob@{self.rig.address('node')}:5061>"
        self.bob.send("INVITE", "sip:alice@contoso.lan", "bob@example.lan", "alice@contoso.lan", body=SESSION.format(self.rig.address("node")),
                      kind="application/sdp", tag="b", call_id="s", headers=[f"Contact: {bob_is}"])
        invite = self.alice.request("INVITE")
        self.assertNotIn(self.rig.address("node"), repr(invite))
        alice_is = f"<sip:alice@{self.rig.address('alice')}:5060>"
        self.alice.answer(invite, 200, tag="a", headers=[f"Contact: {alice_is}"], body=SESSION.format(self.rig.address("alice")),
                          kind="application/sdp")
        answer = self.bob.response()
        self.assertEqual(answer.status, 200)
        routes = [f"Route: {route}" for route in reversed(answer.all("Record-Route"))]
        target = answer.get("Contact").split("<")[1].split(">")[0]
        self.bob.send("ACK", target, "bob@example.lan", "alice@contoso.lan", tag="b", to_tag="a", call_id="s", headers=routes)
        self.alice.request("ACK")
        self.bob.send("BYE", target, "bob@example.lan", "alice@contoso.lan", tag="b", to_tag="a", call_id="s", cseq=2, headers=routes)
        bye = self.alice.request("BYE")
        self.alice.answer(bye)
        while (answer := self.bob.response()).get("CSeq") != "2 BYE":
            self.assertEqual(answer.get("CSeq"), "1 INVITE", "a repetition of the 200, until it is acknowledged")
        self.assertEqual(answer.status, 200)

    def test_what_is_under_way_is_answered_before_the_end_and_what_is_new_refused(self):
        self.start()
        self.alice.send("MESSAGE", "sip:bob@example.lan", "alice@contoso.lan", "bob@example.lan", body="the last", call_id="last")
        last = self.bob.request("MESSAGE")
        self.edge.process.popen.terminate()
        wait_until(lambda: not self.edge.answers("/readyz"), "it is about to end")
        number = 0

        def refused():
            nonlocal number
            number += 1
            self.alice.send("MESSAGE", "sip:bob@example.lan", "alice@contoso.lan", "bob@example.lan", body="too late", call_id=f"late-{number}")
            try:
                return self.alice.response(1).status == 503
            except Failed:
                return False  # it went on: there was still time
        wait_until(refused, "new messages are refused")
        self.bob.answer(last, tag="b")
        while (answer := self.alice.response()).get("Call-ID") != "last":
            pass
        self.assertEqual(answer.status, 200)
        self.assertEqual(self.edge.process.popen.wait(20), 0)

    def test_a_source_that_no_route_names_is_refused_and_reaches_nobody(self):
        self.start()
        mallory = Peer(self.rig, self.rig.address("control"), 5060, "udp")
        mallory.connection.last = (self.rig.address("edge_outside"), 5060)
        mallory.send("MESSAGE", "sip:bob@example.lan", "alice@contoso.lan", "bob@example.lan", body="false")
        self.assertEqual(mallory.response().status, 403)
        self.alice.send("MESSAGE", "sip:bob@example.lan", "alice@contoso.lan", "bob@example.lan", body="true")
        self.assertEqual(self.bob.request("MESSAGE").body, b"true")


class SeveralAddresses(unittest.TestCase):
    """contoso.lan has one server at two addresses, over UDP: of what nobody takes nothing is heard."""

    def test_an_address_that_is_silent_is_set_aside_when_it_answers_no_question_and_the_next_is_used(self):
        rig = Rig()
        self.addCleanup(rig.close)
        authority = Authority(rig)
        roles = ("alice", "mallory")
        resolver.start(rig, {}, role="outside_resolver", records=[f"--host-record=sip.contoso.lan,{rig.address(role)}" for role in roles])
        hop = 'routes = [{ next_hop = "sip.contoso.lan", port = 5060, transport = "udp", allow_less_specific = false }]'
        edge = Vestibule(rig, BINARY, authority, "example.lan", {"contoso.lan": f'protocol = "sip"\ntls = "public"\n{hop}'}, link="sip",
                         extra=LISTEN + '[[listen]]\nzone = "inside"\nprotocol = "sip"\ntransport = "tls"\nport = 5061\ntls = "internal"\n')
        servers = [Peer(rig, rig.address(role), 5060, "udp") for role in roles]
        bob = Peer(rig, rig.address("node"), identity=authority.issue("node", ["example.lan"]))
        edge.start()
        bob.dial(rig.address("edge_inside"))
        bob.send("MESSAGE", "sip:alice@contoso.lan", "bob@example.lan", "alice@contoso.lan", body="one")
        silent = wait_until(lambda: next((server for server in servers if server.seen), None), "one of them gets the message")
        [other] = [server for server in servers if server is not silent]
        silent.lives = None
        edge.process.wait_for_text("it is set aside", 60)
        second = bob.send("MESSAGE", "sip:alice@contoso.lan", "bob@example.lan", "alice@contoso.lan", body="two")
        request = other.request("MESSAGE")
        self.assertEqual(request.body, b"two")
        other.answer(request, tag="a")
        # The first was given up in the same moment as its sender gave it up (RFC 4320): an answer to it may come, or none.
        while (answer := bob.response()).get("Call-ID") != second:
            self.assertEqual(answer.status, 504)
        self.assertEqual(answer.status, 200)


class OverIpv6(unittest.TestCase):
    """alice at contoso.lan outside on [::1], bob at example.lan inside on another port of it."""

    def test_messages_pass_both_ways_and_answers_come_to_where_rport_says(self):
        rig = Rig()
        self.addCleanup(rig.close)
        authority = Authority(rig)
        alice, bob = (Peer(rig, "::1", 0, "udp") for _ in range(2))
        # The usual ports of [::1] are for one rig only, and several may run.
        outside, inside = (_free_port() for _ in range(2))
        hop = f'routes = [{{ next_hop = "::1", port = {alice.port}, transport = "udp" }}]'
        listen = "".join(f'[[listen]]\nzone = "{zone}"\naddress = "::1"\nprotocol = "sip"\ntransport = "udp"\nport = {port}\n'
                         for zone, port in (("outside", outside), ("inside", inside)))
        edge = Vestibule(rig, BINARY, authority, "example.lan", {"contoso.lan": f'protocol = "sip"\ntls = "public"\n{hop}'}, link="sip", extra=listen)
        with open(edge.config, encoding="utf-8") as config:
            text = config.read()
        four, two = rig.address("edge_outside"), rig.address("edge_inside")
        for old, new in ((f'addresses = ["{four}"]', f'addresses = ["{four}", "::1"]'), (f'addresses = ["{two}"]', f'addresses = ["{two}", "::1"]'),
                         ('zone = "outside"\nprotocol', f'zone = "outside"\naddress = "{four}"\nprotocol'),
                         ('zone = "inside"\nprotocol', f'zone = "inside"\naddress = "{two}"\nprotocol'),
                         (f'host = "{rig.address("node")}", port = 5061', f'host = "::1", port = {bob.port}'),
                         ('tls = "internal"\ntransport = "tls"', 'transport = "udp"')):
            self.assertIn(old, text)
            text = text.replace(old, new)
        with open(edge.config, "w", encoding="utf-8") as config:  # in place: the file keeps its owner
            config.write(text)
        edge.start()
        alice.connection.last, bob.connection.last = ("::1", outside), ("::1", inside)
        alice.send("MESSAGE", "sip:bob@example.lan", "alice@contoso.lan", "bob@example.lan", body="hello")
        request = bob.request("MESSAGE")
        self.assertEqual(request.body, b"hello")
        self.assertTrue(request.get("Via").startswith("SIP/2.0/UDP edge.lan"), request)
        bob.answer(request, tag="b")
        self.assertEqual(alice.response().status, 200)
        bob.send("MESSAGE", "sip:alice@contoso.lan", "bob@example.lan", "alice@contoso.lan", body="and back")
        request = alice.request("MESSAGE")
        alice.answer(request, tag="a")
        self.assertEqual(bob.response().status, 200)
        # Her Via names a port where nobody is, and asks for the one that she sends from.
        port, alice.port = alice.port, 9
        alice.via = lambda branch=None: f"SIP/2.0/UDP [::1]:9;rport;branch=z9hG4bK{branch or 'rport'}"
        alice.send("MESSAGE", "sip:bob@example.lan", "alice@contoso.lan", "bob@example.lan", body="by rport")
        bob.answer(bob.request("MESSAGE"), tag="b")
        answer = alice.response()
        self.assertEqual(answer.status, 200)
        self.assertIn(f"rport={port}", answer.get("Via"))


def _free_port():
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
        probe.bind(("::1", 0))
        return probe.getsockname()[1]



if __name__ == "__main__":
    unittest.main()

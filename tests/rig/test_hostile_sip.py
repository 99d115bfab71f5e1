"""What a hostile SIP peer may send, while a good one goes on chatting undisturbed. Needs VESTIBULE_BINARY."""

import itertools
import os
import queue
import threading
import unittest

from pki import Authority
from rig import Rig, wait_until
from sip_peer import Peer
from vestibule import Vestibule

BINARY = os.environ["VESTIBULE_BINARY"]
DATA = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "data", "sip")
HOLDS = {"tls": "strict.lan", "tcp": "plain.lan"}
"""What is proven on each transport: by a certificate, and by the address of a route."""

_numbers = itertools.count(1)


class Node(Peer):
    """A node that answers every request with 200, and notes what came."""

    def take(self, message):
        super().take(message)
        if message.method and message.method != "ACK":
            try:
                self.answer(message, tag="n")
            except OSError:
                pass


class Good:
    """A peer that sends a message every `pause` seconds, and has to hear 200 of each."""

    def __init__(self, peer, pause=0.02):
        self._peer, self._pause, self.sent = peer, pause, 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        while not self._stop.wait(self._pause):
            try:
                self._peer.send("MESSAGE", "sip:bob@example.lan", "alice@contoso.lan", "bob@example.lan", body=f"good {self.sent + 1}")
            except OSError:
                return
            self.sent += 1

    def answers(self):
        """The statuses of everything that was answered so far."""
        return [message.status for message in list(self._peer.seen)]

    def check(self):
        """Whatever was sent until now is answered 200."""
        sent = self.sent + 1
        wait_until(lambda: len(self.answers()) >= sent, "the good peer is answered")
        if set(self.answers()) != {200}:
            raise AssertionError(f"the good peer was disturbed: {sorted(set(self.answers()))}")

    def stop(self):
        """Ends the chat."""
        self._stop.set()
        self._thread.join(5)


class Talk(unittest.TestCase):
    """What is said by whoever misbehaves; whatever he does, a good peer is not disturbed, and nothing evil gets inside."""

    def tearDown(self):
        self.good.check()
        for message in list(self.node.seen):
            self.assertNotIn(b"evil", message.body, "something forged got inside")

    def text(self, peer, method="MESSAGE", more="", length=None, body="hello", call_id=None, **parts):
        """A request that passes, with some of its parts replaced."""
        number = next(_numbers)
        domain = HOLDS.get(peer.transport, "plain.lan")
        fields = {
            "via": f"Via: SIP/2.0/{peer.transport.upper()} proxy.{domain};branch=z9hG4bKh{number}\r\n",
            "hops": "Max-Forwards: 70\r\n",
            "from_": f"From: <sip:mallory@{domain}>;tag=t{number}\r\n",
            "to": "To: <sip:bob@example.lan>\r\n",
            "call": f"Call-ID: {call_id or f'hostile-{number}'}\r\n",
            "cseq": f"CSeq: 1 {method}\r\n",
            "kind": "Content-Type: text/plain\r\n",
            "length": f"Content-Length: {len(body)}\r\n" if length is None else length,
        } | parts
        return f"{method} sip:bob@example.lan SIP/2.0\r\n" + "".join(fields.values()) + more + "\r\n" + body

    def lives(self, peer, why=None):
        """Whoever misbehaved may go on with what is right."""
        call_id = f"lives-{next(_numbers)}"
        peer.connection.send(self.text(peer, call_id=call_id))
        answer = peer.response(5)
        self.assertEqual((answer.get("Call-ID"), answer.status), (call_id, 200), why)


class Hostile(Talk):
    """One proxy with short times before a node of SIP; contoso.lan is good, strict.lan speaks TLS, plain.lan is known by its address."""

    @classmethod
    def setUpClass(cls):
        rig = cls.rig = Rig()
        cls.addClassCleanup(rig.close)
        authority = cls.authority = Authority(rig)
        alice, mallory = rig.address("alice"), rig.address("mallory")
        cls.edge = Vestibule(rig, BINARY, authority, "example.lan", {
            "contoso.lan": f'protocol = "sip"\ntls = "public"\nroutes = [{{ next_hop = "{alice}", port = 5061, transport = "tls" }}]',
            "strict.lan": f'protocol = "sip"\ntls = "public"\nroutes = [{{ next_hop = "{mallory}", port = 5061, transport = "tls" }}]',
            "rated.lan": f'protocol = "sip"\ntls = "public"\nroutes = [{{ next_hop = "{mallory}", port = 5061, transport = "tls" }}]\n'
                         "rate = { requests_per_second = 8, new_dialogs_per_second = 2 }",
            "plain.lan": f'protocol = "sip"\nroutes = [{{ next_hop = "{mallory}", port = 5060, transport = "tcp", '
                         'allow_less_specific = false }]',
        }, link="sip", level="info", extra="""
[[listen]]
zone = "inside"
protocol = "sip"
transport = "tls"
port = 5061
tls = "internal"
[[listen]]
zone = "outside"
protocol = "sip"
transport = "tcp"
port = 5060
[limits]
first_message_timeout = "2s"
""")
        cls.node = Node(rig, rig.address("node"), identity=authority.issue("node", ["example.lan"]))
        cls.identity = authority.issue("mallory", ["strict.lan", "rated.lan"])
        good = Peer(rig, alice, identity=authority.issue("alice", ["contoso.lan"]), name="ua.contoso.lan")
        cls.edge.start()
        good.dial(rig.address("edge_outside"))
        cls.good = Good(good)
        rig.on_close(cls.good.stop)

    def connect(self, transport="tls"):
        """A connection of a peer that may send, and what may be said on it."""
        peer = Peer(self.rig, self.rig.address("mallory"), 0, transport, self.identity, name=f"proxy.{HOLDS[transport]}")
        self.addCleanup(peer.close)
        peer.dial(self.rig.address("edge_outside"), {"tls": 5061, "tcp": 5060}[transport])
        return peer

    def ends(self, peer, why=None):
        """The edge closes, and says nothing more."""
        try:
            what, _ = peer.connections.get(timeout=10)
        except queue.Empty:
            self.fail(f"{why}: the connection stays open")
        self.assertEqual(what, "closed", why)
        self.assertTrue(peer.messages.empty(), why)

    def test_the_messages_of_rfc_4475_and_rfc_5118_get_their_answers(self):
        with open(os.path.join(DATA, "outcomes.txt"), encoding="ascii") as file:
            rows = [line.split() for line in file]
        self.assertEqual(len(rows), 49 + 14)
        for transport, (name, stream, answer) in itertools.product(HOLDS, rows):
            with self.subTest(transport=transport, message=name):
                with open(os.path.join(DATA, name + ".sip"), "rb") as file:
                    octets = file.read()
                peer = self.connect(transport)
                peer.connection.send(octets)
                expected = 2 if stream == "holds_two" else 1
                for _ in range(expected if answer != "none" else 0):
                    status = peer.response(5).status
                    if answer == "taken":
                        # Well-formed, and from nobody whom the edge knows.
                        self.assertIn(status, (400, 403, 404, 405, 501))
                    else:
                        self.assertEqual(status, int(answer))
                if stream in ("goes_on", "holds_two"):
                    self.lives(peer)
                else:
                    self.ends(peer)
                peer.close()

    def test_a_message_whose_end_is_not_sure_ends_the_connection(self):
        rows = {
            "absent": "", "twice": "Content-Length: 5\r\nContent-Length: 5\r\n", "twice and different": "Content-Length: 5\r\nl: 9\r\n",
            "negative": "Content-Length: -5\r\n", "2^32 + 5": f"Content-Length: {2**32 + 5}\r\n", "2^64 + 5": f"Content-Length: {2**64 + 5}\r\n",
            "with a sign": "Content-Length: +5\r\n", "hexadecimal": "Content-Length: 0x5\r\n", "two in one": "Content-Length: 5, 5\r\n",
            "empty": "Content-Length: \r\n", "in other digits": "Content-Length: ٥\r\n",
        }
        for transport, (why, length) in itertools.product(HOLDS, rows.items()):
            with self.subTest(transport=transport, length=why):
                peer = self.connect(transport)
                smuggled = self.text(peer, body="evil")
                peer.connection.send(self.text(peer, length=length) + smuggled)
                self.assertIn(peer.response(5).status, (400, 413))
                self.ends(peer, why)

    def test_a_length_that_is_wrong_moves_no_boundary_in_silence(self):
        for transport in HOLDS:
            with self.subTest(transport=transport, length="too long"):
                peer = self.connect(transport)
                peer.connection.send(self.text(peer, length="Content-Length: 1000\r\n"))
                self.ends(peer, "half a message")
            with self.subTest(transport=transport, length="too short"):
                peer = self.connect(transport)
                peer.connection.send(self.text(peer, length="Content-Length: 2\r\n", body="hello"))
                self.assertEqual(peer.response(5).status, 200)
                # What is left of the body begins no message.
                peer.connection.send("\r\n\r\n")
                self.ends(peer, "no message")

    def test_octets_that_no_header_may_have_are_refused(self):
        def evil(octets):
            return lambda text: text.encode().replace(b"Call-ID: ", b"Subject: evil" + octets + b"\r\nCall-ID: ").replace(b"hello", b"evil!")
        told = {"NUL": evil(b"\0"), "DEL": evil(b"\x7f")}
        # Where lines end or what letters they hold is not sure, nothing of the message is, not even whom to answer.
        silent = {"bare LF": evil(b"\nX: y"), "bare CR": evil(b"\rX: y"), "bad UTF-8": evil(b"\xc3\x28"), "overlong UTF-8": evil(b"\xc0\x8a"),
                  "half a surrogate": evil(b"\xed\xa0\x80")}
        for transport, (why, change) in itertools.product(HOLDS, (told | silent).items()):
            with self.subTest(transport=transport, octets=why):
                peer = self.connect(transport)
                peer.connection.send(change(self.text(peer)))
                if why in told:
                    self.assertEqual(peer.response(5).status, 400)
                    self.lives(peer)
                else:
                    self.ends(peer, why)

    def test_a_header_field_that_may_stand_once_stands_once(self):
        for transport in HOLDS:
            peer = self.connect(transport)
            for line in ("From: <sip:x@y.lan>;tag=x", "f: <sip:x@y.lan>;tag=x", "To: <sip:x@y.lan>", "t: <sip:x@y.lan>", "Call-ID: x", "i: x",
                         "CSeq: 2 MESSAGE", "Max-Forwards: 3", "Content-Type: text/html", "c: text/html"):
                with self.subTest(transport=transport, line=line):
                    peer.connection.send(self.text(peer, more=line + "\r\n", body="evil"))
                    self.assertEqual(peer.response(5).status, 400)
            self.lives(peer)

    def test_hops_are_counted_from_70_at_most(self):
        for transport in HOLDS:
            peer = self.connect(transport)
            for hops, arrives in (("", "69"), ("Max-Forwards: 255\r\n", "69"), ("Max-Forwards: 1\r\n", "0")):
                with self.subTest(transport=transport, hops=hops):
                    call_id = f"hops-{next(_numbers)}"
                    peer.connection.send(self.text(peer, hops=hops, call_id=call_id))
                    self.assertEqual(peer.response(5).status, 200)
                    [seen] = [message for message in list(self.node.seen) if message.get("Call-ID") == call_id]
                    self.assertEqual(seen.get("Max-Forwards"), arrives)
            for hops, status in (("Max-Forwards: 0\r\n", 483), ("Max-Forwards: 99999\r\n", 400), ("Max-Forwards: -1\r\n", 400), ("Max-Forwards: many\r\n", 400)):
                with self.subTest(transport=transport, hops=hops):
                    peer.connection.send(self.text(peer, hops=hops, body="evil"))
                    self.assertEqual(peer.response(5).status, status)

    def test_a_dialogue_may_be_split_at_every_octet(self):
        for transport in HOLDS:
            peer = self.connect(transport)
            length = len(self.text(peer, call_id="split-000"))
            for at in range(length):
                octets = self.text(peer, call_id=f"split-{at:03}").encode()
                peer.connection.send(octets[:at])
                peer.connection.send(octets[at:])
                answer = peer.response(5)
                self.assertEqual((answer.status, answer.get("Call-ID")), (200, f"split-{at:03}"), (transport, at))
            for octet in self.text(peer, call_id="octets").encode():
                peer.connection.send(bytes([octet]))
            self.assertEqual(peer.response(5).status, 200)

    def test_what_went_through_the_edge_does_not_come_in_again(self):
        for transport in HOLDS:
            peer = self.connect(transport)
            ours = "Via: SIP/2.0/TLS edge.lan;branch=z9hG4bKloop\r\n"
            peer.connection.send(self.text(peer, more=ours, body="evil"))
            self.assertEqual(peer.response(5).status, 482)
            # A spiral: on the way it has become a request for somebody else.
            peer.connection.send(self.text(peer, more=ours, body="evil").replace("sip:bob@example.lan SIP", "sip:carol@example.lan SIP"))
            self.assertEqual(peer.response(5).status, 482)
            self.lives(peer)

    def test_a_request_that_was_forked_before_the_edge_goes_on_by_each_branch(self):
        for transport in HOLDS:
            peer = self.connect(transport)
            call_id = f"forked-{next(_numbers)}"
            fixed = {"call_id": call_id, "from_": f"From: <sip:mallory@{HOLDS[transport]}>;tag=one\r\n"}
            peer.connection.send(self.text(peer, **fixed) + self.text(peer, **fixed))
            self.assertEqual([peer.response(5).status for _ in range(2)], [200, 200])
            self.assertEqual(len([message for message in list(self.node.seen) if message.get("Call-ID") == call_id]), 2)

    def test_who_asks_too_often_is_told_when_to_come_again_and_disturbs_nobody(self):
        peer = self.connect("tls")
        rated = {"from_": "From: <sip:mallory@rated.lan>;tag=t\r\n"}

        def answers(method, count, more=""):
            peer.connection.send("".join(self.text(peer, method, more, **rated) for _ in range(count)))
            got = [peer.response(5) for _ in range(count)]
            for answer in got:
                self.assertIn(answer.status, (200, 503))
                self.assertEqual(answer.get("Retry-After") is not None, answer.status == 503)
            return [answer.status for answer in got].count(200)
        begun = answers("SUBSCRIBE", 6, "Contact: <sip:mallory@ua.rated.lan>\r\nEvent: presence\r\n")
        self.assertTrue(2 <= begun < 6, begun)
        taken = answers("MESSAGE", 60)
        self.assertTrue(1 <= taken < 60, taken)
        # Another domain on the same connection has nothing to do with it, nor has whoever only claims to be that one.
        self.lives(peer)
        other = self.connect("tcp")
        other.connection.send(self.text(other, **rated))
        self.assertEqual(other.response(5).status, 403)


class HostileDatagrams(Talk):
    """The same over UDP, where each datagram is a message; plain.lan is known by its address, and contoso.lan is good over TLS."""

    @classmethod
    def setUpClass(cls):
        rig = cls.rig = Rig()
        cls.addClassCleanup(rig.close)
        authority = Authority(rig)
        alice, mallory = rig.address("alice"), rig.address("mallory")
        cls.edge = Vestibule(rig, BINARY, authority, "example.lan", {
            "contoso.lan": f'protocol = "sip"\ntls = "public"\nroutes = [{{ next_hop = "{alice}", port = 5061, transport = "tls" }}]',
            "plain.lan": f'protocol = "sip"\nroutes = [{{ next_hop = "{mallory}", port = 5060, transport = "udp", '
                         'allow_less_specific = false }]',
        }, link="sip", level="info", extra="""
[[listen]]
zone = "inside"
protocol = "sip"
transport = "tls"
port = 5061
tls = "internal"
[[listen]]
zone = "outside"
protocol = "sip"
transport = "udp"
port = 5060
""")
        cls.node = Node(rig, rig.address("node"), identity=authority.issue("node", ["example.lan"]))
        good = Peer(rig, alice, identity=authority.issue("alice", ["contoso.lan"]), name="ua.contoso.lan")
        cls.peer, cls.invited = Peer(rig, mallory, 5060, "udp"), set()
        cls.edge.start()
        cls.peer.connection.last = (rig.address("edge_outside"), 5060)
        good.dial(rig.address("edge_outside"))
        cls.good = Good(good)
        rig.on_close(cls.good.stop)

    def send(self, octets):
        """One datagram."""
        self.peer.connection.send(octets, (self.rig.address("edge_outside"), 5060))

    def answers(self):
        """The statuses of what was answered up to now: a message that passes is answered last."""
        call_id = f"last-{next(_numbers)}"
        got = []
        self.send(self.text(self.peer, call_id=call_id))
        while (answer := self.peer.response(5)).get("Call-ID") != call_id:
            # The answer to an INVITE comes again until it is acknowledged, which nobody does here.
            name = (answer.get("Call-ID"), answer.get("CSeq"))
            if name not in self.invited:
                got.append(answer.status)
            if name[1].endswith("INVITE"):
                self.invited.add(name)
        self.assertEqual(answer.status, 200)
        return got

    def inside(self, call_id):
        """The bodies of the messages of a call that came to the node."""
        return [message.body for message in list(self.node.seen) if message.get("Call-ID") == call_id]

    def test_the_messages_of_rfc_4475_and_rfc_5118_reach_nobody(self):
        with open(os.path.join(DATA, "outcomes.txt"), encoding="ascii") as file:
            rows = [line.split() for line in file]
        for name, stream, answer in rows:
            with self.subTest(message=name):
                with open(os.path.join(DATA, name + ".sip"), "rb") as file:
                    self.send(file.read())
                statuses = self.answers()
                # An answer goes to the port that the message names, which is not always this one.
                self.assertLessEqual(len(statuses), 1)
                # What is wrong with its end on a stream may be right in a datagram, which has an end of its own.
                taken = set() if answer.isdigit() and stream == "goes_on" else {400, 403, 404, 405, 501}
                for status in statuses:
                    self.assertIn(status, taken | ({int(answer)} if answer.isdigit() else set()))

    def test_a_datagram_is_one_message_whatever_its_length_says(self):
        rows = {
            # What the header says, its answer, and the body that gets inside.
            "too long": ("Content-Length: 6\r\n", "hello", 400, None), "far too long": (f"Content-Length: {2**64 + 5}\r\n", "evil!", None, None),
            "too short": ("Content-Length: 2\r\n", "hello", 200, b"he"), "none": ("", "hello", 200, b"hello"),
            "zero": ("Content-Length: 0\r\n", "evil!", None, None), "twice": ("Content-Length: 5\r\nContent-Length: 5\r\n", "evil!", 400, None),
            "negative": ("Content-Length: -5\r\n", "evil!", 400, None), "signed": ("Content-Length: +5\r\n", "evil!", 400, None),
        }
        for why, (length, body, status, arrives) in rows.items():
            with self.subTest(length=why):
                call_id = f"length-{next(_numbers)}"
                self.send(self.text(self.peer, length=length, body=body, call_id=call_id))
                statuses = self.answers()
                if status is None:
                    self.assertTrue(statuses and min(statuses) >= 400 or why == "zero", statuses)
                else:
                    self.assertEqual(statuses, [status])
                self.assertEqual([body for body in self.inside(call_id) if body], [arrives] if arrives else [])

    def test_what_follows_a_message_in_its_datagram_is_no_second_one(self):
        one, other = f"one-{next(_numbers)}", f"other-{next(_numbers)}"
        self.send(self.text(self.peer, call_id=one) + self.text(self.peer, call_id=other, body="evil"))
        self.assertEqual(self.answers(), [200])
        self.assertEqual((self.inside(one), self.inside(other)), ([b"hello"], []))
        # Without a length all of it is the body.
        one = f"one-{next(_numbers)}"
        self.send(self.text(self.peer, call_id=one, length="") + self.text(self.peer, call_id=other))
        self.assertEqual(self.answers(), [200])
        self.assertEqual((len(self.inside(one)), self.inside(other)), (1, []))

    def test_octets_that_no_header_may_have_and_what_is_no_message(self):
        def evil(octets):
            return self.text(self.peer, body="evil!").encode().replace(b"Call-ID: ", b"Subject: evil" + octets + b"\r\nCall-ID: ")
        told = {"NUL": b"\0", "DEL": b"\x7f"}
        for why, octets in told.items():
            with self.subTest(octets=why):
                self.send(evil(octets))
                self.assertEqual(self.answers(), [400])
        silent = {"bare LF": evil(b"\nX: y"), "bare CR": evil(b"\rX: y"), "bad UTF-8": evil(b"\xc3\x28"), "overlong UTF-8": evil(b"\xc0\x8a"),
                  "nothing": b"", "a keepalive": b"\r\n\r\n", "zeros": bytes(500), "STUN": b"\0\1\0\0\x21\x12\xa4\x42" + bytes(12),
                  "half a head": self.text(self.peer, body="evil!").encode()[:80], "noise": bytes(range(256)) * 4,
                  "an answer to nothing": f"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP edge.lan;branch=z9hG4bK1.evil\r\nFrom: <sip:bob@example.lan>;tag=1\r\n"
                  f"To: <sip:a@plain.lan>;tag=2\r\nCall-ID: x\r\nCSeq: 1 MESSAGE\r\nContent-Length: 0\r\n\r\n".encode()}
        for why, octets in silent.items():
            with self.subTest(octets=why):
                self.send(octets)
                self.assertEqual(self.answers(), [])

    def test_large_datagrams(self):
        call_id = f"large-{next(_numbers)}"
        self.send(self.text(self.peer, call_id=call_id, body="x" * 60_000))
        self.assertEqual((self.answers(), len(self.inside(call_id))), ([200], 1))
        for why, more in {"a line": "Subject: " + "evil" * 5_000 + "\r\n", "a head": "Subject: evil evil\r\n" * 2_500,
                          "many fields": "X: evil\r\n" * 500}.items():
            with self.subTest(why):
                self.send(self.text(self.peer, more=more, body="evil!"))
                statuses = self.answers()
                self.assertTrue(len(statuses) <= 1 and all(status in (400, 413, 431, 513) for status in statuses), statuses)

    def test_what_is_repeated_is_answered_from_its_transaction_and_passes_once(self):
        call_id = f"again-{next(_numbers)}"
        text = self.text(self.peer, call_id=call_id)
        self.send(text)
        self.assertEqual(self.answers(), [200])
        for _ in range(20):
            self.send(text)
        self.assertEqual(self.answers(), [200] * 20)
        self.assertEqual(self.inside(call_id), [b"hello"])



if __name__ == "__main__":
    unittest.main()

"""What crowds may do to the edge: thousands that are silent, slow or deaf, more connections than there are places, DNS answers and stanzas
without end. A good peer goes on chatting all the while and loses nothing. Needs VESTIBULE_BINARY."""

import os
import resource
import select
import signal
import socket
import struct
import threading
import time
import unittest

from good_peer import Good
from pki import Authority
from rig import DEADLINE, Rig, wait_until
from vestibule import Vestibule
from xmpp_peer import Manners, Server, Stream, context

BINARY = os.environ["VESTIBULE_BINARY"]
SECRET, NODE_SECRET = "a secret of the peer", "a secret of the node"
HEADER = ("<?xml version='1.0'?><stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' "
          "xmlns:db='jabber:server:dialback' from='open.lan' to='example.lan' version='1.0'>").encode()
CROWD = 5_000
MEBIBYTE = 1 << 20


class Crowds(unittest.TestCase):
    """One edge, a scripted node and a scripted foreign server, and a peer that sends fifty messages a second from the start to the end."""

    SETTINGS = ""

    @classmethod
    def setUpClass(cls):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if hard < CROWD + 1_000:
            raise unittest.SkipTest(f"only {hard} descriptors")
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        cls.addClassCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        rig = cls.rig = Rig()
        cls.addClassCleanup(rig.close)
        authority = cls.authority = Authority(rig)
        domains = ["good.lan", "strict.lan", "open.lan", "small.lan", "hasty.lan"]
        cls.identity = authority.issue("peers", domains)
        relay = rig.address("relay")
        hop = f'routes = [{{ next_hop = "{relay}", port = 5269, transport = "tcp" }}]\n'

        def entry(domain, tls="required", hop=hop):
            return (f'protocol = "xmpp"\ntls = "public"\n{hop}xmpp = {{ tls = "{tls}" }}\n[[policy.exception]]\ndomain = "{domain}"')
        entries = {domain: entry(domain) for domain in domains}
        entries["open.lan"] = entry("open.lan", "optional")
        entries["*.many.lan"] = entry("*.many.lan", hop="")
        cls.edge = Vestibule(rig, BINARY, authority, "example.lan", entries, link="plain", peer_certificate="optional", level="info", extra=f"""
[[local]]
domain = "deaf.example.lan"
protocol = "xmpp"
nodes = [{{ host = "{rig.address('node2')}", port = 5269 }}]
link = "s2s"
[[listen]]
zone = "outside"
protocol = "xmpps"
port = 5270
tls = "public"
{cls.SETTINGS}""")
        cls.names = Names(rig, rig.address("resolver"))
        with open(cls.edge.config, encoding="utf-8") as config:
            text = config.read()
        with open(cls.edge.config, "w", encoding="utf-8") as config:  # in place: the file keeps its owner
            config.write(text.replace(f'servers = ["{rig.address("outside_resolver")}"]', f'servers = ["{rig.address("resolver")}"]'))
        cls.foreign = Server(rig, relay, authority, {
            **{domain: Manners(cls.identity) for domain in ("good.lan", "strict.lan", "open.lan")},
            "small.lan": Manners(cls.identity, limits={"max-bytes": 10_000}),
            "hasty.lan": Manners(cls.identity, limits={"idle-seconds": 4}),
        }, SECRET)
        cls.node = Server(rig, rig.address("node"), authority, {"example.lan": Manners(tls="off")}, NODE_SECRET)
        cls.deaf = Server(rig, rig.address("node2"), authority, {"deaf.example.lan": Manners(tls="off", deaf=True)}, NODE_SECRET)
        cls.edge.start()
        cls.good = Good(rig, cls.node, cls.identity, authority, pause=0.02)

    def tearDown(self):
        self.good.check()
        self.assertTrue(self.edge.process.running())

    def connect(self, port=5269, source=None, local="open.lan"):
        """A connection of nobody in particular."""
        stream = Stream.dial(self.rig.address("edge_outside"), local, "example.lan", port, source)
        self.addCleanup(stream.close)
        return stream

    def authenticated(self, domain="strict.lan", remote="example.lan"):
        """A stream from outside that may send stanzas, by EXTERNAL."""
        stream = self.connect(local=domain)
        stream.remote = remote
        stream.open()
        self.assertTrue(stream.ask_for_tls())
        stream.secure(context(self.identity, self.authority, False), name="example.lan").open()
        self.assertIsNone(stream.external())
        return stream.open()

    def from_the_node(self, domain):
        """A stream of our own node towards a foreign domain."""
        stream = Stream.dial(self.rig.address("edge_inside"), "example.lan", domain).open()
        self.addCleanup(stream.close)
        self.assertEqual("valid", stream.dialback(NODE_SECRET))
        return stream

    def source(self, number):
        """An address of the rig's network that has no other part."""
        return f"{self.rig.network}.{100 + number}"

    def memory(self):
        """The resident memory of the proxy in octets."""
        with open(f"/proc/{self.edge.process.pid}/statm", encoding="ascii") as statm:
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def refusals(self, class_):
        """How often vestibule has refused for this reason."""
        return sum(int(line.split()[-1]) for line in self.edge.samples("vestibule_refusals_total") if f'class="{class_}"' in line)

    def gather(self, ports, sources, count=CROWD):
        """Connects a crowd, evenly to these ports and from these addresses."""
        crowd = Crowd(self.rig.address("edge_outside"))
        self.addCleanup(crowd.close)
        for number in range(count):
            crowd.join(ports[number % len(ports)], sources[number // len(ports) % len(sources)])
        return crowd


class Silent(Crowds):
    """Times are short, and there are places for the whole crowd, so that each of it is really let in."""

    SETTINGS = f"""
[xmpp]
establish_timeout = "3s"
max_connections = {2 * CROWD}
max_unauthenticated = {CROWD}
max_unauthenticated_per_address = {CROWD}
[limits]
handshake_timeout = "2s"
first_message_timeout = "2s"
"""

    def test_five_thousand_that_never_speak_are_closed_and_cost_little(self):
        before, peaks = self.memory(), []
        for round_ in range(3):
            crowd = self.gather((5269, 5270, 5061), [self.source(0), self.source(1)])
            peaks.append(crowd.outlast(DEADLINE, self.memory))
            self.assertEqual(0, crowd.alive(), f"still open in round {round_}")
            self.good.check()
        after = self.memory()
        print(f"({before // MEBIBYTE} MiB, at most {[peak // MEBIBYTE for peak in peaks]}, in the end {after // MEBIBYTE}) ", end="", flush=True)
        self.assertLess(max(peaks) - before, CROWD * 24_576)
        self.assertLess(peaks[2] - peaks[0], 2 * CROWD * 2_048, "two crowds have left more behind than an allocator's reserves")
        self.assertEqual(0, self.refusals("xmpp_strangers") + self.refusals("connection_limit"), "all of them were let in")

    def test_those_that_send_an_octet_now_and_then_win_no_time(self):
        crowd = self.gather((5269, 5061), [self.source(0)], 1_000)
        hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(32)
        texts = {5269: HEADER, 5061: hello}
        at = 0
        while crowd.alive():
            self.assertLess(at, 40, "they were let go on")
            crowd.write(lambda port: texts[port][at:at + 1])
            at += 1
            crowd.outlast(0.25)


class Deaf(Crowds):
    """In a process of its own: memory that another crowd left free would hide what this one takes."""

    def test_those_that_never_read_are_given_up_and_cost_a_bounded_amount(self):
        keys = f"<db:verify from='strict.lan' to='example.lan' id='{'1' * 1_000}'>key</db:verify>".encode() * 50
        self.floods([(self.authenticated(), lambda _: keys) for _ in range(6)])

    def test_sip_peers_that_never_read_are_given_up_and_cost_a_bounded_amount(self):
        # The answer is as long: it has all of the Via.
        request = ("OPTIONS sip:edge.lan SIP/2.0\r\n" + f"Via: SIP/2.0/TLS {self.source(0)};branch=z9hG4bK$;{'x' * 1_000}\r\n" * 5 +
                   "From: <sip:a@strict.lan>;tag=1\r\nTo: <sip:edge.lan>\r\nCall-ID: $\r\nCSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n")

        def requests(batch):
            return "".join(request.replace("$", str(batch * 10 + number)) for number in range(10)).encode()
        peers = [self.connect(5061) for _ in range(6)]
        self.floods([(peer.secure(context(self.identity, self.authority, False), name="edge.lan"), requests) for peer in peers])

    def floods(self, peers):
        """Each of the peers writes what its function gives, and reads nothing, until it is cut off. What that costs is bounded."""
        before, peak, ended = self.memory(), 0, []

        def flood(stream, text):
            try:
                for batch in range(5_000):
                    stream.write(text(batch))
            except OSError as error:
                ended.append(error)
        floods = [threading.Thread(target=flood, args=peer, daemon=True) for peer in peers]
        for thread in floods:
            thread.start()
        for thread in floods:
            while thread.is_alive():
                peak = max(peak, self.memory())
                thread.join(0.05)
        print(f"({(peak - before) // MEBIBYTE} MiB more at most) ", end="", flush=True)
        self.assertEqual(len(peers), len(ended), "one was let go on")
        # What waits to be written, its copy while it grows, and what TLS holds.
        self.assertLess(peak - before, len(peers) * 4 * MEBIBYTE)


class Defaults(Crowds):
    """The limits as they are without a configuration."""

    def test_five_thousand_that_never_speak_are_refused_or_closed(self):
        before = self.memory()
        crowd = self.gather((5269, 5061), [self.source(number) for number in range(5)])
        peak = crowd.outlast(45, self.memory)
        self.assertEqual(0, crowd.alive(), "still open")
        print(f"({before // MEBIBYTE} MiB, at most {peak // MEBIBYTE}) ", end="", flush=True)
        self.assertLess(peak - before, CROWD * 24_576)
        self.assertGreaterEqual(self.refusals("xmpp_strangers"), CROWD // 2 - 500)

    def test_our_limits_are_told_and_a_peers_are_obeyed(self):
        stream = self.authenticated()
        self.assertEqual({"max-bytes": "262144", "idle-seconds": "600"}, stream.features["limits"])
        node = self.from_the_node("small.lan")
        for number, (size, passes) in enumerate(((5_000, True), (9_000, True), (12_000, False), (100_000, False), (100, True))):
            body = f"{number} " + "x" * size
            node.write(f"<message from='bob@example.lan' to='dave@small.lan' type='chat' id='s{number}'><body>{body}</body></message>")
            if passes:
                self.foreign.wait_for_message(body)
            else:
                error = self.node.events.wait(lambda event: event[0] == "error" and event[4] == f"s{number}", "the error")
                self.assertEqual("policy-violation", error[3])
        large = [event for event in self.foreign.events.all() if event[0] == "message" and len(event[3]) > 10_000]
        self.assertEqual([], large)

    def test_a_peer_that_soon_takes_silence_for_death_hears_from_us_sooner(self):
        node = self.from_the_node("hasty.lan")
        node.message("wake up", "bob@example.lan", "dave@hasty.lan")
        self.foreign.wait_for_message("wake up")
        wait_until(lambda: self.foreign.keepalives("hasty.lan") >= 2, "two keepalives", DEADLINE)
        self.assertEqual(0, self.foreign.keepalives("small.lan"))

    def test_thousands_of_srv_records_lead_to_a_few_attempts(self):
        for domain in ("fitting.many.lan", "cut.many.lan", "repeated.many.lan"):
            with self.subTest(domain):
                node = self.from_the_node(domain)
                since, attempts = len(self.names.asked), self.names.attempts
                node.message(domain, "bob@example.lan", f"dave@{domain}")
                error = self.node.events.wait(lambda event, id_=domain: event[0] == "error" and event[4] == id_, "the error")
                self.assertIn(error[3], ("remote-server-not-found", "remote-server-timeout"))
                asked = self.names.asked[since:]
                hosts, attempts = {name for name in asked if name.startswith("h")}, self.names.attempts - attempts
                print(f"({domain}: {len(hosts)} hosts, {attempts} attempts) ", end="", flush=True)
                self.assertIn(f"_xmpp-server._tcp.{domain}", asked)
                self.assertLessEqual(len(hosts), 32)
                self.assertLessEqual(attempts, 32)
                self.good.check()

    def test_big_stanzas_for_a_node_that_does_not_read_come_back_and_are_not_hoarded(self):
        stream = self.authenticated(remote="deaf.example.lan")
        before, peak, count = self.memory(), 0, 400
        for number in range(count):
            stream.write(f"<message from='dave@strict.lan' to='bob@deaf.example.lan' type='chat' id='big{number}'>"
                         f"<body>{'x' * 200_000}</body></message>")
            peak = max(peak, self.memory())

        def errors():
            peaks.append(self.memory())
            return {event[4]: event[3] for event in self.foreign.events.all() if event[0] == "error" and event[4].startswith("big")}
        peaks = [peak]
        told = wait_until(lambda: len(errors()) >= count - 120 and errors(), "most of them come back", DEADLINE)
        print(f"({len(told)} of {count} came back, {(max(peaks) - before) // MEBIBYTE} MiB more at most) ", end="", flush=True)
        self.assertIn("resource-constraint", set(told.values()))
        self.assertLess(max(peaks) - before, 60 * MEBIBYTE)


class Places(Crowds):
    """Few places, so that few connections fill them."""

    SETTINGS = """
[xmpp]
max_connections = 40
max_unauthenticated = 20
max_unauthenticated_per_address = 10
max_connections_per_domain = 3
"""

    def test_who_takes_more_places_than_an_address_has_is_told_and_others_come_in(self):
        before = self.refusals("xmpp_strangers")
        held = [self.connect(source=self.source(0)).open() for _ in range(10)]
        self.assertEqual("resource-constraint", self.connect(source=self.source(0)).ended())
        held += [self.connect(source=self.source(1)).open() for _ in range(10)]
        self.assertEqual("resource-constraint", self.connect(source=self.source(2)).ended(), "all places of strangers are taken")
        # Without TLS there is nothing to say it in, and TLS is not done for somebody who is not let in.
        self.assertIsNone(self.connect(5270, source=self.source(2)).ended())
        self.assertEqual(3, self.refusals("xmpp_strangers") - before)
        held.pop().close()
        wait_until(lambda: self.is_let_in(self.source(2)), "the place that was left is given away")

    def is_let_in(self, source):
        """Whether there is a place for a connection from there."""
        with self.connect(source=source) as stream:
            stream.header()
            what, *value = stream.next()
            what, *value = stream.next()
            return what == "element" and value[0].tag.endswith("features")

    def test_a_domain_that_takes_more_streams_than_it_may_is_told(self):
        held = [self.authenticated() for _ in range(3)]
        fourth = self.authenticated()
        self.assertEqual("resource-constraint", fourth.ended())
        held[0].message("still here")
        self.node.wait_for_message("still here")
        held[1].close()
        wait_until(self.may_speak, "its place is given to the next")

    def may_speak(self):
        """Whether a new stream of strict.lan stays up."""
        stream = self.authenticated()
        stream.socket.settimeout(0.5)  # what would come is an error
        try:
            return stream.socket.recv(1) != b"" and False
        except socket.timeout:
            return True

    def test_a_reload_changes_the_number_of_places(self):
        with open(self.edge.config, encoding="utf-8") as config:
            text = config.read()
        self.addCleanup(self.reload, text)
        self.reload(text.replace("max_unauthenticated = 20", "max_unauthenticated = 2").replace("_per_address = 10", "_per_address = 2"))
        held = [self.connect(source=self.source(3)).open() for _ in range(2)]
        self.assertEqual("resource-constraint", self.connect(source=self.source(3)).ended())
        self.assertEqual(2, len(held))

    def reload(self, text):
        """Lets vestibule read another configuration."""
        since = len(self.edge.process.output())
        with open(self.edge.config, "w", encoding="utf-8") as config:  # in place: the file keeps its owner
            config.write(text)
        self.edge.process.popen.send_signal(signal.SIGHUP)
        self.edge.process.wait_for_text("the configuration and its files were read again", since=since)


class Crowd:
    """Many connections of one thread. They say nothing unless they are told to, and read what comes only to see the end."""

    def __init__(self, address):
        self._address = address
        self._members = {}
        self._poll = select.epoll()

    def join(self, port, source):
        """Connects one more."""
        member = socket.socket()
        member.setblocking(False)
        member.bind((source, 0))
        member.connect_ex((self._address, port))
        self._members[member.fileno()] = (member, port)
        self._poll.register(member.fileno(), select.EPOLLIN | select.EPOLLHUP | select.EPOLLERR)

    def alive(self):
        """How many have not been closed."""
        return len(self._members)

    def write(self, text):
        """Each that is still there sends what `text` gives for its port."""
        for member, port in self._members.values():
            try:
                member.send(text(port))
            except OSError:
                pass  # its end is seen when it reads

    def outlast(self, seconds, watch=lambda: 0):
        """Waits so long, or until all are closed; gives the most that `watch` gave meanwhile."""
        end, most = time.monotonic() + seconds, watch()
        while self._members and (left := end - time.monotonic()) > 0:
            for number, _ in self._poll.poll(min(left, 0.1)):
                if self._is_over(self._members[number][0]):
                    self._drop(number)
            most = max(most, watch())
        return most

    def close(self):
        """Ends all that are left."""
        for number in list(self._members):
            self._drop(number)
        self._poll.close()

    def _drop(self, number):
        self._poll.unregister(number)
        self._members.pop(number)[0].close()

    @staticmethod
    def _is_over(member):
        try:
            return not member.recv(65536)
        except BlockingIOError:
            return False
        except OSError:
            return True


class Names:
    """A DNS server without manners. Domains below many.lan have SRV records without end, whose hosts all lead to a place where nobody is let
    in: as many as one answer holds (fitting), fewer than the answer claims to hold (cut), or the same answer again and again (repeated)."""

    def __init__(self, rig, address):
        self.asked, self.attempts = [], 0
        self._target = rig.address("dead")
        self._datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._datagrams.bind((address, 53))
        self._datagrams.settimeout(0.2)
        self._listener = socket.create_server((address, 53))
        self._peer = socket.create_server((self._target, 5269), backlog=100)
        self._over = threading.Event()
        self._threads = [threading.Thread(target=what, daemon=True) for what in (self._answer_datagrams, self._answer_connections, self._refuse)]
        for thread in self._threads:
            thread.start()
        rig.on_close(self._close)

    def _close(self):
        self._over.set()
        for listener in (self._listener, self._peer):
            listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        for thread in self._threads:
            thread.join(DEADLINE)
        self._datagrams.close()

    def _answer_datagrams(self):
        while not self._over.is_set():
            try:
                query, asker = self._datagrams.recvfrom(4096)
            except TimeoutError:
                continue
            answer = self._answer(query)
            if len(answer) > 512:
                # Only the question, and the word that it does not fit.
                answer = query[:2] + struct.pack(">HHHHH", 0x8780, 1, 0, 0, 0) + self._question(query)
            self._datagrams.sendto(answer, asker)

    def _answer_connections(self):
        while not self._over.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._converse, args=(connection,), daemon=True).start()

    def _converse(self, connection):
        with connection:
            try:
                while size := connection.recv(2, socket.MSG_WAITALL):
                    query = connection.recv(struct.unpack(">H", size)[0], socket.MSG_WAITALL)
                    answer = self._answer(query)
                    for _ in range(100 if b"repeated" in query else 1):
                        connection.sendall(struct.pack(">H", len(answer)) + answer)
            except (OSError, struct.error):
                pass

    def _refuse(self):
        while not self._over.is_set():
            try:
                connection, _ = self._peer.accept()
            except OSError:
                return
            self.attempts += 1
            connection.close()

    @staticmethod
    def _question(query):
        return query[12:query.index(b"\0", 12) + 5]

    def _answer(self, query):
        question = self._question(query)
        labels, at = [], 0
        while question[at]:
            labels.append(question[at + 1:at + 1 + question[at]].decode().lower())
            at += 1 + question[at]
        name, kind = ".".join(labels), struct.unpack(">H", question[-4:-2])[0]
        self.asked.append(name)
        records = []
        if name.startswith("_xmpp-server._tcp.") and kind == 33:
            while sum(map(len, records)) < 64_000:
                host = b"".join(bytes([len(label)]) + label for label in (b"h%d" % len(records), b"many", b"lan")) + b"\0"
                records.append(b"\xc0\x0c" + struct.pack(">HHIHHHH", 33, 1, 60, 6 + len(host), len(records) % 7, 1, 5269) + host)
        elif name.startswith("h") and name.endswith(".many.lan") and kind == 1:
            records.append(b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, 60, 4) + socket.inet_aton(self._target))
        claimed = 10_000 if "cut" in name and records else len(records)
        return query[:2] + struct.pack(">HHHHH", 0x8580 if records else 0x8583, 1, claimed, 0, 0) + question + b"".join(records)


if __name__ == "__main__":
    unittest.main()

"""What a hostile XMPP server may try, while a good one goes on chatting undisturbed. Needs VESTIBULE_BINARY."""

import base64
import os
import socket
import ssl
import threading
import time
import unittest

from good_peer import Good
from pki import Authority
from rig import DEADLINE, Rig
from vestibule import Vestibule
from xmpp_peer import DIALBACK, Manners, Refused, Server, Stream, condition, context, key

BINARY = os.environ["VESTIBULE_BINARY"]
SECRET, NODE_SECRET = "a secret of the peer", "a secret of the node"
HEADER = ("<?xml version='1.0'?><stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' "
          "xmlns:db='jabber:server:dialback' from='open.lan' to='example.lan' version='1.0'>")


class Hostile(unittest.TestCase):
    """One proxy with short times. strict.lan has to use TLS, open.lan need not; behind both is the same scripted server."""

    @classmethod
    def setUpClass(cls):
        rig = cls.rig = Rig()
        cls.addClassCleanup(rig.close)
        authority = cls.authority = Authority(rig)
        domains = ["good.lan", "strict.lan", "open.lan", "slow.lan", "liar.lan", "injector.lan", "stripped.lan", "dialled.lan", "random.lan",
                   "mute.lan", "unsure.lan", "closed.lan", "nowhere.lan"]
        cls.identity = authority.issue("peers", domains + ["*." + domain for domain in domains])
        relay = rig.address("relay")
        hop = f'routes = [{{ next_hop = "{relay}", port = 5269, transport = "tcp" }}]\n'

        def entry(domain, tls, more=""):
            return (f'protocol = "xmpp"\ntls = "public"\n{hop}xmpp = {{ tls = "{tls}"{more} }}\n'
                    f'[[policy.exception]]\ndomain = "{domain}"')
        entries = {domain: entry(domain, "required") for domain in ("good.lan", "strict.lan", "injector.lan", "stripped.lan")}
        entries |= {domain: entry(domain, "optional") for domain in ("open.lan", "liar.lan")}
        entries["*.slow.lan"] = entry("*.slow.lan", "optional")
        entries["dialled.lan"] = entry("dialled.lan", "required", ', sasl = "off"')
        entries |= {domain: entry(domain, "required") for domain in ("mute.lan",)}
        entries |= {domain: entry(domain, "optional") for domain in ("unsure.lan", "closed.lan", "nowhere.lan")}
        entries["closed.lan"] = entries["closed.lan"].replace("port = 5269", "port = 5260")
        entries["nowhere.lan"] = entries["nowhere.lan"].replace(hop, "")
        cls.edge = Vestibule(rig, BINARY, authority, "example.lan", entries, link="plain", peer_certificate="optional", level="info", extra="""
[xmpp]
establish_timeout = "4s"
[[listen]]
zone = "outside"
protocol = "xmpps"
port = 5270
tls = "public"
[limits]
handshake_timeout = "2s"
first_message_timeout = "2s"
""")
        cls.foreign = Server(rig, relay, authority, {
            **{domain: Manners(cls.identity) for domain in ("good.lan", "strict.lan", "open.lan", "dialled.lan")},
            "slow.lan": Manners(cls.identity, verify="silent"),
            "liar.lan": Manners(cls.identity, verify="stranger"),
            "injector.lan": Manners(cls.identity, tls="injected"),
            "stripped.lan": Manners(cls.identity, tls="off"),
            "mute.lan": Manners(cls.identity, external="silent"),
            "unsure.lan": Manners(cls.identity, verify="error"),
        }, SECRET)
        cls.node = Server(rig, rig.address("node"), authority, {"example.lan": Manners(tls="off")}, NODE_SECRET)
        cls.edge.start()
        cls.good = Good(rig, cls.node, cls.identity, authority)

    def tearDown(self):
        self.good.check()
        evil = [event for event in self.node.events.all() if event[0] == "message" and "evil" in event[3]]
        self.assertEqual([], evil, "something forged got inside")

    def connect(self, port=5269):
        """A connection of nobody in particular."""
        stream = Stream.dial(self.rig.address("edge_outside"), "open.lan", "example.lan", port)
        self.addCleanup(stream.close)
        return stream

    def plain(self, domain="open.lan"):
        """A stream past its features."""
        stream = self.connect()
        stream.local = domain
        return stream.open()

    def secured(self, domain="strict.lan"):
        """The same within TLS."""
        stream = self.plain(domain)
        self.assertTrue(stream.ask_for_tls())
        return stream.secure(context(self.identity, self.authority, False), name="example.lan").open()

    def authenticated(self, domain="strict.lan"):
        """A stream that may send stanzas, by EXTERNAL."""
        stream = self.secured(domain)
        self.assertIsNone(stream.external())
        return stream.open()

    def refused(self, stream, what):
        """The stream ends with that error, and soon."""
        self.assertEqual(what, stream.ended())

    # ---- before authentication

    def test_a_stanza_before_authentication_is_not_authorized(self):
        stream = self.plain()
        stream.message("evil")
        self.refused(stream, "not-authorized")
        stream = self.secured()
        stream.message("evil")
        self.refused(stream, "not-authorized")

    def test_a_stanza_before_tls_that_is_required_is_a_policy_violation(self):
        stream = self.plain("strict.lan")
        stream.message("evil")
        self.refused(stream, "policy-violation")

    def test_a_peer_that_goes_on_as_if_tls_had_not_been_offered_is_refused(self):
        for element in ("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>=</auth>",
                        "<db:result from='strict.lan' to='example.lan'>key</db:result>",
                        "<db:verify from='strict.lan' to='example.lan' id='1'>key</db:verify>"):
            with self.subTest(element):
                stream = self.plain("strict.lan")
                stream.write(element)
                self.refused(stream, "policy-violation")

    def test_a_server_that_does_not_offer_tls_that_is_required_gets_nothing(self):
        stream = Stream.dial(self.rig.address("edge_inside"), "example.lan", "stripped.lan").open()
        self.addCleanup(stream.close)
        self.assertEqual("valid", stream.dialback(NODE_SECRET))
        stream.message("secret", "bob@example.lan", "dave@stripped.lan")
        error = self.node.events.wait(lambda event: event[0] == "error" and event[4] == "secret", "the error")
        self.assertEqual("policy-violation", error[3])
        self.assertNotIn("stripped.lan", [event[1] for event in self.foreign.events.all() if event[0] in ("proven", "message")])

    def test_what_is_injected_before_tls_by_a_client_is_forgotten(self):
        stream = self.plain("strict.lan")
        stream.write("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>" + HEADER + "<message from='dave@strict.lan' to='bob@example.lan'>"
                     "<body>evil</body></message>")
        self.assertEqual("element", stream.next()[0])
        try:
            stream.secure(context(self.identity, self.authority, False), name="example.lan").open()
        except (ssl.SSLError, OSError):
            return  # what came late was taken for a handshake, which is as good
        self.assertTrue(stream.features["external"], "a fresh stream")
        stream.message("evil")
        self.refused(stream, "not-authorized")

    def test_what_is_injected_before_tls_by_a_server_is_forgotten(self):
        stream = Stream.dial(self.rig.address("edge_inside"), "example.lan", "injector.lan").open()
        self.addCleanup(stream.close)
        self.assertEqual("valid", stream.dialback(NODE_SECRET))
        stream.message("to the injector", "bob@example.lan", "dave@injector.lan")
        self.foreign.wait_for_message("to the injector")
        proofs = [event[3] for event in self.foreign.events.all() if event[:2] == ("proven", "injector.lan")]
        self.assertEqual(["external"], proofs, "the injected word of dialback did not count")

    def test_compression_is_never_offered_nor_granted(self):
        compress = "<compress xmlns='http://jabber.org/protocol/compress'><method>zlib</method></compress>"
        for stream in (self.plain(), self.secured(), self.authenticated()):
            self.assertEqual([], [tag for tag in stream.features["other"] if "compress" in tag])
            stream.write(compress)
            self.refused(stream, "unsupported-stanza-type")

    def test_silence_instead_of_a_header_ends_the_connection(self):
        self.refused(self.connect(), "connection-timeout")

    def test_silence_instead_of_a_handshake_ends_the_connection(self):
        stream, direct = self.plain(), self.connect(5270)
        self.assertTrue(stream.ask_for_tls())
        self.refused(stream, None)
        self.refused(direct, None)

    def test_silence_instead_of_a_proof_ends_the_stream(self):
        self.refused(self.plain(), "connection-timeout")
        self.refused(self.secured(), "connection-timeout")

    def test_one_octet_at_a_time_buys_no_time(self):
        for stream, text in ((self.connect(), HEADER), (self.plain(), " " * 1000)):
            for octet in text:
                try:
                    stream.write(octet)
                except OSError:
                    break
                time.sleep(0.1)  # the peer's own slowness is what is tested
                if _is_readable(stream.socket):
                    break
            self.refused(stream, "connection-timeout")

    def test_three_hundred_silent_connections_are_closed_and_hold_nobody_up(self):
        streams = [self.connect() for _ in range(300)]
        for stream in streams:
            self.refused(stream, "connection-timeout")

    def test_garbage_is_not_well_formed(self):
        for garbage in (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"GET / HTTP/1.1\r\n\r\n", b"\x00" * 100, b"<<<<", b"<a b='c' b='c'>",
                        b"\xff\xfe<\x00s\x00", HEADER.encode() + b"<a></b>", HEADER.encode() + b"\xc3\x28", HEADER.encode() + b"]]>",
                        HEADER.encode() + b"<a b=<>"):
            with self.subTest(garbage):
                stream = self.connect()
                stream.write(garbage)
                self.assertIn(stream.ended(), ("not-well-formed", "bad-format", "invalid-namespace", "invalid-xml", "unsupported-encoding"))

    def test_what_stands_between_stanzas_is_refused_by_its_name(self):
        for portions, error in (([b"text"], "invalid-xml"), ([b"]]>"], "not-well-formed"), ([b"]", b"]>"], "not-well-formed"),
                                ([b"\x01"], "not-well-formed"), ([b"\xc3", b"\x28"], "unsupported-encoding"),
                                ([b"\xed", b"\xa0\x80"], "unsupported-encoding")):
            with self.subTest(portions):
                stream = self.authenticated()
                for portion in portions:
                    stream.write(portion)
                self.refused(stream, error)

    def test_restricted_xml_is_refused_by_its_name(self):
        for restricted in ("<!DOCTYPE a [<!ENTITY b 'c'>]>" + HEADER, HEADER + "<!-- comment -->", HEADER + "<?target data?>",
                           HEADER + "<message>&undefined;</message>", HEADER + "<![CDATA[x]]><!DOCTYPE a>"):
            with self.subTest(restricted):
                stream = self.connect()
                stream.write(restricted)
                self.assertIn(stream.ended(), ("restricted-xml", "not-well-formed"))

    def test_a_start_tag_of_twenty_megabytes_is_cut_off_and_costs_nothing(self):
        # Once the features are read, whatever comes is about the tag.
        for begin, reach in (("<stream:stream a='", self.connect), ("<message from='", self.plain), ("<", self.plain)):
            with self.subTest(begin):
                before = self.memory()
                stream = reach()
                stream.write(begin)
                sent, error = 0, None
                try:
                    while sent < 20_000_000 and error is None:
                        stream.write(b"a" * 8192)
                        sent += 8192
                        if _is_readable(stream.socket):
                            error = stream.ended()
                except OSError:
                    pass  # it was closed while we wrote
                self.assertLess(sent, 5_000_000, "it read on")
                self.assertIn(error, ("policy-violation", None))
                self.assertLess(self.memory() - before, 4_000_000)

    def test_more_than_sixteen_kibibytes_before_authentication_are_refused(self):
        stream = self.plain()
        stream.write(" " * 16_300)
        stream.write(" " * 400)
        self.refused(stream, "policy-violation")

    # ---- EXTERNAL

    def test_the_authorisation_identity_is_the_certificates_or_none(self):
        def encode(text):
            return base64.b64encode(text.encode()).decode()
        for identity, outcome in (("=", None), (encode("strict.lan"), None), (encode("STRICT.lan"), None), (encode("good.lan"), "invalid-authzid"),
                                  (encode("dave@strict.lan"), "invalid-authzid"), (encode("strict.lan\0good.lan"), "invalid-authzid"),
                                  ("c3RyaWN0*", "incorrect-encoding"), ("c3RyaWN0LmxhbgA", "incorrect-encoding")):
            with self.subTest(identity):
                self.assertEqual(outcome, self.secured().external(identity))

    def test_a_missing_authorisation_identity_is_asked_for(self):
        stream = self.secured()
        stream.write("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'/>")
        stream.expect("{urn:ietf:params:xml:ns:xmpp-sasl}challenge")
        stream.write("<response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>")
        stream.expect("{urn:ietf:params:xml:ns:xmpp-sasl}success")

    def test_other_mechanisms_are_not_there(self):
        stream = self.secured()
        stream.write("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AGEAYg==</auth>")
        self.assertEqual("invalid-mechanism", condition(stream.next()[1], "{urn:ietf:params:xml:ns:xmpp-sasl}"))

    def test_of_a_hundred_tries_three_are_answered(self):
        stream = self.secured()
        bad = base64.b64encode(b"good.lan").decode()
        try:
            for _ in range(100):
                stream.write(f"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>{bad}</auth>")
        except OSError:
            pass
        failures = 0
        while True:
            what, *value = stream.next()
            if what != "element" or not value[0].tag.endswith("failure"):
                break
            failures += 1
        self.assertEqual(3, failures)

    def test_a_failure_leaves_dialback_on_the_same_stream(self):
        stream = self.secured()
        self.assertEqual("invalid-authzid", stream.external(base64.b64encode(b"good.lan").decode()))
        self.assertEqual("valid", stream.dialback(SECRET))

    def test_another_name_after_the_proof_is_invalid(self):
        stream = self.secured()
        self.assertIsNone(stream.external())
        stream.local = "good.lan"
        with self.assertRaises(Refused) as refused:
            stream.open()
        self.assertEqual("invalid-from", str(refused.exception))

    # ---- dialback

    def test_unsolicited_results_are_a_policy_violation(self):
        for element in ("<db:result from='open.lan' to='example.lan' type='valid'/>", "<db:result from='good.lan' to='example.lan' type='valid'/>",
                        "<db:verify from='open.lan' to='example.lan' id='1' type='valid'/>"):
            for begin in (self.plain, self.authenticated):
                with self.subTest(element=element, begin=begin.__name__):
                    stream = begin()
                    stream.write(element)
                    stream.message("evil", "dave@good.lan")
                    self.refused(stream, "policy-violation")

    def test_a_forged_key_is_invalid_and_costs_the_stream(self):
        stream = self.plain()
        self.assertEqual("invalid", stream.dialback("another secret"))
        self.refused(stream, None)

    def test_a_replayed_key_is_invalid_on_another_stream(self):
        first, second = self.plain(), self.plain()
        self.assertEqual("valid", first.dialback(SECRET))
        second.send_key(key(SECRET, "example.lan", "open.lan", first.identifier))
        self.assertEqual("invalid", second.verdict())

    def test_a_key_of_one_pair_does_not_prove_another(self):
        stream = self.plain()
        stream.send_key(key(SECRET, "example.lan", "open.lan", stream.identifier), local="liar.lan")
        self.assertNotEqual("valid", stream.verdict())
        stream.message("evil", "dave@liar.lan")
        self.refused(stream, "not-authorized")

    def test_an_answer_for_another_stream_verifies_nothing(self):
        stream = self.plain("liar.lan")
        self.assertNotIn(stream.dialback(SECRET), ("valid", "invalid"))
        stream.message("evil", "dave@liar.lan")
        self.refused(stream, "not-authorized")

    def test_a_key_that_cannot_be_checked_is_told_why(self):
        for domain, error in (("unsure.lan", "remote-server-not-found"), ("closed.lan", "remote-server-timeout"),
                              ("nowhere.lan", "remote-server-not-found")):
            with self.subTest(domain):
                stream = self.plain(domain)
                self.assertEqual(error, stream.dialback(SECRET))
                stream.message("evil", f"dave@{domain}")
                self.refused(stream, "not-authorized")

    def test_a_server_that_never_answers_external_holds_nothing_up_for_ever(self):
        stream = Stream.dial(self.rig.address("edge_inside"), "example.lan", "mute.lan").open()
        self.addCleanup(stream.close)
        self.assertEqual("valid", stream.dialback(NODE_SECRET))
        stream.message("to the mute", "bob@example.lan", "dave@mute.lan")
        error = self.node.events.wait(lambda event: event[0] == "error" and event[4] == "to the mute", "the error")
        self.assertEqual("remote-server-timeout", error[3])

    def test_a_verification_goes_over_tls_where_it_is_offered(self):
        for domain in ("open.lan", "dialled.lan"):
            since = len(self.foreign.events.all())
            stream = self.plain(domain) if domain == "open.lan" else self.secured(domain)
            self.assertEqual("valid", stream.dialback(SECRET))
            self.assertEqual([("verify", domain, True)], [event for event in self.foreign.events.all()[since:] if event[0] == "verify"])

    def test_a_domain_that_policy_does_not_know_is_refused_without_a_question(self):
        stream = self.plain()
        self.assertEqual("policy-violation", stream.dialback(SECRET, local="unheard.lan"))
        self.assertEqual("item-not-found", stream.dialback(SECRET, remote="not-ours.lan"))
        self.assertEqual("valid", stream.dialback(SECRET), "the stream goes on")

    def test_ten_thousand_random_domains_are_cut_off(self):
        for stream, most in ((self.plain(), 200), (self.authenticated(), 101)):
            answers = _flood(stream, (f"<db:result from='r{number}.random.lan' to='example.lan'>key</db:result>" for number in range(10_000)))
            self.assertLessEqual(len([answer for answer in answers if answer.tag == DIALBACK + "result"]), most)
            self.assertEqual("policy-violation", condition(answers[-1], "{urn:ietf:params:xml:ns:xmpp-streams}"))

    def test_a_hundred_questions_are_asked_for_one_peer_at_once_and_one_for_a_pair(self):
        stream = self.plain("a.slow.lan")
        for number in [*range(50), *range(104)]:
            stream.write(f"<db:result from='s{number}.slow.lan' to='example.lan'>k</db:result>")
        # Those over the bound are told at once, the others when their server has been silent for too long.
        self.assertEqual("resource-constraint", stream.verdict())
        asked = [event[1] for event in self.foreign.events.all() if event[0] == "verify" and event[1].endswith("slow.lan")]
        self.assertLessEqual(len(asked), 100)
        self.assertEqual(len(set(asked)), len(asked), "one question for a pair")
        self.refused(stream, "connection-timeout")

    def test_a_peer_that_reads_no_answers_is_given_up(self):
        stream = self.authenticated()
        flood = "".join(f"<db:verify from='strict.lan' to='example.lan' id='{number}'>key</db:verify>" for number in range(500))
        with self.assertRaises(OSError):
            stream.socket.settimeout(DEADLINE)
            for _ in range(2_000):
                stream.write(flood)

    # ---- stanzas

    def test_a_stanza_in_the_name_of_another_is_refused(self):
        for sender, to, error in (("dave@good.lan", "bob@example.lan", "invalid-from"), ("dave@sub.strict.lan", "bob@example.lan", "invalid-from"),
                                  ("dave@strict.lan.good.lan", "bob@example.lan", "invalid-from"), ("dave@strict.lan", "bob@good.lan", "host-unknown"),
                                  ("dave@strict.lan", "bob@not-ours.lan", "host-unknown")):
            with self.subTest(sender=sender, to=to):
                stream = self.authenticated()
                stream.message("evil", sender, to)
                self.refused(stream, error)
        for stanza in ("<message to='bob@example.lan'><body>evil</body></message>", "<message from='dave@strict.lan'><body>evil</body></message>"):
            with self.subTest(stanza):
                stream = self.authenticated()
                stream.write(stanza)
                self.refused(stream, "improper-addressing")

    def test_an_answer_that_nobody_waits_for_is_dropped_and_the_stream_goes_on(self):
        stream = self.authenticated()
        stream.write("<iq type='result' from='dave@strict.lan' to='example.lan' id='evil'/>")
        stream.message("after the answer")
        self.node.wait_for_message("after the answer")

    def memory(self):
        """The resident memory of the proxy in octets."""
        with open(f"/proc/{self.edge.process.pid}/statm", encoding="ascii") as statm:
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _flood(stream, texts):
    """Writes in a thread of its own and reads all answers until the stream ends."""
    def write():
        try:
            for text in texts:
                stream.write(text)
        except OSError:
            pass
    writer = threading.Thread(target=write, daemon=True)
    writer.start()
    answers = []
    while True:
        what, *value = stream.next()
        if what == "end":
            writer.join(DEADLINE)
            return answers
        if what == "element":
            answers.append(value[0])


def _is_readable(connection):
    connection.settimeout(0)
    try:
        return bool(connection.recv(1, socket.MSG_PEEK)) or True
    except (BlockingIOError, InterruptedError):
        return False
    except OSError:
        return True
    finally:
        connection.settimeout(DEADLINE)


if __name__ == "__main__":
    unittest.main()

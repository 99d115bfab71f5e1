"""Every way to prove a domain on XMPP, in both directions, against scripted servers. Needs VESTIBULE_BINARY."""

import os
import shutil
import subprocess
import unittest

import resolver
from pki import Authority, Identity
from rig import DEADLINE, Rig, wait_until
from vestibule import USER, Vestibule
from xmpp_peer import Manners, Refused, Server, Stream, common_name, context

BINARY = os.environ["VESTIBULE_BINARY"]

SASL, OVER_TLS, OVER_TCP = "external", "dialback over TLS", "dialback over TCP"

# The table of the specification: TLS, SASL, dialback; how it works; what the check of the configuration says of it.
ROWS = [
    ("required", "required", "on", (SASL,), "dialback will never be used"),
    ("required", "required", "off", (SASL,), None),
    ("optional", "required", "on", (SASL, OVER_TLS, OVER_TCP), "optional TLS may fail"),
    ("optional", "required", "off", (SASL,), "optional TLS may fail"),
    ("none", "required", "on", (OVER_TCP,), "SASL needs TLS, which is off"),
    ("none", "required", "off", None, None),
    ("required", "optional", "on", (SASL, OVER_TLS), None),
    ("required", "optional", "off", (SASL,), None),
    ("optional", "optional", "on", (SASL, OVER_TLS, OVER_TCP), "optional TLS may fail"),
    ("optional", "optional", "off", (SASL,), "optional TLS may fail"),
    ("none", "optional", "on", (OVER_TCP,), "SASL needs TLS, which is off"),
    ("none", "optional", "off", None, None),
    ("required", "off", "on", (OVER_TLS,), None),
    ("required", "off", "off", None, None),
    ("optional", "off", "on", (OVER_TLS, OVER_TCP), None),
    ("optional", "off", "off", None, None),
    ("none", "off", "on", (OVER_TCP,), None),
    ("none", "off", "off", None, None),
]
VALID = [row for row in ROWS if row[3]]
SECRET, NODE_SECRET = "a secret of the peer", "a secret of the node"

# How a server that we connect to behaves: what of the ways works with it, and how it is told.
SERVERS = {
    "willing": ({}, (SASL, OVER_TLS, OVER_TCP)),
    "reluctant": ({"external": "refused"}, (OVER_TLS, OVER_TCP)),
    "silent": ({"external": "off"}, (OVER_TLS, OVER_TCP)),
    "undialled": ({"dialback": "off"}, (SASL,)),
    "unwilling": ({"external": "refused", "dialback": "off"}, ()),
    "clear": ({"tls": "off"}, (OVER_TCP,)),
    "unready": ({"tls": "refused"}, (OVER_TCP,)),
    "broken": ({"tls": "broken"}, (OVER_TCP,)),
    "false": ({"identity": "false"}, (OVER_TCP,)),
    "picky": ({"authority": "another"}, (OVER_TCP,)),
}


def name(row):
    """The foreign domain of a row."""
    return "-".join(row[:3]) + ".lan"


def terms(row, more=""):
    """The `xmpp` key of a row."""
    return f'xmpp = {{ tls = "{row[0]}", sasl = "{row[1]}", dialback = {"true" if row[2] == "on" else "false"}{more} }}'


class Authentication(unittest.TestCase):
    """One proxy with a foreign domain for each combination that can work. Each of them has sub-domains for its different servers."""

    @classmethod
    def setUpClass(cls):
        rig = cls.rig = Rig()
        cls.addClassCleanup(rig.close)
        authority = cls.authority = Authority(rig)
        stranger = Authority(rig, "Another CA")
        names = [part for row in VALID for part in (name(row), "*." + name(row))]
        extra = ["lax.lan", "*.lax.lan", "pinned.lan", "discovered.lan", "several.lan", "trusted.lan"]
        cls.good = authority.issue("good", names + extra)
        cls.false = stranger.issue("false", names + extra)
        cls.single = authority.issue("single", [name(VALID[0])])
        cls.alone = self_signed(rig, "alone.lan")
        cls.pinned = stranger.issue("pinned", ["whoever.lan"])
        relay = rig.address("relay")
        hop = f'routes = [{{ next_hop = "{relay}", port = 5269, transport = "tcp" }}]'
        entries = {f"*.{name(row)}": f'protocol = "xmpp"\ntls = "public"\n{terms(row)}\n{hop}\n' for row in VALID}
        entries["*.lax.lan"] = ('protocol = "xmpp"\ntls = "public"\nxmpp = { tls = "required", dialback = true, require_certificate = false }\n'
                                f"{hop}\n")
        entries["pinned.lan"] = f'protocol = "xmpp"\ntls = "pinned"\n{hop}\n'
        entries["trusted.lan"] = f'protocol = "xmpp"\ntls = "trusting"\nxmpp = {{ dialback = false }}\n{hop}\n'
        entries["alone.lan"] = entries["trusted.lan"]
        entries["several.lan"] = f'protocol = "xmpp"\ntls = "several"\n{hop}\n'
        entries["discovered.lan"] = 'protocol = "xmpp"\ntls = "public"\nxmpp = { tls = "optional" }\n'
        resolver.start(rig, {"elsewhere.lan": rig.address("relay")}, role="outside_resolver",
                       records=["--srv-host=_xmpp-server._tcp.discovered.lan,elsewhere.lan,5299"])
        entries = {domain: text + f'[[policy.exception]]\ndomain = "{domain}"' for domain, text in entries.items()}
        pin = subprocess.run(f"openssl x509 -in {cls.pinned.chain} -noout -pubkey | openssl pkey -pubin -outform der | sha256sum", shell=True,
                             capture_output=True, text=True, check=True).stdout.split()[0]
        public = os.path.join(os.path.dirname(authority.certificate), "edge-public")
        second = authority.issue("edge-second", ["chat.lan"])
        if os.getuid() == 0:
            shutil.chown(second.key, USER)
        cls.edge = Vestibule(rig, BINARY, authority, "example.lan", entries, link="plain", peer_certificate="optional", extra=f"""
[tls.pinned]
certificates = [{{ chain = "{public}.pem", key = "{public}.key" }}]
identity = "pinned"
pins = ["{pin}"]

[[listen]]
zone = "outside"
protocol = "xmpps"
port = 5270
tls = "public"

[[listen]]
zone = "outside"
protocol = "xmpp"
port = 5280
tls = "several"

[tls.several]
certificates = [{{ chain = "{public}.pem", key = "{public}.key" }}, {{ chain = "{second.chain}", key = "{second.key}" }}]
trust = ["{authority.certificate}"]
peer_certificate = "optional"

[tls.trusting]
certificates = [{{ chain = "{public}.pem", key = "{public}.key" }}]
trust = ["{stranger.certificate}", "{cls.alone.chain}"]

[[local]]
domain = "chat.lan"
protocol = "xmpp"
nodes = [{{ host = "{rig.address('node')}", port = 5269 }}]
""")
        manners = {}
        for row in VALID:
            for kind, (how, _) in SERVERS.items():
                identity = cls.false if how.get("identity") == "false" else cls.good
                manners[f"{kind}.{name(row)}"] = Manners(**{**how, "identity": identity, "authority": stranger if "authority" in how else None})
            manners[name(row)] = Manners(cls.good)
        manners["lax.lan"] = Manners(cls.false, external="off")
        manners["pinned.lan"] = Manners(cls.pinned)
        manners["several.lan"] = Manners(cls.good)
        cls.foreign = Server(rig, relay, authority, manners, SECRET, request_certificate=True)
        cls.node = Server(rig, rig.address("node"), authority, {"example.lan": Manners(tls="off"), "chat.lan": Manners(tls="off")}, NODE_SECRET)
        cls.elsewhere = Server(rig, relay, authority, {"discovered.lan": Manners(cls.good)}, SECRET, port=5299)
        cls.edge.start()
        cls.inside = {}

    # ---- inbound: a foreign server connects to us

    def dial(self, domain, port=5269):
        """Connects as the server of a foreign domain."""
        stream = Stream.dial(self.rig.address("edge_outside"), domain, "example.lan", port)
        self.addCleanup(stream.close)
        return stream

    def secured(self, domain, identity):
        """The same, past STARTTLS and with its features."""
        stream = self.dial(domain).open()
        self.assertTrue(stream.ask_for_tls())
        return stream.secure(context(identity, self.authority, False), name="example.lan").open()

    def arrives(self, stream, domain):
        """Whether a message on the stream gets to the node inside."""
        body = f"{domain} {id(stream)}"
        stream.message(body)
        self.assertEqual(f"dave@{domain}", self.node.wait_for_message(body)[1])

    def test_inbound_what_each_combination_takes(self):
        for row in VALID:
            with self.subTest(row[:3]):
                tls, sasl, dialback, ways, _ = row
                plain = self.dial(name(row)).open()
                self.assertEqual({"required": "required", "optional": "optional", "none": None}[tls], plain.features["starttls"])
                self.assertFalse(plain.features["external"])
                self.assertEqual(OVER_TCP in ways, plain.features["dialback"])
                if tls == "none":
                    self.assertFalse(plain.ask_for_tls())
                    self.assertEqual("unsupported-stanza-type", plain.ended())
                    continue
                within = self.secured(name(row), self.good)
                self.assertEqual({"starttls": None, "external": SASL in ways, "dialback": OVER_TLS in ways, "other": [],
                                  "limits": {"max-bytes": "262144", "idle-seconds": "600"}}, within.features)

    def test_inbound_external(self):
        for row in VALID:
            if row[0] == "none":
                continue
            with self.subTest(row[:3]):
                stream = self.secured(name(row), self.good)
                if SASL in row[3]:
                    self.assertIsNone(stream.external())
                    stream.open()
                    self.arrives(stream, name(row))
                else:
                    self.assertEqual("invalid-mechanism", stream.external())
                    self.assertEqual("valid", stream.dialback(SECRET), "the same stream goes on")
                    self.arrives(stream, name(row))

    def test_inbound_dialback_over_tls(self):
        for row in VALID:
            if row[0] == "none":
                continue
            with self.subTest(row[:3]):
                stream = self.secured(name(row), self.good)
                if OVER_TLS in row[3]:
                    self.assertEqual("valid", stream.dialback(SECRET))
                    self.arrives(stream, name(row))
                else:
                    self.assertEqual("not-authorized", stream.dialback(SECRET))
                    stream.message("never")
                    self.assertEqual("not-authorized", stream.ended())

    def test_inbound_dialback_over_tcp(self):
        for row in VALID:
            with self.subTest(row[:3]):
                stream = self.dial(name(row)).open()
                if OVER_TCP in row[3]:
                    self.assertEqual("valid", stream.dialback(SECRET))
                    self.arrives(stream, name(row))
                elif row[0] == "required":
                    with self.assertRaises(Refused) as refused:
                        stream.dialback(SECRET)
                    self.assertEqual("policy-violation", str(refused.exception))
                else:
                    self.assertEqual("not-authorized", stream.dialback(SECRET))

    def test_inbound_a_certificate_that_proves_nothing(self):
        for row in VALID:
            if row[0] == "none":
                continue
            for identity in (self.false, None):
                with self.subTest(row=row[:3], shown=bool(identity)):
                    with self.assertRaises(Refused) as refused:
                        self.secured(name(row), identity)
                    self.assertEqual("policy-violation", str(refused.exception))

    def test_inbound_a_stanza_before_the_proof(self):
        for row in VALID:
            with self.subTest(row[:3]):
                stream = self.dial(name(row)).open()
                stream.message("never")
                self.assertEqual("policy-violation" if row[0] == "required" else "not-authorized", stream.ended())
                if row[0] != "none":
                    stream = self.secured(name(row), self.good)
                    stream.message("never")
                    self.assertEqual("not-authorized", stream.ended())

    def test_inbound_direct_tls(self):
        for row in VALID:
            with self.subTest(row[:3]):
                stream = self.dial(name(row), 5270)
                stream.secure(context(self.good, self.authority, False, alpn="xmpp-server"), name="example.lan")
                self.assertEqual("xmpp-server", stream.socket.selected_alpn_protocol())
                if row[0] == "none":
                    with self.assertRaises(Refused) as refused:
                        stream.open()
                    self.assertEqual("unsupported-feature", str(refused.exception))
                elif SASL in row[3]:
                    self.assertIsNone(stream.open().external())
                    self.arrives(stream.open(), name(row))
                else:
                    self.assertEqual("valid", stream.open().dialback(SECRET))
                    self.arrives(stream, name(row))

    def test_inbound_a_certificate_that_nobody_requires(self):
        for identity in (self.false, None):
            stream = self.secured("lax.lan", identity)
            self.assertEqual((False, True), (stream.features["external"], stream.features["dialback"]))
            self.assertEqual("invalid-mechanism", stream.external())
            self.assertEqual("valid", stream.dialback(SECRET))
            self.arrives(stream, "lax.lan")
        stream = self.secured("lax.lan", self.good)
        self.assertIsNone(stream.external())
        self.arrives(stream.open(), "lax.lan")

    def test_inbound_a_pinned_key(self):
        stream = self.secured("pinned.lan", self.pinned)
        self.assertIsNone(stream.external())
        self.arrives(stream.open(), "pinned.lan")
        with self.assertRaises(Refused):
            self.secured("pinned.lan", self.good)
        with self.assertRaises(Refused):
            self.secured(name(VALID[0]), self.pinned)

    def test_inbound_trust_is_each_domains_own(self):
        for domain, identity in (("trusted.lan", self.false), ("alone.lan", self.alone)):
            stream = self.secured(domain, identity)
            self.assertIsNone(stream.external())
            self.arrives(stream.open(), domain)
        for domain, identity in (("trusted.lan", self.good), ("trusted.lan", self.alone), (name(VALID[0]), self.false), ("alone.lan", self.good)):
            with self.subTest(domain=domain), self.assertRaises(Refused):
                self.secured(domain, identity)

    def test_inbound_each_pair_of_a_shared_stream_is_held_to_its_own_terms(self):
        for identity, is_good in ((self.good, True), (self.single, False)):
            stream = self.secured(name(VALID[0]), identity)
            self.assertIsNone(stream.external())
            stream.open()
            for row in VALID[1:]:
                with self.subTest(row=row[:3], good=is_good):
                    outcome = stream.dialback(SECRET, local=name(row))
                    self.assertEqual("valid" if is_good and OVER_TLS in row[3] else "not-authorized", outcome)
            self.arrives(stream, name(VALID[0]))

    def test_inbound_a_header_without_a_name_lets_nobody_off(self):
        for identity, is_good in ((self.good, True), (self.single, False), (None, False)):
            stream = self.dial(None)
            self.assertTrue(stream.open().ask_for_tls())
            stream.secure(context(identity, self.authority, False), name="example.lan").open()
            self.assertFalse(stream.features["external"])
            for row in VALID:
                with self.subTest(row=row[:3], good=is_good):
                    outcome = stream.dialback(SECRET, local=name(row))
                    self.assertEqual("valid" if is_good and OVER_TLS in row[3] else "not-authorized", outcome)

    def test_inbound_the_certificate_of_the_domain_that_is_meant_is_shown(self):
        for meant, name_of_server, shown in (("example.lan", "example.lan", "edge.lan"), ("chat.lan", "chat.lan", "chat.lan"),
                                             ("chat.lan", None, "chat.lan"), ("example.lan", None, "edge.lan"), ("chat.lan", "edge.lan", "edge.lan")):
            with self.subTest(meant=meant, name=name_of_server):
                stream = self.dial("several.lan", 5280)
                stream.remote = meant
                self.assertTrue(stream.open().ask_for_tls())
                stream.secure(context(self.good, self.authority, False), name=name_of_server)
                self.assertEqual(shown, common_name(stream.socket))

    def test_inbound_the_authoritative_server_is_found_by_dns(self):
        stream = self.dial("discovered.lan").open()
        self.assertEqual("valid", stream.dialback(SECRET))
        self.assertIn(("verify", "discovered.lan", True), self.elsewhere.events.all())
        self.arrives(stream, "discovered.lan")

    # ---- outbound: we connect to a foreign server, for a user inside

    def send(self, domain, body):
        """A message from a user inside; gives what became of it: the event at the foreign server, or that of the error inside."""
        if domain not in self.inside:
            # Pairs share a stream, but not more than a hundred of them.
            if len(self.inside) % 50 == 0:
                stream = Stream.dial(self.rig.address("edge_inside"), "example.lan", domain).open()
                self.rig.on_close(stream.close)
            else:
                stream = next(reversed(self.inside.values()))
            self.assertEqual("valid", stream.dialback(NODE_SECRET, remote=domain))
            self.inside[domain] = stream
        self.inside[domain].message(body, "bob@example.lan", f"dave@{domain}")

    def outcome(self, domain, body):
        """How the message got there, or the condition of the error that came back."""
        def is_outcome(event):
            return event[0] == "message" and event[3] == body or event[0] == "error" and event[4] == body
        got = _first(is_outcome, f"a message to {domain}", self.foreign.events, self.node.events)
        if got[0] == "error":
            return got[3]
        methods = [event[3] for event in self.foreign.events.all() if event[:3] == ("proven", domain, "example.lan")]
        self.assertEqual(1, len(methods), methods)
        return methods[0]

    def test_outbound_what_each_combination_does_with_each_kind_of_server(self):
        cases = [(row, kind, f"{kind}.{name(row)}") for row in VALID for kind in SERVERS]
        for _, kind, domain in cases:
            self.send(domain, f"out {domain}")
        for row, kind, domain in cases:
            with self.subTest(row=row[:3], server=kind):
                # Without TLS of its own a row sees nothing of what is wrong with the server's.
                possible = (OVER_TCP,) if row[0] == "none" and "dialback" not in SERVERS[kind][0] else SERVERS[kind][1]
                ways = [way for way in row[3] if way in possible]
                got = self.outcome(domain, f"out {domain}")
                if ways:
                    self.assertEqual(ways[0], got)
                else:
                    self.assertIn(got, ("policy-violation", "remote-server-timeout", "remote-server-not-found", "internal-server-error"))
                connected = [event[2] for event in self.foreign.events.all() if event[:2] == ("connected", domain)]
                if row[0] == "none":
                    self.assertNotIn(True, connected, "TLS was spoken")
                if row[0] == "required":
                    self.assertNotIn(OVER_TCP, [event[3] for event in self.foreign.events.all() if event[:2] == ("proven", domain)])

    def test_outbound_the_fall_to_plaintext_is_logged(self):
        domain = "broken.logged.optional-optional-on.lan"
        self.foreign._manners[domain] = Manners(self.good, tls="broken")
        since = len(self.edge.process.output())
        self.send(domain, "in the clear")
        self.assertEqual(OVER_TCP, self.outcome(domain, "in the clear"))
        self.assertIn(domain, next(line for line in self.edge.process.output()[since:].splitlines() if "spoken to in the clear" in line))

    def test_outbound_a_certificate_that_nobody_requires(self):
        self.send("lax.lan", "to lax")
        self.assertEqual(OVER_TLS, self.outcome("lax.lan", "to lax"))

    def test_outbound_the_certificate_of_the_domain_that_we_speak_for_is_shown(self):
        for local, shown in (("example.lan", "edge.lan"), ("chat.lan", "chat.lan")):
            with self.subTest(local):
                stream = Stream.dial(self.rig.address("edge_inside"), local, "several.lan").open()
                self.addCleanup(stream.close)
                self.assertEqual("valid", stream.dialback(NODE_SECRET))
                stream.message(f"from {local}", f"bob@{local}", "dave@several.lan")
                self.foreign.wait_for_message(f"from {local}")
                self.assertIn(("shown", "several.lan", local, shown), self.foreign.events.all())

    def test_outbound_a_server_is_found_by_dns(self):
        self.send("discovered.lan", "by DNS")
        self.assertEqual("dave@discovered.lan", self.elsewhere.wait_for_message("by DNS")[2])

    def test_outbound_a_pinned_key(self):
        self.send("pinned.lan", "to pinned")
        self.assertEqual(SASL, self.outcome("pinned.lan", "to pinned"))


class Configuration(unittest.TestCase):
    """What `vestibule check` says of each combination."""

    def test_five_combinations_are_refused_and_the_others_accepted_with_their_warnings(self):
        with Rig() as rig:
            authority = Authority(rig)
            for row in ROWS:
                with self.subTest(row[:3]):
                    entry = f'protocol = "xmpp"\ntls = "public"\n{terms(row)}\n[[policy.exception]]\ndomain = "{name(row)}"'
                    edge = Vestibule(rig, BINARY, authority, "example.lan", {name(row): entry})
                    done = subprocess.run(edge.command("check"), capture_output=True, text=True, check=False)
                    said = done.stdout + done.stderr
                    self.assertEqual(0 if row[3] else 1, done.returncode, said)
                    words = f"tls {row[0]}, sasl {row[1]}, dialback {row[2]}: "
                    if row[3] is None:
                        self.assertIn(words, said)
                        self.assertIn("no method is left", said)
                    elif row[4]:
                        self.assertIn(words, said)
                        self.assertIn(row[4], said)
                    else:
                        self.assertNotIn(words, said)


def self_signed(rig, domain):
    """A certificate that nobody vouches for, and that can vouch for nobody."""
    chain, private = rig.path("self-signed", "alone.pem"), rig.path("self-signed", "alone.key")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "7", "-subj",
                    f"/CN={domain}", "-addext", f"subjectAltName=DNS:{domain}", "-addext", "basicConstraints=critical,CA:FALSE",
                    "-keyout", private, "-out", chain], capture_output=True, check=True)
    return Identity(chain, private, None)


def _first(matches, what, *sources):
    """The first event of any of these that matches."""
    return wait_until(lambda: next((event for source in sources for event in source.all() if matches(event)), None), what, DEADLINE)


if __name__ == "__main__":
    unittest.main()

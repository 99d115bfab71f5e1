"""What a certificate has to be on XMPP, on the wire and in both directions: extended key usage, revocation, kinds of keys, and names.
Needs VESTIBULE_BINARY."""

import os
import shutil
import subprocess
import unittest

import resolver
from pki import Authority
from rig import DEADLINE, Rig, wait_until
from vestibule import USER, Vestibule
from xmpp_peer import Manners, Refused, Server, Stream, context

BINARY = os.environ["VESTIBULE_BINARY"]
SECRET, NODE_SECRET = "a secret of the peer", "a secret of the node"

# What a certificate is for, and who takes it of a client, and of a server.
USAGES = {
    "both": ("serverAuth,clientAuth", ("default", "strict", "ignore"), ("default", "strict", "ignore")),
    "server": ("serverAuth", ("default", "ignore"), ("default", "strict", "ignore")),
    "client": ("clientAuth", ("default", "strict", "ignore"), ("default", "ignore")),
    "mail": ("emailProtection", ("ignore",), ("ignore",)),
    "none": ("", ("default", "strict", "ignore"), ("default", "strict", "ignore")),
}
MODES = {"default": "", "strict": 'eku = "strict"', "ignore": 'eku = "ignore"'}
SRV, XMPP = "otherName:1.3.6.1.5.5.7.8.7;IA5:", "otherName:1.3.6.1.5.5.7.8.5;UTF8:"

# The only name in a certificate, whom it proves, and whom it does not.
NAMES = {
    "exact": ("exact.named.lan", ["exact.named.lan"], ["sub.exact.named.lan", "other.named.lan", "named.lan"]),
    "wildcard": ("*.wild.named.lan", ["a.wild.named.lan", "b.wild.named.lan"], ["wild.named.lan", "a.b.wild.named.lan", "awild.named.lan"]),
    "part-wildcard": ("a*.part.named.lan", [], ["ab.part.named.lan", "a.part.named.lan"]),
    "inner-wildcard": ("sub.*.inner.named.lan", [], ["sub.a.inner.named.lan"]),
    "srv": (SRV + "_xmpp-server.srv.named.lan", ["srv.named.lan"], ["a.srv.named.lan", "xmpp-server.srv.named.lan"]),
    "srv-of-clients": (SRV + "_xmpp-client.clients.named.lan", [], ["clients.named.lan"]),
    "address": (XMPP + "address.named.lan", ["address.named.lan"], ["a.address.named.lan"]),
    "user": (XMPP + "dave@user.named.lan", [], ["user.named.lan"]),
    "uri": ("URI:xmpp:uri.named.lan", [], ["uri.named.lan"]),
    "upper-case": ("UPPER.Named.LAN", ["upper.named.lan"], []),
    "a-label": ("xn--bcher-kva.named.lan", ["bücher.named.lan"], ["bucher.named.lan"]),
}


class Certificates(unittest.TestCase):
    """One proxy, a scripted node inside, and a scripted server outside that shows whatever a test wants."""

    @classmethod
    def setUpClass(cls):
        rig = cls.rig = Rig()
        cls.addClassCleanup(rig.close)
        authority = cls.authority = Authority(rig)
        resolver.start(rig, {}, role="outside_resolver")
        relay = rig.address("relay")
        cls.usages = {kind: authority.issue(kind, [f"*.{mode}.lan" for mode in MODES], usage) for kind, (usage, _, _) in USAGES.items()}
        cls.named = {kind: authority.issue(kind, [name]) for kind, (name, _, _) in NAMES.items()}
        cls.doomed = authority.issue("doomed", ["doomed.lan", "*.doomed.lan"])
        cls.spared = authority.issue("spared", ["doomed.lan", "*.doomed.lan"])
        cls.rsa = authority.issue("rsa", ["rsa.lan"], key="rsa")
        cls.list = authority.revocation_list(rig.path("vestibule", "crl", "ours.crl"))
        domains = [f"*.{mode}.lan" for mode in MODES] + ["*.named.lan", "*.doomed.lan", "rsa.lan"]
        context_of = {f"*.{mode}.lan": mode for mode in MODES} | {"*.doomed.lan": "revoking"}
        entries = {domain: f'protocol = "xmpp"\ntls = "{context_of.get(domain, "public")}"\nxmpp = {{ dialback = false }}\n'
                           f'routes = [{{ next_hop = "{relay}", port = 5269, transport = "tcp" }}]\n[[policy.exception]]\ndomain = "{domain}"'
                   for domain in domains}
        public = os.path.join(os.path.dirname(authority.certificate), "edge-public")
        own = f'certificates = [{{ chain = "{public}.pem", key = "{public}.key" }}]\ntrust = ["{authority.certificate}"]\n'
        old = authority.issue("edge-rsa", ["edge.lan", "example.lan"], key="rsa")
        if os.getuid() == 0:
            shutil.chown(old.key, USER)
        tables = "".join(f"[tls.{mode}]\n{own}{key}\n" for mode, key in MODES.items())
        cls.edge = Vestibule(rig, BINARY, authority, "example.lan", entries, link="plain", peer_certificate="optional", extra=f"""
{tables}
[tls.revoking]
{own}crl = ["{os.path.dirname(cls.list)}"]

[tls.dual]
certificates = [{{ chain = "{public}.pem", key = "{public}.key" }}, {{ chain = "{old.chain}", key = "{old.key}" }}]
trust = ["{authority.certificate}"]
peer_certificate = "optional"

[[listen]]
zone = "outside"
protocol = "xmpp"
port = 5280
tls = "dual"
""")
        cls.manners = {"rsa.lan": Manners(cls.rsa)}
        cls.foreign = Server(rig, relay, authority, cls.manners, SECRET)
        cls.node = Server(rig, rig.address("node"), authority, {"example.lan": Manners(tls="off")}, NODE_SECRET)
        cls.edge.start()
        cls.inside = Stream.dial(rig.address("edge_inside"), "example.lan", "rsa.lan").open()
        rig.on_close(cls.inside.close)

    def comes_in(self, domain, identity):
        """Whether the server of a domain is let in with a certificate."""
        stream = Stream.dial(self.rig.address("edge_outside"), domain, "example.lan").open()
        self.addCleanup(stream.close)
        self.assertTrue(stream.ask_for_tls())
        try:
            stream.secure(context(identity, self.authority, False), name="example.lan").open()
        except Refused as refused:
            self.assertEqual("policy-violation", str(refused))
            return False
        self.assertIsNone(stream.external())
        body = f"from {domain} {id(stream)}"
        stream.open().message(body)
        self.node.wait_for_message(body)
        return True

    def goes_out(self, domain, identity):
        """Whether a message goes to the server of a domain that shows a certificate."""
        self.manners[domain] = Manners(identity)
        body = f"to {domain} {id(identity)}"
        self.assertEqual("valid", self.inside.dialback(NODE_SECRET, remote=domain))
        self.inside.message(body, "bob@example.lan", f"dave@{domain}")

        def outcome():
            return [event[3] for event in self.foreign.events.all() if event[0] == "message" and event[3] == body] or [
                event[3] for event in self.node.events.all() if event[0] == "error" and event[4] == body]
        got = wait_until(outcome, f"an outcome of {body}", DEADLINE)[0]
        self.assertIn(got, (body, "policy-violation"))
        return got == body

    def test_extended_key_usage(self):
        for kind, (_, as_client, as_server) in USAGES.items():
            for mode in MODES:
                with self.subTest(usage=kind, mode=mode):
                    domain = f"{kind}.{mode}.lan"
                    self.assertEqual(mode in as_client, self.comes_in(domain, self.usages[kind]), "of a client")
                    self.assertEqual(mode in as_server, self.goes_out(domain, self.usages[kind]), "of a server")

    def test_names(self):
        for kind, (name, proven, unproven) in NAMES.items():
            for domain in proven + unproven:
                with self.subTest(name=name, domain=domain):
                    self.assertEqual(domain in proven, self.comes_in(domain, self.named[kind]), "of a client")
                    self.assertEqual(domain in proven, self.goes_out(domain, self.named[kind]), "of a server")

    def test_a_revoked_certificate_from_the_moment_its_list_is_there(self):
        self.assertTrue(self.comes_in("a.doomed.lan", self.doomed))
        self.assertTrue(self.goes_out("a.doomed.lan", self.doomed))
        self.authority.revocation_list(self.list, [self.doomed])
        self.edge.process.wait_for_text("revocation lists have changed, and were read again")
        self.assertFalse(self.comes_in("a.doomed.lan", self.doomed))
        self.assertFalse(self.goes_out("b.doomed.lan", self.doomed))
        self.assertTrue(self.comes_in("a.doomed.lan", self.spared))
        self.assertTrue(self.goes_out("c.doomed.lan", self.spared))
        self.assertIn("revoked", self.edge.process.output())
        # What is no list changes nothing.
        since = len(self.edge.process.output())
        with open(self.list, "w", encoding="ascii") as broken:
            broken.write("-----BEGIN X509 CRL-----\nthis is none\n")
        self.edge.process.wait_for_text("revocation lists have changed and cannot be used", since=since)
        self.assertFalse(self.comes_in("a.doomed.lan", self.doomed))
        self.assertTrue(self.comes_in("d.doomed.lan", self.spared))

    def test_of_two_certificates_the_one_whose_signature_the_peer_knows(self):
        for ciphers, port, shown in (("ECDHE-RSA-AES256-GCM-SHA384", 5280, "rsa"), ("ECDHE-ECDSA-AES256-GCM-SHA384", 5280, "ec"),
                                     ("ECDHE+AESGCM", 5280, "ec"), ("ECDHE-ECDSA-AES256-GCM-SHA384", 5269, "ec")):
            with self.subTest(ciphers=ciphers, port=port):
                stream = Stream.dial(self.rig.address("edge_outside"), "rsa.lan", "example.lan", port).open()
                self.addCleanup(stream.close)
                self.assertTrue(stream.ask_for_tls())
                made = context(self.rsa, self.authority, False)
                made.maximum_version = made.minimum_version = 0x0303  # TLS 1.2, whose suites name the kind of the signature
                made.set_ciphers(ciphers)
                stream.secure(made, name="example.lan")
                self.assertEqual(shown, _key_of(stream.socket))
                self.assertIsNone(stream.open().external())
                body = f"by {ciphers} at {port}"
                stream.open().message(body)
                self.node.wait_for_message(body)
        self.assertTrue(self.goes_out("rsa.lan", self.rsa))


def _key_of(connection):
    """The kind of the key of the certificate that the other end showed."""
    said = subprocess.run(["openssl", "x509", "-inform", "der", "-noout", "-text"], input=connection.getpeercert(True), capture_output=True, check=True).stdout
    return "rsa" if b"rsaEncryption" in said else "ec"


if __name__ == "__main__":
    unittest.main()

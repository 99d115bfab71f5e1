"""TLS contexts at the SIP edge, as openssl and scripted peers meet them: suites, versions, kinds of keys, who may connect, and what the
administrator reads of those who may not. Needs VESTIBULE_BINARY."""

import os
import re
import shutil
import signal
import subprocess
import unittest

import resolver
from pki import Authority
from rig import DEADLINE, Rig, wait_until
from sip_peer import Peer
from vestibule import USER, Vestibule

BINARY = os.environ["VESTIBULE_BINARY"]
SUITES, MODERN, GUARDED = 5071, 5072, 5073
NAMED = ("TLS_AES_256_GCM_SHA384", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384")


class Contexts(unittest.TestCase):
    """One proxy with a listener for each context that is tried, and a scripted node inside."""

    @classmethod
    def setUpClass(cls):
        rig = cls.rig = Rig()
        cls.addClassCleanup(rig.close)
        authority = cls.authority = Authority(rig)
        resolver.start(rig, {}, role="outside_resolver")
        folder = os.path.dirname(authority.certificate)
        rsa = authority.issue("edge-rsa", ["edge.lan", "example.lan"], key="rsa")
        if os.getuid() == 0:
            shutil.chown(rsa.key, USER)
        ec = f'{{ chain = "{folder}/edge-public.pem", key = "{folder}/edge-public.key" }}'
        both = f'certificates = [{ec}, {{ chain = "{rsa.chain}", key = "{rsa.key}" }}]\ntrust = ["{authority.certificate}"]\n'
        listen = "".join(f'[[listen]]\nzone = "outside"\nprotocol = "sip"\ntransport = "tls"\nport = {port}\ntls = "{name}"\n'
                         for port, name in ((SUITES, "suites"), (MODERN, "modern"), (GUARDED, "guarded")))
        route = f'routes = [{{ next_hop = "{rig.address("alice")}", port = 5061, transport = "tls" }}]'
        cls.edge = Vestibule(
            rig, BINARY, authority, "example.lan", {
                "contoso.lan": f'protocol = "sip"\ntls = "public"\n{route}',
                "hosted.lan": 'protocol = "sip"\ntls = "hosted"\nroutes = [{ next_hop = "sipfed.hoster.lan", port = 5061, transport = "tls" }]',
                "partner.lan": f'protocol = "sip"\ntls = "guarded"\n{route}'},
            link="sip", level="info",
            extra='[[listen]]\nzone = "inside"\nprotocol = "sip"\ntransport = "tls"\nport = 5061\ntls = "internal"\n' + listen
                  + f'[tls.suites]\n{both}cipher_suites = [{", ".join(f"{chr(34)}{name}{chr(34)}" for name in NAMED)}]\n'
                  + f'[tls.modern]\n{both}minimum = "1.3"\n[tls.hosted]\n{both}identity = "route_target"\n'
                  + f'[tls.guarded]\n{both}peer_subjects = ["sip.contoso.lan", "*.partner.lan"]\n')
        cls.bob = Peer(rig, rig.address("node"), identity=authority.issue("node", ["example.lan"]))
        cls.edge.start()
        cls.known = authority.issue("known", ["contoso.lan", "sip.contoso.lan"])
        cls.unknown = authority.issue("unknown", ["contoso.lan", "partner.lan.evil.lan"])

    def handshake(self, port, identity, *options):
        """What openssl says of a handshake, and with `-ign_eof` of what comes after it until the far side closes."""
        command = ["openssl", "s_client", "-connect", f"{self.rig.address('edge_outside')}:{port}", "-CAfile", self.authority.certificate,
                   "-cert", identity.chain, "-key", identity.key, *options]
        done = subprocess.run(command, input="", capture_output=True, text=True, timeout=DEADLINE, check=False)
        return done.stdout + done.stderr

    def suite(self, port, *options):
        """The suite that a handshake ends with."""
        found = re.search(r"Cipher is ([\w-]+)", self.handshake(port, self.known, *options))
        return found.group(1) if found and found.group(1) not in ("(NONE)", "NONE") else None

    def told_after(self, since, *texts):
        """The first log line after an offset that holds all the texts."""
        def found():
            return next((line for line in self.edge.process.output()[since:].splitlines() if all(text in line for text in texts)), None)
        return wait_until(found, f"the log says {texts}", alive=self.edge.process)

    def test_only_the_named_suites_are_negotiated(self):
        for options, expected in (
            (["-tls1_3"], "TLS_AES_256_GCM_SHA384"),
            (["-tls1_3", "-ciphersuites", "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256"], None),
            (["-tls1_2", "-cipher", "ECDHE-RSA-AES128-GCM-SHA256"], "ECDHE-RSA-AES128-GCM-SHA256"),
            (["-tls1_2", "-cipher", "ECDHE-RSA-AES256-GCM-SHA384"], None),
            (["-tls1_2", "-cipher", "ECDHE-ECDSA-AES256-GCM-SHA384"], "ECDHE-ECDSA-AES256-GCM-SHA384"),
            (["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-CHACHA20-POLY1305"], None),
        ):
            with self.subTest(options):
                self.assertEqual(self.suite(SUITES, *options), expected)
        for cipher in ("ECDHE-RSA-AES256-GCM-SHA384", "ECDHE-ECDSA-AES128-GCM-SHA256"):
            self.assertEqual(self.suite(5061 if "ECDSA" in cipher else MODERN, "-tls1_2", "-cipher", cipher), cipher if "ECDSA" in cipher else None,
                             "a context without the key has all, and one of TLS 1.3 none of them")
        self.assertEqual(self.suite(MODERN, "-tls1_3", "-ciphersuites", "TLS_CHACHA20_POLY1305_SHA256"), "TLS_CHACHA20_POLY1305_SHA256")

    def test_the_certificate_is_the_one_whose_signature_the_peer_takes(self):
        for algorithms, kind in (("rsa_pss_rsae_sha256:RSA+SHA256", "RSA"), ("ECDSA+SHA256", "ECDSA")):
            said = self.handshake(MODERN, self.known, "-sigalgs", algorithms, "-client_sigalgs", "ECDSA+SHA256")
            self.assertRegex(said, f"Peer signature type: {kind}", algorithms)
            self.assertIn("Verify return code: 0 (ok)", said)

    def test_who_is_not_among_the_subjects_does_not_connect_and_the_log_says_who_he_is_and_who_may(self):
        since = len(self.edge.process.output())
        said = self.handshake(GUARDED, self.unknown, "-ign_eof")
        self.assertRegex(said, "alert certificate unknown")
        line = self.told_after(since, "TLS refused", "certificate_subject")
        for text in ("contoso.lan, partner.lan.evil.lan", "sip.contoso.lan, *.partner.lan", "peer_subjects"):
            self.assertIn(text, line)
        alice = Peer(self.rig, self.rig.address("relay"), identity=self.known, name="ua.contoso.lan")
        alice.dial(self.rig.address("edge_outside"), GUARDED)
        alice.send("MESSAGE", "sip:bob@example.lan", "alice@contoso.lan", "bob@example.lan", body="hello")
        self.bob.answer(self.bob.request("MESSAGE"), tag="b")
        self.assertEqual(alice.response().status, 200)

    def test_a_domain_whose_own_context_has_subjects_is_proven_by_them_only(self):
        eve = Peer(self.rig, self.rig.address("mallory"), identity=self.authority.issue("lone", ["sip.contoso.example", "contoso.lan"]), name="ua.partner.lan")
        eve.dial(self.rig.address("edge_outside"))
        since = len(self.edge.process.output())
        eve.send("MESSAGE", "sip:bob@example.lan", "eve@partner.lan", "bob@example.lan", body="x")
        self.assertEqual(eve.response().status, 403)
        self.told_after(since, "certificate_subject", "sip.contoso.example, contoso.lan", "sip.contoso.lan, *.partner.lan")

    def test_a_certificate_that_does_not_prove_the_sender_is_told_with_names_and_what_to_do(self):
        eve = Peer(self.rig, self.rig.address("dead"), identity=self.authority.issue("eve", ["fabrikam.lan", "www.fabrikam.lan"]), name="ua.fabrikam.lan")
        eve.dial(self.rig.address("edge_outside"))
        for sender, texts in (("alice@contoso.lan", ["sip:contoso.lan", "identity = \"route_target\""]),
                              ("alice@hosted.lan", ["sipfed.hoster.lan", "next_hop of [[federate]] domain = \"hosted.lan\""])):
            since = len(self.edge.process.output())
            eve.send("MESSAGE", "sip:bob@example.lan", sender, "bob@example.lan", body="x")
            answer = eve.response()
            self.assertEqual(answer.status, 403)
            self.assertNotIn("lan", answer.start, "the peer learns nothing of it")
            self.told_after(since, "certificate_name", "fabrikam.lan, www.fabrikam.lan", *texts)

    def test_a_reload_takes_up_suites_and_subjects(self):
        def count():
            lines = self.edge.samples('vestibule_reloads_total{result="taken"}')
            return int(lines[0].split()[-1]) if lines else 0

        def reload(text):
            with open(self.edge.config, "w", encoding="utf-8") as file:
                file.write(text)
            before = count()
            self.edge.process.popen.send_signal(signal.SIGHUP)
            wait_until(lambda: count() == before + 1, "the reload is taken", alive=self.edge.process)
        with open(self.edge.config, encoding="utf-8") as file:
            text = file.read()
        chacha = ["-tls1_3", "-ciphersuites", "TLS_CHACHA20_POLY1305_SHA256"]
        self.assertEqual(self.suite(SUITES, *chacha), None)
        reload(text.replace("TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256").replace('"*.partner.lan"', '"*.evil.lan"'))
        self.assertEqual(self.suite(SUITES, *chacha), "TLS_CHACHA20_POLY1305_SHA256")
        self.assertEqual(self.suite(SUITES, "-tls1_3", "-ciphersuites", "TLS_AES_256_GCM_SHA384"), None)
        eve = Peer(self.rig, self.rig.address("node2"), identity=self.unknown, name="ua.contoso.lan")
        eve.dial(self.rig.address("edge_outside"), GUARDED)
        eve.send("MESSAGE", "sip:nobody@example.lan", "alice@contoso.lan", "nobody@example.lan", body="x")
        self.bob.answer(self.bob.request("MESSAGE"), 404, "Not Found", tag="b")
        self.assertEqual(eve.response().status, 404)
        reload(text)


if __name__ == "__main__":
    unittest.main()

"""vestibule between two XMPP servers: Prosody inside, Prosody outside, certificates and DNS as on the internet. Needs VESTIBULE_BINARY."""

import os
import unittest
from xml.etree import ElementTree

import chat
import prosody
import resolver
from pki import Authority
from rig import Rig
from vestibule import Vestibule

BINARY = os.environ["VESTIBULE_BINARY"]
FEDERATED = 'protocol = "xmpp"\ntls = "public"\n[[policy.exception]]\ndomain = "partner.lan"'


class XmppFederation(unittest.TestCase):
    """partner.lan is allowed by an exception, stranger.lan is nobody's peer; one outside Prosody at a time plays either."""

    def federation(self, domain, certificate=None, secure=True, terms="", more=""):
        """bob inside, dave at a foreign server outside."""
        rig = self.rig = Rig()
        self.addCleanup(rig.close)
        authority = Authority(rig)
        resolver.start(rig, {"example.lan": rig.address("node")}, rig.address("edge_inside"))
        resolver.start(rig, {"example.lan": rig.address("edge_outside"), "edge.lan": rig.address("edge_outside"), domain: rig.address("relay")}, role="outside_resolver")
        node = prosody.Prosody(rig, "example.lan", authority.issue("node", ["example.lan"]), authority)
        foreign = prosody.Prosody(rig, domain, authority.issue(domain, [certificate or domain]), authority, role="relay",
                                  secure=secure, resolver="outside_resolver")
        self.edge = Vestibule(rig, BINARY, authority, "example.lan", {"partner.lan": terms + FEDERATED + more})
        clients = []
        for server, user in ((node, "bob"), (foreign, "dave")):
            server.register(user, "secret")
            server.start()
        self.edge.start()
        for server, user in ((node, "bob"), (foreign, "dave")):
            clients.append(chat.Client(rig, f"{user}@{server.domain}", "secret", server.address, authority))
        return clients

    def test_messages_pass_both_ways_by_certificate_and_extensions_arrive_unchanged(self):
        bob, dave = self.federation("partner.lan")
        extension = '<x xmlns="urn:example:unknown" a="&lt;1&gt;"><y xmlns="urn:example:inner">text &amp; more</y><z /></x>'
        bob.send("dave@partner.lan", "out: <&> é", extension=extension)
        got = dave.wait_for_message("out: <&> é")
        arrived = ElementTree.fromstring(got[3]).find("{urn:example:unknown}x")
        self.assertEqual(_shape(ElementTree.fromstring(extension)), _shape(arrived))
        self.assertEqual("bob@example.lan/rig", got[1])
        dave.send("bob@example.lan", "in: <&> é", kind="normal")
        self.assertEqual("dave@partner.lan/rig", bob.wait_for_message("in: <&> é")[1])

    def test_the_foreign_server_speaks_first(self):
        bob, dave = self.federation("partner.lan")
        dave.send("bob@example.lan", "hello")
        bob.wait_for_message("hello")
        bob.send("dave@partner.lan", "and back")
        dave.wait_for_message("and back")

    def test_an_error_of_the_far_side_comes_back_to_the_sender(self):
        bob, _dave = self.federation("partner.lan")
        self.assertEqual("service-unavailable", bob.wait_for_error(bob.send("nobody@partner.lan", "anybody?"))[3])

    def test_a_domain_that_is_not_allowed_is_refused_both_ways(self):
        bob, dave = self.federation("stranger.lan")
        self.assertIn("policy-violation", dave.wait_for_error(dave.send("bob@example.lan", "you have won"))[5])
        self.assertIn("policy-violation", bob.wait_for_error(bob.send("dave@stranger.lan", "who are you?"))[5])
        self.assertEqual([], [event for event in bob.events.all() + dave.events.all() if event[0] == "message"])

    def test_a_certificate_for_another_name_is_refused_where_one_is_required(self):
        bob, dave = self.federation("partner.lan", certificate="another.lan", secure=False)
        dave.wait_for_error(dave.send("bob@example.lan", "hello"))
        bob.wait_for_error(bob.send("dave@partner.lan", "hello"))
        self.assertEqual([], [event for event in bob.events.all() + dave.events.all() if event[0] == "message"])

    def test_the_edge_answers_queries_to_its_own_name_from_both_sides(self):
        bob, dave = self.federation("partner.lan")
        ping, disco = '<ping xmlns="urn:xmpp:ping" />', '<query xmlns="http://jabber.org/protocol/disco#info" />'
        for client in (bob, dave):
            self.assertIn('type="result"', client.ask("edge.lan", ping)[5])
            self.assertIn('category="component"', client.ask("edge.lan", disco)[5])
            self.assertIn("service-unavailable", client.ask("edge.lan", '<query xmlns="jabber:iq:version" />')[5])

    def test_queries_between_the_users_of_both_sides_are_answered_by_their_servers(self):
        bob, dave = self.federation("partner.lan")
        ping = '<ping xmlns="urn:xmpp:ping" />'
        self.assertIn('type="result"', bob.ask("partner.lan", ping)[5])
        self.assertIn('type="result"', dave.ask("example.lan", ping)[5])
        self.assertIn("service-unavailable", dave.ask("bob@example.lan/nowhere", ping)[5])

    def test_a_politely_blocked_user_hears_nothing_of_an_edge(self):
        bob, dave = self.federation("partner.lan", more='\n[[policy.block]]\naddress = "dave@partner.lan"')
        error = dave.wait_for_error(dave.send("bob@example.lan", "are you there?"))
        self.assertEqual("service-unavailable", error[3])
        self.assertNotIn("edge", error[5])
        self.assertNotIn("<text", error[5])
        self.assertEqual([], [event for event in bob.events.all() if event[0] == "message"])

    def test_without_sasl_the_domains_are_proven_by_dialback_over_tls(self):
        bob, dave = self.federation("partner.lan", secure=False,
                                    terms='xmpp = { tls = "required", sasl = "off", dialback = true }\n')
        dave.send("bob@example.lan", "hello")
        bob.wait_for_message("hello")
        bob.send("dave@partner.lan", "and back")
        dave.wait_for_message("and back")


def _shape(element):
    return element.tag, dict(element.attrib), element.text or "", [_shape(child) for child in element]


if __name__ == "__main__":
    unittest.main()

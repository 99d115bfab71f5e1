"""The rules of the SIP border on the wire: methods, events, sessions, bodies, and the promise of sips:. Needs VESTIBULE_BINARY."""

import os
import signal
import unittest

import resolver
from pki import Authority
from rig import Rig
from sip_peer import Peer
from vestibule import Vestibule

BINARY = os.environ["VESTIBULE_BINARY"]
SESSION = "v=0\r\no=- 0 0 IN IP4 {0}\r\ns=session\r\nc=IN IP4 {0}\r\nt=0 0\r\n"
MESSAGES = "m=message 5060 sip null\r\n"
CALL = "m=audio 4000 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n"
PRESENCE = ("<presence xmlns='urn:ietf:params:xml:ns:pidf' entity='pres:bob@example.lan'><tuple id='t'><status><basic>open</basic></status>"
            "<contact priority='0.8'>sip:bob@{0}:5061</contact><note>I am at {0}</note></tuple></presence>")


class Border(unittest.TestCase):
    """bob at example.lan inside; outside alice at contoso.lan by TLS, and mallory at fabrikam.lan by TCP. All are scripted."""

    def setUp(self):
        rig = self.rig = Rig()
        self.addCleanup(rig.close)
        authority = Authority(rig)
        resolver.start(rig, {}, role="outside_resolver")

        def entry(role, port, transport):
            return f'protocol = "sip"\ntls = "public"\nroutes = [{{ next_hop = "{rig.address(role)}", port = {port}, transport = "{transport}", allow_less_specific = false }}]\n# terms'
        self.edge = Vestibule(
            rig, BINARY, authority, "example.lan", {"contoso.lan": entry("alice", 5061, "tls"), "fabrikam.lan": entry("mallory", 5060, "tcp")},
            link="sip", extra='[[listen]]\nzone = "inside"\nprotocol = "sip"\ntransport = "tls"\nport = 5061\ntls = "internal"\n'
                              '[[listen]]\nzone = "outside"\nprotocol = "sip"\ntransport = "tcp"\nport = 5060\n')
        self.alice = Peer(rig, rig.address("alice"), identity=authority.issue("alice", ["contoso.lan"]), name="ua.contoso.lan")
        self.mallory = Peer(rig, rig.address("mallory"), port=5060, transport="tcp", name="ua.fabrikam.lan")
        self.bob = Peer(rig, rig.address("node"), identity=authority.issue("node", ["example.lan"]))
        self.edge.start()
        self.alice.dial(rig.address("edge_outside"))
        self.bob.dial(rig.address("edge_inside"))

    def assert_hidden(self, message):
        for name in (self.rig.address("node"), self.rig.address("edge_inside")):
            self.assertNotIn(name, repr(message))

    def to_bob(self, method, **more):
        return self.alice.send(method, "sip:bob@example.lan", "alice@contoso.lan", "bob@example.lan", **more)

    def to_alice(self, method, **more):
        return self.bob.send(method, "sip:alice@contoso.lan", "bob@example.lan", "alice@contoso.lan", **more)

    def test_what_the_terms_do_not_list_is_refused_until_they_list_it(self):
        self.to_bob("REFER", headers=["Refer-To: <sip:carol@contoso.lan>"])
        refused = self.alice.response()
        self.assertEqual(refused.status, 405)
        self.assertIn("SUBSCRIBE", refused.get("Allow"))
        self.assertNotIn("REFER", refused.get("Allow"))
        subscribe = {"headers": ["Contact: <sip:alice@ua.contoso.lan>", "Event: dialog"]}
        self.to_bob("SUBSCRIBE", **subscribe)
        refused = self.alice.response()
        self.assertEqual((refused.status, refused.get("Allow-Events")), (489, "presence"))
        self.edge.process.wait_for_text("[[federate]] contoso.lan: `methods` does not list REFER")
        self.edge.process.wait_for_text('[[federate]] contoso.lan: `events` does not list "dialog"')
        self.assertTrue(self.bob.messages.empty())

        with open(self.edge.config, encoding="utf-8") as file:
            text = file.read().replace("# terms", 'methods = ["REFER", "SUBSCRIBE", "NOTIFY"]\nevents = ["dialog"]', 1)
        seen = len(self.edge.process.output())
        with open(self.edge.config, "w", encoding="utf-8") as file:
            file.write(text)
        os.kill(self.edge.process.pid, signal.SIGHUP)
        self.edge.process.wait_for_text("routes", since=seen)
        self.to_bob("REFER", headers=["Refer-To: <sip:carol@contoso.lan>"])
        self.assertEqual(self.bob.request("REFER").get("Refer-To"), "<sip:carol@contoso.lan>")
        self.to_bob("SUBSCRIBE", **subscribe)
        self.bob.request("SUBSCRIBE")
        self.to_bob("MESSAGE", body="x")
        self.assertEqual(self.alice.response().status, 405)

    def test_sips_goes_on_over_tls_alone(self):
        self.alice.send("MESSAGE", "sips:bob@example.lan", "alice@contoso.lan", "bob@example.lan", body="hello")
        message = self.bob.request("MESSAGE")
        self.assertEqual((message.uri, message.body), ("sips:bob@example.lan", b"hello"))
        self.bob.answer(message, tag="b")
        self.assertEqual(self.alice.response().status, 200)
        self.bob.send("MESSAGE", "sips:alice@contoso.lan", "bob@example.lan", "alice@contoso.lan", body="and back")
        message = self.alice.request("MESSAGE")
        self.assertEqual(message.uri, "sips:alice@contoso.lan")
        self.alice.answer(message, tag="a")
        self.assertEqual(self.bob.response().status, 200)

        # By TCP sip: goes, and sips: does not, whichever way.
        self.mallory.dial(self.rig.address("edge_outside"), 5060)
        self.mallory.send("MESSAGE", "sip:bob@example.lan", "mallory@fabrikam.lan", "bob@example.lan", body="hello")
        self.bob.answer(self.bob.request("MESSAGE"), tag="b")
        self.assertEqual(self.mallory.response().status, 200)
        self.mallory.send("MESSAGE", "sips:bob@example.lan", "mallory@fabrikam.lan", "bob@example.lan", body="hello")
        refused = self.mallory.response()
        self.assertEqual((refused.status, refused.get("Warning")), (480, '380 edge.lan "SIPS Not Allowed"'))
        self.bob.send("MESSAGE", "sips:mallory@fabrikam.lan", "bob@example.lan", "mallory@fabrikam.lan", body="hello")
        self.assertEqual(self.bob.response().status, 480)
        self.assertTrue(self.mallory.messages.empty())

    def test_bodies_show_no_place_inside_but_what_a_person_wrote(self):
        place = self.rig.address("node")
        self.to_alice("NOTIFY", body=PRESENCE.format(place), kind="application/pidf+xml",
                      headers=["Event: presence", "Subscription-State: active", f"Contact: <sip:bob@{place}>"])
        notify = self.alice.request("NOTIFY")
        self.assertIn(b">sip:bob@example.lan</contact>", notify.body)
        self.assertIn(f"I am at {place}".encode(), notify.body)
        self.assertNotIn(f"sip:bob@{place}".encode(), notify.body)
        self.alice.answer(notify)
        self.assertEqual(self.bob.response().status, 200)

        parts = (f"--b\r\nContent-Type: text/plain\r\n\r\nhello\r\n--b\r\nContent-Type: application/pidf+xml\r\n\r\n{PRESENCE.format(place)}"
                 "\r\n--b--\r\n")
        self.to_alice("MESSAGE", body=parts, kind="multipart/mixed;boundary=b")
        message = self.alice.request("MESSAGE")
        self.assertNotIn(f"sip:bob@{place}".encode(), message.body)
        self.alice.answer(message)
        self.assertEqual(self.bob.response().status, 200)

        for kind, body, status in [
                ("application/octet-stream", "x", 415), ("application/dialog-info+xml", f"<a uri='sip:bob@{place}'/>", 403)]:
            self.to_alice("MESSAGE", body=body, kind=kind)
            self.assertEqual(self.bob.response().status, status, kind)
        self.edge.process.wait_for_text('[[federate]] contoso.lan, bodies = "all", would let it pass')
        self.assertTrue(self.alice.messages.empty())

        self.to_bob("MESSAGE", body="hello")
        self.bob.answer(self.bob.request("MESSAGE"), tag="b", body=f"<a uri='sip:bob@{place}'/>", kind="application/xml")
        answer = self.alice.response()
        self.assertEqual((answer.status, answer.body), (200, b""))
        self.edge.process.wait_for_text("a body was taken out of a SIP response")

    def test_nothing_from_outside_is_fetched_inside(self):
        self.to_bob("MESSAGE", body="x", headers=["Alert-Info: <http://ua.contoso.lan/>", "Call-Info: <http://ua.contoso.lan/>", "Subject: s"])
        message = self.bob.request("MESSAGE")
        self.assertEqual((message.get("Alert-Info"), message.get("Call-Info"), message.get("Subject")), (None, None, "s"))

    def test_a_call_that_is_offered_late_comes_to_messages_alone(self):
        contact = ["Contact: <sip:alice@ua.contoso.lan>"]
        self.to_bob("INVITE", headers=contact, call_id="late")
        invite = self.bob.request("INVITE")
        self.assertEqual(invite.body, b"")
        place = self.rig.address("node")
        self.bob.answer(invite, tag="b", headers=[f"Contact: <sip:bob@{place}>"], body=SESSION.format(place) + CALL + MESSAGES, kind="application/sdp")
        offer = self.alice.response()
        self.assertEqual(offer.status, 200)
        self.assert_hidden(offer)
        self.assertIn(b"m=audio 0 RTP/AVP 0\r\nm=message 5060 sip null\r\n", offer.body)
        uri = offer.get("Contact").split("<")[1].split(">")[0]
        route = [f"Route: {value}" for value in reversed(offer.all("Record-Route"))]
        self.alice.send("ACK", uri, "alice@contoso.lan", "bob@example.lan", to_tag="b", call_id="late", headers=route,
                        body=SESSION.format("192.0.2.1") + CALL + MESSAGES, kind="application/sdp")
        answer = self.bob.request("ACK")
        self.assertIn(b"m=audio 0 RTP/AVP 0\r\nm=message 5060 sip null\r\n", answer.body)

    def test_a_call_is_refused_with_a_reason(self):
        self.to_bob("INVITE", headers=["Contact: <sip:alice@ua.contoso.lan>"], body=SESSION.format("192.0.2.1") + CALL, kind="application/sdp",
                    call_id="c", branch="c")
        refused = self.alice.response()
        self.assertEqual((refused.status, refused.get("Warning")), (488, '304 edge.lan "Only sessions of messages pass"'))
        self.edge.process.wait_for_text('[[federate]] contoso.lan, media = "pass", would let it pass')
        self.assertTrue(self.bob.messages.empty())


if __name__ == "__main__":
    unittest.main()

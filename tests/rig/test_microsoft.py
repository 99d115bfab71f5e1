"""A Microsoft organisation outside, a SIP node inside, vestibule between them: every habit of its products on the wire arrives unharmed or
ends at the edge, as it should. Needs VESTIBULE_BINARY."""

import os
import unittest

import microsoft
import resolver
from pki import Authority
from rig import Rig, wait_until
from sip_peer import Peer
from vestibule import Vestibule

BINARY = os.environ["VESTIBULE_BINARY"]
SESSION = "v=0\r\no=- 0 0 IN IP4 {0}\r\ns=session\r\nc=IN IP4 {0}\r\nt=0 0\r\nm=message 5060 sip null\r\na=accept-types:text/plain\r\n"
DISPLAY = 'Zoë "Z" Ångström, 中'.replace('"', r"\"")
ENDS_AT_THE_EDGE = ("P-Asserted-Identity", "ms-edge-proxy-message-trust", "ms-user-logon-data", "ms-keep-alive", "User-Agent", "Server",
                    "Proxy-Authentication-Info")


class Microsoft(unittest.TestCase):
    """alice at a domain of each model outside, bob at example.lan inside."""

    def setUp(self):
        rig = self.rig = Rig()
        self.addCleanup(rig.close)
        authority = Authority(rig)
        resolver.start(rig, {}, role="outside_resolver")
        self.edges, federated = {}, {}
        for number, model in enumerate(microsoft.MODELS):
            domain, port = f"{model.name}.lan", 5061 + number
            self.edges[model.name] = microsoft.Edge(rig, rig.address("alice"), authority.issue(model.name, [domain, f"edge.{domain}"]), authority,
                                                    domain, model, ["edge.lan"], port)
            federated[domain] = ('protocol = "sip"\nprofile = "microsoft"\ntls = "public"\n'
                                 f'routes = [{{ next_hop = "{rig.address("alice")}", port = {port}, transport = "tls" }}]')
        self.vestibule = Vestibule(
            rig, BINARY, authority, "example.lan", federated, link="sip",
            extra='[[listen]]\nzone = "inside"\nprotocol = "sip"\ntransport = "tls"\nport = 5061\ntls = "internal"\n')
        self.bob = Peer(rig, rig.address("node"), identity=authority.issue("node", ["example.lan"]))
        self.vestibule.start()
        self.bob.dial(rig.address("edge_inside"))
        self.addCleanup(self.assert_nothing_wrong)

    def assert_nothing_wrong(self):
        for edge in self.edges.values():
            edge.check()

    def alices(self):
        """alice of each model in turn, connected."""
        for name, edge in self.edges.items():
            with self.subTest(name):
                edge.connect(self.rig.address("edge_outside"))
                yield edge, edge.user("alice", DISPLAY)

    def assert_stripped(self, message):
        for name in ENDS_AT_THE_EDGE:
            self.assertIsNone(message.get(name), name)

    def bob_says(self, method, dialog, cseq, body="", kind="text/plain", headers=()):
        """A request of bob's within a dialog, and its answer."""
        self.bob.send(method, dialog["target"], "bob@example.lan", dialog["far"], tag="b", to_tag=dialog["tag"], call_id=dialog["call_id"],
                      cseq=cseq, body=body, kind=kind, headers=[*(f"Route: {hop}" for hop in dialog["route"]), *headers])
        return None if method == "ACK" else self.bob.response()

    def bob_hears(self, method, status=200, reason="OK", headers=()):
        """A request to bob, answered."""
        request = self.bob.request(method)
        self.bob.answer(request, status, reason, tag="b", headers=headers)
        return request

    def opened_by_them(self):
        """How many connections they have opened to vestibule, as it counts."""
        lines = self.vestibule.samples('vestibule_connections{protocol="sip",role="accepted",side="outside"}')
        return int(lines[0].split()[-1])

    def bobs_contact(self):
        return f"Contact: <sip:bob@{self.rig.address('node')}:5061;transport=tls>"

    def test_messages_pass_both_ways_with_all_that_is_theirs(self):
        for edge, alice in self.alices():
            waiting = alice.page("bob@example.lan", "hello ✓", wait=False)
            request = self.bob_hears("MESSAGE", headers=["Server: secret"])
            self.assertEqual(request.body.decode(), "hello ✓")
            self.assertIn(f'"{DISPLAY}"', request.get("From"))
            self.assertIn(f";epid={alice.epid}", request.get("From"))
            self.assert_stripped(request)
            self.assertEqual(waiting.final().status, 200)
            self.assertIsNone(waiting.final().get("Server"))

            self.bob.send("MESSAGE", f"sip:{alice.address}", "bob@example.lan", alice.address, body="and back")
            alice.hear("message", "and back")
            answer = self.bob.response()
            self.assertEqual(answer.status, 200)
            self.assert_stripped(answer)

    def test_a_session_of_theirs_lives_to_its_end(self):
        for edge, alice in self.alices():
            session = alice.invite("bob@example.lan", "first", wait=False)
            invite = self.bob.request("INVITE")
            text = invite.get("ms-text-format")
            self.assertEqual(text is not None, edge.model.embeds_first)
            if edge.model.embeds_first:
                self.assertTrue(text.endswith("ms-body=Zmlyc3Q="), text)
                self.assertIn(microsoft.FONT, text)
                self.assertEqual(len(invite.all("ms-im-format")), len(edge.model.formats))
            self.assertIn(f"m={edge.model.media} 5060 sip null", invite.body.decode())
            self.assertIn(microsoft.KINDS.strip(), invite.body.decode())
            for supported in ("ms-sender", "ms-embedded-first-message", "timer"):
                self.assertIn(supported, ", ".join(invite.all("Supported")))
            self.assertEqual(len(invite.get("EndPoints").split(",")), 2)
            self.assertIsNotNone(invite.get("Ms-Conversation-ID"))
            self.assert_stripped(invite)
            self.assertEqual(invite.all("Record-Route")[-2:], session.hops, "octet for octet, behind our own")
            self.assertEqual(invite.get("Contact"), f"<{alice.contact}>")

            takes = edge.model.name != "hosted"  # one of them meets a callee that does not take the text
            self.bob.answer(invite, 180, "Ringing", tag="b")
            self.bob.answer(invite, tag="b", kind="application/sdp", body=SESSION.format(self.rig.address("node")),
                            headers=[self.bobs_contact(), *(["Supported: ms-text-format, ms-sender"] if takes else [])])
            said = microsoft.in_background(session.await_answer)
            ack = self.bob.request("ACK")
            self.assertEqual(ack.get("CSeq"), "1 ACK")
            if not (takes and edge.model.embeds_first):
                self.assertEqual(self.bob_hears("MESSAGE").body, b"first")
            self.assertEqual(said().status, 200)
            self.assertEqual(session.said, "embedded" if takes and edge.model.embeds_first else "message")

            dialog = {"target": invite.get("Contact")[1:-1], "far": alice.address, "tag": invite.tag("From"), "call_id": invite.get("Call-ID"),
                      "route": invite.all("Record-Route")}
            for method, do, expected in (("MESSAGE", lambda: session.say("second ✓"), "second ✓"), ("INFO", session.type, '"type"'),
                                         ("INFO", session.rest, '"idle"'), ("UPDATE", session.refresh, "")):
                done = microsoft.in_background(do)
                request = self.bob_hears(method)
                self.assertIn(expected, request.body.decode())
                self.assertEqual(done().status, 200, method)
            self.assertEqual(self.bob_says("MESSAGE", dialog, 1, "his").status, 200)
            self.assertIs(alice.hear("message", "his").session, session)
            self.assertEqual(self.bob_says("INFO", dialog, 2, microsoft.KEYBOARD.format("type"), "application/xml").status, 200)
            alice.hear("typing")
            if edge.model.name == "lync-2013":
                done = microsoft.in_background(session.close)
                self.bob_hears("BYE")
                self.assertEqual(done().status, 200)
            else:
                self.assertEqual(self.bob_says("BYE", dialog, 3).status, 200)
                alice.hear("ended")

    def test_a_session_of_ours_lives_to_its_end(self):
        for edge, alice in self.alices():
            call_id = f"{edge.model.name}@{self.rig.address('node')}"
            self.bob.send("INVITE", f"sip:{alice.address}", "bob@example.lan", alice.address, kind="application/sdp", tag="b", call_id=call_id,
                          body=SESSION.format(self.rig.address("node")),
                          headers=[self.bobs_contact(), "Supported: timer, ms-sender", "ms-text-format: text/plain; charset=UTF-8;ms-body=Zmlyc3Q="])
            ringing = self.bob.response(status=180)
            self.assertEqual(ringing.tag("To") is not None, True)
            accepted = self.bob.response()
            self.assertEqual(accepted.status, 200)
            self.assertIn("ms-text-format", ", ".join(accepted.all("Supported")))
            self.assert_stripped(accepted)
            heard = alice.hear("message", "first")
            dialog = {"target": accepted.get("Contact")[1:-1], "far": alice.address, "tag": accepted.tag("To"), "call_id": call_id,
                      "route": list(reversed(accepted.all("Record-Route")))}
            self.assertEqual(dialog["target"], alice.contact)
            self.assertEqual(dialog["route"][-2:], heard.session.hops, "octet for octet, behind our own")
            self.bob_says("ACK", dialog, 1)
            alice.hear("acknowledged")
            self.assertEqual(self.bob_says("MESSAGE", dialog, 2, "more").status, 200)
            alice.hear("message", "more")
            done = microsoft.in_background(lambda: heard.session.say("answer"))
            self.assertEqual(self.bob_hears("MESSAGE").body, b"answer")
            self.assertEqual(done().status, 200)
            self.assertEqual(self.bob_says("UPDATE", dialog, 3, headers=["Session-Expires: 1800;refresher=uac", "Supported: timer"]).status, 200)
            alice.hear("refreshed")
            done = microsoft.in_background(heard.session.close)
            self.bob_hears("BYE")
            self.assertEqual(done().status, 200)

    def test_their_subscriptions_and_ours_are_notified(self):
        for edge, alice in self.alices():
            alice.notifies_first = False
            asked = microsoft.in_background(lambda: alice.subscribe("bob@example.lan"))
            request = self.bob_hears("SUBSCRIBE", headers=[self.bobs_contact(), "Expires: 3600", "Event: presence"])
            self.assertIn("application/msrtc-event-categories+xml", request.get("Accept"))
            self.assertNotIn("benotify", ",".join(request.all("Supported") + request.all("Proxy-Require")), "what gets no answer is not asked for")
            watched = asked()
            self.assertEqual(watched.answer.status, 200)
            dialog = {"target": request.get("Contact")[1:-1], "far": alice.address, "tag": request.tag("From"), "call_id": request.get("Call-ID"),
                      "route": request.all("Record-Route")}
            self.assertEqual(self.bob_says("NOTIFY", dialog, 1, microsoft.PIDF.format("bob@example.lan", "open"), "application/pidf+xml",
                                           ["Event: presence", "Subscription-State: active;expires=3600", self.bobs_contact()]).status, 200)
            self.assertIn("<basic>open</basic>", alice.hear("notified").text)
            asked = microsoft.in_background(lambda: watched.ask(0))
            self.bob_hears("SUBSCRIBE", headers=[self.bobs_contact(), "Expires: 0"])
            self.assertEqual(asked().answer.status, 200)

            self.bob.send("SUBSCRIBE", f"sip:{alice.address}", "bob@example.lan", alice.address, tag="b", headers=[
                self.bobs_contact(), "Event: presence", "Expires: 600", "Accept: application/pidf+xml", "Supported: ms-benotify, ms-piggyback-first-notify", "Proxy-Require: ms-benotify"])
            answer = self.bob.response()
            self.assertEqual(answer.status, 200)
            self.assertEqual(b"open" in answer.body, edge.model.piggybacks)
            self.assertEqual(answer.get("ms-piggyback-cseq"), "1" if edge.model.piggybacks else None)
            watcher = alice.hear("subscribed").session
            notified = watcher.notify("closed")
            self.assertIn(b"closed", self.bob_hears("NOTIFY").body)
            self.assertEqual(notified.final().status, 200)

    def test_invitations_are_taken_back_and_declined_both_ways(self):
        for edge, alice in self.alices():
            session = alice.invite("bob@example.lan", "first", wait=False)
            invite = self.bob.request("INVITE")
            self.bob.answer(invite, 180, "Ringing", tag="b")
            taken_back = microsoft.in_background(session.cancel)
            self.bob.answer(self.bob.request("CANCEL"))
            self.bob.answer(invite, 487, "Request Terminated", tag="b")
            self.bob.request("ACK")
            self.assertEqual(taken_back().status, 487)

            alice.invited = "ring"
            for number, do in enumerate(("cancel", "decline")):
                call = {"call_id": f"{edge.model.name}{number}", "branch": f"{edge.model.name}{number}", "tag": "b"}
                self.bob.send("INVITE", f"sip:{alice.address}", "bob@example.lan", alice.address, kind="application/sdp", **call,
                              body=SESSION.format(self.rig.address("node")), headers=[self.bobs_contact()])
                self.bob.response(status=180)
                ringing = alice.hear("invited").session
                if do == "cancel":
                    self.bob.send("CANCEL", f"sip:{alice.address}", "bob@example.lan", alice.address, **call)
                    self.assertEqual(self.bob.response().get("CSeq"), "1 CANCEL")
                    alice.hear("cancelled")
                else:
                    ringing.decline(606, "Not Acceptable")
                refusal = self.bob.response()
                self.assertEqual(refusal.status, 487 if do == "cancel" else 606)
                self.assertIsNotNone(refusal.get("ms-diagnostics-public"))
                self.bob.send("ACK", f"sip:{alice.address}", "bob@example.lan", alice.address, to_tag=refusal.tag("To"), **call)

    def test_an_acceptance_that_crosses_their_cancel_makes_a_session_that_is_ended(self):
        for edge, alice in self.alices():
            for accepted_before in (True, False):
                session = alice.invite("bob@example.lan", wait=False)
                invite = self.bob.request("INVITE")
                self.bob.answer(invite, 180, "Ringing", tag="b")
                wait_until(lambda: session.asked.provisional, "it rings")

                def accept():
                    self.bob.answer(invite, tag="b", kind="application/sdp", body=SESSION.format(self.rig.address("node")), headers=[self.bobs_contact()])
                if accepted_before:
                    accept()
                taken_back = microsoft.in_background(session.cancel)
                if not accepted_before:
                    self.bob.answer(self.bob.request("CANCEL"))
                    accept()
                self.assertEqual(taken_back().status, 200)
                session.await_answer()
                seen = self.bob.request()
                if seen.method == "CANCEL":  # it was on its way already
                    self.bob.answer(seen, 481, "Call/Transaction Does Not Exist", tag="b")
                    seen = self.bob.request()
                self.assertEqual((seen.method, seen.get("CSeq")), ("ACK", "1 ACK"))
                ended = microsoft.in_background(session.close)
                self.bob_hears("BYE")
                self.assertEqual(ended().status, 200)

    def test_one_of_their_connections_dies_alone(self):
        edge = self.edges["lync-2013"]
        edge.connect(self.rig.address("edge_outside"))
        alice = edge.user("alice", DISPLAY)
        asked = [alice.page("bob@example.lan", f"m{number}", wait=False) for number in range(8)]
        self.assertEqual([asked[number].connection for number in range(4)], edge.lines, "in turn over all four")
        requests = sorted((self.bob.request("MESSAGE") for _ in asked), key=lambda request: request.body)
        dead = edge.lines[1]
        dead.close()
        wait_until(lambda: dead not in edge.living() and self.opened_by_them() == 3, "vestibule knows that one has ended")
        for request in requests:
            self.bob.answer(request, tag="b")
        for number, transaction in enumerate(asked):
            self.assertEqual(transaction.final().status, 200, number)
            if transaction.connection is dead:
                wait_until(lambda: transaction.answered_on in edge.accepted, "it came on a new connection to whoever proves to be alice's edge")
            else:
                self.assertIs(transaction.answered_on, transaction.connection)
        again = microsoft.in_background(lambda: alice.page("bob@example.lan", "still there"))
        self.bob_hears("MESSAGE")
        self.assertEqual(again().status, 200)

    def test_a_connection_to_them_that_dies_is_told_to_its_sender_alone(self):
        lync, ocs = self.edges["lync-2013"], self.edges["ocs-2007-r2"]
        ann, alice = lync.user("alice"), ocs.user("alice")
        ann.answers["MESSAGE"] = alice.answers["MESSAGE"] = None
        for user in (ann, alice):
            self.bob.send("MESSAGE", f"sip:{user.address}", "bob@example.lan", user.address, body="held", call_id=user.address)
        held = ann.hear("message").request, alice.hear("message").request
        ann.answers.clear()
        lync.close()
        told = self.bob.response()
        self.assertEqual(told.get("Call-ID"), ann.address)
        self.assertGreaterEqual(told.status, 500)
        ocs.answer(held[1])
        answer = self.bob.response()
        self.assertEqual((answer.get("Call-ID"), answer.status), (alice.address, 200))


if __name__ == "__main__":
    unittest.main()

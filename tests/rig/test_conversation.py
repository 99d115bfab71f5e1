"""Conversations between users of XMPP inside and of a Microsoft organisation outside: a real Prosody with a real client, and each product
of the scripted organisation. Needs VESTIBULE_BINARY."""

import os
import signal
import unittest

import chat
import microsoft
import prosody
import resolver
from pki import Authority
from rig import Rig, wait_until
from vestibule import Vestibule

BINARY = os.environ["VESTIBULE_BINARY"]
STATES = "http://jabber.org/protocol/chatstates"
BOB = "bob@example.lan"


ACTIVE = f'<active xmlns="{STATES}"/>'


class Fixture(unittest.TestCase):
    """alice at a domain of each model outside, bob at Prosody inside."""

    models = microsoft.MODELS

    @classmethod
    def setUpClass(cls):
        rig = cls.rig = Rig()
        cls.addClassCleanup(rig.close)
        authority = Authority(rig)
        resolver.start(rig, {"example.lan": rig.address("node")}, rig.address("edge_inside"))
        resolver.start(rig, {}, role="outside_resolver")
        node = cls.node = prosody.Prosody(rig, "example.lan", authority.issue("node", ["example.lan"]), authority)
        cls.edges, federated = {}, {}
        for number, model in enumerate(cls.models):
            domain, port = f"{model.name}.lan", 5061 + number
            cls.edges[model.name] = microsoft.Edge(rig, rig.address("alice"), authority.issue(model.name, [domain, f"edge.{domain}"]),
                                                   authority, domain, model, ["edge.lan"], port)
            federated[domain] = ('protocol = "sip"\nprofile = "microsoft"\ntls = "public"\n'
                                 f'routes = [{{ next_hop = "{rig.address("alice")}", port = {port}, transport = "tls" }}]')
        cls.vestibule = Vestibule(rig, BINARY, authority, "example.lan", federated)
        node.register("bob", "secret")
        node.start()
        cls.vestibule.start()
        cls.bob = chat.Client(rig, BOB, "secret", node.address, authority)
        for edge in cls.edges.values():
            edge.connect(rig.address("edge_outside"))

    def alices(self):
        """A user of each model, whom nobody knows yet."""
        return [(edge, edge.user(f"alice{len(edge.users)}", "Alice Ängström")) for edge in self.edges.values()]

    def tearDown(self):
        for edge in self.edges.values():
            edge.check()

    def bob_sees(self, state, alice):
        """Waits until bob has been shown a chat state of alice's."""
        def seen():
            return any(f'<{state} xmlns="{STATES}"' in text and alice.address in text for way, text in list(self.bob.raw) if way == "<-")
        wait_until(seen, f"bob sees that {alice.address} is {state}")



class Conversation(Fixture):
    """What users say to each other, and what becomes of it."""

    def test_they_begin_and_both_write_type_and_leave(self):
        for edge, alice in self.alices():
            with self.subTest(edge.model.name):
                name = edge.model.name
                session = alice.invite(BOB, f"hello from {name}")
                self.assertEqual("embedded" if edge.model.embeds_first else "message", session.said)
                got = self.bob.wait_for_message(f"hello from {name}")
                self.assertEqual(alice.address, got[1].split("/")[0])
                self.bob.send(got[1], f"and back to {name}", extension=ACTIVE)
                heard = alice.hear("message", f"and back to {name}")
                self.assertIs(heard.session, session)
                for number in range(5):
                    self.assertEqual(200, session.say(f"{name} {number} <&> ✓").status)
                for number in range(5):
                    self.bob.wait_for_message(f"{name} {number} <&> ✓")
                self.assertEqual(200, session.type().status)
                self.bob_sees("composing", alice)
                self.bob.send(alice.address, "", extension=f'<composing xmlns="{STATES}"/>')
                alice.hear("typing")
                self.assertEqual(200, session.refresh().status)
                self.assertEqual(200, session.close().status)
                self.bob_sees("gone", alice)

    def test_bob_begins_and_all_he_wrote_arrives_in_order(self):
        for edge, alice in self.alices():
            with self.subTest(edge.model.name):
                alice.invited = "ring"
                for number in range(5):
                    self.bob.send(alice.address, f"{edge.model.name} {number}")
                ringing = alice.hear("invited")
                self.assertFalse(alice.has_heard("message"))
                ringing.session.accept()
                for number in range(5):
                    heard = alice.hear("message", f"{edge.model.name} {number}")
                    self.assertIs(heard.session, ringing.session)
                self.assertEqual(200, ringing.session.say(f"{edge.model.name}: got them").status)
                self.bob.wait_for_message(f"{edge.model.name}: got them")
                self.bob.send(alice.address, "", extension=f'<gone xmlns="{STATES}"/>')
                alice.hear("ended")

    def test_what_they_refuse_bob_is_told(self):
        for edge, alice in self.alices():
            with self.subTest(edge.model.name):
                for status, reason, condition in ((486, "Busy Here", "recipient-unavailable"), (404, "Not Found", "item-not-found"),
                                                  (603, "Decline", "recipient-unavailable")):
                    alice.invited = (status, reason)
                    error = self.bob.wait_for_error(self.bob.send(alice.address, "anybody?"))
                    self.assertEqual(condition, error[3])
                    self.assertIn(reason, error[5])
                alice.invited = (488, "Not Acceptable Here")
                self.bob.send(alice.address, f"{edge.model.name}: then alone")
                heard = alice.hear("message", f"{edge.model.name}: then alone")
                self.assertIsNone(heard.session)

    def test_a_session_that_they_lost_is_begun_again(self):
        for edge, alice in self.alices():
            with self.subTest(edge.model.name):
                self.bob.send(alice.address, "one")
                first = alice.hear("message", "one").session
                first.forget()
                self.bob.send(alice.address, "two")
                second = alice.hear("message", "two").session
                self.assertIsNot(first, second)

    def test_who_is_not_there_is_said_by_the_answer(self):
        for edge, alice in self.alices():
            with self.subTest(edge.model.name):
                self.assertIn(alice.page("nobody@example.lan", "hello").status, (403, 480, 404, 604))
                session = alice.invite("nobody@example.lan", "hello", wait=False)
                session.await_answer()
                said = session.asked.final() if session.over else session.first
                self.assertIn(said.status, (403, 404, 480, 604))

    def test_what_they_call_back_while_its_text_waits_is_not_accepted(self):
        for edge, alice in self.alices():
            if not edge.model.embeds_first:
                continue
            with self.subTest(edge.model.name):
                name = edge.model.name
                self.bob.send(alice.address, f"{name}: are you there?")  # its server answers pings, so its silence is no consent
                alice.hear("message", f"{name}: are you there?").session.close()
                os.kill(self.node.process.pid, signal.SIGSTOP)
                try:
                    session = alice.invite(BOB, f"{name}: never mind", wait=False)
                    self.assertEqual(487, session.cancel().status)
                    self.assertEqual(200, session.cancelled)
                finally:
                    os.kill(self.node.process.pid, signal.SIGCONT)
                self.bob.wait_for_message(f"{name}: never mind")  # it was on its way
                session = alice.invite(BOB, f"{name}: here I am")
                self.bob.wait_for_message(f"{name}: here I am")
                self.assertEqual(200, session.close().status)

    def test_who_shows_no_states_is_told_none(self):
        edge, alice = self.alices()[2]
        session = alice.invite(BOB, "quiet please")
        first = self.bob.wait_for_message("quiet please")
        self.assertIn("<active", first[3])  # it asks
        self.bob.send(first[1], "as you like")
        alice.hear("message", "as you like")
        self.assertEqual(200, session.type().status)
        self.assertEqual(200, session.say("go on").status)
        self.assertNotIn(STATES, self.bob.wait_for_message("go on")[3])
        shown = [text for way, text in list(self.bob.raw) if way == "<-" and alice.address in text and "<composing" in text]
        self.assertEqual([], shown)
        self.assertEqual(200, session.close().status)

    def test_invitations_that_cross_are_one_conversation(self):
        for edge, alice in self.alices():
            with self.subTest(edge.model.name):
                name, alice.invited = edge.model.name, "ring"
                self.bob.send(alice.address, f"{name}: hello")
                ringing = alice.hear("invited").session
                session = alice.invite(BOB, f"{name}: me too")
                self.bob.wait_for_message(f"{name}: me too")
                self.assertIs(session, alice.hear("message", f"{name}: hello").session)
                ringing.accept()
                alice.hear("acknowledged")
                self.bob.send(alice.address, f"{name}: once")
                alice.hear("message", f"{name}: once")
                self.assertEqual(200, session.say(f"{name}: and back").status)
                self.bob.wait_for_message(f"{name}: and back")
                self.assertEqual([], alice.has_heard("message"))

    def test_of_devices_that_accept_the_first_is_kept(self):
        for edge, alice in self.alices():
            with self.subTest(edge.model.name):
                alice.invited = "ring"
                self.bob.send(alice.address, "who takes it?")
                first = alice.hear("invited").session
                first.accept()
                self.assertIs(first, alice.hear("message", "who takes it?").session)
                edge.answer(first.invite, 200, "OK", [("Contact", f"<{alice.contact}>")], alice.session_text(), "second", "application/sdp",
                            reversed(first.hops))
                for method in ("ACK", "BYE"):
                    wait_until(lambda: any(seen.method == method and seen.tag("To") == "second" for seen in list(edge.seen)),
                               f"the second device of {edge.model.name} gets {method}")
                self.bob.send(alice.address, "go on")
                self.assertIs(first, alice.hear("message", "go on").session)

    def test_what_is_no_conversation_of_two_is_refused_in_words(self):
        three = f"<sip:{BOB}>, <sip:b@x.lan>, <sip:c@x.lan>"
        for edge, alice in self.alices():
            for status, words, how in ((488, "two people", {"more": [("EndPoints", three)]}),
                                       (488, "two people", {"more": [("TriggeredInvite", "TRUE")]}),
                                       (488, "two people", {"more": [("Require", "com.microsoft.rtc-multiparty")]}),
                                       (488, "meetings", {"body": b"<Conferencing/>", "kind": "application/ms-conf-invite+xml"}),
                                       (603, "files", {"body": b"Application-Name: File Transfer", "kind": "text/x-msmsgsinvite"})):
                with self.subTest(f"{edge.model.name} {how}"):
                    session = alice.invite(BOB, **how)
                    self.assertTrue(session.over)
                    answer = session.asked.final()
                    self.assertEqual(status, answer.status)
                    self.assertIn(words, answer.start)


class Stop(Fixture):
    """An orderly stop in the middle of conversations."""

    models = (microsoft.LYNC,)

    def test_sessions_are_ended_and_what_waits_is_told(self):
        (edge, open_alice), (_, calling), (_, ringing) = self.alices() + self.alices() + self.alices()
        self.bob.send(open_alice.address, "hello", extension=ACTIVE)
        open_alice.hear("message", "hello")
        session = calling.invite(BOB, "it is me")
        self.bob.wait_for_message("it is me")
        ringing.invited = "ring"
        waiting = self.bob.send(ringing.address, "pick up")
        ringing.hear("invited")
        self.vestibule.process.popen.terminate()
        open_alice.hear("ended")
        calling.hear("ended")
        self.assertTrue(session.over)
        self.bob_sees("gone", open_alice)
        self.assertEqual("resource-constraint", self.bob.wait_for_error(waiting, 20)[3])
        ringing.hear("cancelled")
        self.vestibule.process.popen.wait(20)


if __name__ == "__main__":
    unittest.main()

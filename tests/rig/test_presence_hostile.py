"""What no honest element sends about presence: each gets the right answer, and changes nothing. Needs VESTIBULE_BINARY."""

import unittest

import presence
from presence import a_tuple, pidf
from presence_case import BOB, SUBSCRIPTIONS, Case
from rig import Failed

ENTITIES = ('<?xml version="1.0"?><!DOCTYPE presence [<!ENTITY a "aaaaaaaaaaaaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;"><!ENTITY c SYSTEM "file:///etc/passwd">]>'
            f'<presence xmlns="{presence.PIDF}" entity="pres:x"><tuple id="t"><status><basic>open</basic></status><note>&b;&c;</note></tuple></presence>')


class Hostile(Case):
    """alice of contoso.lan and bob see each other; eve of fabrikam.lan is federated too, mallory with nobody."""

    extra = ('[[policy.block]]\naddress = "polite@contoso.lan"\nstyle = "polite"\n[[policy.block]]\naddress = "rude@contoso.lan"\nstyle = "explicit"\n'
             '[[policy.exception]]\ndomain = "denied.lan"\naction = "deny"\n')

    @classmethod
    def federated(cls):
        """Three domains, one of them denied by the policy."""
        return {"contoso.lan": cls.domain("alice"), "fabrikam.lan": cls.domain("simone"), "denied.lan": cls.domain("mallory")}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.fabrikam, cls.denied = cls.agent("fabrikam.lan", "simone"), cls.agent("denied.lan", "mallory")
        cls.alice = cls.contoso.user("alice")
        cls.alice.show("open", activity="busy", note="the truth")
        cls.served = cls.befriend(cls(), cls.bob, cls.alice)
        cls.watched = cls.watch(cls(), cls.alice)
        cls.rounds = 0

    def runTest(self):
        """For the set-up, which uses what tests use."""

    def setUp(self):
        super().setUp()
        self.mark = self.bob.mark()

    def tearDown(self):
        """Nothing has changed, and what is true still crosses."""
        cls = type(self)
        cls.rounds += 1
        self.sees(self.bob, self.alice, ("dnd", "the truth"))
        self.assertTrue(self.served.lives(), "the subscription stands")
        self.assertEqual(1, len(self.alice.watched(BOB)))
        since = len(self.watched.notices)
        self.bob.presence(show="away", status=f"round {self.rounds}")
        self.watched.wait_for("active", note=f"round {self.rounds}", since=since)
        self.alice.show("open", activity="away", note=f"round {self.rounds}")
        self.sees(self.bob, self.alice, ("away", f"round {self.rounds}"))
        self.alice.show("open", activity="busy", note="the truth")
        self.sees(self.bob, self.alice, ("dnd", "the truth"))
        for agent in (self.fabrikam, self.denied):
            agent.check()
        super().tearDown()

    def notified(self, within=30, **more):
        """The answer to a NOTIFY of the good subscription, with something wrong in it."""
        more = {"state": "active;expires=600", "body": pidf(self.alice.address, a_tuple("open", note="a lie")), "kind": presence.TYPE, **more}
        return self.served.notify(**more).final(within)

    def test_a_notification_outside_every_dialog(self):
        body = pidf(self.alice.address, a_tuple("open", note="a lie"))
        fields = ["Contact: <sip:alice@contoso.lan>", "Event: presence", "Subscription-State: active;expires=600"]
        for to_tag in (None, "guessed", self.served.far_tag):
            with self.subTest(to_tag):
                asked = self.contoso.ask("NOTIFY", f"sip:{BOB}", self.alice.address, BOB, tag="x", to_tag=to_tag, headers=fields, body=body, kind=presence.TYPE)
                self.assertEqual(481, asked.final().status)
        asked = self.contoso.ask("NOTIFY", self.served.target, self.alice.address, BOB, tag="other", to_tag=self.served.far_tag, call_id=self.served.call_id,
                                 cseq=900, headers=fields, body=body, kind=presence.TYPE)
        self.assertEqual(481, asked.final().status, "of a fork that was not taken")

    def test_a_notification_of_another_domain(self):
        fields = ["Contact: <sip:eve@fabrikam.lan>", "Event: presence", "Subscription-State: active;expires=600"]
        for from_, status in ((self.alice.address, (403,)), ("eve@fabrikam.lan", (481, 403))):
            with self.subTest(from_):
                asked = self.fabrikam.ask("NOTIFY", self.served.target, from_, BOB, tag=self.served.tag, to_tag=self.served.far_tag, call_id=self.served.call_id,
                                          cseq=901, headers=fields, body=pidf(from_, a_tuple("open", note="a lie")), kind=presence.TYPE)
                self.assertIn(asked.final().status, status)
        ended = self.fabrikam.ask("SUBSCRIBE", self.watched.target, "eve@fabrikam.lan", BOB, tag=self.watched.tag, to_tag=self.watched.far_tag,
                                  call_id=self.watched.call_id, cseq=50, headers=[*fields[:2], "Expires: 0"])
        self.assertIn(ended.final().status, (481, 403))

    def test_a_notification_out_of_order(self):
        self.assertEqual(200, self.served.notify().final().status)
        for number in (1, self.served.cseq):
            with self.subTest(number):
                self.assertEqual(500, self.notified(cseq=number).status)

    def test_a_notification_for_another_watcher(self):
        carol = "carol@example.lan"
        fields = ["Contact: <sip:alice@contoso.lan>", "Event: presence", "Subscription-State: active;expires=600"]
        asked = self.contoso.ask("NOTIFY", f"sip:{carol}", self.alice.address, carol, tag=self.served.tag, to_tag=self.served.far_tag, call_id=self.served.call_id,
                                 cseq=902, headers=fields, body=pidf(self.alice.address, a_tuple("open", note="a lie")), kind=presence.TYPE)
        self.assertEqual(481, asked.final().status)
        self.assertEqual([], self.carol.seen_of(self.alice.address))

    def test_documents_that_are_none(self):
        entity = self.alice.address
        for name, body, kind, status in (
                ("entities", ENTITIES, presence.TYPE, (400,)),
                ("garbled", pidf(entity, a_tuple("open"))[:-20], presence.TYPE, (400,)),
                ("no presence", "<other/>", presence.TYPE, (400,)),
                ("not UTF-8", pidf(entity, a_tuple("open", note="X")).encode().replace(b"X", b"\xff\xfe"), presence.TYPE, (400,)),
                ("deep", "<a>" * 3000 + "</a>" * 3000, presence.TYPE, (400,)),
                ("unknown", "hello", "text/plain", (415,)),
                ("long", pidf(entity, a_tuple("open", note="x" * 70_000)), presence.TYPE, (413, 513, None))):
            with self.subTest(name):
                try:
                    answer = self.notified(body=body, kind=kind)
                except Failed:
                    self.assertIn(None, status, "the connection may end for what is too long")
                    continue
                self.assertIn(answer.status, status)
                if answer.status == 415:
                    self.assertIn(presence.TYPE, answer.get("Accept") or "")

    def test_a_notification_with_its_fields_wrong(self):
        self.assertEqual(489, self.notified(event="dialog").status)
        self.assertIn(self.notified(event="presence.winfo").status, (481, 489))
        self.assertIn(self.notified(event="presence;id=other").status, (481, 489))
        self.assertEqual(400, self.notified(state="").status)

    def test_a_subscription_without_an_event_or_to_another(self):
        for event, status in ((None, 489), ("dialog", 489), ("presence.winfo", 489), ("presencex", 489)):
            with self.subTest(event):
                answer = self.contoso.watch("u", BOB, event=event).answer
                self.assertEqual(status, answer.status)
                self.assertIn("presence", answer.get("Allow-Events") or "")

    def test_a_subscription_for_no_time_that_is_one(self):
        for expires, status in ((1, 423), (59, 423)):
            with self.subTest(expires):
                answer = self.contoso.watch("u", BOB, expires).answer
                self.assertEqual(status, answer.status)
                self.assertLessEqual(int(answer.get("Min-Expires")), 3600)
        for expires in (4_294_967_295, 999_999):
            with self.subTest(expires):
                watch = self.contoso.watch("polite", BOB, expires)
                self.assertEqual(200, watch.answer.status)
                self.assertLessEqual(int(watch.answer.get("Expires")), 86_400)
                watch.wait_for("active")
                self.assertEqual(200, watch.end().status)
                watch.wait_for("terminated")
        self.assertEqual(400, self.contoso.watch("u", BOB, "soon").answer.status)

    def test_a_subscription_that_takes_no_document_of_ours(self):
        answer = self.contoso.watch("u", BOB, accept="application/x-mine").answer
        self.assertEqual(406, answer.status)
        self.assertIn(presence.TYPE, answer.get("Accept") or "")
        answer = self.contoso.watch("u", BOB, headers=["Require: x-mine"]).answer
        self.assertEqual((420, "x-mine"), (answer.status, answer.get("Unsupported")))

    def test_a_subscription_within_a_dialog_that_is_none_and_out_of_order(self):
        asked = self.contoso.ask("SUBSCRIBE", self.watched.target, self.alice.address, BOB, tag="x", to_tag="y",
                                 headers=["Contact: <sip:alice@contoso.lan>", "Event: presence", "Expires: 600"])
        self.assertEqual(481, asked.final().status)
        fields = {"tag": self.watched.tag, "to_tag": self.watched.far_tag, "call_id": self.watched.call_id,
                  "headers": [f"Contact: {self.contoso.contact('alice')}", "Event: presence", "Expires: 0"]}
        self.assertEqual(200, self.watched.refresh().status)
        asked = self.contoso.ask("SUBSCRIBE", self.watched.target, self.alice.address, BOB, cseq=self.watched.cseq - 1, **fields)
        self.assertEqual(500, asked.final().status)

    def test_nobody_is_shown_to_be_there_or_not(self):
        watch = self.contoso.watch("u", "nobody@example.lan")
        self.assertEqual(200, watch.answer.status)
        watch.wait_for()
        once = self.contoso.watch("u", "nobody@example.lan", 0)
        self.assertEqual(200, once.answer.status)
        once.wait_for("terminated")
        for notice in watch.notices + once.notices:
            self.assertFalse(notice.document and notice.document.shows(basic="open"))

    def test_a_user_of_another_domain(self):
        for agent, who in ((self.fabrikam, "alice@contoso.lan"), (self.contoso, "bob@example.lan"), (self.contoso, "someone@elsewhere.lan")):
            with self.subTest(who):
                asked = agent.ask("SUBSCRIBE", f"sip:{BOB}", who, BOB, headers=["Contact: <sip:x@fabrikam.lan>", "Event: presence", "Expires: 600"])
                self.assertEqual(403, asked.final().status)
        self.assertEqual([], self.bob.seen_of(self.alice.address, self.mark, SUBSCRIPTIONS))

    def test_a_denied_domain_never_reaches_the_inside(self):
        watch = self.denied.watch("mallory", BOB)
        self.assertEqual(403, watch.answer.status)
        self.bob.presence("subscribe", "mallory@denied.lan")
        self.assertEqual("error", self.bob.wait_for_presence("mallory@denied.lan", "error")[2])
        self.reached(self.bob, self.alice)
        self.assertEqual([], self.bob.seen_of("mallory@denied.lan", self.mark, (*SUBSCRIPTIONS, None)))
        self.assertEqual([], self.denied.user("mallory").asked)
        self.assertEqual([], watch.notices)

    def test_who_is_blocked(self):
        polite = self.contoso.watch("polite", BOB)
        self.assertEqual(200, polite.answer.status)
        polite.wait_for("active", "closed")
        rude = self.contoso.watch("rude", BOB)
        if rude.answer.status == 200:
            self.assertEqual("rejected", rude.wait_for("terminated").parameters["reason"])
        else:
            self.assertIn(rude.answer.status, (403, 603))
        heard = len(polite.notices)
        self.bob.presence(show="dnd", status="not for all")
        self.watched.wait_for("active", note="not for all")
        self.assertEqual(200, polite.refresh().status)
        polite.wait_for("active", "closed", since=heard)
        self.assertEqual(200, polite.end().status)
        polite.wait_for("terminated")
        for notice in polite.notices + rude.notices:
            self.assertFalse(notice.document and notice.document.shows(basic="open"))
        self.reached(self.bob, self.alice)
        for who in ("polite@contoso.lan", "rude@contoso.lan"):
            self.assertEqual([], self.bob.seen_of(who, self.mark), "he is asked nothing")

    def test_a_subscriber_that_answers_nothing_delays_no_other(self):
        silent, others = self.someone(), [self.someone() for _ in range(3)]
        dumb = self.watch(silent)
        dumb.answers = None
        watches = [self.watch(other) for other in others]
        for number in range(5):
            self.bob.presence(show="away", status=f"change {number}")
            for watch in watches:
                watch.wait_for("active", note=f"change {number}")
        for watch in watches:
            self.assertEqual(200, watch.end().status)


if __name__ == "__main__":
    unittest.main()

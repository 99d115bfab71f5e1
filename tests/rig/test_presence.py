"""Presence between users of XMPP inside, at a real server with real clients and rosters, and of SIP SIMPLE outside: who sees whom, in which
state, and for how long. Needs VESTIBULE_BINARY."""

import unittest
from xml.etree import ElementTree

import presence
from presence import a_person, a_tuple
from presence_case import BOB, CAROL, SUBSCRIPTIONS, Case

FROM_SIP = [
    # A tuple, what its person does, and what a user of XMPP is shown (specification: interworking sections 7 and 12).
    ({"basic": "open"}, None, ("available", "")),
    ({"basic": "open"}, "away", ("away", "")),
    ({"basic": "open"}, "busy", ("dnd", "Busy")),
    ({"basic": "open"}, "meal", ("away", "")),
    ({"basic": "open"}, "on-the-phone", ("dnd", "On the phone")),
    ({"basic": "open"}, "lunch", ("away", "")),
    ({"basic": "open"}, "meeting", ("dnd", "In a meeting")),
    ({"basic": "open"}, "sleeping", ("away", "")),
    ({"basic": "open"}, "presentation", ("dnd", "Presenting")),
    ({"basic": "open"}, "holiday", ("xa", "")),
    ({"basic": "open"}, "appointment", ("dnd", "In a meeting")),
    ({"basic": "open"}, "vacation", ("xa", "")),
    ({"basic": "open"}, "travel", ("away", "")),
    ({"basic": "open"}, "permanent-absence", ("xa", "")),
    ({"basic": "open"}, "spectator", ("away", "")),
    ({"basic": "open", "show": "chat"}, None, ("chat", "")),
    ({"basic": "open", "show": "away"}, None, ("away", "")),
    ({"basic": "open", "show": "xa"}, "busy", ("xa", "")),
    ({"basic": "open", "show": "dnd"}, None, ("dnd", "Do not disturb")),
    ({"basic": "open", "more": '<im:im xmlns:im="urn:ietf:params:xml:ns:pidf:im">away</im:im>'}, None, ("away", "")),
    ({"basic": "open", "note": "Back at <noon> & later"}, "busy", ("dnd", "Back at <noon> & later")),
    ({"basic": "closed"}, None, None),
    ({"basic": "open", "note": "é ✓ 中"}, None, ("available", "é ✓ 中")),
    ({"basic": "closed", "show": "chat"}, "busy", None),
]
FROM_XMPP = [
    # What a user of XMPP sends, and what the tuple and the person of the notification say.
    ({"show": "away"}, {"basic": "open", "show": "away", "person": "away"}),
    ({}, {"basic": "open", "show": "", "activity": "", "person": ""}),
    ({"show": "dnd"}, {"basic": "open", "show": "dnd", "person": "busy"}),
    ({"show": "chat"}, {"basic": "open", "show": "chat", "person": ""}),
    ({"show": "xa"}, {"basic": "open", "show": "xa", "person": "away"}),
    ({"status": "in a <meeting> & more ✓"}, {"basic": "open", "show": "", "note": "in a <meeting> & more ✓", "person": ""}),
    ({"show": "dnd", "status": "not now"}, {"basic": "open", "show": "dnd", "note": "not now", "person": "busy"}),
]


class Crossing:
    """What holds with every XMPP server inside."""

    def test_a_user_inside_asks_and_is_shown_the_state_once_he_may(self):
        alice = self.someone("open", activity="busy", note="Writing")
        alice.policy = "pending"
        mark = self.bob.mark()
        self.bob.presence("subscribe", alice.address)
        served = alice.wait_for_watcher(BOB)
        self.assertEqual(200, served.told[0].final().status)
        self.passed(self.bob, alice)
        self.assertEqual([], self.bob.seen_of(alice.address, mark), "what is pending is silent (RFC 8048 section 5.2.1)")
        for asked in alice.approve():
            self.assertEqual(200, asked.final().status)
        self.bob.wait_for_presence(alice.address, "subscribed", since=mark)
        self.sees(self.bob, alice, ("dnd", "Writing"))
        self.assertEqual(("to", None), self.bob.roster()[alice.address])
        alice.show("closed")
        self.sees(self.bob, alice)
        alice.show("open")
        self.sees(self.bob, alice, ("available", ""))
        self.assertEqual(["subscribed"], [kind for kind, _ in self.bob.seen_of(alice.address, mark, SUBSCRIPTIONS)])
        self.assertEqual(1, len(alice.asked), "one SUBSCRIBE is enough")

    def test_a_user_outside_asks_and_is_shown_the_state_once_he_may(self):
        alice, mark = self.someone(), self.bob.mark()
        watch = self.contoso.watch(alice.name, BOB)
        self.assertEqual(200, watch.answer.status)
        watch.wait_for("pending")
        self.bob.wait_for_presence(alice.address, "subscribe", since=mark)
        self.reached(self.bob, alice)
        self.assertEqual({"pending"}, {notice.state for notice in watch.notices}, "nothing is shown before he may")
        self.bob.presence("subscribed", alice.address)
        watch.wait_for("active", "open")
        self.assertEqual(("from", None), self.bob.roster()[alice.address])
        self.assertEqual(["subscribe"], [kind for kind, _ in self.bob.seen_of(alice.address, mark, SUBSCRIPTIONS)], "he is asked once")

    def test_both_ways_are_of_their_own_and_end_from_either_side(self):
        alice = self.someone("open")
        served, watch = self.befriend(self.bob, alice), self.watch(alice)
        self.sees(self.bob, alice, ("available", ""))
        self.assertEqual(("both", None), self.bob.roster()[alice.address])
        # bob does not want to see her any more.
        mark, asked = self.bob.mark(), len(alice.asked)
        self.bob.presence("unsubscribe", alice.address)
        self.assertEqual("0", alice.wait_for_asked(asked + 1).get("Expires"))
        self.contoso.until(lambda: not alice.watched(), "her notifier is rid of him")
        self.assertEqual(asked + 1, len(alice.asked))
        self.bob.wait_for_presence(alice.address, "unavailable", since=mark)  # his server keeps `unsubscribed` for itself
        self.assertIsNone(served.state)
        since = len(watch.notices)
        self.bob.presence(show="away", status="still seen")
        watch.wait_for("active", "open", note="still seen", since=since)
        # She does not want to see him any more; that she may is kept.
        mark, since = self.bob.mark(), len(watch.notices)
        self.assertEqual(200, watch.end().status)
        last = watch.wait_for("terminated", since=since)
        self.assertEqual("timeout", last.parameters["reason"])
        self.bob.wait_for_presence(alice.address, "unavailable", since=mark)
        self.assertEqual([], self.bob.seen_of(alice.address, mark, ("unsubscribe",)), "RFC 8048 section 5.3.3")
        self.bob.presence(status="seen again")
        again = self.contoso.watch(alice.name, BOB)
        again.wait_for("active", "open", note="seen again")
        self.reached(self.bob, alice)
        self.assertEqual([], self.bob.seen_of(alice.address, mark, ("subscribe",)), "he is not asked again")
        # bob does not let her see him any more.
        self.bob.presence("unsubscribed", alice.address)
        last = again.wait_for("terminated")
        self.assertEqual(("rejected", None), (last.parameters["reason"], last.document))
        self.bob.presence()

    def test_who_may_not_is_told(self):
        for status, reason in ((403, "Forbidden"), (603, "Decline"), (489, "Bad Event")):
            with self.subTest(status):
                alice, mark = self.someone(), self.bob.mark()
                alice.policy = (status, reason)
                self.bob.presence("subscribe", alice.address)
                self.bob.wait_for_presence(alice.address, "unsubscribed", since=mark)
                self.assertEqual(1, len(alice.asked), "and it is not tried again")
        for reason in ("rejected", "noresource"):
            with self.subTest(reason):
                alice, mark = self.someone(), self.bob.mark()
                self.befriend(self.bob, alice)
                self.sees(self.bob, alice, ("available", ""))
                asked = len(alice.asked)
                for told in alice.end(reason):
                    self.assertEqual(200, told.final().status)
                self.bob.wait_for_presence(alice.address, "unsubscribed", since=mark)
                self.sees(self.bob, alice)
                self.assertEqual(asked, len(alice.asked), "and it is not tried again")
        # And the other way round.
        alice, mark = self.someone(), self.bob.mark()
        watch = self.contoso.watch(alice.name, BOB)
        self.bob.wait_for_presence(alice.address, "subscribe", since=mark)
        self.bob.presence("unsubscribed", alice.address)
        last = watch.wait_for("terminated")
        self.assertEqual(("rejected", None), (last.parameters["reason"], last.document))


class Presence(Crossing, Case):
    """With Prosody inside."""

    def test_each_state_of_a_sip_user_is_shown_as_the_table_says(self):
        alice = self.someone()
        self.befriend(self.bob, alice)
        for state, activity, shown in FROM_SIP:
            with self.subTest(f"{state} {activity}"):
                alice.document = (presence.TYPE, presence.pidf(alice.address, a_tuple(**state), person=a_person(activity)))
                for told in alice.notify():
                    self.assertEqual(200, told.final().status)
                self.sees(self.bob, alice, *([shown] if shown else []))

    def test_each_state_of_an_xmpp_user_is_shown_as_the_table_says(self):
        alice = self.someone()
        watch = self.watch(alice, self.carol)
        for sent, told in FROM_XMPP:
            with self.subTest(sent):
                since = len(watch.notices)
                self.carol.presence(**sent)
                notice = watch.wait_for("active", since=since, tuples=1, identifier="ID-rig", **told)
                self.assertIn("carol@example.lan", notice.document.tuples[0].contact)
        since = len(watch.notices)
        self.carol.presence("unavailable", status="gone home")
        watch.wait_for("active", "closed", since=since, note="gone home")
        self.carol.presence()
        watch.wait_for("active", "open", since=since)

    def test_languages_priorities_and_idle_times_cross(self):
        alice = self.someone()
        self.befriend(self.bob, alice)
        mark = self.bob.mark()
        tuple_ = a_tuple("open", note="Bonjour", language="fr", priority="0.5").replace("</tuple>", '<note xml:lang="de">Hallo</note></tuple>')
        alice.document = (presence.TYPE, presence.pidf(alice.address, tuple_, person=a_person(None, "2026-11-21T09:00:00Z")))
        alice.notify()
        seen = ElementTree.fromstring(self.bob.wait_for_presence(alice.address, show="away", since=mark)[6])
        said = {status.get("{http://www.w3.org/XML/1998/namespace}lang"): status.text for status in seen.iter("status")}
        self.assertEqual({"fr": "Bonjour", "de": "Hallo"}, said)
        self.assertEqual("64", seen.findtext("priority"))
        self.assertEqual("2026-11-21T09:00:00Z", seen.find("{urn:xmpp:idle:1}idle").get("since"))
        watch = self.watch(alice, self.carol)
        for number, (priority, told) in enumerate(((0, "0.000"), (1, "0.008"), (2, "0.016"), (126, "0.992"), (127, "1.000"), (-1, ""))):
            since = len(watch.notices)
            self.carol.presence(priority=priority, status=f"p{number}", show="away", extension='<idle xmlns="urn:xmpp:idle:1" since="2026-11-21T08:30:00Z"/>')
            notice = watch.wait_for("active", since=since, note=f"p{number}", priority=told)
            if priority >= 0:
                self.assertEqual("2026-11-21T08:30:00Z", notice.document.idle)
        self.carol.presence()

    def test_each_device_is_a_tuple_of_its_own(self):
        alice = self.someone()
        watch = self.watch(alice, self.carol)
        phone = self.client("carol", "phone & more")
        try:
            phone.presence(show="away", priority=5, status="on the phone")
            notice = watch.wait_for("active", tuples=2, show="away", note="on the phone")
            self.assertEqual(2, len({each.identifier for each in notice.document.tuples}))
            self.assertTrue(notice.document.shows(identifier="ID-rig", basic="open"))
            since = len(watch.notices)
            phone.presence("unavailable")
            gone = watch.wait_for("active", since=since)
            self.assertTrue(gone.document.shows(identifier="ID-rig", basic="open"))
            self.assertFalse(gone.document.shows(note="on the phone", basic="open"))
        finally:
            phone.close()

    def test_several_tuples_are_several_devices(self):
        alice = self.someone()
        self.befriend(self.bob, alice)
        alice.document = (presence.TYPE, presence.pidf(alice.address, a_tuple("open", "desk", note="here"), a_tuple("open", "phone", show="away"), a_tuple("closed", "car")))
        alice.notify()
        self.sees(self.bob, alice, ("available", "here"), ("away", ""))
        alice.document = (presence.TYPE, presence.pidf(alice.address, a_tuple("open", "phone", show="xa")))
        alice.notify()
        self.sees(self.bob, alice, ("xa", ""))

    def test_each_watcher_is_told_what_is_for_him(self):
        alice, anne, mark = self.someone(), self.someone(), self.bob.mark()
        first, second, other = self.watch(alice), self.watch(anne), self.watch(alice, self.carol)
        self.befriend(self.bob, alice)
        self.befriend(self.carol, alice)
        self.bob.presence(show="dnd", status="only bob")
        first.wait_for("active", note="only bob")
        second.wait_for("active", note="only bob")
        self.carol.presence(status="only carol")
        other.wait_for("active", note="only carol")
        for watch, wrong in ((first, "only carol"), (second, "only carol"), (other, "only bob")):
            self.assertFalse([notice for notice in watch.notices if notice.document and wrong in notice.document.text])
        alice.show("open", activity="busy", note="to both")
        self.sees(self.bob, alice, ("dnd", "to both"))
        self.sees(self.carol, alice, ("dnd", "to both"))
        self.assertEqual([], self.bob.seen_of(anne.address, mark, (None,)))
        # One that ends leaves the others.
        self.assertEqual(200, second.end().status)
        since = len(first.notices)
        self.bob.presence()
        first.wait_for("active", "open", since=since, show="")
        self.carol.presence("unsubscribe", alice.address)
        self.contoso.until(lambda: not alice.watched(CAROL), "carol's subscription is gone")
        alice.show("closed")
        self.sees(self.bob, alice)

    def test_two_devices_of_a_watcher_are_two_dialogs_and_one_question(self):
        alice, mark = self.someone(), self.bob.mark()
        first = self.watch(alice)
        second = self.contoso.watch(alice.name, BOB)
        second.wait_for("active", "open")
        self.bob.presence(show="away", status="to both dialogs")
        for watch in (first, second):
            watch.wait_for("active", note="to both dialogs")
        self.assertEqual(1, len(self.bob.seen_of(alice.address, mark, ("subscribe",))))
        # A dialog that its watcher has forgotten goes alone.
        second.forget()
        self.bob.presence(show="dnd", status="one forgets")
        first.wait_for("active", note="one forgets")
        self.contoso.until(lambda: second.over, "the other has said 481")
        since, heard = len(first.notices), len(second.notices)
        self.bob.presence()
        first.wait_for("active", "open", since=since, show="")
        self.assertEqual(heard, len(second.notices), "it is told nothing more")

    def test_what_fails_for_a_while_is_tried_again(self):
        mark, failing = self.bob.mark(), []
        for status, reason in ((500, "Server Internal Error"), (480, "Temporarily Unavailable"), (503, "Service Unavailable"), (408, "Request Timeout")):
            alice = self.someone(activity="busy")
            alice.policy = (status, reason)
            self.bob.presence("subscribe", alice.address)
            alice.wait_for_asked(1)
            failing.append(alice)
        for alice in failing:
            alice.policy = "active"
        for alice in failing:
            self.sees(self.bob, alice, ("dnd", "Busy"))
            self.assertEqual([("subscribed", None)], self.bob.seen_of(alice.address, mark, SUBSCRIPTIONS))

    def test_the_least_time_of_a_notifier_is_taken(self):
        alice = self.someone()
        alice.least = 7200
        self.befriend(self.bob, alice)
        self.assertGreaterEqual(int(alice.asked[-1].get("Expires")), 7200)
        self.assertEqual(2, len(alice.asked))

    def test_a_notifier_that_ends_for_a_while_is_asked_again(self):
        for reason, after in (("deactivated", None), ("probation", 1), ("timeout", None), ("giveup", 1)):
            with self.subTest(reason):
                alice, mark = self.someone(), self.bob.mark()
                self.befriend(self.bob, alice)
                alice.show("open", activity="away", notify=False)
                alice.end(reason, after)
                alice.wait_for_watcher(BOB)
                self.sees(self.bob, alice, ("away", ""))
                self.assertEqual([("subscribed", None)], self.bob.seen_of(alice.address, mark, SUBSCRIPTIONS))

    def test_a_state_is_asked_for_once(self):
        alice = self.someone(activity="busy")
        watch = self.watch(alice)
        self.bob.presence(show="away", status="for once")
        watch.wait_for("active", note="for once")
        once = self.contoso.watch(alice.name, BOB, 0)
        self.assertEqual(200, once.answer.status)
        once.wait_for("terminated", "open", note="for once")
        # Who may not is shown nothing, and nobody is asked.
        anne, mark = self.someone(), self.bob.mark()
        stranger = self.contoso.watch(anne.name, BOB, 0)
        last = stranger.wait_for("terminated")
        self.assertFalse(last.document and last.document.shows(basic="open"))
        self.reached(self.bob, anne)
        self.assertEqual([], self.bob.seen_of(anne.address, mark, ("subscribe",)))
        self.bob.presence()

    def test_a_device_that_comes_is_shown_all_again(self):
        alice = self.someone(activity="busy", note="Writing")
        self.befriend(self.bob, alice)
        self.sees(self.bob, alice, ("dnd", "Writing"))
        tablet = self.client("bob", "tablet")  # its server asks for all in the roster
        try:
            self.sees(tablet, alice, ("dnd", "Writing"))
            self.assertEqual(1, len(alice.watched(BOB)), "no second subscription is needed for that")
        finally:
            tablet.close()

    def test_a_subscription_is_refreshed_while_its_user_is_there_and_lapses_while_not(self):
        kept, lost, lapsing = (self.someone(activity="busy") for _ in range(3))
        kept.tags = True  # and what he has she does not tell him again (RFC 5839)
        for user in (kept, lost, lapsing):
            user.grants = 31  # nobody refreshes before 30 s
        watchers = self.watch(kept), self.watch(lost), self.watch(lapsing, self.carol)  # whom their server tells whether they are there
        first = self.befriend(self.bob, kept)
        self.befriend(self.bob, lost)
        self.befriend(self.carol, lapsing)
        mark = self.bob.mark()
        self.carol.presence("unavailable")
        self.addCleanup(self.carol.presence)
        watchers[2].wait_for("active", "closed")
        lost.forget()
        lost.show("open", activity="away", notify=False)
        self.contoso.until(lambda: first.refreshes, "the first is refreshed", 45)
        self.assertEqual(first.etag(), kept.asked[-1].get("Suppress-If-Match"))
        self.assertEqual(1, len(first.told), "and he is told nothing again")
        self.assertEqual([first], kept.watched())
        self.sees(self.bob, lost, ("away", ""))  # it got 481, and was made again
        self.assertEqual(1, len(lost.watched(BOB)))
        self.assertEqual([], self.bob.seen_of(lost.address, mark, SUBSCRIPTIONS), "nobody is told of it")
        self.contoso.until(lambda: not lapsing.watched(CAROL), "nobody looks, and it lapses", 45)
        self.assertEqual(1, len(lapsing.asked), "without a word")
        mark = self.carol.mark()
        self.carol.presence()
        lapsing.wait_for_watcher(CAROL)
        self.sees(self.carol, lapsing, ("dnd", "Busy"))
        self.assertEqual([], self.carol.seen_of(lapsing.address, mark, SUBSCRIPTIONS))
        self.assertEqual(2, len(lapsing.asked))
        for client, user in ((self.bob, kept), (self.bob, lost), (self.carol, lapsing)):
            client.presence("unsubscribe", user.address)

    def test_a_watcher_who_has_the_state_is_not_told_it_again(self):
        alice = self.someone()
        watch = self.watch(alice)
        self.bob.presence(show="away", status="known")
        watch.wait_for("active", note="known")
        known = watch.has = watch.etag
        since = len(watch.notices)
        self.assertEqual(204, watch.refresh().status)
        again = self.contoso.watch(alice.name, BOB, has=known)
        self.assertEqual(200, again.answer.status)
        self.assertIsNone(again.wait_for("active").document, "he has it, and the dialog is new")
        self.assertEqual(known, again.etag)
        self.bob.presence(show="dnd", status="news")
        for each in (watch, again):
            each.wait_for("active", note="news")
        self.assertEqual(["news"], [tuple_.note for notice in watch.notices[since:] for tuple_ in notice.document.tuples])
        self.assertEqual(200, watch.refresh().status, "what he has is old")
        watch.wait_for("active", note="news", since=since + 1)
        watch.has = watch.etag
        mark, since = self.bob.mark(), len(watch.notices)
        self.assertEqual(204, watch.end().status)
        again.has = again.etag
        self.assertEqual(204, again.end().status)
        self.bob.wait_for_presence(alice.address, "unavailable", since=mark)
        self.assertEqual(since, len(watch.notices))
        self.bob.presence()

    def test_a_notifier_is_told_what_is_known_and_not_where_it_gives_no_tags(self):
        alice, anne = self.someone(activity="busy"), self.someone(activity="busy")
        alice.tags = True
        for user in (alice, anne):
            served = self.befriend(self.bob, user)
            self.sees(self.bob, user, ("dnd", "Busy"))
            known, asked, told = served.etag(), len(user.asked), len(served.told)
            self.bob.presence("unsubscribe", user.address)
            last = user.wait_for_asked(asked + 1)
            self.assertEqual(("0", known if user.tags else None), (last.get("Expires"), last.get("Suppress-If-Match")))
            self.sees(self.bob, user)
            self.contoso.until(lambda: not user.watched(), "it is over")
            self.assertEqual(told + (0 if user.tags else 1), len(served.told), "with 204, or with a last notification")

    def test_many_changes_are_few_notifications_and_the_last_is_told(self):
        alice = self.someone()
        watch = self.watch(alice)
        since = len(watch.notices)
        for number in range(60):
            self.bob.presence(show=("away", "dnd", "xa")[number % 3], status=f"change {number}")
        watch.wait_for("active", note="change 59", since=since)
        self.assertLess(len(watch.notices) - since, 30)
        self.bob.presence()


class OverEjabberd(Crossing, Case):
    """With ejabberd inside."""

    server = "ejabberd"


if __name__ == "__main__":
    unittest.main()

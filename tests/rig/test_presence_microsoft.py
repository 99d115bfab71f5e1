"""Presence between users of XMPP inside and of Microsoft organisations outside, each product of them scripted: their documents, their ways to
say the first one, and their two hours. Needs VESTIBULE_BINARY."""

import unittest

import microsoft
from presence_case import BOB, SUBSCRIPTIONS, Case
from rig import wait_until

# What their server publishes, and what a user of XMPP sees by default (specification: interworking section 12).
NUMBERS = ((3500, None, ("available", "")), (6500, None, ("away", "Busy")), (9500, None, ("away", "Do not disturb")), (12500, None, ("away", "Be right back")),
           (4499, None, ("available", "")), (15500, None, ("away", "")), (18500, None, None), (6500, "on-the-phone", ("away", "On the phone")),
           (5000, None, ("away", "")), (7499, "in-a-meeting", ("away", "In a meeting")), (3000, None, ("available", "")), (8000, None, ("away", "Busy")),
           (2999, None, None), (17999, None, ("away", "")), (18000, None, None), (11999, None, ("away", "Do not disturb")), (14999, None, ("away", "Be right back")))
SUBSTATUS = (("online", ("available", "")), ("away", ("away", "")), ("offline", None), ("busy", ("away", "Busy")), ("idle", ("away", "")),
             ("berightback", ("away", "Be right back")), ("onthephone", ("away", "On the phone")), ("outtolunch", ("away", "")))
# What a user of XMPP sends, and what their client looks for: whether he is open, and an activity.
TOLD = (({"show": "away"}, "open", "away"), ({}, "open", ""), ({"show": "dnd"}, "open", "busy"), ({"show": "chat"}, "open", ""), ({"show": "xa"}, "open", "away"))

IDLE = "<idle xmlns='urn:xmpp:idle:1' since='2026-11-21T10:00:00Z'/>"


class Microsoft(Case):
    """alice at a domain of each model outside."""

    models = microsoft.MODELS

    @classmethod
    def federated(cls):
        """A domain for each model."""
        cls.edges, domains = {}, {}
        for number, model in enumerate(cls.models):
            domain, port = f"{model.name}.lan", 5061 + number
            cls.edges[model.name] = microsoft.Edge(cls.rig, cls.rig.address("lyn"), cls.authority.issue(model.name, [domain, f"edge.{domain}"]), cls.authority,
                                                   domain, model, ["edge.lan"], port)
            domains[domain] = cls.domain("lyn", "microsoft", port)
        return {**super().federated(), **domains}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        for edge in cls.edges.values():
            edge.connect(cls.rig.address("edge_outside"))

    def tearDown(self):
        for edge in self.edges.values():
            edge.check()
        super().tearDown()

    def alices(self):
        """A user of each model, whom nobody knows yet."""
        for edge in self.edges.values():
            yield edge, edge.user(f"alice{len(edge.users)}", "Alice Ängström")

    def asked_for(self, alice):
        """bob asks to see a user of theirs, and may."""
        mark = self.bob.mark()
        self.bob.presence("subscribe", alice.address)
        heard = alice.hear("subscribed")
        self.bob.wait_for_presence(alice.address, "subscribed", since=mark)
        return heard

    def granted(self, alice, client=None, **more):
        """A user of theirs asks to see bob, and may."""
        client = client or self.bob
        mark, asked = client.mark(), microsoft.in_background(lambda: alice.subscribe(client.jid, **more))
        client.wait_for_presence(alice.address, "subscribe", since=mark)
        client.presence("subscribed", alice.address)
        subscription = asked()
        self.assertEqual(200, subscription.answer.status)
        alice.hear_state(basic="open")
        return subscription

    def test_they_are_asked_and_their_states_are_shown(self):
        for edge, alice in self.alices():
            with self.subTest(edge.model.name):
                request = self.asked_for(alice).request
                for kind in ("application/pidf+xml", "application/msrtc-event-categories+xml", "text/xml+msrtc.pidf", "application/xpidf+xml"):
                    self.assertIn(kind, ",".join(request.all("Accept")))
                self.sees(self.bob, alice, ("available", ""))
                alice.shows(*microsoft.categories(alice.address, 6500, note="Writing"))
                self.sees(self.bob, alice, ("away", "Writing"))
                alice.shows("application/pidf+xml", microsoft.PIDF.format(alice.address, "closed"))
                self.sees(self.bob, alice)

    def test_each_of_their_documents_is_read_as_the_table_says(self):
        edge, alice = list(self.alices())[2]
        self.asked_for(alice)
        for number, token, shown in NUMBERS:
            for document in (microsoft.categories(alice.address, number, token), *([] if token else [microsoft.presentity(alice.address, number)])):
                with self.subTest(f"{number} {token} {document[0]}"):
                    alice.shows(*document)
                    self.sees(self.bob, alice, *([shown] if shown else []))
        for substatus, shown in SUBSTATUS:
            with self.subTest(substatus):
                alice.shows(*microsoft.xpidf(alice.address, substatus))
                self.sees(self.bob, alice, *([shown] if shown else []))

    def test_what_they_publish_alone_leaves_the_rest_as_it_was(self):
        edge, alice = list(self.alices())[2]
        self.asked_for(alice)
        for document, shown in ((microsoft.categories(alice.address, 6500, note="Writing"), ("away", "Writing")),
                                (microsoft.note_alone(alice.address, "Reading"), ("away", "Reading")),
                                (microsoft.categories(alice.address, 3500), ("available", "Reading")),
                                (microsoft.note_alone(alice.address), ("available", ""))):
            alice.shows(*document)
            self.sees(self.bob, alice, shown)

    def test_a_user_inside_is_told_to_them_as_the_table_says(self):
        for edge, alice in self.alices():
            with self.subTest(edge.model.name):
                subscription = self.granted(alice, self.carol)
                for sent, basic, activity in TOLD:
                    self.carol.presence(**sent, status=f"{edge.model.name} {activity or 'free'} {sent}")
                    document = alice.hear_state(note=f"{edge.model.name} {activity or 'free'} {sent}", basic=basic, activity=activity, person=activity, tuples=1)
                    self.assertIn("carol@example.lan", document.entity)
                self.carol.presence(show="away", status="Busy")
                alice.hear_state(note="Busy", basic="open", activity="busy", person="busy", tuples=1)
                self.carol.presence("unavailable")
                alice.hear_state(basic="closed", tuples=1)
                self.carol.presence()
                alice.hear_state(basic="open", activity="")
                self.assertEqual(200, subscription.ask(0).answer.status)

    def test_devices_are_one_to_them(self):
        edge, alice = list(self.alices())[2]
        self.granted(alice, self.carol)
        phone = self.client("carol", "phone")
        try:
            phone.presence(show="xa", priority=10, status="phone")
            self.carol.presence(show="away", status="desk")
            document = alice.hear_state(basic="open", activity="away", note="desk")
            self.assertEqual(1, len(document.tuples))
            phone.presence(status="phone")
            alice.hear_state(basic="open", activity="", note="phone", tuples=1)
            phone.presence("unavailable")
            alice.hear_state(basic="open", activity="away", note="desk", tuples=1)
        finally:
            phone.close()
            self.carol.presence()

    def test_lists_of_one_are_taken_and_refreshes_come_late(self):
        for edge, alice in self.alices():
            with self.subTest(edge.model.name):
                subscription = self.granted(alice, batch=(BOB,))
                mark = self.bob.mark()
                self.assertEqual(200, subscription.ask(6300).answer.status)  # 1 h 45 min
                self.assertLessEqual(int(subscription.answer.get("Expires")), 6300)
                alice.hear_state(basic="open")
                self.bob.presence(show="away", status=f"to {edge.model.name}")
                alice.hear_state(note=f"to {edge.model.name}", activity="away")
                self.assertEqual(200, subscription.ask(0).answer.status)
                self.assertEqual([], self.bob.seen_of(alice.address, mark, SUBSCRIPTIONS))

    def test_a_list_of_several_is_refused_as_a_whole(self):
        for edge, alice in self.alices():
            with self.subTest(edge.model.name):
                mark = self.bob.mark()
                self.assertEqual(488, alice.subscribe(BOB, batch=(BOB, "carol@example.lan")).answer.status)
                self.granted(alice)
                self.assertEqual(["subscribe"], [kind for kind, _ in self.bob.seen_of(alice.address, mark, SUBSCRIPTIONS)])

    def test_after_a_kill_their_dots_are_right_at_once(self):
        pairs = []
        for edge, alice in self.alices():
            self.asked_for(alice)
            pairs.append((edge, alice, self.granted(alice)))
        mark = self.bob.mark()
        self.vestibule.kill()
        for edge, _, _ in pairs:
            wait_until(lambda: not edge.living(), f"the connections of {edge.model.name} are gone")
        self.bob.presence(show="dnd", status="after the kill")
        self.vestibule.start()
        for edge, alice, subscription in pairs:
            with self.subTest(edge.model.name):
                alice.hear_state(note="after the kill", activity="busy", basic="open")
                alice.shows(*microsoft.categories(alice.address, 12500))
                self.sees(self.bob, alice, ("away", "Be right back"))
                self.assertEqual(1, len(alice.watched()), "no double subscription")
                self.assertEqual([], self.bob.seen_of(alice.address, mark, SUBSCRIPTIONS), "nobody is asked")
                self.assertEqual(200, subscription.ask(0).answer.status)
        self.bob.presence()


class BusyIsDnd(Case):
    """Where users inside have clients that know it, busy is dnd."""

    profile = "microsoft"
    interworking = 'presence_burst_interval = "100ms"\nbusy_as = "dnd"\n'

    def test_busy_and_do_not_disturb_are_shown_as_dnd(self):
        alice = self.someone()
        self.befriend(self.bob, alice)
        for number, shown in ((6500, ("dnd", "Busy")), (9500, ("dnd", "Do not disturb")), (12500, ("away", "Be right back")), (15500, ("away", ""))):
            alice.document = microsoft.categories(alice.address, number)
            alice.notify()
            self.sees(self.bob, alice, shown)


class Aol(Case):
    """The profile of AOL's gateway."""

    profile = "aol"

    def test_each_state_is_shown_as_the_table_says(self):
        alice = self.someone()
        self.befriend(self.bob, alice)
        for more, activity, shown in (({}, None, ("available", "")), ({}, "away", ("away", "")), ({"basic": "closed"}, None, None), ({}, "busy", ("away", ""))):
            alice.show(activity=activity, **{"basic": "open", **more})
            self.sees(self.bob, alice, *([shown] if shown else []))
        watch = self.watch(alice)
        for sent, activity in (({"show": "dnd"}, "away"), ({}, ""), ({"show": "xa"}, "away"), ({"show": "chat"}, ""), ({"show": "away"}, "away"), ({}, ""),
                               ({"extension": IDLE}, "away")):
            since = len(watch.notices)
            self.bob.presence(**sent)
            watch.wait_for("active", "open", since=since, tuples=1, activity=activity)
        self.bob.presence()


if __name__ == "__main__":
    unittest.main()

"""Presence over a restart: whoever is killed, both dots are right again, and nobody is asked anything. Needs VESTIBULE_BINARY."""

import signal
import unittest

from presence_case import BOB, SUBSCRIPTIONS, Case
from rig import wait_until


class Restart(Case):
    """vestibule is killed with -9 and started again; its state is on disk."""

    def restart(self, meanwhile=None):
        """Kills it, and starts it again."""
        self.vestibule.kill()
        self.contoso.until(lambda: all(line.ending for line in [*self.contoso.accepted, self.contoso.connection] if line), "its connections are gone")
        if meanwhile:
            meanwhile()
        self.vestibule.start()

    def nobody_was_asked(self, user, mark):
        self.assertEqual([], self.bob.seen_of(user.address, mark, SUBSCRIPTIONS), "nobody is asked or told anything of subscriptions")

    def test_both_dots_are_right_again_and_nobody_is_asked(self):
        alice = self.someone("open", activity="busy", note="before")
        self.befriend(self.bob, alice)
        watch = self.watch(alice)
        self.sees(self.bob, alice, ("dnd", "before"))
        mark, since, asked = self.bob.mark(), len(watch.notices), len(alice.asked)

        def change():
            alice.show("open", activity="away", note="after", notify=False)
            self.bob.presence(show="xa", status="bob after")
        self.restart(change)
        self.sees(self.bob, alice, ("away", "after"))
        watch.wait_for("active", note="bob after", since=since)
        self.assertEqual(1, len(alice.watched(BOB)), "no double subscription, and none that was leaked")
        self.assertLessEqual(len(alice.asked) - asked, 2)
        self.nobody_was_asked(alice, mark)
        self.assertNotIn("terminated", [notice.state for notice in watch.notices[since:]])
        # And it goes on.
        alice.show("open", note="later")
        self.sees(self.bob, alice, ("available", "later"))
        since = len(watch.notices)
        self.bob.presence(status="bob later")
        watch.wait_for("active", note="bob later", since=since)
        self.assertEqual(200, watch.end().status)
        self.bob.presence("unsubscribe", alice.address)
        self.contoso.until(lambda: not alice.watched(), "and has an end")

    def test_each_state_outlives_it(self):
        # Of bob's: waiting for her; not refused yet; dormant is what `lapsed` is. Of hers: waiting for bob; left by her.
        pending, asking, left = self.someone("open", note="pending"), self.someone(), self.someone()
        pending.policy = "pending"
        mark = self.bob.mark()
        self.bob.presence("subscribe", pending.address)
        pending.wait_for_watcher(BOB)
        waiting = self.contoso.watch(asking.name, BOB)
        self.bob.wait_for_presence(asking.address, "subscribe", since=mark)
        ended = self.watch(left)
        self.assertEqual(200, ended.end().status)
        mark, since = self.bob.mark(), len(waiting.notices)
        self.restart()
        # What waited for her still does, and what she says then arrives.
        pending.wait_for_watcher(BOB)
        self.passed(self.bob, pending)
        self.nobody_was_asked(pending, mark)
        self.contoso.until(lambda: pending.watched(BOB)[0].refreshes or len(pending.asked) > 1, "it is asked for again")
        pending.approve()
        self.bob.wait_for_presence(pending.address, "subscribed", since=mark)
        self.sees(self.bob, pending, ("available", "pending"))
        # What waited for bob still does.
        self.bob.presence("subscribed", asking.address)
        waiting.wait_for("active", "open", since=since)
        # Who has left may come back without a question.
        again = self.contoso.watch(left.name, BOB)
        again.wait_for("active", "open")
        self.assertEqual([], self.bob.seen_of(left.address, mark, ("subscribe",)))

    def test_subscriptions_that_they_lost_meanwhile_are_made_again(self):
        alice = self.someone("open", note="before")
        self.befriend(self.bob, alice)
        watch, mark = self.watch(alice), self.bob.mark()

        def forget():
            alice.forget()
            watch.forget()
            alice.show("open", activity="busy", note="after", notify=False)
        self.restart(forget)
        self.sees(self.bob, alice, ("dnd", "after"))
        self.assertEqual(1, len(alice.watched(BOB)))
        self.nobody_was_asked(alice, mark)
        self.contoso.until(lambda: watch.over, "the one that she forgot is said to be none")
        again = self.contoso.watch(alice.name, BOB)
        again.wait_for("active", "open")
        self.nobody_was_asked(alice, mark)

    def test_a_peer_that_is_away_when_it_starts_is_found_when_it_comes(self):
        alice = self.someone("open", note="before")
        self.befriend(self.bob, alice)
        watch, mark = self.watch(alice), self.bob.mark()
        since = len(watch.notices)

        def away():
            self.contoso.deaf = True
        self.restart(away)
        self.contoso.until(lambda: any(message.method in ("SUBSCRIBE", "NOTIFY") for message in self.contoso.seen[-3:]), "it is asked, and says nothing")
        alice.show("open", activity="busy", note="after", notify=False)
        self.contoso.deaf = False
        self.sees(self.bob, alice, ("dnd", "after"), deadline=60)
        watch.wait_for("active", "open", since=since, within=60)
        self.nobody_was_asked(alice, mark)

    def test_the_node_is_started_again(self):
        alice = self.someone("open", note="before")
        self.befriend(self.bob, alice)
        watch = self.watch(alice)
        since = len(watch.notices)
        self.node.process.stop()
        alice.show("open", activity="busy", note="after")
        self.node.start()
        bob, type(self).bob = self.bob, self.client("bob")
        bob.close()
        type(self).carol = self.client("carol")
        mark = 0
        self.sees(self.bob, alice, ("dnd", "after"), deadline=60)
        self.bob.presence(show="away", status="bob after")
        watch.wait_for("active", note="bob after", since=since, within=60)
        self.nobody_was_asked(alice, mark)
        self.assertEqual(1, len(alice.watched(BOB)))


class Reload(Case):
    """What a change of the configuration does."""

    def reload(self, old, new):
        """Changes the configuration while it runs, and waits until that is done; after the test it is as it was."""
        with open(self.vestibule.config, encoding="utf-8") as config:
            before = config.read()
        self.assertIn(old, before)
        self.take(before.replace(old, new))
        self.addCleanup(self.take, before)

    def take(self, text):
        """Gives it another configuration."""
        def count():
            return sum(int(line.rpartition(" ")[2]) for line in self.vestibule.samples('vestibule_reloads_total{result="taken"}'))
        with open(self.vestibule.config, "w", encoding="utf-8") as config:  # in place: the file keeps its owner
            config.write(text)
        before = count()
        self.vestibule.process.popen.send_signal(signal.SIGHUP)
        wait_until(lambda: count() == before + 1, "the reload is taken", alive=self.vestibule.process)

    def test_a_domain_that_is_removed_loses_its_subscriptions_on_both_sides(self):
        alice = self.someone("open", activity="busy", note="before")
        self.befriend(self.bob, alice)
        watch = self.watch(alice)
        self.sees(self.bob, alice, ("dnd", "before"))
        asked, since, table = len(alice.asked), len(watch.notices), f'[[federate]]\ndomain = "contoso.lan"\n{self.federated()["contoso.lan"]}\n'
        self.reload(table, "")
        self.sees(self.bob, alice)
        watch.wait_for("terminated", since=since)
        self.assertEqual("0", alice.wait_for_asked(asked + 1).get("Expires"))
        self.contoso.until(lambda: not alice.watched(), "her notifier is rid of him")
        self.bob.presence(show="away", status="not for her")
        self.assertEqual(403, self.contoso.watch(alice.name, BOB).answer.status)
        self.assertFalse([notice for notice in watch.notices if notice.document and "not for her" in notice.document.text])
        self.bob.presence()

    def test_who_is_blocked_by_a_reload_sees_nothing_more(self):
        alice = self.someone()
        watch = self.watch(alice)
        since = len(watch.notices)
        self.reload("[interworking]", f'[[policy.block]]\naddress = "{alice.address}"\nstyle = "polite"\n[interworking]')
        watch.wait_for("active", "closed", since=since)
        self.bob.presence(show="away", status="not for her")
        self.assertEqual(200, watch.refresh().status)
        self.assertFalse([notice for notice in watch.notices if notice.document and "not for her" in notice.document.text])
        self.bob.presence()


if __name__ == "__main__":
    unittest.main()

"""`vestibule subscriptions`, and the metrics of presence: what an administrator sees of who sees whom. Needs VESTIBULE_BINARY."""

import json
import subprocess
import unittest

from presence_case import BOB, CAROL, Case
from rig import wait_until


class Subscriptions(Case):
    """bob and carol inside, users of contoso.lan outside."""

    def listed(self, *arguments):
        """What the command lists, by who sees whom."""
        shown = subprocess.run(self.vestibule.command("subscriptions", "--json", *arguments), capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual((0, ""), (shown.returncode, shown.stderr))
        listing = json.loads(shown.stdout)
        ends = {"xmpp": lambda entry: (entry["xmpp"], entry["sip"]), "sip": lambda entry: (entry["sip"], entry["xmpp"])}
        return {ends[entry["watcher"]](entry): entry for entry in listing["subscriptions"]}

    def stands(self, watcher, watched, state, **more):
        """Waits until somebody sees somebody else so, and gives all that is listed of it."""
        def found():
            entry = self.listed(watcher).get((watcher, watched))
            return entry and entry["state"] == state and more.items() <= entry.items() and entry
        return wait_until(found, f"{watcher} sees {watched}: {state} {more}", alive=self.vestibule.process)

    def counted(self, watcher, state):
        """How many there are by the metrics."""
        lines = self.vestibule.samples(f'vestibule_subscriptions{{state="{state}",watcher="{watcher}"}}')
        return int(lines[0].split()[-1]) if lines else 0

    def test_each_state_is_listed_with_why_and_counted(self):
        alice, slow = self.someone("open", activity="busy"), self.someone()
        slow.policy = "pending"
        self.befriend(self.bob, alice)
        entry = self.stands(BOB, alice.address, "active", seen="busy", told="busy", dialogs=1)
        self.assertEqual("the user of SIP lets him see", entry["why"])
        self.assertTrue(0 < entry["next_seconds"] <= 3600, entry)
        alice.show("open", activity="away")
        self.stands(BOB, alice.address, "active", seen="away", told="away")
        self.bob.presence("subscribe", slow.address)
        self.assertEqual("the user of SIP has not decided", self.stands(BOB, slow.address, "pending", seen=None, told=None)["why"])
        watch = self.watch(alice)
        self.bob.presence(show="dnd")
        entry = self.stands(alice.address, BOB, "active", seen="dnd", told="dnd", dialogs=1)
        self.assertEqual("the user of XMPP lets him see", entry["why"])
        self.contoso.watch(slow.name, CAROL)
        self.stands(slow.address, CAROL, "pending", told=None, dialogs=1)
        # By either spelling, by domain, by state.
        self.assertEqual(3, len(self.listed(f"sip:{BOB}")))
        self.assertEqual(3, len(self.listed(f"{BOB}/rig")))
        self.assertEqual({(slow.address, CAROL)}, set(self.listed("--state", "pending", f"sip:{CAROL};transport=tls")))
        self.assertEqual(4, len(self.listed("contoso.lan")))
        self.assertEqual(4, len(self.listed("EXAMPLE.LAN")))
        self.assertEqual({}, self.listed("lan"))
        self.assertEqual(2, len(self.listed("--most", "2")))
        self.assertEqual([1, 1, 1, 1], [self.counted(*of) for of in (("xmpp", "active"), ("xmpp", "pending"), ("sip", "active"), ("sip", "pending"))])
        text = subprocess.run(self.vestibule.command("subscriptions"), capture_output=True, text=True, timeout=60, check=True).stdout
        self.assertIn("\n4 subscriptions: 2 active, 2 pending\n", text)
        # She leaves, and he does: the metrics follow.
        self.assertEqual(200, watch.end().status)
        entry = self.stands(alice.address, BOB, "dormant", dialogs=0, told=None)
        self.assertEqual("the user of SIP does not look at present", entry["why"])
        self.bob.presence("unsubscribe", alice.address)
        wait_until(lambda: (BOB, alice.address) not in self.listed(BOB), "bob's is over", alive=self.vestibule.process)
        self.assertEqual([0, 1, 0, 1], [self.counted(*of) for of in (("xmpp", "active"), ("xmpp", "pending"), ("sip", "active"), ("sip", "dormant"))])

    def test_what_was_said_is_counted_by_what_became_of_it(self):
        def said(**labels):
            lines = [line for line in self.vestibule.samples("vestibule_presence_total{") if all(f'{name}="{value}"' in line for name, value in labels.items())]
            return sum(int(line.split()[-1]) for line in lines)
        rude, before = self.someone(), said(to="sip", kind="subscription", outcome="refused")
        rude.policy = (403, "Forbidden")
        mark = self.carol.mark()
        self.carol.presence("subscribe", rude.address)
        self.carol.wait_for_presence(rude.address, "unsubscribed", since=mark)
        wait_until(lambda: said(to="sip", kind="subscription", outcome="refused") == before + 1, "a refusal is counted", alive=self.vestibule.process)
        alice, before = self.someone(), said(to="sip", kind="state", outcome="delivered")
        self.watch(alice, self.carol)
        wait_until(lambda: said(to="sip", kind="state", outcome="delivered") >= before + 2, "pending and active are counted", alive=self.vestibule.process)


if __name__ == "__main__":
    unittest.main()

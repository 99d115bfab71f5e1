"""Presence with elements of SIP that others have written: Kamailio as the presence server and proxy of a domain, on either side, baresip as a
user agent, and sipp as many watchers at once. Needs VESTIBULE_BINARY."""

import os
import shutil
import unittest

import chat
import kamailio
import presence
import prosody
import resolver
from baresip import Baresip
from pki import Authority
from presence import a_person, a_tuple
from presence_case import BINARY, BOB, SUBSCRIPTIONS, Case
from rig import Failed, Rig, tail, wait_until
from sipp import Sipp, answer, linger, receive, send
from vestibule import Vestibule

INSIDE_SIP = '[[listen]]\nzone = "inside"\nprotocol = "sip"\ntransport = "tls"\nport = 5061\ntls = "internal"\n'


class Kamailio(Case):
    """contoso.lan is a Kamailio with its presence modules; its users' agents are scripted, over UDP."""

    @classmethod
    def agent(cls, domain, role):
        """The agents behind the server, which is at the role of a relay."""
        cls.server_of_contoso()
        return presence.Agent(cls.rig, cls.rig.address(role), None, None, domain, (cls.rig.address("relay"), 5060), 5060, "udp")

    @classmethod
    def server_of_contoso(cls):
        """Starts it."""
        rig, identity = cls.rig, cls.authority.issue("contoso", ["contoso.lan"])
        users = {f"u{number}": (rig.address("alice"), 5060) for number in range(1, 100)}
        kamailio.domain(rig, "contoso.lan", "relay", identity, cls.authority, users, (rig.address("edge_outside"), 5061),
                         resolver="outside_resolver")

    @classmethod
    def federated(cls):
        """It alone; it asks for the edge by its name."""
        resolver.start(cls.rig, {"contoso.lan": cls.rig.address("relay"), "edge.lan": cls.rig.address("edge_outside")}, role="outside_resolver")
        return {"contoso.lan": cls.domain("relay")}

    def published(self, user, *tuples, person=""):
        self.assertEqual(200, self.contoso.publish(user.name, *tuples, person=person).status)

    def test_what_its_users_publish_is_shown_inside(self):
        alice, mark = self.someone(), self.bob.mark()
        self.published(alice, a_tuple("open", note="published"), person=a_person("busy"))
        self.bob.presence("subscribe", alice.address)
        self.bob.wait_for_presence(alice.address, "subscribed", since=mark)
        self.sees(self.bob, alice, ("dnd", "published"))
        anne = self.someone()
        self.bob.presence("subscribe", anne.address)  # of whom it knows nothing yet
        self.bob.wait_for_presence(anne.address, "subscribed", since=mark)
        self.published(anne, a_tuple("open", note="now too"))
        self.sees(self.bob, anne, ("available", "now too"))
        mark = self.bob.mark()
        self.bob.presence("unsubscribe", anne.address)
        self.bob.wait_for_presence(anne.address + "/", "unavailable", since=mark)
        self.sees(self.bob, anne)
        self.sees(self.bob, alice, ("dnd", "published"))

    def test_its_users_see_those_inside_through_it(self):
        alice = self.someone()
        watch = self.watch(alice)
        self.assertGreater(len(watch.route), 0, "it stays in the dialog")
        self.bob.presence(show="dnd", status="through the proxy")
        watch.wait_for("active", note="through the proxy", person="busy")
        self.assertEqual(200, watch.refresh().status)
        since = len(watch.notices)
        self.assertEqual(200, watch.end().status)
        watch.wait_for("terminated", since=since)
        self.bob.presence()

    def test_both_dots_are_right_after_a_kill(self):
        alice, mark = self.someone(), self.bob.mark()
        self.published(alice, a_tuple("open", note="before"))
        self.bob.presence("subscribe", alice.address)
        self.bob.wait_for_presence(alice.address, "subscribed", since=mark)
        self.sees(self.bob, alice, ("available", "before"))
        watch = self.watch(alice)
        mark, since = self.bob.mark(), len(watch.notices)
        self.vestibule.kill()
        self.published(alice, a_tuple("open", note="meanwhile"), person=a_person("away"))
        self.bob.presence(show="xa", status="bob meanwhile")
        self.vestibule.start()
        self.sees(self.bob, alice, ("away", "meanwhile"))
        watch.wait_for("active", note="bob meanwhile", since=since)
        self.assertEqual([], self.bob.seen_of(alice.address, mark, SUBSCRIPTIONS))
        self.bob.presence()


class UserAgent(unittest.TestCase):
    """alice has a baresip outside, which sees bob and is seen by him."""

    def test_it_sees_and_is_seen(self):
        rig = Rig(logs=os.environ.get("VESTIBULE_LOGS"))
        self.addCleanup(rig.close)
        authority = Authority(rig)
        resolver.start(rig, {"example.lan": rig.address("node")}, rig.address("edge_inside"))
        resolver.start(rig, {"edge.lan": rig.address("edge_outside")}, role="outside_resolver")  # where it sends what belongs to a dialog
        node = prosody.Prosody(rig, "example.lan", authority.issue("node", ["example.lan"]), authority)
        node.register("bob", "secret")
        node.start()
        edge = Vestibule(rig, BINARY, authority, "example.lan", {
            "contoso.lan": f'protocol = "sip"\ntls = "public"\nroutes = [{{ next_hop = "{rig.address("alice")}", port = 5061, transport = "tls" }}]'},
            extra='[interworking]\npresence_burst_interval = "100ms"\n').start()
        bob = chat.Client(rig, BOB, "secret", node.address, authority, by_hand=True)
        alice = Baresip(rig, "alice", "contoso.lan", "alice", authority.issue("contoso", ["contoso.lan"]), authority, (rig.address("edge_outside"), 5061),
                        [BOB], [BOB], "outside_resolver")
        bob.wait_for_presence("alice@contoso.lan", "subscribe")
        bob.presence("subscribed", "alice@contoso.lan")
        alice.wait_for_shown(BOB, "Online")
        for show, shown in (("dnd", "Busy"), (None, "Online"), ("away", "Offline"), ("dnd", "Busy")):  # so it calls those
            bob.presence(show=show)
            alice.wait_for_shown(BOB, shown)
        bob.presence("unavailable")
        alice.wait_for_shown(BOB, "Offline")
        bob.presence()
        alice.wait_for_shown(BOB, "Online")
        bob.presence("subscribe", "alice@contoso.lan")
        bob.wait_for_presence("alice@contoso.lan", "subscribed")
        for state, shown in (("online", "available"), ("offline", None), ("online", "available")):
            alice.be(state)
            wait_until(lambda: [each for each, _ in bob.last_of("alice@contoso.lan").values() if each != "unavailable"] == ([shown] if shown else []),
                       f"bob is shown that alice is {state}")
        # Over a kill.
        mark = bob.mark()
        edge.kill()
        bob.presence(show="dnd")
        alice.be("offline")
        edge.start()
        alice.wait_for_shown(BOB, "Busy")
        wait_until(lambda: {each for each, _ in bob.last_of("alice@contoso.lan").values()} == {"unavailable"}, "bob is shown that alice is gone")
        self.assertEqual([], bob.seen_of("alice@contoso.lan", mark, SUBSCRIPTIONS))


class Mirror(unittest.TestCase):
    """The other way round: carol behind a Kamailio with presence inside, and dave at a Prosody outside."""

    def test_both_see_each_other_and_over_a_kill(self):
        rig = Rig(logs=os.environ.get("VESTIBULE_LOGS"))
        self.addCleanup(rig.close)
        authority = Authority(rig)
        resolver.start(rig, {"example.lan": rig.address("edge_outside"), "partner.lan": rig.address("relay")}, role="outside_resolver")
        edge = Vestibule(
            rig, BINARY, authority, "example.lan", {"partner.lan": 'protocol = "xmpp"\ntls = "public"\n[[policy.exception]]\ndomain = "partner.lan"'},
            link="sip", extra=f'{INSIDE_SIP}[interworking]\npresence_burst_interval = "100ms"\n')
        kamailio.domain(rig, "example.lan", "node", authority.issue("node", ["example.lan"]), authority, {"carol": (rig.address("alice"), 5060)},
                        (rig.address("edge_inside"), 5061))
        outside = prosody.Prosody(rig, "partner.lan", authority.issue("partner", ["partner.lan"]), authority, role="relay", secure=True,
                                  resolver="outside_resolver")
        outside.register("dave", "secret")
        outside.start()
        edge.start()
        agents = presence.Agent(rig, rig.address("alice"), None, None, "example.lan", (rig.address("node"), 5060), 5060, "udp")
        dave = chat.Client(rig, "dave@partner.lan", "secret", outside.address, authority, by_hand=True)
        carol = "carol@example.lan"

        def shown(state, note):
            wait_until(lambda: (state, note) in [(each, status) for each, status in dave.last_of(carol).values()], f"dave is shown {state} {note}")
        self.assertEqual(200, agents.publish("carol", a_tuple("open", note="inside"), person=a_person("busy")).status)
        dave.presence("subscribe", carol)
        dave.wait_for_presence(carol, "subscribed")
        shown("dnd", "inside")
        watch = agents.watch("carol", dave.jid)
        self.assertEqual(200, watch.answer.status)
        dave.wait_for_presence(carol, "subscribe")
        dave.presence("subscribed", carol)
        watch.wait_for("active", "open")
        dave.presence(show="away", status="outside")
        watch.wait_for("active", note="outside", show="away")
        mark, since = dave.mark(), len(watch.notices)
        edge.kill()
        self.assertEqual(200, agents.publish("carol", a_tuple("open", note="meanwhile")).status)
        dave.presence(show="xa", status="dave meanwhile")
        edge.start()
        watch.wait_for("active", note="dave meanwhile", since=since)
        shown("available", "meanwhile")
        self.assertEqual([], dave.seen_of(carol, mark, SUBSCRIPTIONS))
        hidden = [rig.address(role) for role in ("node", "alice", "edge_inside")]
        self.assertFalse([text for way, text in dave.raw if way == "<-" and any(name in text for name in hidden)])
        agents.check()


def watcher(expires):
    """One of many who watch bob for a while. A NOTIFY that overtakes the answer is passed over, and comes again."""
    fields = ["Event: presence", "Accept: application/pidf+xml"]
    return [send("SUBSCRIBE", BOB, more=[*fields, f"Expires: {expires}"]), receive(200, routes=True), receive("NOTIFY"), answer(200, "OK", tag=False),
            send("SUBSCRIBE", BOB, in_dialog=True, more=[*fields, "Expires: 0"]), receive(200), receive("NOTIFY"), answer(200, "OK", tag=False), linger(2000)]


@unittest.skipUnless(shutil.which("sipp"), "sipp is not installed (Debian: sip-tester)")
class Many(Case):
    """sipp as many watchers at once, over UDP."""

    extra = '[[listen]]\nzone = "outside"\nprotocol = "sip"\ntransport = "udp"\nport = 5060\n'

    @classmethod
    def federated(cls):
        """A domain without TLS."""
        return {**super().federated(),
                "fabrikam.lan": 'protocol = "sip"\ntls = "public"\nrate = { requests_per_second = 10000, new_dialogs_per_second = 10000 }\n'
                                f'routes = [{{ next_hop = "{cls.rig.address("simone")}", port = 5060, transport = "udp" }}]'}

    def test_many_watchers_come_and_go(self):
        mark = self.bob.mark()
        made = Sipp(self.rig, "watchers", self.rig.address("simone"), 5060, "udp", "w[call_number]@fabrikam.lan", watcher(600),
                    (self.rig.address("edge_outside"), 5060), 100, rate=50)
        try:
            made.wait()
        except Failed as failure:
            raise Failed(f"{failure}\n{tail(made.errors, 30)}") from None
        self.assertEqual((100, 0), (made.counted("Successful call"), made.counted("Failed call")))
        asked = {event[1] for event in self.bob.events.all()[mark:] if event[0] == "presence" and event[2] == "subscribe"}
        self.assertEqual({f"w{number}@fabrikam.lan" for number in range(1, 101)}, asked, "bob is asked by each of them")


if __name__ == "__main__":
    unittest.main()

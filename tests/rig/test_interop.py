"""vestibule in a DMZ between real servers: Prosody and ejabberd outside, Prosody and ejabberd inside, every pair of them by every way in which
a domain can be proven, over IPv4 and IPv6. Needs VESTIBULE_BINARY, and root for the namespaces."""

import os
import socket
import unittest
from xml.etree import ElementTree

import dmz
from matrix import KINDS, Matrix, foreign, local, room_service
from rig import wait_until

BINARY = os.environ["VESTIBULE_BINARY"]
LOGS = os.environ.get("VESTIBULE_LOGS")

WAYS = [("external", "external"), ("dialback", "dialback"), ("plain", "dialback"), ("direct", "direct"), ("external", "component"),
        ("dialback", "component")]
"""How the foreign domain is proven outside, and how the local one is linked inside."""

IN_ORDER = 500
LARGE = 200_000
TOO_LARGE = 300_000
AMID = 50

matrix = None


def setUpModule():
    """All servers, once."""
    global matrix
    missing = dmz.available()
    if missing:
        print(f"\nSKIPPED: the servers in a DMZ: {missing}")
        raise unittest.SkipTest(missing)
    matrix = Matrix(BINARY, LOGS)
    unittest.addModuleCleanup(matrix.close)


def pairs():
    """The pairs of an outside and an inside server."""
    return [(outside, inside) for outside in KINDS for inside in KINDS]


class Chat(unittest.TestCase):
    """Messages of every pair of servers by every way."""

    def test_messages_pass_both_ways_and_each_domain_is_proven_as_configured(self):
        for outside, inside in pairs():
            for mode, link in WAYS:
                with self.subTest(outside=outside, inside=inside, mode=mode, link=link):
                    dave, bob = matrix.user(foreign(outside, mode)), matrix.user(local(inside, link))
                    for sender, receiver in ((dave, bob), (bob, dave)):
                        body = f"{mode} and {link}: <&> é"
                        sender.send(receiver.jid, body)
                        receiver.events.wait(lambda event, sender=sender, body=body: event[0] == "message" and event[2] == body
                                             and event[1].startswith(sender.jid), f"{body} from {sender.jid}")
                    method = "External" if mode in ("external", "direct") else "Dialback"
                    domains = foreign(outside, mode), local(inside, link)
                    self.assertEqual({method}, set(matrix.edge.authenticated("outside", *domains)))
                    self.assertGreaterEqual(len(matrix.edge.authenticated("outside", *domains)), 2, "one for each direction")
                    if link != "component":
                        method = "Dialback" if link == "dialback" else "External"
                        self.assertEqual({method}, set(matrix.edge.authenticated("inside", *reversed(domains))))

    def test_nobody_outside_reaches_anything_inside_but_through_the_edge(self):
        rig = matrix.rig
        for role in ("prosody_inside", "ejabberd_inside", "edge_inside"):
            for address, family in ((rig.address(role), socket.AF_INET), (rig.address6(role), socket.AF_INET6)):
                def reach(address=address, family=family):
                    with socket.socket(family) as probe:
                        probe.settimeout(2)
                        return probe.connect_ex((address, 5269))
                self.assertNotEqual(0, rig.where("prosody_outside").run(reach), address)

    def test_five_hundred_messages_each_way_arrive_in_order(self):
        for outside, inside in pairs():
            with self.subTest(outside=outside, inside=inside):
                dave, bob = matrix.user(foreign(outside, "external")), matrix.user(local(inside, "external"))
                bodies = [f"{number} of {outside} and {inside}" for number in range(IN_ORDER)]
                # Prosody itself sends what comes between SASL and the next stream features before what has waited longer.
                for sender, receiver in ((dave, bob), (bob, dave)):
                    sender.send(receiver.jid, f"first of {sender.jid}")
                    receiver.wait_for_message(f"first of {sender.jid}")
                for body in bodies:
                    dave.send(bob.jid, body)
                    bob.send(dave.jid, body)
                for receiver in (dave, bob):
                    receiver.wait_for_message(bodies[-1])
                    got = [event[2] for event in receiver.events.all() if event[0] == "message" and event[2] in bodies]
                    self.assertEqual(bodies, got)


class Large(unittest.TestCase):
    """Messages up to the limit arrive whole; the sender of a larger one is told, and those around it are not harmed."""

    def test_two_hundred_thousand_octets_arrive_whole(self):
        for outside, inside in pairs():
            for mode, link in (("external", "external"), ("plain", "dialback"), ("external", "component")):
                with self.subTest(outside=outside, inside=inside, mode=mode, link=link):
                    dave, bob = matrix.user(foreign(outside, mode)), matrix.user(local(inside, link))
                    body = f"{mode} {link} " + "x" * LARGE
                    dave.send(bob.jid, body)
                    bob.wait_for_message(body)
                    bob.send(dave.jid, body)
                    dave.wait_for_message(body)


    def test_the_sender_of_a_larger_one_is_told_and_traffic_goes_on(self):
        for outside, inside in pairs():
            with self.subTest(outside=outside, inside=inside):
                dave, bob = matrix.user(foreign(outside, "direct")), matrix.user(local(inside, "direct"))
                for sender, receiver in ((dave, bob), (bob, dave)):
                    sent = sender.send(receiver.jid, "x" * TOO_LARGE)
                    sender.wait_for_error(sent)
                    matrix.comes_through(sender, receiver)


class Presence(unittest.TestCase):
    """Subscriptions and every state, end to end."""

    STATES = [(None, "here", 5), ("away", "at lunch", 0), ("chat", "talk to me", 10), ("dnd", "busy: <&> é", -1), ("xa", "on holiday", -128)]
    IDLE = '<idle xmlns="urn:xmpp:idle:1" since="2026-01-02T03:04:05Z"/>'

    def test_the_user_inside_subscribes(self):
        for outside, inside in pairs():
            with self.subTest(outside=outside, inside=inside):
                self._subscription(matrix.user(local(inside, "external")), matrix.user(foreign(outside, "external")))

    def test_the_user_outside_subscribes(self):
        for outside, inside in pairs():
            with self.subTest(outside=outside, inside=inside):
                self._subscription(matrix.user(foreign(outside, "dialback")), matrix.user(local(inside, "component")))

    def _subscription(self, watcher, watched):
        self.addCleanup(watched.presence, status="as before")  # available again, for the other tests
        watched.presence(None, status="unseen before")

        def seen(since):
            return [event[4] for event in watcher.events.all()[since:]
                    if event[0] == "presence" and event[1].startswith(watched.jid) and event[2] is None]
        start, since = len(watcher.events.all()), len(watched.events.all())
        watcher.presence("subscribe", watched.jid)
        watched.wait_for_presence(watcher.jid, "subscribe", since=since)
        self.assertEqual([], seen(start), "nothing is shown before the consent")
        since = len(watcher.events.all())
        watched.presence("subscribed", watcher.jid)
        watcher.wait_for_presence(watched.jid, "subscribed", since=since)
        watcher.wait_for_presence(watched.jid, None, status="unseen before", since=since)
        for show, status, priority in self.STATES:
            since = len(watcher.events.all())
            watched.presence(None, show=show, status=status, priority=priority, extension=self.IDLE)
            got = watcher.wait_for_presence(watched.jid, None, status=status, since=since)
            self.assertEqual((show, str(priority)), (got[3], got[5] or "0"))
            idle = ElementTree.fromstring(got[6]).find("{urn:xmpp:idle:1}idle")
            self.assertEqual("2026-01-02T03:04:05Z", idle.get("since"))
        since = len(watcher.events.all())
        watched.presence("unavailable", status="good night")
        watcher.wait_for_presence(watched.jid, "unavailable", status="good night", since=since)
        watched.presence(None, status="good morning")
        watcher.wait_for_presence(watched.jid, None, status="good morning", since=since)
        since, gone = len(watched.events.all()), len(watcher.events.all())
        watcher.presence("unsubscribe", watched.jid)
        watched.wait_for_presence(watcher.jid, "unsubscribe", since=since)
        if "ejabberd" in watched.jid:  # Prosody does not say that its user has gone from the view of who unsubscribes
            watcher.wait_for_presence(watched.jid, "unavailable", since=gone)
        gone = len(watcher.events.all())
        watched.presence(None, status="unseen after")
        # What is sent later and arrives shows that nothing came before it.
        body = f"{watched.jid} is no longer seen by {watcher.jid}"
        watched.send(watcher.jid, body)
        watcher.wait_for_message(body)
        self.assertEqual([], seen(gone))


class Rooms(unittest.TestCase):
    """A room on a chat service inside, which a user outside joins."""

    AS_IT_IS = '<query xmlns="http://jabber.org/protocol/muc#owner"><x xmlns="jabber:x:data" type="submit"/></query>'
    JOIN = '<x xmlns="http://jabber.org/protocol/muc"/>'

    def test_users_of_both_sides_meet_in_a_room(self):
        for outside, inside in pairs():
            with self.subTest(outside=outside, inside=inside):
                dave, bob = matrix.user(foreign(outside, "external")), matrix.user(local(inside, "external"))
                room = f"meeting-{outside}@{room_service(inside)}"
                bob.presence(to=f"{room}/bob", extension=self.JOIN)
                bob.wait_for_presence(f"{room}/bob")
                self.assertEqual("result", bob.ask(room, self.AS_IT_IS, "set")[2])  # some keep a new room closed until then
                dave.presence(to=f"{room}/dave", extension=self.JOIN)
                dave.wait_for_presence(f"{room}/bob")
                dave.wait_for_presence(f"{room}/dave")
                bob.wait_for_presence(f"{room}/dave")
                for sender, nick in ((bob, "bob"), (dave, "dave")):
                    sender.send(room, f"{nick} says hello in {room}", kind="groupchat")
                    for receiver in (bob, dave):
                        got = receiver.wait_for_message(f"{nick} says hello in {room}")
                        self.assertEqual(f"{room}/{nick}", got[1])
                dave.send(f"{room}/bob", f"in private in {room}")
                self.assertEqual(f"{room}/dave", bob.wait_for_message(f"in private in {room}")[1])
                self.assertEqual("result", dave.ask(room, '<query xmlns="http://jabber.org/protocol/disco#info"/>')[2])
                dave.presence("unavailable", f"{room}/dave")
                bob.wait_for_presence(f"{room}/dave", "unavailable")
                dave.wait_for_presence(f"{room}/dave", "unavailable")


class Queries(unittest.TestCase):
    """iq between users and servers of both sides."""

    def test_pings_disco_and_vcards_are_answered_both_ways(self):
        card = '<vCard xmlns="vcard-temp"><FN>{}</FN></vCard>'
        for outside, inside in pairs():
            with self.subTest(outside=outside, inside=inside):
                dave, bob = matrix.user(foreign(outside, "external")), matrix.user(local(inside, "external"))
                for user, other in ((dave, bob), (bob, dave)):
                    domain = other.jid.partition("@")[2]
                    self.assertEqual("result", user.ask(domain, '<ping xmlns="urn:xmpp:ping"/>')[2])
                    disco = user.ask(domain, '<query xmlns="http://jabber.org/protocol/disco#info"/>')
                    self.assertIn("urn:xmpp:ping", disco[5])
                    name = f"{other.jid} to {user.jid}"
                    self.assertEqual("result", other.ask("", card.format(name), "set")[2])
                    self.assertIn(name, user.ask(other.jid, '<vCard xmlns="vcard-temp"/>')[5])
                    self.assertEqual("error", user.ask(f"nobody@{domain}", '<query xmlns="urn:example:unknown"/>')[2])


class Restarts(unittest.TestCase):
    """A server is killed amid messages to its users and started again: each message arrives or is reported to its sender, and then
    traffic comes back by itself."""

    def test_a_server_outside(self):
        for kind, server in matrix.outside.items():
            with self.subTest(kind=kind):
                self._restart(server, foreign(kind, "external"), [local(inside, "external") for inside in KINDS])

    def test_a_server_inside(self):
        for kind, server in matrix.inside.items():
            with self.subTest(kind=kind):
                self._restart(server, local(kind, "external"), [foreign(outside, "external") for outside in KINDS])

    def _restart(self, server, to, from_):
        before = matrix.user(to)
        senders = [matrix.user(domain) for domain in from_]
        sent = {}

        def send(count):
            for number in range(count):
                for sender in senders:
                    body = f"{number + len(sent)} from {sender.jid}"
                    sent[sender.send(before.jid, body)] = body
        send(AMID)
        for sender in senders:
            before.events.wait(lambda event, sender=sender: event[0] == "message" and event[1].startswith(sender.jid)
                               and event[2] in sent.values(), "some of them")
        server.process.popen.kill()
        send(AMID)
        server.process.stop()
        server.spawn().ready()
        matrix.forget(server)
        after = matrix.user(to)

        def accounted():
            delivered = {event[2] for user in (before, after) for event in user.events.all() if event[0] == "message"}
            reported = {sent[event[2]] for sender in senders for event in sender.events.all() if event[0] == "error" and event[2] in sent}
            return delivered & set(sent.values()), reported
        try:
            wait_until(lambda: set.union(*accounted()) >= set(sent.values()), "every message is delivered or reported")
        finally:
            delivered, reported = accounted()
            print(f"({to}: {len(delivered)} delivered, {len(reported)} reported, {len(delivered & reported)} both, of {len(sent)}) ",
                  end="", flush=True)
        for sender in senders:
            matrix.comes_through(sender, after)
            matrix.comes_through(after, sender)


if __name__ == "__main__":
    unittest.main()

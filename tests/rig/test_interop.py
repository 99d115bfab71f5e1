"""vestibule in a DMZ between real servers: Prosody and ejabberd outside, Prosody and ejabberd inside, every pair of them by every way in which
a domain can be proven, over IPv4 and IPv6. Needs VESTIBULE_BINARY, and root for the namespaces."""

import os
import socket
import unittest
from xml.etree import ElementTree

import dmz
from matrix import KINDS, Matrix, foreign, local, room_service
from rig import Failed, wait_until

BINARY = os.environ["VESTIBULE_BINARY"]
LOGS = os.environ.get("VESTIBULE_LOGS")

WAYS = [("external", "external"), ("dialback", "dialback"), ("plain", "dialback"), ("direct", "direct"), ("external", "component"),
        ("dialback", "component")]
"""How the foreign domain is proven outside, and how the local one is linked inside."""

IN_ORDER = 500
LARGE = 200_000
TOO_LARGE = 300_000
AMID = 50
EACH_WAY = 300

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
    """A server, or the proxy, is killed or restarted amid messages: each message arrives or is reported to its sender, in order, and then
    traffic comes back by itself."""

    def test_a_server_outside_is_killed(self):
        for kind, server in matrix.outside.items():
            with self.subTest(kind=kind):
                self._killed(server, foreign(kind, "external"), [local(inside, "external") for inside in KINDS])

    def test_a_server_inside_is_killed(self):
        for kind, server in matrix.inside.items():
            with self.subTest(kind=kind):
                self._killed(server, local(kind, "external"), [foreign(outside, "external") for outside in KINDS])

    def test_a_server_with_the_proxy_as_its_component_is_killed(self):
        for kind, server in matrix.components.items():
            with self.subTest(kind=kind):
                self._killed(server, local(kind, "component"), [foreign(outside, "external") for outside in KINDS])

    def test_a_server_outside_is_restarted(self):
        for kind, server in matrix.outside.items():
            with self.subTest(kind=kind):
                self._restarted(server, foreign(kind, "external"), [local(inside, "external") for inside in KINDS])

    def test_a_server_inside_is_restarted(self):
        for kind, server in matrix.inside.items():
            with self.subTest(kind=kind):
                self._restarted(server, local(kind, "external"), [foreign(outside, "external") for outside in KINDS])

    def test_a_server_with_the_proxy_as_its_component_is_restarted(self):
        for kind, server in matrix.components.items():
            with self.subTest(kind=kind):
                self._restarted(server, local(kind, "component"), [foreign(outside, "external") for outside in KINDS])

    def test_the_proxy_is_restarted(self):
        pairs_ = [(matrix.user(foreign(outside, "external")), matrix.user(local(inside, "external"))) for outside, inside in pairs()]
        ledgers = [Ledger(*ends) for pair in pairs_ for ends in (pair, reversed(pair))]
        for ledger in ledgers:
            matrix.comes_through(*ledger.ends)
        self._send(ledgers, EACH_WAY // 2)
        self._middle(ledgers)
        matrix.edge.process.popen.terminate()
        self._send(ledgers, EACH_WAY // 4)
        matrix.edge.process.popen.wait(60)
        # ejabberd itself loses now and then one that comes while its stream ends; Prosody gives back what was not acknowledged.
        seen = matrix.edge.process.output()
        for ledger in ledgers:
            if "ejabberd" in ledger.ends[0].jid:
                ledger.lost_before(lambda identifier: identifier in seen)
        matrix.edge.start()
        for ledger in ledgers:
            matrix.comes_through(*ledger.ends)
        self._send(ledgers, EACH_WAY // 4)
        self._accounted(ledgers)

    def _killed(self, server, to, from_):
        before = matrix.user(to)
        ledgers = [Ledger(matrix.user(domain), before) for domain in from_]
        # Prosody itself sends what comes while its stream is set up before what has waited for it.
        for ledger in ledgers:
            matrix.comes_through(*ledger.ends)
        self._send(ledgers, AMID)
        self._middle(ledgers)
        server.process.popen.kill()
        self._send(ledgers, AMID)
        self._up_again(server, to, ledgers)
        self._accounted(ledgers)

    def _restarted(self, server, to, from_):
        before = matrix.user(to)
        towards = [Ledger(matrix.user(domain), before) for domain in from_]
        back = [Ledger(before, matrix.user(domain)) for domain in from_]
        for ledger in towards + back:
            matrix.comes_through(*ledger.ends)
        self._send(towards + back, EACH_WAY // 2)
        self._middle(towards + back)
        # What a user has handed to a server that stops before it has read it is between those two.
        wait_until(lambda: not any(ledger.missing() for ledger in back), "what the users of the server sent is out of it")
        server.process.popen.terminate()
        self._send(towards, EACH_WAY // 4)
        server.process.popen.wait(60)
        self._up_again(server, to, towards + back)
        self._send(back, EACH_WAY // 4)
        self._send(towards + back, EACH_WAY // 4)
        self._accounted(towards + back)

    def _up_again(self, server, to, ledgers):
        """Starts a server again; its user goes on there."""
        before = matrix.user(to)
        server.process.stop()
        server.spawn().ready()
        matrix.forget(server)
        after = matrix.user(to)
        for ledger in ledgers:
            ledger.moved(before, after)
            matrix.comes_through(*ledger.ends)
            matrix.comes_through(*reversed(ledger.ends))

    @staticmethod
    def _send(ledgers, count):
        for _ in range(count):
            for ledger in ledgers:
                ledger.send()

    @staticmethod
    def _middle(ledgers):
        """Some are through, and some are under way."""
        wait_until(lambda: all(ledger.delivered() for ledger in ledgers), "some of them arrive")

    def _accounted(self, ledgers):
        try:
            wait_until(lambda: not any(ledger.missing() for ledger in ledgers), "every message is delivered or reported")
        except Failed as error:
            raise Failed(f"{error}: {[(str(ledger), ledger.missing()) for ledger in ledgers if ledger.missing()]}") from error
        finally:
            print(f"({'; '.join(str(ledger) for ledger in ledgers)}) ", end="", flush=True)
        for ledger in ledgers:
            self.assertEqual(sorted(set(ledger.delivered())), ledger.delivered(), f"{ledger}: in order, and none twice")


class Ledger:
    """What one user sends to another, by number, and what becomes of it."""

    count = 0

    def __init__(self, sender, receiver):
        Ledger.count += 1
        self.ends = [sender, receiver]
        self._name = f"{Ledger.count}th of {sender.jid} to {receiver.jid}"
        self._senders, self._receivers = [sender], [receiver]
        self._sent, self._excused = {}, set()

    def send(self):
        """The next one."""
        number = len(self._sent)
        self._sent[self.ends[0].send(self.ends[1].jid, f"{number} {self._name}")] = number

    def moved(self, before, after):
        """A user has logged in anew."""
        self.ends = [after if end is before else end for end in self.ends]
        for seen in (self._senders, self._receivers):
            if before in seen:
                seen.append(after)

    def delivered(self):
        """The numbers that arrived, in their order."""
        bodies = [event[2] for user in self._receivers for event in user.events.all() if event[0] == "message"]
        return [int(body.partition(" ")[0]) for body in bodies if body.endswith(self._name)]

    def reported(self):
        """The numbers that came back as errors."""
        return [self._sent[event[2]] for user in self._senders for event in user.events.all() if event[0] == "error" and event[2] in self._sent]

    def lost_before(self, is_seen):
        """What was sent so far and never got as far as is asked about is not missed."""
        self._excused = {number for identifier, number in self._sent.items() if not is_seen(identifier)}

    def missing(self):
        """The numbers of which nobody knows."""
        return sorted(set(self._sent.values()) - set(self.delivered()) - set(self.reported()) - self._excused)

    def __str__(self):
        delivered, reported = set(self.delivered()), set(self.reported())
        twice = len(self.reported()) - len(reported)
        both = f", {len(delivered & reported)} both" if delivered & reported else ""
        both += f", {twice} twice" if twice else ""
        lost = len(self._excused - delivered - reported)
        both += f", {lost} lost before the proxy" if lost else ""
        return f"{self._name}: {len(delivered)} delivered, {len(reported)} reported{both}, of {len(self._sent)}"


if __name__ == "__main__":
    unittest.main()

"""The set-up of the tests of presence: an XMPP server inside with real clients, and outside contoso.lan, all of it one scripted element."""

import itertools
import os
import unittest

import chat
import ejabberd
import presence
import prosody
import resolver
from pki import Authority
from rig import Rig, wait_until
from vestibule import Vestibule

BINARY = os.environ["VESTIBULE_BINARY"]
BOB, CAROL = "bob@example.lan", "carol@example.lan"
SUBSCRIPTIONS = ("subscribe", "subscribed", "unsubscribe", "unsubscribed")
_numbers = itertools.count(1)


class Case(unittest.TestCase):
    """bob and carol inside, and as many users outside as are asked for, whom nobody knows yet."""

    server = "prosody"
    profile = "simple"
    interworking = 'presence_burst_interval = "100ms"\n'
    extra = ""

    @classmethod
    def setUpClass(cls):
        rig = cls.rig = Rig(logs=os.environ.get("VESTIBULE_LOGS"))
        cls.addClassCleanup(rig.close)
        authority = cls.authority = Authority(rig)
        resolver.start(rig, {"example.lan": rig.address("node")}, rig.address("edge_inside"))
        cls.vestibule = Vestibule(rig, BINARY, authority, "example.lan", cls.federated(), extra=f"[interworking]\n{cls.interworking}\n{cls.extra}")
        cls.contoso = cls.agent("contoso.lan", "alice")
        cls.start_server()
        cls.vestibule.start()
        cls.bob, cls.carol = (cls.client(user) for user in ("bob", "carol"))

    @classmethod
    def federated(cls):
        """The foreign domains, as `Vestibule` takes them."""
        return {"contoso.lan": cls.domain("alice", cls.profile)}

    @classmethod
    def domain(cls, role, profile="simple", port=5061):
        """The table of a SIP domain whose server is at a role's address."""
        return (f'protocol = "sip"\nprofile = "{profile}"\ntls = "public"\n'
                f'routes = [{{ next_hop = "{cls.rig.address(role)}", port = {port}, transport = "tls" }}]')

    @classmethod
    def agent(cls, domain, role):
        """A scripted element that is all of a domain."""
        return presence.Agent(cls.rig, cls.rig.address(role), cls.authority.issue(domain, [domain]), cls.authority, domain,
                              (cls.rig.address("edge_outside"), 5061))

    @classmethod
    def start_server(cls):
        """The XMPP server inside."""
        rig, identity = cls.rig, cls.authority.issue("node", ["example.lan"])
        if cls.server == "ejabberd":
            cls.node = ejabberd.start(rig, "example.lan", identity, cls.authority, [], "secret", role="node", users=("bob", "carol"))
        else:
            cls.node = prosody.Prosody(rig, "example.lan", identity, cls.authority)
            for user in ("bob", "carol"):
                cls.node.register(user, "secret")
            cls.node.start()

    @classmethod
    def client(cls, user, resource="rig"):
        """A device of a user inside, with a client that does nothing by itself."""
        return chat.Client(cls.rig, f"{user}@example.lan", "secret", cls.rig.address("node"), cls.authority, resource=resource, by_hand=True)

    def setUp(self):
        self.contoso.faults.clear()
        self.contoso.deaf = False

    def tearDown(self):
        self.assertTrue(self.vestibule.process.running(), "vestibule runs on")
        self.contoso.check()

    def someone(self, state="open", **more):
        """A user outside whom nobody knows yet, in a state."""
        user = self.contoso.user(f"u{next(_numbers)}")
        user.show(state, **more)
        return user

    def sees(self, client, user, *shown, deadline=20):
        """Waits until a client shows of a user these and nothing else: a state and a text, for each device that is not gone; none: is gone."""
        def there():
            states = client.last_of(user.address if hasattr(user, "address") else user)
            return sorted((state, status or "") for state, status in states.values() if state != "unavailable")
        try:
            wait_until(lambda: there() == sorted(shown), f"{client.jid} sees {shown}", deadline)
        except Exception as failure:
            raise AssertionError(f"{failure}; it sees {there()}, and all that came of {user} is {client.seen_of(getattr(user, 'address', user))}") from None

    def befriend(self, client, user):
        """A user inside asks to see one outside, who lets it."""
        mark = client.mark()
        client.presence("subscribe", user.address)
        client.wait_for_presence(user.address, "subscribed", since=mark)
        return user.wait_for_watcher(client.jid)

    def watch(self, user, client=None, agent=None, expires=3600, **more):
        """A user outside asks to see one inside, who lets him."""
        client, agent = client or self.bob, agent or self.contoso
        name, mark = user if isinstance(user, str) else user.name, client.mark()
        watch = agent.watch(name, client.jid, expires, **more)
        self.assertEqual(200, watch.answer.status)
        client.wait_for_presence(watch.who, "subscribe", since=mark)
        client.presence("subscribed", watch.who)
        watch.wait_for("active", "open")
        return watch

    def passed(self, client, user):
        """Waits until what was sent to a client before has come: a message of the same two goes behind it."""
        text = f"behind it {next(_numbers)}"
        asked = self.contoso.ask("MESSAGE", f"sip:{client.jid}", user.address, client.jid, body=text)
        client.wait_for_message(text)
        self.assertEqual(200, asked.final().status)

    def reached(self, client, user):
        """The same the other way: what a client sent before has reached the edge."""
        text = f"before it {next(_numbers)}"
        client.send(user.address, text)
        self.contoso.until(lambda: any(message.method == "MESSAGE" and message.body == text.encode() for message in self.contoso.seen), "the text behind it")

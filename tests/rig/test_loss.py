"""Nothing is lost in silence: a peer is killed in the middle of many messages, and each message is either delivered or reported
to its sender. Needs VESTIBULE_BINARY."""

import os
import re
import unittest

import chat
import prosody
import resolver
from baresip import Baresip
from pki import Authority
from rig import Rig, wait_until
from vestibule import Vestibule

BINARY = os.environ["VESTIBULE_BINARY"]
SECRET = "component secret"
SIP_MESSAGES = 1000
XMPP_MESSAGES = 300


class Loss:
    """The set-up, once a test: each test kills something."""

    link = None

    def setUp(self):
        rig = self.rig = Rig()
        self.addCleanup(rig.close)
        authority = Authority(rig)
        component = self.link == "component"
        resolver.start(rig, {"example.lan": rig.address("node")}, None if component else rig.address("edge_inside"))
        self.node = prosody.Prosody(rig, "example.lan", authority.issue("node", ["example.lan"]), authority, log="info",
                                    components=["contoso.lan"] if component else [], secret=SECRET)
        self.node.register("bob", "secret")
        self.node.start()
        self.edge = Vestibule(rig, BINARY, authority, "example.lan", {
            "contoso.lan": f'protocol = "sip"\ntls = "public"\n'
                           f'routes = [{{ next_hop = "{rig.address("alice")}", port = 5061, transport = "tls" }}]',
        }, self.link, SECRET, level="info").start()
        self.alice = Baresip(rig, "alice", "contoso.lan", "alice", authority.issue("contoso", ["contoso.lan"]), authority,
                             (rig.address("edge_outside"), 5061), ["bob@example.lan"])
        self.bob = chat.Client(rig, "bob@example.lan", "secret", self.node.address, authority)

    def test_killing_the_xmpp_node_amid_a_thousand_sip_messages_loses_none_in_silence(self):
        sent = [f"message {number} of {SIP_MESSAGES}" for number in range(SIP_MESSAGES)]
        for number, body in enumerate(sent):
            self.alice.send("bob@example.lan", body)
            if number == SIP_MESSAGES // 2:
                # Some are certainly through by now, and some certainly under way.
                self.bob.wait_for_message(sent[number // 2])
                self.node.process.popen.kill()
        answers = wait_until(lambda: self._answers(SIP_MESSAGES), "every message has a final answer", 60, alive=self.alice.process)
        delivered = {event[2] for event in self.bob.events.all() if event[0] == "message"}
        reported = {body for body in sent if answers[body] >= 300}
        print(f"({len(delivered)} delivered, {len(reported)} reported, of {len(sent)}) ", end="", flush=True)
        self.assertEqual([], [body for body in sent if body not in delivered and body not in reported], "lost in silence")
        self.assertGreater(len(delivered), 0)
        self.assertGreater(len(reported), 0)
        self.assertTrue(self.edge.process.running())

    def test_killing_the_sip_user_agent_amid_xmpp_messages_loses_none_in_silence(self):
        sent = {}
        for number in range(XMPP_MESSAGES):
            body = f"message {number} of {XMPP_MESSAGES}"
            sent[self.bob.send("alice@contoso.lan", body)] = body
            if number == XMPP_MESSAGES // 2:
                self.alice.wait_for_message("bob@example.lan", f"message {number // 2} of {XMPP_MESSAGES}")
                self.alice.process.popen.kill()

        def accounted():
            reported = {sent[event[2]] for event in self.bob.events.all() if event[0] == "error"}
            shown = re.findall(r'sip:bob@example\.lan[^"\n]*: "(message \d+ of \d+)"', self.alice.process.output())
            return (set(shown), reported) if set(shown) | reported >= set(sent.values()) else None
        delivered, reported = wait_until(accounted, "every message is delivered or reported", 60)
        print(f"({len(delivered)} delivered, {len(reported)} reported, of {len(sent)}) ", end="", flush=True)
        self.assertGreater(len(delivered), 0)
        self.assertGreater(len(reported), 0)
        self.assertTrue(self.edge.process.running())

    def _answers(self, wanted):
        """The final status of each message by its text, where all have one."""
        calls, status = {}, {}
        for way, text in self.alice.messages():
            call = re.search(r"^Call-ID: (.*)$", text, re.MULTILINE)
            if way == "out" and text.startswith("MESSAGE "):
                calls[call.group(1)] = text.partition("\n\n")[2].strip()
            elif way == "in" and call and re.match(r"SIP/2\.0 [2-6]", text):
                status[call.group(1)] = int(text.split(" ", 2)[1])
        return {body: status[call] for call, body in calls.items()} if len(status) == len(calls) == wanted else None


class LossOverS2s(Loss, unittest.TestCase):
    """The node is linked by s2s."""

    link = "s2s"


class LossOverComponent(Loss, unittest.TestCase):
    """The node is linked by a component."""

    link = "component"


if __name__ == "__main__":
    unittest.main()

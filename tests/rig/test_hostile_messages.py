"""Bodies of messages as nobody should write them, on the wire, between good messages of the same peer. Needs VESTIBULE_BINARY."""

import base64
import os
import unittest

import chat
import prosody
import resolver
import simple
from pki import Authority
from rig import Rig, group_memory
from vestibule import Vestibule

BINARY = os.environ["VESTIBULE_BINARY"]
BOB = "bob@example.lan"
SDP = ("v=0\r\no=- 0 0 IN IP4 192.0.2.9\r\ns=session\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\nm=message 5060 sip null\r\n"
       "a=accept-types:text/plain\r\n")


def multipart(parts, boundary="b"):
    """A body of parts, and its type."""
    body = "".join(f"--{boundary}\r\nContent-Type: {kind}\r\n\r\n{part}\r\n" for kind, part in parts)
    return f"multipart/alternative;boundary={boundary}", f"{body}--{boundary}--\r\n"


def nested(depth):
    """Parts within parts."""
    kind, body = "text/plain", "deep"
    for level in range(depth):
        kind, body = multipart([(kind, body)], f"b{level}")
    return kind, body


BODIES = [
    # What it is, its type, the body, and what it is answered with.
    ("CPIM without an end of its headers", "message/cpim", "From: <sip:a@b>\r\nTo: <sip:c@d>", 400),
    ("CPIM with a header that is none", "message/cpim", "nonsense\r\n\r\nContent-Type: text/plain\r\n\r\nhi", 400),
    ("CPIM in CPIM", "message/cpim", "From: <a:b>\r\n\r\nContent-Type: message/cpim\r\n\r\nFrom: <a:b>\r\n\r\nContent-Type: text/plain\r\n\r\nhi", 415),
    ("CPIM with a header of 8,000 octets", "message/cpim", f"From: <a:b>\r\nSubject: {'x' * 8000}\r\n\r\nContent-Type: text/plain\r\n\r\nhi", 400),
    ("CPIM of a picture", "message/cpim", "From: <a:b>\r\n\r\nContent-Type: image/png\r\n\r\nhi", 415),
    ("parts within parts, 12 deep", *nested(12), 415),
    ("17 parts", *multipart([("text/plain", "x")] * 17), 400),
    ("a thousand parts", *multipart([("text/plain", "x")] * 1000), 400),
    ("parts without a boundary", "multipart/alternative", "--b\r\n\r\nhi\r\n--b--\r\n", 400),
    ("parts that never end", "multipart/alternative;boundary=b", "--b\r\nContent-Type: text/plain\r\n\r\nhi", 400),
    ("RTF of 60,000 open groups", "text/rtf", "{\\rtf1 " + "{" * 60_000, 400),
    ("RTF that is none", "text/rtf", "hello", 400),
    ("HTML of 10,000 open elements and no word", "text/html", "<b>" * 10_000, 400),
    ("text that is not UTF-8", "text/plain;charset=UTF-8", b"\xff\xfe\xfd", 400),
    ("text of a character set that nobody knows", "text/plain;charset=x-nonsense", "hi", 415),
    ("nothing but blanks", "text/plain", " \r\n\t ", 400),
    ("a receipt that is none", "message/imdn+xml", "<imdn/>", 400),
    ("a receipt of entities", "message/imdn+xml", '<!DOCTYPE imdn [<!ENTITY a "aaaaaaaa">]><imdn xmlns="urn:ietf:params:xml:ns:imdn">&a;</imdn>', 400),
    ("typing of entities", "application/im-iscomposing+xml", '<!DOCTYPE x [<!ENTITY a "a">]><isComposing>&a;</isComposing>', 400),
]


class HostileMessages(unittest.TestCase):
    """alice outside sends them, bob inside must see none of them, and every good message."""

    @classmethod
    def setUpClass(cls):
        rig = cls.rig = Rig()
        cls.addClassCleanup(rig.close)
        authority = Authority(rig)
        resolver.start(rig, {"example.lan": rig.address("node")}, rig.address("edge_inside"))
        node = prosody.Prosody(rig, "example.lan", authority.issue("node", ["example.lan"]), authority)
        cls.vestibule = Vestibule(rig, BINARY, authority, "example.lan", {
            "contoso.lan": 'protocol = "sip"\nprofile = "microsoft"\ntls = "public"\n'
                           f'routes = [{{ next_hop = "{rig.address("alice")}", port = 5061, transport = "tls" }}]'})
        node.register("bob", "secret")
        node.start()
        cls.vestibule.start()
        cls.bob = chat.Client(rig, BOB, "secret", node.address, authority)
        cls.alice = simple.User(rig, rig.address("alice"), authority.issue("contoso.lan", ["contoso.lan"]), authority, "alice@contoso.lan")
        cls.alice.dial(rig.address("edge_outside"))

    def good(self, text):
        """A good message passes."""
        self.assertEqual(200, self.alice.say(BOB, text).status)
        self.bob.wait_for_message(text)

    def test_each_is_refused_with_the_right_status_and_the_next_good_one_passes(self):
        for number, (what, kind, body, status) in enumerate(BODIES):
            with self.subTest(what):
                self.assertEqual(status, self.alice.page(BOB, body, kind).status)
                self.good(f"after {number}")
        shown = [event[2] for event in self.bob.events.all() if event[0] == "message"]
        self.assertTrue(all(text.startswith("after") for text in shown), shown)

    def test_text_in_an_invitation_that_is_too_much_or_none_does_not_arrive(self):
        huge = base64.b64encode(b"x" * 2_000_000).decode()
        large = base64.b64encode(b"x" * 14_000).decode()
        for what, value, status in (
                ("megabytes", f"text/plain; charset=UTF-8;ms-body={huge}", None),
                ("more than a line may hold", f"text/plain; charset=UTF-8;ms-body={large}", None),
                ("no base64", "text/plain; charset=UTF-8;ms-body=%%%%", 200),
                ("no UTF-8", "text/plain; charset=UTF-8;ms-body=//79", 200)):
            with self.subTest(what):
                final = self.alice.invite(BOB, f"ms-text-format: {value}", SDP)
                self.assertEqual(status, final and final.status)
                # Whoever does not see the tag sends the text again, in a MESSAGE.
                self.assertNotIn("ms-text-format", final.get("Supported") if final else "")
                if final is None:
                    self.alice.dial(self.rig.address("edge_outside"))
                self.good(f"after {what}")
        self.assertFalse([event for event in self.bob.events.all() if event[0] == "message" and event[2].startswith("xxx")])
        self.assertLess(group_memory(self.vestibule.process.pid), 100 << 20)


if __name__ == "__main__":
    unittest.main()

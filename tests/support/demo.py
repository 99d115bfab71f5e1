"""The demonstration that scripts/demo runs once everything is installed and built: every step is observed, or it fails."""

import argparse
import os
import secrets
import signal
import sys
import textwrap
import threading
import time
import unicodedata

import chat
import microsoft
import presence
import prosody
import resolver
import rig as rigs
import simple
from baresip import Baresip
from pki import Authority
from vestibule import Vestibule

WIDTH = 74
"""Columns of one side of the comparison."""

RECEIPTS, STATES = "urn:xmpp:receipts", "http://jabber.org/protocol/chatstates"
ASKING = f'<request xmlns="{RECEIPTS}"/>', f'<active xmlns="{STATES}"/>'
"""What clients put beside a text: they want a receipt, and know of chat states."""


def main():
    """Runs the steps; the exit code tells whether all were seen."""
    arguments = _arguments()
    os.makedirs(arguments.logs, exist_ok=True)
    step = Steps()
    signal.signal(signal.SIGTERM, _interrupted)
    run = rigs.Rig(arguments.network, arguments.logs)
    try:
        _run(arguments, step, run)
        return 0
    except KeyboardInterrupt:
        print("\ninterrupted")
        return 130
    except Exception as error:  # whatever went wrong, the reader is told the step and shown the logs
        print(f"\nFAILED at step {step.number}: {step.text}\n  {type(error).__name__}: {error}\n")
        for process in run.processes:
            print(f"--- the end of {process.log}" + ("" if process.running() else f" (ended: {process.popen.returncode})"))
            print(rigs.tail(process.log, 60 if process.name == "vestibule" else 15))
        return 1
    finally:
        run.close()
        print(f"\nEverything is taken down. The logs stay in {run.logs}")


class Steps:
    """Says what is being done, and remembers it for the report of a failure."""

    def __init__(self):
        self.number, self.text = 0, "nothing yet"

    def __call__(self, text):
        self.number, self.text = self.number + 1, text
        print(f"[{self.number}] {text}", flush=True)

    @staticmethod
    def seen(text):
        """Reports an observation."""
        print(f"      seen: {text}", flush=True)


def _run(arguments, step, run):
    component = arguments.link == "component"
    step("a throw-away certificate authority; certificates for the edge, the inside node and each partner")
    authority = Authority(run)
    node_identity = authority.issue("node", ["example.lan"])

    step(f"Prosody at {run.address('node')}, the inside node of example.lan, with the users bob, carol and erin, linked by {arguments.link}")
    secret = secrets.token_hex(16)
    resolver.start(run, {"example.lan": run.address("node")}, None if component else run.address("edge_inside"))
    node = prosody.Prosody(run, "example.lan", node_identity, authority, components=["contoso.lan", "northwind.lan", "adatum.lan", "woodgrove.lan"] if component else [], secret=secret)
    passwords = {user: secrets.token_hex(8) for user in ("bob", "carol", "erin")}
    for user, password in passwords.items():
        node.register(user, password)
    node.start()

    step(f"vestibule: outside {run.address('edge_outside')}, inside {run.address('edge_inside')}, default deny, four federated domains: contoso.lan, northwind.lan, adatum.lan, woodgrove.lan")
    edge = Vestibule(run, arguments.binary, authority, "example.lan", {
        domain: f'protocol = "sip"\nprofile = "{profile}"\ntls = "public"\n'
                f'routes = [{{ next_hop = "{run.address(who)}", port = 5061, transport = "tls" }}]'
        for domain, profile, who in (("contoso.lan", "simple", "alice"), ("northwind.lan", "simple", "simone"), ("adatum.lan", "microsoft", "lyn"),
                                     ("woodgrove.lan", "simple", "relay"))
    }, arguments.link, secret).start()
    step.seen(f"ready at {edge.metrics}/readyz")

    step("baresip outside, over TLS with certificates: alice@contoso.lan, and mallory@fabrikam.lan who is federated with nobody")
    next_hop = (run.address("edge_outside"), 5061)
    alice, mallory = (
        Baresip(run, user, domain, user, authority.issue(domain, [domain]), authority, next_hop, ["bob@example.lan"])
        for user, domain in (("alice", "contoso.lan"), ("mallory", "fabrikam.lan")))

    step("bob and carol log in with a real XMPP client (slixmpp)")
    bob, carol = (chat.Client(run, f"{user}@example.lan", password, node.address, authority, plugins=("xep_0184",))
                  for user, password in passwords.items() if user != "erin")
    carol.send("bob@example.lan", "carol is here")
    bob.wait_for_message("carol is here")

    step("alice writes to bob: SIP outside, XMPP inside")
    hello = "Hello Bob, this is SIP & <TLS>"
    sent = alice.send("bob@example.lan", hello)
    arrived = bob.wait_for_message(hello)
    status, answer = alice.wait_for_answer(sent)
    _check(arrived[1].split("/")[0] == "alice@contoso.lan", f"bob sees it from {arrived[1]}")
    _check(status == 200, f"alice's answer is {status}")
    step.seen(f"bob's client shows {hello!r} from {arrived[1]}; alice got SIP 200")
    request = next(text for way, text in alice.messages(sent) if way == "out" and text.startswith("MESSAGE "))
    _side_by_side(("SIP, as alice sent it and was answered", request + "\n\n" + answer), ("XMPP, as bob's client got it", arrived[3]))

    step("bob answers alice: XMPP inside, SIP outside")
    back = "Hello Alice, XMPP here: é ü 你好"
    mark = len(alice.process.output())
    identifier = bob.send("alice@contoso.lan", back)
    shown = alice.wait_for_message("bob@example.lan", back, since=mark)
    answer = rigs.wait_until(lambda: next((text for way, text in alice.messages(mark) if way == "out" and text.startswith("SIP/2.0 200")), None),
                             "alice answers 200", alive=alice.process)
    step.seen(f"alice's user agent shows {shown}; it answered 200")
    request = next(text for way, text in alice.messages(mark) if way == "in" and text.startswith("MESSAGE "))
    _side_by_side(("XMPP, as bob's client sent it", _outgoing(bob, identifier)), ("SIP, as alice got and answered it", request + "\n\n" + answer))

    step("mallory@fabrikam.lan, with a good certificate of the same authority, writes to bob: refused")
    sent = mallory.send("bob@example.lan", "you have won")
    status, answer = mallory.wait_for_answer(sent)
    _check(status == 403, f"mallory's answer is {status}")
    step.seen("mallory got SIP 403")
    refused_sip = answer

    step("bob writes to someone@fabrikam.lan: refused")
    identifier = bob.send("someone@fabrikam.lan", "is anyone there?")
    error = bob.wait_for_error(identifier)
    if not component:
        _check("policy-violation" in error[4], f"the error is not vestibule's refusal: {error[5]}")
    step.seen(f"bob's client got the error {error[3]}: {error[4]}" + (" (of the node itself: this domain is no component)" if component else ""))
    _side_by_side(("SIP, the refusal that mallory got", refused_sip), ("XMPP, the refusal that bob got", error[5]))

    step("nothing of the refused domain crossed, and the good pair still talks")
    sent = alice.send("bob@example.lan", "still here")
    bob.wait_for_message("still here")
    _check(alice.wait_for_answer(sent)[0] == 200, "alice is answered 200 again")
    _check(not any(event[0] == "message" and "fabrikam" in event[1] for event in bob.events.all()), "bob saw nothing from fabrikam.lan")
    _check(not any(way == "in" and text.startswith("MESSAGE ") for way, text in mallory.messages()), "mallory got no message")
    bounced = [event for event in bob.events.all() if event[0] == "error" and event[2] != identifier]
    _check(not bounced, f"no message of bob's but that to fabrikam.lan came back: {bounced}")
    step.seen("alice's second message at bob's client; nothing from or to fabrikam.lan")

    _single_messages(step, bob, simple.User(run, run.address("simone"), authority.issue("northwind.lan", ["northwind.lan"]), authority,
                                            "simone@northwind.lan"), run.address("edge_outside"))
    _session(step, bob, microsoft.Edge(run, run.address("lyn"), authority.issue("adatum.lan", ["adatum.lan", "edge.adatum.lan"]), authority,
                                       "adatum.lan", microsoft.LYNC, ["edge.lan"]), run.address("edge_outside"))

    _presence(step, edge, presence.Agent(run, run.address("relay"), authority.issue("woodgrove.lan", ["woodgrove.lan"]), authority, "woodgrove.lan",
                                         (run.address("edge_outside"), 5061)),
              chat.Client(run, "erin@example.lan", passwords["erin"], node.address, authority, by_hand=True))

    print(f"\nEvery step was seen.\n  configuration  {edge.config}{'' if arguments.stay else ' (gone with the run)'}\n  logs           {run.logs}/\n"
          f"  metrics        {edge.metrics}/metrics (readiness: /readyz)")
    for line in [line for line in edge.samples() if not line.endswith(" 0")][:20]:
        print(f"                 {line}")
    if arguments.stay:
        print(f"\nUp until Ctrl-C. bob@example.lan logs in at {node.address}:5222 with password {passwords['bob']};\n"
              f"alice takes commands at {alice.address}:4444 (baresip's ctrl_tcp).", flush=True)
        threading.Event().wait()


def _single_messages(step, bob, simone, edge):
    simone.dial(edge)
    step("bob writes to simone@northwind.lan, who takes single messages (SIP SIMPLE), and asks for a receipt (XEP-0184)")
    sent = bob.send(simone.user, "Lunch?", extension=ASKING)
    simone.hear("text", "Lunch?")
    bob.wait_for_element("received", RECEIPTS, simone.user, id=sent)
    step.seen("simone has it and answered 200; bob's client has the receipt")

    step("simone types and writes, and asks for a receipt (IMDN, RFC 5438)")
    simone.type(bob.jid, "active")
    bob.wait_for_element("composing", STATES, simone.user)
    step.seen("bob's client shows that simone is typing")
    _check(simone.say(bob.jid, "At noon", "positive-delivery").status == 200, "simone is answered 200")
    bob.wait_for_message("At noon")
    told = simone.hear("delivered")
    _check(told.told == simone.last, "the receipt names another message")
    receipt = next(text for way, text in reversed(bob.raw) if way == "->" and RECEIPTS in text)
    step.seen("bob's client shows it and says so; simone has the receipt")
    _side_by_side(("XMPP, the receipt of bob's client", receipt), ("SIP, the receipt that simone got", str(told.request)))

    step("bob types")
    bob.send(simone.user, "", extension=f'<composing xmlns="{STATES}"/>')
    simone.hear("active")
    step.seen("simone's user agent is told that bob is typing")


def _session(step, bob, edge, address):
    edge.connect(address)
    lyn = edge.user("lyn", "Lyn")
    step("bob writes to lyn@adatum.lan behind a server as Microsoft makes them (Lync 2013, scripted), and asks for a receipt")
    sent = bob.send(lyn.address, "Are you there?", extension=ASKING)
    heard = lyn.hear("message", "Are you there?")
    bob.wait_for_element("received", RECEIPTS, lyn.address, id=sent)
    step.seen("an INVITE was accepted and the message arrived in its session; bob's client has the receipt")

    step("lyn types and answers in the session, and bob types")
    _check(heard.session.type().status == 200, "lyn's typing is answered 200")
    bob.wait_for_element("composing", STATES, lyn.address)
    _check(heard.session.say("I am").status == 200, "lyn is answered 200")
    bob.wait_for_message("I am")
    bob.send(lyn.address, "", extension=f'<composing xmlns="{STATES}"/>')
    typing = lyn.hear("typing")
    step.seen("each saw the other typing; lyn's message was answered 200, which is the receipt that her client knows, when bob's server had it")
    _side_by_side(("XMPP, bob is typing", next(text for way, text in reversed(bob.raw) if way == "->" and "composing" in text)),
                  ("SIP, as lyn's server was told", str(typing.request)))

    step("lyn closes the window")
    _check(heard.session.close().status == 200, "lyn's BYE is answered 200")
    bob.wait_for_element("gone", STATES, lyn.address)
    step.seen("bob's client is told that lyn has left")
    edge.check()


def _presence(step, edge, woodgrove, erin):
    dana = woodgrove.user("dana")
    step("erin inside and dana@woodgrove.lan outside ask to see each other's presence, and each lets the other")
    dana.show("open", activity="busy", note="In a meeting")
    erin.presence("subscribe", dana.address)
    erin.wait_for_presence(dana.address, "subscribed")
    stanza = erin.wait_for_presence(dana.address, show="dnd", status="In a meeting")[6]
    notified = dana.wait_for_watcher().told[-1]
    _check(notified.final().status == 200, "dana's notification is answered 200")
    watch = woodgrove.watch("dana", erin.jid)
    erin.wait_for_presence(dana.address, "subscribe")
    erin.presence("subscribed", dana.address)
    erin.presence(show="away", status="Coffee")
    notice = watch.wait_for("active", "open", show="away", note="Coffee")
    step.seen("erin's client shows that dana is busy: In a meeting; dana's user agent shows that erin is away: Coffee")
    _side_by_side(("SIP, erin's state as dana was notified", str(notice.request)), ("XMPP, dana's state as erin's client got it", stanza))

    step("both change: dana is at lunch, erin is not to be disturbed")
    mark, since = erin.mark(), len(watch.notices)
    dana.show("open", activity="away", note="Lunch")
    erin.presence(show="dnd", status="Writing")
    erin.wait_for_presence(dana.address, show="away", status="Lunch", since=mark)
    watch.wait_for("active", "open", show="dnd", note="Writing", since=since)
    step.seen("each sees the other's new state")

    step("vestibule is killed with -9; meanwhile dana comes back and erin leaves her desk; vestibule is started again, and nobody asks anything")
    mark, since, asked = erin.mark(), len(watch.notices), len(dana.asked)
    edge.kill()
    woodgrove.until(lambda: all(line.ending for line in [*woodgrove.accepted, woodgrove.connection] if line), "its connections are gone")
    dana.show("open", note="Back", notify=False)
    erin.presence(show="away", status="Tea")
    started = time.monotonic()
    edge.start()
    erin.wait_for_presence(dana.address, status="Back", since=mark)
    watch.wait_for("active", "open", show="away", note="Tea", since=since)
    took = time.monotonic() - started
    questions = erin.seen_of(dana.address, mark, ("subscribe", "subscribed", "unsubscribe", "unsubscribed"))
    _check(not questions, f"erin was asked or told of subscriptions: {questions}")
    _check(len(dana.watched()) == 1, "one subscription of erin's lives, and no other")
    step.seen(f"{took:.1f} s after its start both see the right state again; erin was asked nothing, dana's server got {len(dana.asked) - asked} SUBSCRIBE")
    woodgrove.check()


def _check(holds, what):
    if not holds:
        raise rigs.Failed(what)


def _outgoing(client, identifier):
    return next(text for way, text in client.raw if way == "->" and f'id="{identifier}"' in text)


def _side_by_side(left, right):
    columns = []
    for title, text in (left, right):
        lines = [title, "-" * len(title)]
        for line in text.replace("><", ">\n<").splitlines():
            lines += textwrap.wrap(line, WIDTH, subsequent_indent="    ", break_on_hyphens=False) or [""]
        columns.append(lines)
    print()
    for row in range(max(len(column) for column in columns)):
        ours, theirs = (column[row] if row < len(column) else "" for column in columns)
        wide = sum(unicodedata.east_asian_width(character) in "WF" for character in ours)
        print(f"    {ours:<{WIDTH - wide}} | {theirs}".rstrip())
    print()


def _arguments():
    parser = argparse.ArgumentParser(prog="scripts/demo", description=__doc__)
    parser.add_argument("--binary", required=True, help="the vestibule to run")
    parser.add_argument("--logs", required=True, help="where the logs go")
    parser.add_argument("--link", choices=("s2s", "component"), default="s2s", help="how the inside node is linked")
    parser.add_argument("--network", help="the /24 of loopback addresses to use, as 127.1.2 (default: a free one)")
    parser.add_argument("--stay", action="store_true", help="stay up until Ctrl-C")
    return parser.parse_args()


def _interrupted(_number, _frame):
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())

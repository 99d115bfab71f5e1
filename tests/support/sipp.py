"""sipp as either end of many dialogs at once: scenarios from a few words, and a run that is bounded in calls and in time.

A scenario is a list of steps; see `send`, `cancel`, `answer`, `receive`, `pause`, `linger`. What sipp expected and did not get stands in its error log, which `Sipp.wait` shows. What is
not expected is passed over and does not end a call: sipp takes nothing while it is about to send, as it is for long on a busy machine.
"""

import os
import re

from rig import Failed, tail, wait_until

SESSION = "v=0\no=- 0 0 IN IP4 [local_ip]\ns=session\nc=IN IP4 [local_ip]\nt=0 0\nm=message 5060 sip null\n"


def send(method, to=None, body="", kind="text/plain", retransmit=True, cseq=None, txn=None, ack=None, in_dialog=False, back=0, more=()):
    """A request of the caller's: outside a dialog to an address, or within it by its route set; `back` is how many steps before stands the
    INVITE whose transaction an ACK belongs to."""
    target = "[next_url]" if in_dialog else f"sip:{to}"
    who = f"To: <sip:{to}>[peer_tag_param]"
    lines = [f"{method} {target} SIP/2.0", f"Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch{f'-{back}' if back else ''}]", "Max-Forwards: 70",
             "From: <sip:OWN>;tag=[pid]c[call_number]", who, "Call-ID: [call_id]",
             f"CSeq: {cseq or '[cseq]'} {method}", *(["[routes]"] if in_dialog else []),
             *(["Contact: <sip:caller@[local_ip]:[local_port];transport=[transport]>"] if method in ("INVITE", "SUBSCRIBE", "UPDATE") else []), *more]
    return _message("send", lines, body, kind, (' retrans="500"' if retransmit else "") + (f' start_txn="{txn}"' if txn else "") + (f' ack_txn="{ack}"' if ack else ""))


def cancel(to, back, txn=None):
    """A CANCEL of the INVITE that was sent `back` steps before."""
    lines = [f"CANCEL sip:{to} SIP/2.0", f"Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch-{back}]", "Max-Forwards: 70",
             "From: <sip:OWN>;tag=[pid]c[call_number]", f"To: <sip:{to}>", "Call-ID: [call_id]", "CSeq: 1 CANCEL"]
    return _message("send", lines, "", None, f' start_txn="{txn}"' if txn else "")


def answer(status, reason, tag=True, body="", kind="text/plain", retransmit=False, cseq=None, more=()):
    """An answer to the last request, with what it has recorded."""
    lines = [f"SIP/2.0 {status} {reason}", "[last_Via:]", "[last_Record-Route:]", "[last_From:]",
             "[last_To:]" + (";tag=[pid]s[call_number]" if tag else ""), "[last_Call-ID:]", f"CSeq: {cseq}" if cseq else "[last_CSeq:]",
             "Contact: <sip:callee@[local_ip]:[local_port];transport=[transport]>", *more]
    return _message("send", lines, body, kind, ' retrans="500"' if retransmit else "")


def receive(what, optional=False, routes=False, txn=None):
    """A request by its method, or a response by its status."""
    kind = "response" if isinstance(what, int) else "request"
    return (f'<recv {kind}="{what}"' + (' optional="true"' if optional else "") + (' rrs="true"' if routes else "")
            + (f' response_txn="{txn}"' if txn else "") + "/>")


def linger(milliseconds):
    """Stays there for repetitions of the last request, whose answer may be lost: the last step of a callee."""
    return f'<timewait milliseconds="{milliseconds}"/>'


def pause(milliseconds):
    """Waits."""
    return f'<pause milliseconds="{milliseconds}"/>'


def _message(element, lines, body, kind, attributes):
    if body:
        lines = [*lines, f"Content-Type: {kind}"]
    text = "\n".join([*lines, "Content-Length: [len]", "", body])
    return f"<{element}{attributes}><![CDATA[\n{text}\n]]></{element}>"


class Sipp:
    """One sipp at an address; a caller ends after its calls, a callee when the rig does."""

    def __init__(self, rig, name, address, port, transport, own, steps, target=None, calls=0, rate=50, at_once=100, seconds=60):
        """`transport` is udp or tcp, `own` the caller's address of record, `target` where a caller sends."""
        scenario = '<?xml version="1.0" encoding="ISO-8859-1"?>\n<scenario name="rig">\n' + "\n".join(steps).replace("OWN", own) + "\n</scenario>\n"
        file = rig.write(f"sipp/{name}.xml", scenario)
        self.errors = os.path.join(os.path.dirname(file), f"{name}.errors")
        self.seconds, self.calls = seconds, calls
        command = ["sipp", *([f"{target[0]}:{target[1]}"] if target else []), "-sf", file, "-i", address, "-p", str(port), "-t", "u1" if transport == "udp" else "t1",
                   "-trace_err", "-error_file", self.errors, "-nostdin", "-default_behaviors", "all,-abortunexp", *([] if calls else ["-aa"]), "-timeout", f"{seconds}s", "-timeout_error", "-max_retrans", "10",
                   "-skip_rlimit", "-trace_screen", "-screen_file", os.path.join(os.path.dirname(file), f"{name}.screen")]
        if calls:
            command += ["-m", str(calls), "-r", str(rate), "-l", str(at_once), "-recv_timeout", "40000"]
        self.process = rig.spawn(f"sipp-{name}", command, env={"TERM": "dumb"})

    def wait(self):
        """Waits until all calls are over; raises where one of them was not as the scenario says."""
        wait_until(lambda: not self.process.running(), f"{self.process.name} has made its {self.calls} calls", self.seconds + 10)
        code = self.process.popen.returncode
        if code != 0:
            raise Failed(f"{self.process.name} ended with {code}\n{tail(self.errors, 40)}\n{tail(self.process.log, 60)}")

    def counted(self, what):
        """A line of its last screen, such as `Successful call`."""
        found = re.findall(re.escape(what) + r"\s*\|\s*\d+\s*\|\s*(\d+)", self.process.output())
        return int(found[-1]) if found else 0

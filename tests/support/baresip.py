"""baresip as a SIP user agent outside, over TLS with a client certificate.

It is driven by netstrings of JSON over its ctrl_tcp module. That module of version 1.0 tells nothing of incoming messages, so those are
read where a person reads them: from the line that the user interface prints, `sip:alice@contoso.lan: "hello"`. What crossed the wire is
read from its own SIP trace (`-s`). It shows its certificate when asked, but version 1.0 does not check the server's.
"""

import json
import os
import re
import socket
import threading

from rig import DEADLINE, Events, wait_until


class Baresip:
    """One user agent `sip:USER@DOMAIN` without a registrar: all that it sends goes to one next hop."""

    def __init__(self, rig, user, domain, role, identity, authority, next_hop, contacts, watches=(), resolver=None):
        """`watches` are those of the contacts whose presence it subscribes to; `resolver` is the role of the one that it asks for names."""
        self.aor = f"sip:{user}@{domain}"
        self.address, self.port = rig.address(role), 5061
        self._next_hop = f"{next_hop[0]}:{next_hop[1]}"
        self._contacts = [f"sip:{contact}" for contact in contacts]
        self._selected = None
        self._answers = Events(f"the controller of {self.aor}")
        name = f"baresip-{user}"
        folder = os.path.dirname(rig.path(name, "x"))
        control = (self.address, 4444)
        rig.write(f"{name}/config", f"""
sip_listen {self.address}:{self.port - 1}
sip_certificate {identity.both}
sip_cafile {authority.certificate}
{f"dns_server {rig.address(resolver)}:53" if resolver else ""}
net_interface {self.address}
audio_player none
audio_source none
audio_alert none
module_path /usr/lib/baresip/modules
module stdio.so
module g711.so
module uuid.so
module_tmp account.so
module_app contact.so
module_app menu.so
module_app presence.so
module_app ctrl_tcp.so
ctrl_tcp_listen {control[0]}:{control[1]}
""")
        rig.write(f"{name}/accounts",
                  f'<{self.aor};transport=tls>;regint=0;outbound="sip:{self._next_hop};transport=tls";answermode=auto\n')
        rig.write(f"{name}/contacts", "".join(f'"{uri}" <{uri}>{";presence=p2p" if uri[4:] in watches else ""}\n' for uri in self._contacts))
        self.process = rig.spawn(name, ["stdbuf", "-oL", "baresip", "-4", "-s", "-f", folder], env={"HOME": folder})
        self.process.wait_for_port(*control)
        self.process.wait_for_port(self.address, self.port)
        self._socket = socket.create_connection(control, DEADLINE)
        self._socket.settimeout(None)
        rig.on_close(self.close)
        self._token = 0
        threading.Thread(target=self._read, daemon=True).start()

    def command(self, command, parameters=""):
        """Runs one of baresip's commands and returns what it printed."""
        self._token += 1
        token = str(self._token)
        text = json.dumps({"command": command, "params": parameters, "token": token})
        self._socket.sendall(f"{len(text.encode())}:{text},".encode())
        answer = self._answers.wait(lambda answer: answer.get("token") == token, f"the answer to {command}")
        if not answer.get("ok"):
            raise RuntimeError(f"{self.aor}: {command} {parameters}: {answer}")
        return answer.get("data", "")

    def send(self, to, body):
        """Sends a MESSAGE to one of the contacts; returns a mark for `wait_for_answer`."""
        mark = len(self.process.output())
        # baresip's list has ends: down to one of them, then up to the other.
        for step in ["contact_next"] * len(self._contacts) + ["contact_prev"] * len(self._contacts) + ["contact_next"]:
            if self._selected == f"sip:{to}":
                break
            chosen = self.command(step)
            self._selected = next((uri for uri in self._contacts if uri in chosen), None)
        else:
            raise RuntimeError(f"{self.aor} has no contact {to}: {chosen!r}")
        self.command("message", body)
        return mark

    def wait_for_message(self, sender, body, deadline=DEADLINE, since=0):
        """Waits until the user interface shows this message from this address."""
        line = re.compile(f'^{re.escape(f"sip:{sender}")}[^"\n]*: "{re.escape(body)}"\r?$', re.MULTILINE)

        def shown():
            found = line.search(self._text(since))
            return found and found.group(0)
        return wait_until(shown, f"{self.aor} shows the message {body!r} from {sender}", deadline, alive=self.process)

    def wait_for_answer(self, mark, deadline=DEADLINE):
        """Waits for the final answer to the MESSAGE that was sent at a mark: (status, the whole answer)."""
        def answered():
            # The answer to an earlier message may still come after the mark: the Call-ID tells which is ours.
            call = None
            for way, text in self.messages(mark):
                status = re.match(r"SIP/2\.0 ([2-6]\d\d) ", text)
                named = re.search(r"^Call-ID: (.*)$", text, re.MULTILINE)
                if way == "out" and text.startswith("MESSAGE ") and call is None and named:
                    call = named.group(1)
                elif way == "in" and status and named and named.group(1) == call:
                    return int(status.group(1)), text
            return None
        return wait_until(answered, f"{self.aor} gets a final answer to its MESSAGE", deadline, alive=self.process)

    def shown(self, contact):
        """How its user is shown a contact whose presence it watches: Online, Busy, Away, Offline or Unknown."""
        found = re.search(rf"(\w+)\W+{re.escape(f'sip:{contact}')} <", re.sub("\x1b\\[[0-9;]*m", "", self.command("contacts")))
        return found and found[1]

    def wait_for_shown(self, contact, state, deadline=DEADLINE):
        """Waits until its user is shown a contact in a state."""
        wait_until(lambda: self.shown(contact) == state, f"{self.aor} shows {contact} {state}", deadline, alive=self.process)

    def be(self, state):
        """Its user is `online` or `offline` from now on, to all who watch him."""
        self.command(f"presence_{state}")

    def messages(self, since=0):
        """The SIP messages that crossed the wire after a mark: (`in` or `out`, text)."""
        found = []
        for block in ("\n" + self._text(since)).split("\n#\n")[1:]:
            head, _, text = block.partition("\n")
            ends = re.match(r"(?:TLS|TCP|UDP) (\S+) -> (\S+)", head)
            if ends:
                ours = ends.group(2) == self._next_hop or ends.group(1) == f"{self.address}:{self.port}"
                found.append(("out" if ours else "in", _one_message(text)))
        return found

    def close(self):
        """Lets go of the control connection."""
        self._socket.close()

    def _text(self, since):
        return re.sub("\x1b\\[[0-9;]*m", "", self.process.output()[since:]).replace("\r\n", "\n")

    def _read(self):
        pending = b""
        while True:
            try:
                got = self._socket.recv(65536)
            except OSError:
                return
            if not got:
                return
            pending += got
            while True:
                length, colon, rest = pending.partition(b":")
                if not colon or len(rest) <= int(length):
                    break
                text, pending = rest[:int(length)], rest[int(length) + 1:]
                item = json.loads(text)
                if item.get("response"):
                    self._answers.add(item)


def _one_message(text):
    """Cuts a printed message at the end that its Content-Length gives: the log goes on behind it."""
    head, gap, rest = text.partition("\n\n")
    length = re.search(r"^Content-Length: *(\d+)", head, re.MULTILINE | re.IGNORECASE)
    body = rest.encode()[:int(length.group(1)) if length else 0].decode(errors="replace")
    return head + (gap + body if body else "")

"""A foreign XMPP server that behaves well whatever others do, to see whether they disturb it."""

import threading

from rig import wait_until
from xmpp_peer import Stream, context


class Good:
    """The server of good.lan: it sends a message to bob@example.lan every `pause` seconds, from the start to the end of the rig."""

    def __init__(self, rig, node, identity, authority, pause=0.05):
        self._node, self.sent, self._checked, self._pause = node, 0, 0, pause
        self._stop = threading.Event()
        stream = Stream.dial(rig.address("edge_outside"), "good.lan", "example.lan").open()
        stream.ask_for_tls()
        stream.secure(context(identity, authority, False), name="example.lan").open()
        if stream.external() is not None:
            raise RuntimeError("the good peer is not let in")
        self._stream = stream.open()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        rig.on_close(self.stop)

    def _run(self):
        while not self._stop.wait(self._pause):
            try:
                self._stream.message(f"good {self.sent + 1}")
            except OSError:
                return
            self.sent += 1

    def check(self):
        """Everything sent so far arrives, in order and once."""
        last = wait_until(lambda: self.sent > self._checked and self.sent, "the good peer sends")
        self._node.wait_for_message(f"good {last}")
        got = [int(event[3].split()[1]) for event in self._node.events.all() if event[0] == "message" and event[3].startswith("good ")]
        if got[:last] != list(range(1, last + 1)):
            raise AssertionError("the good peer was disturbed")
        self._checked = last

    def stop(self):
        """Ends the chat."""
        self._stop.set()
        self._thread.join(5)
        self._stream.close()

"""What a network does to TCP connections, done by a relay between two ends: nothing here knows what is carried.

`Relay.fault` is the fault of the moment, for all connections there are and those to come: `None`, `("delay", seconds)`, `("slow", octets a
second)`, `("stall",)` (nothing passes, and nothing is lost), `("swallow",)` (what is sent is lost, and nobody is told: half-open), or
`("reset", octets)`: each connection is reset after so many octets.
"""

import select
import socket
import struct
import threading
import time

STEP = 0.005
"""How long a fault waits before it looks whether it is over."""


class Relay:
    """Listens at one place and connects to another."""

    def __init__(self, rig, listens, target):
        self.fault = None
        self._target = target
        self._listener = socket.create_server(listens)
        self._open = set()
        rig.on_close(self.close)
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self):
        """Resets every connection."""
        for wire in list(self._open):
            _reset(wire)

    def close(self):
        """Ends it."""
        self.fault = None
        try:
            self._listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._listener.close()
        self.cut()

    def _accept(self):
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            try:
                far = socket.create_connection(self._target, 5)
            except OSError:
                near.close()
                continue
            self._open |= {near, far}
            for wire in (near, far):
                wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                wire.settimeout(None)
            passed = [0]
            for one, other in ((near, far), (far, near)):
                threading.Thread(target=self._carry, args=(one, other, passed), daemon=True).start()

    def _carry(self, one, other, passed):
        try:
            while True:
                select.select([one], [], [])
                while self.fault == ("stall",):
                    time.sleep(STEP)
                octets = one.recv(65536)
                if not octets:
                    break
                kind, amount = (*(self.fault or ("none",)), None)[:2]
                if kind == "delay":
                    time.sleep(amount)
                elif kind == "slow":
                    time.sleep(len(octets) / amount)
                elif kind == "reset" and passed[0] + len(octets) >= amount:
                    other.sendall(octets[:max(0, amount - passed[0])])
                    _reset(one)
                    break
                passed[0] += len(octets)
                if kind != "swallow":
                    other.sendall(octets)
        except (OSError, ValueError):
            pass
        for wire in (one, other):
            _reset(wire)
            self._open.discard(wire)


def _reset(wire):
    try:
        wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        wire.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
    wire.close()

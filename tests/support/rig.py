"""A rig: a temporary folder, a /24 of loopback addresses, and the foreground processes that run in them.

Nothing here touches the machine outside the folder: no service is started, no resolver changed, no port bound but on the rig's own
loopback addresses. Every process dies with the rig, also when the rig itself is killed. There are no sleeps: whoever waits, waits for
an event with a deadline.
"""

import ctypes
import errno
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

DEADLINE = 30.0
"""Seconds that a step may take before it counts as failed."""

ROLES = {
    "alice": 2,          # the SIP user agent of contoso.lan, outside
    "edge_outside": 3,   # vestibule's outside zone
    "node": 4,           # the inside XMPP server of example.lan
    "node2": 5,          # another inside server of example.lan
    "mallory": 6,        # the SIP user agent of fabrikam.lan, outside, federated with nobody
    "relay": 7,          # a SIP relay or an XMPP server to compare with
    "dead": 8,           # where nobody lives
    "resolver": 9,       # what the inside node asks for names
    "outside_resolver": 10,  # what vestibule and foreign servers ask
    "simone": 11,        # the user agent of SIP SIMPLE of northwind.lan, outside
    "lyn": 12,           # the Microsoft organisation adatum.lan, outside
    "edge_inside": 13,   # vestibule's inside zone
    "control": 20,       # control sockets of user agents, metrics
}
"""Who lives at which last octet of the rig's network."""


class Failed(Exception):
    """A step was not observed in time, or a process said no."""


class Rig:
    """The folder, the addresses and the processes of one run. Use as a context manager.

    Without a network it takes a free one, so that rigs can run side by side.
    """

    def __init__(self, network=None, logs=None, keep=False):
        self.network, self._claim = _claim(network)
        self.folder = tempfile.mkdtemp(prefix="vestibule-rig.")
        os.chmod(self.folder, 0o755)
        self.logs = logs or os.path.join(self.folder, "logs")
        os.makedirs(self.logs, exist_ok=True)
        self.keep = keep
        self.processes = []
        self._clients = []

    def __enter__(self):
        signal.signal(signal.SIGTERM, _interrupted)
        return self

    def __exit__(self, kind, value, trace):
        self.close()

    def address(self, role):
        """The address of a role of ROLES."""
        return f"{self.network}.{ROLES[role]}"

    def path(self, *parts):
        """A path in the rig's folder; its parent exists afterwards."""
        path = os.path.join(self.folder, *parts)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        return path

    def write(self, name, text, mode=0o644):
        """Writes a file into the rig's folder and returns its path."""
        path = self.path(name)
        with open(path, "w", encoding="utf-8") as out:
            out.write(text)
        os.chmod(path, mode)
        return path

    def spawn(self, name, command, env=None, cwd=None):
        """Starts a foreground process whose output goes to logs/NAME.log."""
        process = Process(name, command, os.path.join(self.logs, name + ".log"), env, cwd or self.folder)
        self.processes.append(process)
        return process

    def on_close(self, close):
        """Registers something to close before the processes are ended."""
        self._clients.append(close)

    def close(self):
        """Ends every process, the youngest first, and removes the folder."""
        for close in reversed(self._clients):
            try:
                close()
            except Exception as error:  # one client that will not close must not keep a process alive
                print(f"while closing: {error}")
        self._clients.clear()
        for process in reversed(self.processes):
            process.stop()
        self._claim.close()
        if not self.keep:
            shutil.rmtree(self.folder, ignore_errors=True)


class Process:
    """A foreground process in a session of its own, with its output in a file."""

    def __init__(self, name, command, log, env=None, cwd=None):
        self.name = name
        self.log = log
        with open(log, "wb") as out:
            self.popen = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=out, stderr=subprocess.STDOUT, cwd=cwd,
                env={**os.environ, **(env or {})}, start_new_session=True, preexec_fn=die_with_parent)

    @property
    def pid(self):
        """The process id, which is also the id of its process group."""
        return self.popen.pid

    def running(self):
        """Whether it still runs."""
        return self.popen.poll() is None

    def output(self):
        """What it has written so far."""
        with open(self.log, encoding="utf-8", errors="replace") as log:
            return log.read()

    def wait_for_text(self, text, deadline=DEADLINE, since=0):
        """Waits until the output holds the text after the offset `since`; returns the output from there on."""
        def found():
            output = self.output()[since:]
            return output if text in output else None
        return wait_until(found, f"{self.name} writes {text!r}", deadline, alive=self)

    def wait_for_port(self, address, port, deadline=DEADLINE):
        """Waits until the address accepts TCP connections."""
        def answers():
            with socket.socket() as probe:
                probe.settimeout(1)
                return probe.connect_ex((address, port)) == 0
        wait_until(answers, f"{self.name} listens on {address}:{port}", deadline, alive=self)

    def cpu_seconds(self):
        """User and system time of the whole process group so far, threads and children included."""
        return group_cpu_seconds(self.pid)

    def stop(self, grace=5.0):
        """Asks it to end, then ends its whole group."""
        if self.running():
            self.popen.terminate()
            try:
                self.popen.wait(grace)
            except subprocess.TimeoutExpired:
                pass
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            pass
        self.popen.wait()
        self.popen.stdin.close()


class Events:
    """What a client saw, in order, for another thread to wait for."""

    def __init__(self, who):
        self.who = who
        self._seen = []
        self._changed = threading.Condition()

    def add(self, event):
        """Records an event and wakes who waits."""
        with self._changed:
            self._seen.append(event)
            self._changed.notify_all()

    def all(self):
        """Everything seen so far."""
        with self._changed:
            return list(self._seen)

    def _last(self):
        """The last of what was seen, for a person."""
        last = [repr(event)[:300] for event in self._seen[-10:]]
        return "\n    ".join([f"it saw {len(self._seen)} events, last:", *last])

    def wait(self, matches, what, deadline=DEADLINE, since=0):
        """The first event, past or to come, that matches; the first `since` events do not count."""
        end = time.monotonic() + deadline
        at = since
        with self._changed:
            while True:
                while at < len(self._seen):
                    if matches(self._seen[at]):
                        return self._seen[at]
                    at += 1
                left = end - time.monotonic()
                if left <= 0:
                    raise Failed(f"{self.who} did not see {what} within {deadline:.0f} s; {self._last()}")
                self._changed.wait(left)


def _claim(network):
    """A /24 of loopback addresses that no other rig uses, and the socket that holds the claim: port 9 of its first address."""
    for candidate in [network] if network else [f"127.{second}.{third}" for second in (83, 84, 85, 86) for third in range(1, 255)]:
        claim = socket.socket()
        try:
            claim.bind((candidate + ".1", 9 if os.getuid() == 0 else 9009))
            claim.listen()
            return candidate, claim
        except OSError as error:
            claim.close()
            if error.errno != errno.EADDRINUSE:
                raise
    raise Failed(f"the network {network}.0/24 is used by another rig" if network else "every network is used by another rig")


def wait_until(condition, what, deadline=DEADLINE, alive=None):
    """Polls a condition of another process (a port, a file) until it holds, and returns its value."""
    end = time.monotonic() + deadline
    pause = threading.Event()
    while True:
        value = condition()
        if value:
            return value
        if alive is not None and not alive.running():
            raise Failed(f"{alive.name} ended with {alive.popen.returncode} before: {what}\n{tail(alive.log)}")
        if time.monotonic() > end:
            raise Failed(f"not within {deadline:.0f} s: {what}" + (f"\n{tail(alive.log)}" if alive else ""))
        pause.wait(0.02)


def tail(path, lines=25):
    """The last lines of a log, for a person."""
    try:
        with open(path, encoding="utf-8", errors="replace") as log:
            last = log.read().splitlines()[-lines:]
    except OSError as error:
        return f"    (no log: {error})"
    return "\n".join(f"    {os.path.basename(path)}: {line}" for line in last)


def group_cpu_seconds(group):
    """User and system time of all processes of a process group, and of their ended children."""
    ticks = 0
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            with open(f"/proc/{entry}/stat", encoding="ascii", errors="replace") as stat:
                fields = stat.read().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[2]) == group:                      # pgrp
            ticks += sum(int(value) for value in fields[11:15])  # utime stime cutime cstime
    return ticks / os.sysconf("SC_CLK_TCK")


def group_memory(group):
    """Memory of all processes of a process group in octets, shared pages divided among those that share them."""
    octets = 0
    for entry in os.listdir("/proc"):
        try:
            if entry.isdigit() and os.getpgid(int(entry)) == group:
                with open(f"/proc/{entry}/smaps_rollup", encoding="ascii") as rollup:
                    octets += sum(int(line.split()[1]) * 1024 for line in rollup if line.startswith(("Pss:", "SwapPss:")))
        except OSError:
            continue
    return octets


def die_with_parent():
    """For a child that is about to start: it is killed when its parent ends, however that ends."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def _interrupted(_number, _frame):
    raise KeyboardInterrupt

"""The load generator of `tests/bench/load`, as a process that is driven by lines."""

import itertools
import os
import select
import subprocess
import time

import rig as rigs

STARTS = 120.0
"""Seconds until a case is connected and warm, and until a run has ended."""
_numbers = itertools.count(1)


class Load:
    """The load generator, driven by lines."""

    def __init__(self, rig, binary, mode, options):
        words = [word for name, value in options.items() for word in (f"--{name.replace('_', '-')}", str(value))]
        self._errors = open(os.path.join(rig.logs, f"load-{next(_numbers)}.log"), "wb")
        self._popen = subprocess.Popen([binary, mode, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors,
                                       start_new_session=True, preexec_fn=rigs.die_with_parent)
        self._log = self._errors.name

    @property
    def pid(self):
        """Its process group."""
        return self._popen.pid

    def go(self, word="go"):
        """Tells it to go on, or what to do."""
        self._popen.stdin.write(word.encode() + b"\n")
        self._popen.stdin.flush()

    def expect(self, word):
        """Waits for the next line, which begins with a word; returns the rest."""
        end = time.monotonic() + STARTS
        line = b""
        while not line.endswith(b"\n"):
            if not select.select([self._popen.stdout], [], [], max(0, end - time.monotonic()))[0]:
                raise rigs.Failed(f"the load is not {word} after {STARTS:.0f} s\n{rigs.tail(self._log, 6)}")
            got = os.read(self._popen.stdout.fileno(), 4096)
            if not got:
                raise rigs.Failed(f"the load ended before it was {word}\n{rigs.tail(self._log, 6)}")
            line += got
        words = line.decode().split()
        if words[0] != word:
            raise rigs.Failed(f"the load says {line!r} and not {word}")
        return words[1:]

    def done(self):
        """Waits for the end of a batch: messages, seconds."""
        messages, seconds = self.expect("done")
        return int(messages), float(seconds)

    def kill(self):
        """Kills it, and leaves the rest to `close`."""
        self._popen.kill()

    def close(self):
        """Ends it."""
        if self._errors.closed:
            return
        self._popen.kill()
        self._popen.wait()
        for file in (self._popen.stdin, self._popen.stdout, self._errors):
            file.close()

"""The setup wizard and the console on real terminals: in tmux, on one that does not say its size, by lines and from a seed. Needs VESTIBULE_BINARY."""

import contextlib
import fcntl
import json
import os
import pty
import pwd
import select
import signal
import stat
import struct
import subprocess
import termios
import time
import unittest

from rig import DEADLINE, Failed, Rig, wait_until

BINARY = os.environ["VESTIBULE_BINARY"]
SEED = """
outside_addresses = "192.0.2.1"
inside_addresses = ["10.0.0.1"]
name = "edge.example.com"
local_domains = ["example.com"]
local_nodes = ["127.0.0.1:5269"]
local_tls = "no"
partner = "contoso.com"
"""


class Tmux:
    """A command in a terminal of tmux, 80 by 24."""

    def __init__(self, rig, command):
        self.server = ["tmux", "-S", rig.path("tmux"), "-f", "/dev/null"]
        rig.on_close(lambda: subprocess.run([*self.server, "kill-server"], capture_output=True, check=False))
        kept = " ".join(command) + "; echo ended with $?; exec sleep infinity"
        subprocess.run([*self.server, "new-session", "-d", "-x", "80", "-y", "24", kept], check=True, env={**os.environ, "LANG": "C.UTF-8", "SHELL": "/bin/sh"})

    def shows(self):
        """What is on the screen."""
        return subprocess.run([*self.server, "capture-pane", "-p"], capture_output=True, text=True, check=True).stdout

    def await_(self, text):
        """Waits until a text is on the screen."""
        try:
            return wait_until(lambda: text in (shown := self.shows()) and shown, f"the screen shows {text!r}")
        except Failed as failed:
            raise Failed(f"{failed}\n{self.shows()}") from None

    def type(self, *keys):
        """Presses keys; texts are typed as they are."""
        for key in keys:
            named = key in ("Enter", "Escape", "Up", "Down", "Left", "Right", "Tab", "BSpace", "C-c", "C-l")
            subprocess.run([*self.server, "send-keys", *([] if named else ["-l"]), key], check=True)


class Setup(unittest.TestCase):
    """A server that belongs to somebody else: its network is not asked for. It has no address yet, so that each that is said is believed."""

    def setUp(self):
        if os.getuid() != 0:
            self.skipTest("a machine without addresses is a network namespace, which needs root")
        self.rig = Rig()
        self.addCleanup(self.rig.close)
        self.config = self.rig.path("etc", "vestibule.toml")

    def command(self, *arguments):
        """vestibule with the configuration of the test."""
        return ["unshare", "--net", BINARY, "--config", self.config, *arguments, *(("--user", "nobody") if arguments[0] == "setup" else ())]

    def run_(self, *arguments, **options):
        """Runs it to its end."""
        return subprocess.run(self.command(*arguments), capture_output=True, text=True, timeout=DEADLINE, check=False, **options)

    def assert_usable(self):
        """What was written is a configuration, with files that nobody else can read where nobody may."""
        checked = json.loads(self.run_("--json", "check").stdout)
        self.assertTrue(checked["usable"], checked)
        folder = os.path.dirname(self.config)
        key = os.stat(os.path.join(folder, "tls", "edge.key"))
        self.assertEqual((stat.S_IMODE(key.st_mode), key.st_uid), (0o600, pwd.getpwnam("nobody").pw_uid))
        said = subprocess.run(["openssl", "x509", "-in", os.path.join(folder, "tls", "edge.pem"), "-noout", "-ext", "subjectAltName,extendedKeyUsage"],
                              capture_output=True, text=True, check=True).stdout
        self.assertIn("DNS:edge.example.com, DNS:example.com", said)
        self.assertIn("TLS Web Server Authentication, TLS Web Client Authentication", said)

    def test_nonsense_on_a_screen_is_told_and_leaving_changes_nothing(self):
        screen = Tmux(self.rig, self.command("setup"))
        screen.await_("Addresses outside")
        screen.type("nowhere", "Enter")
        screen.await_('"nowhere" is no address')
        screen.type("C-c")
        screen.await_("once more leaves")
        screen.type("C-c")
        screen.await_("ended with 1")
        self.assertEqual(os.listdir(os.path.dirname(self.config)), [])

    def test_screens_lead_to_a_configuration(self):
        screen = Tmux(self.rig, self.command("setup"))
        screen.await_("Addresses outside")
        screen.type("192.0.2.1", "Enter", "10.0.0.1", "Enter")
        screen.await_("Name of the edge")
        screen.type(*["BSpace"] * 40, "edge", "Enter")
        screen.await_("write it in full")
        screen.type(".example.com", "Enter", "10.0.0.53", "Enter")
        screen.await_("Our domains")
        screen.type("example.com", "Enter", "Enter", "127.0.0.1:5269", "Enter", "Enter", "n")
        screen.await_("[no]")
        screen.type("Enter")
        screen.await_("First partner")
        screen.type("contoso.com", "Enter", "Enter", "Enter", "Enter")
        screen.await_("Certificate")
        screen.type("Right")
        screen.await_("[request]")
        screen.type("Enter")
        screen.await_("Prometheus")
        screen.type("Escape")
        screen.await_("[request]")
        screen.type("Enter", "Enter", "Enter")
        screen.await_("Enter writes it")
        self.assertFalse(os.path.exists(self.config))
        screen.type("Enter")
        screen.await_("ended with 0")
        self.assert_usable()
        request = os.path.join(os.path.dirname(self.config), "tls", "edge.csr")
        said = subprocess.run(["openssl", "req", "-in", request, "-noout", "-verify", "-text"], capture_output=True, text=True, check=True)
        self.assertIn("DNS:edge.example.com, DNS:example.com", said.stdout)

    @contextlib.contextmanager
    def terminal(self, kind, *size):
        """The setup on a terminal of that kind and size: its process, the terminal, and what waits until a text was drawn and returns all that was."""
        main, other = pty.openpty()
        self.addCleanup(os.close, other)
        fcntl.ioctl(other, termios.TIOCSWINSZ, struct.pack("HHHH", *size, 0, 0))
        process = subprocess.Popen(self.command("setup"), stdin=other, stdout=other, stderr=other, env={**os.environ, "TERM": kind}, start_new_session=True)
        seen = b""

        def await_(text):
            nonlocal seen
            end = time.monotonic() + DEADLINE
            while text not in seen:
                if not select.select([main], [], [], max(0, end - time.monotonic()))[0]:
                    raise Failed(f"{text!r} was not drawn: {seen!r}")
                seen += os.read(main, 65_536)
            return seen
        try:
            yield process, main, await_
        finally:
            process.kill()
            process.wait()
            os.close(main)

    def test_a_terminal_that_says_no_size_is_drawn_on(self):
        with self.terminal("vt102", 0, 0) as (process, terminal, await_):
            seen = await_(b"Addresses outside")
            self.assertIn(b"[1;1H+", seen.replace(b"\x1b", b""))
            self.assertNotIn("┌".encode(), seen)
            os.write(terminal, b"\x03")
            await_(b"once more")
            os.write(terminal, b"\x03")
            await_(b"nothing was changed")
            self.assertEqual(process.wait(DEADLINE), 1)

    def test_a_signal_leaves_the_terminal_as_it_was(self):
        with self.terminal("xterm", 24, 80) as (process, terminal, await_):
            cooked = termios.ECHO | termios.ICANON | termios.ISIG
            await_(b"Addresses outside")
            self.assertEqual(termios.tcgetattr(terminal)[3] & cooked, 0)
            process.terminate()
            self.assertEqual(process.wait(DEADLINE), -signal.SIGTERM)
            await_(b"\x1b[?1049l")
            self.assertEqual(termios.tcgetattr(terminal)[3] & cooked, cooked)
            self.assertEqual(os.listdir(os.path.dirname(self.config)), [])

    def test_lines_lead_to_a_configuration(self):
        answers = ["192.0.2.1", "10.0.0.1", "edge.example.com", "10.0.0.53", "example.com", "", "127.0.0.1", "component", "a secret", "", "", "", "", "", "yes"]
        done = self.run_("setup", "--line", input="\n".join(answers) + "\n")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assert_usable()
        with open(os.path.join(os.path.dirname(self.config), "component.secret"), encoding="utf-8") as secret:
            self.assertEqual(secret.read(), "a secret\n")

    def test_lines_that_end_early_change_nothing(self):
        done = self.run_("setup", "--line", input="192.0.2.1\n10.0.0.1\nedge.example.com\n")
        self.assertEqual(done.returncode, 1)
        self.assertIn("nothing was changed", done.stderr)
        self.assertEqual(os.listdir(os.path.dirname(self.config)), [])

    def test_a_seed_leads_to_a_configuration_and_does_not_write_over_one(self):
        seed = self.rig.write("seed.toml", SEED)
        done = self.run_("setup", "--seed", seed)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assert_usable()
        with open(self.config, "a", encoding="utf-8") as config:
            config.write("# changed by hand\n")
        done = self.run_("setup", "--seed", seed)
        self.assertEqual(done.returncode, 1)
        self.assertIn("--replace", done.stderr)
        done = self.run_("setup", "--seed", seed, "--replace")
        self.assertEqual(done.returncode, 0, done.stderr)
        with open(self.config + ".before", encoding="utf-8") as before:
            self.assertIn("# changed by hand", before.read())
        # Nothing that was put aside is ever written over.
        keys = []
        for name in ("edge.key.before", "edge.key"):
            with open(os.path.join(os.path.dirname(self.config), "tls", name), encoding="utf-8") as key:
                keys.append(key.read())
        self.assertEqual(self.run_("setup", "--seed", seed, "--replace").returncode, 0)
        for name, expected in zip(("edge.key.before", "edge.key.before-2"), keys):
            with open(os.path.join(os.path.dirname(self.config), "tls", name), encoding="utf-8") as key:
                self.assertEqual(key.read(), expected)

    def test_a_seed_with_errors_is_told_with_lines_and_changes_nothing(self):
        seed = self.rig.write("seed.toml", SEED + 'color = "blue"\nlocal_protocol = "smtp"\n')
        done = self.run_("setup", "--seed", seed)
        self.assertEqual(done.returncode, 1)
        self.assertIn('seed.toml: line 9: nothing is asked by the name "color"', done.stderr)
        self.assertIn("seed.toml: line 10: local_protocol", done.stderr)
        self.assertEqual(os.listdir(os.path.dirname(self.config)), [])

    def test_the_console_keeps_up_with_the_proxy(self):
        config = self.rig.write("edge.toml", f"""
[edge]
name = "edge.example.com"
state_dir = ""
run_as = ""
[zone.outside]
addresses = ["{self.rig.address('edge_outside')}"]
[zone.inside]
addresses = ["{self.rig.address('edge_inside')}"]
[[listen]]
zone = "outside"
protocol = "sip"
transport = "tcp"
[[listen]]
zone = "inside"
protocol = "sip"
transport = "tcp"
[[local]]
domain = "example.com"
protocol = "sip"
nodes = [{{ host = "{self.rig.address('dead')}" }}]
[admin]
control = "{self.rig.path('control.sock')}"
metrics = ""
""")
        command = [BINARY, "--config", config]
        screen = Tmux(self.rig, [*command, "console"])
        screen.await_("The proxy does not answer.")
        edge = self.rig.spawn("edge", [*command, "run"])
        screen.await_("edge.example.com")
        screen.await_("DOWN")
        self.assertIn(f"{self.rig.address('edge_outside')}:5060", screen.shows())
        edge.stop()
        screen.await_("The proxy does not answer.")
        screen.type("q")
        screen.await_("ended with 0")


if __name__ == "__main__":
    unittest.main()

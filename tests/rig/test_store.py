"""The store on a file system that fails: traffic goes on, the operator is told what to do, and what can be mended without a restart is.
Needs VESTIBULE_BINARY."""

import fcntl
import glob
import os
import signal
import stat
import subprocess
import unittest

import chat
import prosody
import resolver
from baresip import Baresip
from pki import Authority
from rig import Rig, wait_until
from vestibule import Vestibule

BINARY = os.environ["VESTIBULE_BINARY"]
NOT_AT_ONCE = 30
"""Seconds within which a store that works again is found to."""


class Limited(Vestibule):
    """One whose process is started through a shell with more words before it."""

    before = ""

    def _spawn(self, command):
        return super()._spawn(["sh", "-c", self.before + ' exec "$@"', "sh", *command] if self.before else command)


class Store(unittest.TestCase):
    """A proxy between a node and a user agent, whose state folder is not always as it should be."""

    def setUp(self):
        rig = self.rig = Rig()
        self.addCleanup(rig.close)
        authority = Authority(rig)
        resolver.start(rig, {"example.lan": rig.address("node")}, rig.address("edge_inside"))
        node = prosody.Prosody(rig, "example.lan", authority.issue("node", ["example.lan"]), authority, log="info")
        node.register("bob", "secret")
        node.start()
        self.edge = Limited(rig, BINARY, authority, "example.lan", {
            "contoso.lan": f'protocol = "sip"\ntls = "public"\n'
                           f'routes = [{{ next_hop = "{rig.address("alice")}", port = 5061, transport = "tls" }}]',
        }, "s2s", level="info")
        self.file = os.path.join(self.edge.state, "vestibule.redb")
        self.talk = lambda: (
            Baresip(rig, "alice", "contoso.lan", "alice", authority.issue("contoso", ["contoso.lan"]), authority,
                    (rig.address("edge_outside"), 5061), ["bob@example.lan"]),
            chat.Client(rig, "bob@example.lan", "secret", node.address, authority))
        self.ends = None

    def up(self, wanted):
        """Waits until the metrics say that the store works, or does not."""
        line = f"vestibule_store_up {wanted}"
        wait_until(lambda: line in self.edge.samples("vestibule_store_up"), line, NOT_AT_ONCE, alive=self.edge.process)

    def failed(self, class_):
        """Waits until the store has failed so, and sees that the log says it and that messages pass all the same."""
        wait_until(lambda: any(f'class="{class_}"' in line for line in self.edge.samples("vestibule_store_errors_total")),
                   f"a failure {class_}", NOT_AT_ONCE, alive=self.edge.process)
        self.edge.process.wait_for_text(f'class="{class_}"')
        self.up(0)
        self.message_passes()

    def message_passes(self):
        """A text from the user agent reaches the user of XMPP."""
        self.ends = self.ends or self.talk()
        alice, bob = self.ends
        text = f"text {len(bob.events.all())}"
        alice.send("bob@example.lan", text)
        bob.wait_for_message(text)
        self.assertTrue(self.edge.answers("/readyz"))

    def stop(self):
        """An orderly stop."""
        self.edge.process.popen.send_signal(signal.SIGTERM)
        self.assertEqual(0, self.edge.process.popen.wait(30))

    def test_the_store_is_made_for_its_user_alone_and_outlives_a_kill_and_a_stop(self):
        self.edge.start()
        self.up(1)
        self.assertEqual(0o600, stat.S_IMODE(os.stat(self.file).st_mode))
        for end in (self.edge.kill, self.stop):
            end()
            self.edge.start()
            self.up(1)
            self.assertNotIn("ERROR", self.edge.process.output())
        self.stop()
        self.assertIn("phase=flush_store", self.edge.process.output())
        self.assertEqual(["vestibule.redb"], os.listdir(self.edge.state))

    def test_without_room_traffic_goes_on(self):
        self.edge.before = "trap '' XFSZ; ulimit -f 1024;"
        self.edge.start()
        self.failed("full")
        self.assertIn("make room", self.edge.process.output())
        self.stop()

    def test_a_folder_closed_to_its_user_is_told_and_is_taken_up_when_it_is_open_again(self):
        os.makedirs(self.edge.state, exist_ok=True)
        self.edge.give(self.edge.state)
        os.chmod(self.edge.state, 0o500)
        self.edge.start()
        self.failed("denied")
        os.chmod(self.edge.state, 0o700)
        self.up(1)
        self.message_passes()

    def test_a_damaged_file_is_put_aside_and_a_new_one_begun(self):
        os.makedirs(self.edge.state, exist_ok=True)
        with open(self.file, "wb") as file:
            file.write(b"no store at all" * 1000)
        self.edge.give(self.edge.state, self.file)
        self.edge.start()
        self.up(1)
        self.edge.process.wait_for_text('class="damaged"')
        aside = glob.glob(self.file + ".damaged-*")
        self.assertEqual(1, len(aside))
        with open(aside[0], "rb") as file:
            self.assertTrue(file.read().startswith(b"no store at all"))
        self.message_passes()

    def test_a_file_that_another_process_has_is_left_to_it_until_it_is_free(self):
        self.edge.start()
        self.up(1)
        self.stop()
        with open(self.file, "r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.edge.start()
            self.failed("locked")
        self.up(1)

    def test_a_folder_that_cannot_be_is_told_before_anything_begins(self):
        for folder, said in ((os.path.join(self.edge.state, "not", "there"), "none to make it in"), (self.edge.config, "is no folder")):
            environment = {**os.environ, "VESTIBULE__EDGE__STATE_DIR": folder}
            for command, code in (("check", 0), ("run", 1)):
                done = subprocess.run(self.edge.command(command), env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                      timeout=30, check=False)
                self.assertEqual((code, True), (done.returncode, said in done.stdout), done.stdout)

    def test_without_a_folder_nothing_is_stored(self):
        with open(self.edge.config, encoding="utf-8") as file:
            text = file.read()
        with open(self.edge.config, "w", encoding="utf-8") as file:
            file.write(text.replace(f'state_dir = "{self.edge.state}"', 'state_dir = ""'))
        self.edge.start()
        self.assertEqual([], self.edge.samples("vestibule_store_up"))
        self.assertFalse(os.path.exists(self.file))
        self.message_passes()


if __name__ == "__main__":
    unittest.main()

"""The control socket: who may ask, what is told, and what becomes of those who ask badly, slowly or all at once."""

import json
import os
import socket
import stat
import subprocess
import unittest

from pki import Authority
from rig import Rig, wait_until
from vestibule import Vestibule

BINARY = os.environ["VESTIBULE_BINARY"]
FEDERATED = 'protocol = "xmpp"\ntls = "public"'


class Control(unittest.TestCase):
    """Each test has a proxy of its own, without a node: the control socket needs none."""

    def setUp(self):
        rig = self.rig = Rig()
        self.addCleanup(rig.close)
        self.edge = Vestibule(rig, BINARY, Authority(rig), "example.lan", {"partner.lan": FEDERATED}, "plain")
        self.start()

    def start(self):
        """Starts it, and waits for the socket."""
        self.edge.start("/healthz")
        wait_until(lambda: self.connects(), "the control socket answers", alive=self.edge.process)

    def connects(self):
        try:
            self.connect().close()
            return True
        except OSError:
            return False

    def connect(self):
        """A connection to the control socket."""
        connection = socket.socket(socket.AF_UNIX)
        self.addCleanup(connection.close)
        connection.settimeout(60)
        connection.connect(self.edge.control)
        return connection

    def ask(self, octets):
        """What comes back for these octets: status and body; `None` where the connection is closed without a word."""
        connection = self.connect()
        try:
            connection.sendall(octets)
        except BrokenPipeError:
            pass  # it has said enough
        answer = b""
        try:
            while piece := connection.recv(65536):
                answer += piece
        except ConnectionResetError:
            pass  # the same
        if not answer:
            return None
        head, _, body = answer.partition(b"\r\n\r\n")
        return int(head.split()[1]), body

    def get(self, path):
        """Status and JSON of a path."""
        status, body = self.ask(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        return status, json.loads(body)

    def run_command(self, *arguments, as_user=None):
        """A command of this configuration; as another user with the socket named, for he cannot read the configuration."""
        command = self.edge.command(*arguments)
        if as_user is not None:
            command = ["setpriv", f"--reuid={as_user}", f"--regid={as_user}", "--clear-groups", "--",
                       self.edge.binary, *arguments, "--socket", self.edge.control]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    def test_the_proxy_tells_how_it_is_and_who_sees_whom(self):
        status, told = self.get("/v1/status")
        self.assertEqual(200, status)
        self.assertEqual(("running", False, "edge.lan"), (told["phase"], told["ready"], told["edge"]))
        self.assertEqual((["no node of example.lan is up"], []), (told["reasons"], told["peers"]))
        self.assertEqual({"sip", "xmpp"}, {listener["protocol"] for listener in told["listeners"]})
        self.assertEqual((200, {"subscriptions": [], "states": {}, "matching": 0, "left_out": 0}),
                         self.get("/v1/subscriptions?of=sip:romeo%40partner.lan&state=active&most=5"))
        shown = self.run_command("subscriptions", "partner.lan")
        self.assertEqual((0, "no subscriptions\n", ""), (shown.returncode, shown.stdout, shown.stderr))
        shown = self.run_command("status")
        self.assertEqual(1, shown.returncode, "it is not ready")
        self.assertIn("not ready: no node of example.lan is up", shown.stdout)

    def test_only_its_user_and_root_may_ask(self):
        self.assertEqual(0o600, stat.S_IMODE(os.stat(self.edge.control).st_mode))
        if os.getuid() != 0:
            self.skipTest("only root becomes somebody else")
        self.assertEqual(os.stat(self.edge.binary).st_uid, os.stat(self.edge.control).st_uid)
        stranger = self.run_command("subscriptions", as_user=12345)
        self.assertEqual(1, stranger.returncode)
        self.assertIn("only be asked by root", stranger.stderr)
        # Where the mode lets others in, the system still says who they are.
        os.chmod(self.edge.control, 0o666)
        stranger = self.run_command("subscriptions", as_user=12345)
        self.assertEqual(1, stranger.returncode)
        self.assertIn("only be asked by root", stranger.stderr)
        self.assertIn("user=12345", self.edge.process.output())
        self.assertEqual(0, self.run_command("subscriptions", as_user=os.stat(self.edge.binary).st_uid).returncode)
        self.assertEqual(0, self.run_command("subscriptions").returncode)

    def test_what_a_killed_proxy_leaves_is_replaced_and_a_stop_leaves_nothing(self):
        self.edge.kill()
        self.assertTrue(os.path.exists(self.edge.control))
        gone = self.run_command("status")
        self.assertEqual(1, gone.returncode)
        self.assertIn("the process that made the socket is gone", gone.stderr)
        self.start()
        self.assertEqual(200, self.get("/v1/status")[0])
        self.edge.process.popen.terminate()
        self.assertEqual(0, self.edge.process.popen.wait(30))
        self.assertFalse(os.path.exists(self.edge.control))
        self.assertIn("there is no such socket", self.run_command("status").stderr)

    def test_a_second_proxy_leaves_the_socket_to_the_first_and_runs_without(self):
        other = Rig()
        self.addCleanup(other.close)
        second = Vestibule(other, BINARY, Authority(other), "example.lan", {"partner.lan": FEDERATED}, "plain")
        with open(second.config, encoding="utf-8") as file:
            text = file.read()
        with open(second.config, "w", encoding="utf-8") as file:
            file.write(text.replace(second.control, self.edge.control))
        second.start("/healthz")
        wait_until(lambda: "another process answers at " + self.edge.control in second.process.output(), "it says so", alive=second.process)
        second.process.popen.terminate()
        self.assertEqual(0, second.process.popen.wait(30))
        self.assertEqual(200, self.get("/v1/status")[0], "the first has its socket still")

    def test_nonsense_is_refused_and_nothing_breaks(self):
        for path, status in (("/v1/nothing", 404), ("/", 404), ("/v2/status", 404), ("/v1/status?x=1", 400),
                             ("/v1/subscriptions?of=a%20b", 400), ("/v1/subscriptions?of=%ff", 400), ("/v1/subscriptions?most=10001", 400),
                             ("/v1/subscriptions?of=a.lan&of=b.lan", 400)):
            answered, told = self.get(path)
            self.assertEqual(status, answered, path)
            self.assertTrue(told["error"])
        for octets, statuses in (
                (b"POST /v1/status HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc", {405}),
                (b"DELETE /v1/subscriptions HTTP/1.1\r\nHost: x\r\n\r\n", {405}),
                (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200) + b"\r\n\r\n", {400, None}),
                (b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n", {414, 431, 400, None}),
                (b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 5_000 + b"\r\n", {431, None}),
                (b"\x00" * 100_000, {400, None})):
            answer = self.ask(octets)
            self.assertIn(answer and answer[0], statuses, octets[:40])
        # One request a connection: a second one behind it is not answered.
        head = b"GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n"
        self.assertEqual(1, self.ask(head + head)[1].count(b'"version"'))
        self.assertEqual(200, self.get("/v1/status")[0])

    def test_who_is_slow_is_let_go_and_many_at_once_all_get_their_answer(self):
        slow = [self.connect() for _ in range(8)]
        for connection in slow:
            connection.sendall(b"GET /v1/sta")
        many = [self.connect() for _ in range(40)]
        for connection in many:
            connection.sendall(b"GET /v1/subscriptions HTTP/1.1\r\nHost: x\r\n\r\n")
        for connection in many:  # they wait for the places that the slow ones have, which lose them
            self.assertTrue(connection.recv(65536).startswith(b"HTTP/1.1 200 "))
        for connection in slow:
            while piece := connection.recv(65536):
                self.assertFalse(piece.startswith(b"HTTP/1.1 200 "))
        self.assertTrue(self.edge.answers("/healthz"))


if __name__ == "__main__":
    unittest.main()

"""The SNMP agent beside a proxy with a real node, asked by net-snmp's own tools. Needs VESTIBULE_BINARY, and vestibule-snmpd beside it."""

import datetime
import glob
import json
import os
import socket
import stat
import struct
import subprocess
import time
import unittest

import prosody
import resolver
from pki import Authority
from rig import Rig, wait_until
from snmp import APPLICATIONS, COMMUNITY, ENGINE, SYSTEM, VESTIBULE, Agent, Receiver, environment, owner
from vestibule import Vestibule

BINARY = os.environ["VESTIBULE_BINARY"]
PROJECT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
FEDERATED = 'protocol = "xmpp"\ntls = "public"'

SERVICE, NODES, CONNECTIONS, MESSAGES, CERTIFICATES = (f"{VESTIBULE}.1.{number}" for number in (1, 2, 3, 4, 5))
COLD_START = ".1.3.6.1.6.3.1.1.5.1"
NODE_DOWN, NODE_UP, SERVICE_DOWN, SERVICE_UP, CERTIFICATE_ENDING = (f"{VESTIBULE}.0.{number}" for number in (1, 2, 3, 4, 5))
PHASES = ["starting", "running"]
SIDES, PROTOCOLS, ROLES = ["outside", "inside"], ["sip", "xmpp"], ["accepted", "made"]
WAYS, OUTCOMES = ["inbound", "outbound"], ["delivered", "refused", "failed", "ignored"]


class Snmp(unittest.TestCase):
    """Each test has a proxy, Prosody inside, and the agent."""

    def edge_with(self, node=False, **agent):
        """The proxy and its agent, which are not started."""
        rig = self.rig = Rig()
        self.addCleanup(rig.close)
        authority = Authority(rig)
        if node:
            resolver.start(rig, {"example.lan": rig.address("node")}, rig.address("edge_inside"))
            self.node = prosody.Prosody(rig, "example.lan", authority.issue("node", ["example.lan"]), authority)
            self.node.start()
        self.edge = Vestibule(rig, BINARY, authority, "example.lan", {"partner.lan": FEDERATED})
        self.agent = Agent(rig, BINARY, self.edge, **agent)

    def status(self):
        """What `vestibule status --json` says."""
        done = subprocess.run(self.edge.command("status", "--json"), capture_output=True, text=True, timeout=60, check=False)
        return json.loads(done.stdout)

    def told_of(self, status):
        """What a walk is expected to tell of a status, but for times."""
        told = {
            f"{SERVICE}.1.0": status["edge"], f"{SERVICE}.2.0": status["version"],
            f"{SERVICE}.3.0": str(PHASES.index(status["phase"]) + 1), f"{SERVICE}.4.0": "1" if status["ready"] else "2",
            f"{SERVICE}.5.0": "; ".join(status["reasons"]), f"{SERVICE}.7.0": str(status["pending_messages"]),
            f"{SERVICE}.8.0": str(status["pending_errors"]), f"{SERVICE}.9.0": str(status["untold"]), f"{SERVICE}.10.0": "1",
        }
        for number, node in enumerate(status["nodes"], 1):
            told |= {f"{NODES}.1.2.{number}": node["domain"], f"{NODES}.1.3.{number}": node["node"],
                     f"{NODES}.1.4.{number}": "1" if node["up"] else "2"}
        for column, name in ((4, "connections"), (5, "connections_total")):
            for one in status[name]:
                place = [words.index(one[label]) + 1 for label, words in (("side", SIDES), ("protocol", PROTOCOLS), ("role", ROLES))]
                told[f"{CONNECTIONS}.1.{column}." + ".".join(map(str, place))] = str(one["count"])
        for one in status["messages"]:
            place = [words.index(one[label]) + 1
                     for label, words in (("way", WAYS), ("from", PROTOCOLS), ("to", PROTOCOLS), ("outcome", OUTCOMES))]
            told[f"{MESSAGES}.1.5." + ".".join(map(str, place))] = str(one["count"])
        for number, one in enumerate(status["certificates"], 1):
            told |= {f"{CERTIFICATES}.1.2.{number}": one["context"], f"{CERTIFICATES}.1.3.{number}": one["chain"],
                     f"{CERTIFICATES}.1.5.{number}": str(int(one["ends"] - time.time()) // 86400)}
        for row, protocol in enumerate(PROTOCOLS, 1):
            for first, name in ((8, "connections"), (10, "connections_total")):
                for column, role in enumerate(ROLES, first):
                    count = sum(one["count"] for one in status[name] if (one["protocol"], one["role"]) == (protocol, role))
                    told[f"{APPLICATIONS}.{column}.{row}"] = str(count)
        return told

    def test_a_walk_tells_what_status_tells(self):
        self.edge_with(node=True, traps=False)
        self.edge.start()
        self.agent.start()
        held = [socket.create_connection((self.rig.address("edge_outside"), 5269)) for _ in range(3)]
        for connection in held:
            self.addCleanup(connection.close)

        def agree():
            walk, status = self.agent.walk(), self.status()
            accepted = [one for one in status["connections"] if one["role"] == "accepted" and one["protocol"] == "xmpp" and one["count"] == 3]
            told = self.told_of(status)
            same = accepted and status["nodes"][0]["up"] and {name: walk.get(name) for name in told} == told
            return (walk, told) if same else None
        walk, told = wait_until(agree, "the walk agrees with the status", 60, alive=self.agent.process)
        self.assertEqual(2, len(self.status()["certificates"]))
        ends = datetime.datetime.fromtimestamp(self.status()["certificates"][0]["ends"], datetime.timezone.utc)
        shown = walk[f"{CERTIFICATES}.1.4.1"]  # octets in hexadecimal
        self.assertEqual((ends.year, ends.month, ends.day, ends.hour, ends.minute, ends.second),
                         struct.unpack(">HBBBBB", bytes.fromhex(shown)[:7]), shown)
        times = {f"{SERVICE}.6.0", *(f"{APPLICATIONS}.{column}.{row}" for column in (5, 7) for row in (1, 2, 3))}
        ours = {name for name in walk if name.startswith(VESTIBULE)}
        self.assertEqual({name for name in told if name.startswith(VESTIBULE)} | {f"{SERVICE}.6.0", f"{CERTIFICATES}.1.4.1", f"{CERTIFICATES}.1.4.2"}, ours, "nothing more, nothing less")
        self.assertLessEqual(times, set(walk))
        self.assertEqual(["sip", "xmpp", "gateway"], [walk[f"{APPLICATIONS}.2.{row}"] for row in (1, 2, 3)])
        self.assertEqual(["1"] * 3, [walk[f"{APPLICATIONS}.6.{row}"] for row in (1, 2, 3)], "up")
        self.assertEqual(("edge.lan", "noc@example.lan", "Rack 5", "72", VESTIBULE + ".3.1"),
                         tuple(walk[f"{SYSTEM}.{number}.0"] for number in (5, 4, 6, 7, 2)))
        self.assertTrue(walk[f"{SYSTEM}.1.0"].startswith("vestibule " + self.status()["version"]))
        names = [tuple(map(int, name.strip(".").split("."))) for name in walk]
        self.assertEqual(sorted(names), names, "in the order of names")
        self.assertEqual({name: value for name, value in walk.items() if name.startswith(APPLICATIONS) and name not in times},
                         {name: value for name, value in self.agent.walk(APPLICATIONS).items() if name not in times})

    def test_only_who_has_the_keys_and_asks_from_an_allowed_place_is_answered(self):
        self.edge_with()
        self.edge.start("/healthz")
        self.agent.start()
        name = f"{SYSTEM}.5.0"
        self.assertEqual("edge.lan", self.agent.get(name))
        for options, said in (
                (self.agent.as_noc(auth_password="another password"), "Authentication failure"),
                (self.agent.as_noc(user="root"), "Unknown user name"),
                (self.agent.as_noc(level="authNoPriv"), "authorizationError"),
                (["-v3", "-l", "noAuthNoPriv", "-u", "noc"], "authorizationError"),
                (["-v2c", "-c", COMMUNITY], "Timeout"), (["-v2c", "-c", "public"], "Timeout"), (["-v1", "-c", "public"], "Timeout")):
            code, output, complaint = self.agent.tool("snmpget", name, options=options)
            self.assertNotEqual(0, code, options)
            self.assertIn(said, complaint, options)
            self.assertNotIn("edge.lan", output)
        code, _, complaint = self.agent.tool("snmpget", name, source=self.rig.address("mallory"))
        self.assertEqual(1, code)
        self.assertIn("Timeout", complaint, "from elsewhere there is not even a discovery")
        code, _, _ = self.agent.tool("snmpset", f"{SYSTEM}.6.0", "s", "elsewhere")
        self.assertNotEqual(0, code)
        self.assertEqual("Rack 5", self.agent.get(f"{SYSTEM}.6.0"), "nothing can be written")
        self.assertEqual("edge.lan", self.agent.get(name))

    def test_a_process_of_the_machine_gets_nothing_past_the_gate(self):
        self.edge_with(v2c=True)
        self.edge.start("/healthz")
        self.agent.start()
        self.assertEqual("edge.lan", self.agent.get(f"{SYSTEM}.5.0"))
        folder, sockets = f"/proc/{self.agent.process.pid}/fd", set()
        for name in os.listdir(folder):
            sockets.add(os.readlink(os.path.join(folder, name)))
        with open("/proc/net/udp", encoding="ascii") as file:
            lines = [line.split() for line in file.readlines()[1:]]
        hidden = [int(line[1].split(":")[1], 16) for line in lines
                  if f"socket:[{line[9]}]" in sockets and line[1].startswith("0100007F:") and line[2] == "00000000:0000"]
        self.assertEqual(1, len(hidden), lines)
        for options in (self.agent.as_noc(), ["-v2c", "-c", COMMUNITY]):
            done = subprocess.run(["snmpget", "-m", "", "-r", "0", "-t", "2", *options, f"127.0.0.1:{hidden[0]}", f"{SYSTEM}.5.0"],
                                  capture_output=True, text=True, timeout=30, check=False, env=environment(self.rig))
            self.assertNotEqual(0, done.returncode)
            self.assertIn("genError", done.stderr)
            self.assertNotIn("edge.lan", done.stdout)

    def test_what_is_no_request_is_not_answered_and_breaks_nothing(self):
        self.edge_with()
        self.edge.start("/healthz")
        self.agent.start()
        for source in ("alice", "mallory"):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
                sender.bind((self.rig.address(source), 0))
                for octets in (b"", b"\x30", b"\x30\x03\x02\x01\x03", b"\x30\x84\xff\xff\xff\xff", b"\xff" * 60_000, b"\x30\x03\x02\x01\x00",
                               b"\x30\x82\xff\xd9\x02\x01\x03" + b"\x30\x80" * 32_000):
                    sender.sendto(octets, (self.agent.address, 16161))
                sender.settimeout(1)
                self.assertRaises(TimeoutError, sender.recv, 65535)
        self.assertEqual("edge.lan", self.agent.get(f"{SYSTEM}.5.0"))

    def test_more_askers_than_places_are_all_answered(self):
        self.edge_with()
        self.edge.start("/healthz")
        self.agent.start()
        running = [subprocess.Popen(
            ["snmpbulkwalk", "-m", "", "-On", "-t", "10", "-r", "3", f"--clientaddr={self.agent.manager}", *self.agent.as_noc(),
             f"{self.agent.address}:16161", VESTIBULE], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment(self.rig))
            for _ in range(100)]
        said = {process.communicate(timeout=120)[0].count(b"\n") for process in running}
        self.assertEqual({0}, {process.returncode for process in running})
        self.assertGreater(min(said), 40, said)

    def test_a_community_counts_only_where_it_is_configured_and_from_its_addresses(self):
        self.edge_with(v2c=True)
        self.edge.start("/healthz")
        self.agent.start()
        receiver = Receiver(self.rig)
        name, by_community = f"{SYSTEM}.5.0", ["-v2c", "-c", COMMUNITY]
        self.assertEqual("edge.lan", self.agent.get(name, options=by_community, source=self.agent.visitor))
        self.assertEqual("edge.lan", self.agent.get(name), "users are still answered")
        wait_until(lambda: f"{SERVICE}.1.0" in self.agent.walk(options=by_community, source=self.agent.visitor), "the proxy was asked")
        for options, source in ((by_community, "mallory"), (by_community, "alice"), (self.agent.as_noc(), "simone"),
                                (["-v2c", "-c", COMMUNITY + "x"], "simone"), (["-v2c", "-c", ""], "simone"),
                                (["-v1", "-c", COMMUNITY], "simone")):
            code, _, complaint = self.agent.tool("snmpget", name, options=options, source=self.rig.address(source))
            self.assertEqual(1, code, (options, complaint))
            self.assertIn("Timeout", complaint)
        self.edge.process.popen.kill()
        receiver.wait(SERVICE_DOWN, holding=["TRAP2", COMMUNITY, "edge.lan"])

    def test_receivers_are_told_of_nodes_and_of_the_proxy(self):
        self.edge_with(node=True)
        self.agent.know_engine()
        receiver = Receiver(self.rig)
        self.edge.start()
        self.agent.start()
        receiver.wait(COLD_START, holding=["TRAP2", "user noc"])
        # The rig's certificates are made for a week.
        for context in ("public", "internal"):
            told = receiver.wait(CERTIFICATE_ENDING, holding=[f'STRING: "{context}"'])
            self.assertRegex(told, r"\.1\.5\.1\.5\.\d = INTEGER: [67]")
        up = lambda: self.agent.get(f"{NODES}.1.4.1")
        wait_until(lambda: up() == "1", "the node is up")
        wait_until(lambda: self.status()["uptime_seconds"] >= 10, "the proxy has settled")
        node = ["example.lan", self.rig.address("node"), f"{NODES}.1.2.1"]
        self.node.process.popen.kill()
        self.node.process.popen.wait()
        receiver.wait(NODE_DOWN, holding=node)
        self.assertEqual("2", up())
        self.assertEqual("2", self.agent.get(f"{SERVICE}.4.0"), "not ready")
        self.rig.processes.remove(self.node.process)
        self.node.process.popen.stdin.close()
        self.node.start()
        receiver.wait(NODE_UP, holding=node)
        self.assertEqual("1", up())
        # The proxy goes, and comes back.
        self.edge.process.popen.terminate()
        self.assertEqual(0, self.edge.process.popen.wait(30))
        receiver.wait(SERVICE_DOWN, holding=["edge.lan"])
        walk = self.agent.walk(VESTIBULE)
        self.assertEqual({f"{SERVICE}.10.0": "2"}, walk, "of what is down no count is told")
        self.assertEqual(["2"] * 3, [self.agent.get(f"{APPLICATIONS}.6.{row}") for row in (1, 2, 3)], "down")
        self.assertEqual({2, 3, 6, 7, 16, 17}, {int(name.split(".")[-2]) for name in self.agent.walk(APPLICATIONS)})
        self.assertGreater(int(self.agent.get(f"{APPLICATIONS}.7.1")), 0, "when that changed")
        self.assertEqual("edge.lan", self.agent.get(f"{SYSTEM}.5.0"), "the agent itself answers")
        self.assertIn("No Such Instance", self.agent.get(f"{SERVICE}.9.0"))
        before = len(receiver.process.output())
        self.rig.processes.remove(self.edge.process)
        self.edge.process.popen.stdin.close()
        self.edge.start()
        receiver.wait(SERVICE_UP, holding=["edge.lan"])
        wait_until(lambda: self.agent.get(f"{APPLICATIONS}.6.1") == "1", "it is up")
        wait_until(lambda: self.status()["uptime_seconds"] >= 14, "the new proxy has settled, and was asked")
        self.assertNotIn(NODE_DOWN, receiver.process.output()[before:], "a proxy that has just started says nothing of nodes")

    def test_an_agent_that_starts_again_is_the_same_engine_and_says_so(self):
        self.edge_with(traps=False, auth="sha512", priv="aes256")
        self.edge.start("/healthz")
        engine = "1.3.6.1.6.3.10.2.1"
        self.agent.start()
        self.assertEqual("1", self.agent.get(f"{engine}.2.0"))
        identity = self.agent.get(f"{engine}.1.0")
        facts = os.stat(self.agent.engine_file)
        self.assertEqual((0o600, owner()), (stat.S_IMODE(facts.st_mode), facts.st_uid))
        self.agent.process.popen.terminate()
        self.assertEqual(0, self.agent.process.popen.wait(10))
        for boots in ("2", "3"):
            self.agent.start("start-" + boots)
            self.assertEqual((boots, identity), (self.agent.get(f"{engine}.2.0"), self.agent.get(f"{engine}.1.0")))
            self.agent.process.popen.kill()
            self.agent.process.popen.wait()
        with open(self.agent.engine_file, "w", encoding="utf-8") as file:
            file.write("half of")
        done = subprocess.run([self.agent.binary, "--config", self.edge.config], capture_output=True, text=True, timeout=30, check=False)
        self.assertEqual(1, done.returncode)
        self.assertIn("is damaged", done.stderr)

    def test_the_agent_starts_without_the_proxy_and_finds_it_later(self):
        self.edge_with(traps=False)
        self.agent.know_engine()
        self.agent.start()
        self.assertEqual("2", self.agent.get(f"{APPLICATIONS}.6.1"))
        self.assertIn("no proxy answers", self.agent.process.output())
        self.edge.start("/healthz")
        wait_until(lambda: self.agent.get(f"{APPLICATIONS}.6.1") == "1", "the agent sees the proxy", alive=self.agent.process)
        self.assertIn(f"engine_id=\"0x{ENGINE}\"", self.agent.process.output())

    def test_started_by_root_it_becomes_the_user_of_the_proxy(self):
        if os.getuid() != 0:
            self.skipTest("only root becomes somebody else")
        self.edge_with(traps=False)
        with open(self.edge.config, encoding="utf-8") as file:
            text = file.read()
        with open(self.edge.config, "w", encoding="utf-8") as file:
            file.write(text.replace('run_as = ""', 'run_as = "nobody"').replace(":16161", ":161"))
        self.edge.start("/healthz")
        process = self.rig.spawn("rooted", [self.agent.binary, "--config", self.edge.config])
        process.wait_for_text("the SNMP agent answers")
        with open(f"/proc/{process.pid}/status", encoding="utf-8") as file:
            users = next(line for line in file if line.startswith("Uid:")).split()[1:]
        self.assertEqual({str(owner())}, set(users))
        self.assertEqual(owner(), os.stat(self.agent.engine_file).st_uid)

    def test_check_says_whether_it_is_on_and_off_is_no_fault(self):
        self.edge_with()
        check = lambda *more: subprocess.run([self.agent.binary, *more, "--config", self.edge.config], capture_output=True, text=True,
                                             timeout=30, check=False)
        on = check("--check")
        self.assertEqual(0, on.returncode, on.stdout + on.stderr)
        self.assertIn(f"SNMP answers at {self.agent.address}:16161, with users: 1, communities: 0, receivers of notifications: 1", on.stdout)
        with open(self.edge.config, encoding="utf-8") as file:
            text = file.read()
        with open(self.edge.config, "w", encoding="utf-8") as file:
            file.write(text[:text.index("[snmp]")])
        for done in (check("--check"), check()):
            self.assertEqual(0, done.returncode)
            self.assertIn("SNMP is off", done.stdout + done.stderr)

    def test_the_mib_has_no_fault_and_names_what_is_told(self):
        standard = glob.glob("/usr/lib/erlang/lib/snmp-*/mibs")
        self.assertTrue(standard, "the standard's modules are those of Debian's erlang-snmp")
        mib = os.path.join(PROJECT, "config/mibs/VESTIBULE-MIB.txt")
        done = subprocess.run(["smilint", "-l", "6", mib], capture_output=True, text=True, check=False,
                              env={**os.environ, "SMIPATH": standard[0]})
        self.assertEqual(("", 0), (done.stdout + done.stderr, done.returncode))
        dumped = subprocess.run(["smidump", "-f", "identifiers", mib], capture_output=True, text=True, check=True,
                                env={**os.environ, "SMIPATH": standard[0]}).stdout
        nodes = {fields[3]: fields[2] for fields in map(str.split, dumped.splitlines()) if len(fields) == 4}
        self.edge_with(traps=False)
        self.edge.start("/healthz")
        self.agent.start()
        wait_until(lambda: f"{SERVICE}.1.0" in self.agent.walk(VESTIBULE), "the proxy was asked")
        columns = {object_ for object_, kind in nodes.items() if kind in ("column", "scalar")}
        hidden = {f"{table}.1.{number}" for table, count in ((NODES, 1), (CONNECTIONS, 3), (MESSAGES, 4), (CERTIFICATES, 1)) for number in range(1, count + 1)}
        told = set()
        for name in self.agent.walk(VESTIBULE):
            told |= {column for column in columns if name.startswith("." + column.strip(".") + ".")}
        self.assertEqual({f".{column.strip('.')}" for column in columns} - hidden, {f".{column.strip('.')}" for column in told})


if __name__ == "__main__":
    unittest.main()

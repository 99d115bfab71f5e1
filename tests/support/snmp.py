"""SNMP: the agent beside a proxy of the rig, and net-snmp's tools as its managers and as the receiver of its notifications."""

import json
import os
import pwd
import re
import shutil
import subprocess

from rig import wait_until
from vestibule import USER

AUTH, PRIV = "authentication", "encryption of it"
"""The passwords of the user `noc`."""
COMMUNITY = "visitors"
"""The community, where there is one."""
PORT, TRAP_PORT = 16161, 16162
ENGINE = "80001f8805000102030405060708090a0b"
"""The agent's engine ID in every test, so that a receiver can know it before the agent has started."""

SYSTEM = ".1.3.6.1.2.1.1"
APPLICATIONS = ".1.3.6.1.2.1.27.1.1"
VESTIBULE = ".1.3.6.1.4.1.8072.9999.9999.42"


class Agent:
    """vestibule-snmpd with the configuration of a proxy, to which it adds [snmp]. Managers are at the rig's address of `alice`, and those
    who have the community, where there is one, at that of `simone`."""

    def __init__(self, rig, binary, edge, v2c=False, traps=True, auth="sha256", priv="aes128"):
        """`binary` is that of the proxy: the agent's lies beside it."""
        self.rig, self.edge, self.process = rig, edge, None
        self.address, self.manager, self.visitor = rig.address("control"), rig.address("alice"), rig.address("simone")
        self.auth, self.priv = auth, priv
        self.binary = rig.path("vestibule", "vestibule-snmpd")
        shutil.copy(os.path.join(os.path.dirname(os.path.abspath(binary)), "vestibule-snmpd"), self.binary)
        os.chmod(self.binary, 0o755)
        secrets = {name: rig.write(f"vestibule/snmp-{name}.secret", text + "\n", 0o600)
                   for name, text in (("auth", AUTH), ("priv", PRIV), ("community", COMMUNITY))}
        tables = f"""
[snmp]
listen = "{self.address}:{PORT}"
managers = ["{self.manager}"]
contact = "noc@example.lan"
location = "Rack 5"
users = [{{ name = "noc", auth = "{auth}", auth_secret = "file:{secrets["auth"]}", priv = "{priv}", priv_secret = "file:{secrets["priv"]}" }}]
"""
        receiver = f'address = "{rig.address("relay")}:{TRAP_PORT}"'
        if v2c:
            tables += f'communities = [{{ community = "file:{secrets["community"]}", from = ["{self.visitor}"] }}]\n'
            receivers = f'{{ {receiver}, community = "file:{secrets["community"]}" }}'
        else:
            receivers = f'{{ {receiver}, user = "noc" }}'
        if traps:
            tables += f"traps = [{receivers}]\n"
        with open(edge.config, encoding="utf-8") as file:
            text = file.read()
        with open(edge.config, "w", encoding="utf-8") as file:
            file.write(text + tables)
        self.engine_file = os.path.join(edge.state, "snmp-engine.json")
        edge.give(*secrets.values(), self.binary)

    def know_engine(self):
        """Gives it the identity that receivers know."""
        os.makedirs(self.edge.state, 0o700, exist_ok=True)
        with open(self.engine_file, "w", encoding="utf-8") as file:
            json.dump({"engine_id": ENGINE, "engine_boots": 1}, file)
        self.edge.give(self.edge.state, self.engine_file)

    def start(self, name="vestibule-snmpd"):
        """Starts it as the user of the proxy, and waits until it answers."""
        user = ["setpriv", f"--reuid={USER}", "--regid=nogroup", "--clear-groups", "--pdeathsig", "KILL", "--"] if os.getuid() == 0 else []
        self.process = self.rig.spawn(name, [*user, self.binary, "--config", self.edge.config])
        self.process.wait_for_text("the SNMP agent answers")
        return self

    def tool(self, name, *arguments, source=None, options=None, code=None):
        """Runs a tool of net-snmp against the agent, by default as `noc`; its code, its output, and what it complains of."""
        ask = options if options is not None else self.as_noc()
        command = [name, "-m", "", "-OnqUet", "-r", "0", "-t", "2", f"--clientaddr={source or self.manager}", *ask, f"{self.address}:{PORT}",
                   *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=environment(self.rig))
        if code is not None and done.returncode != code:
            raise AssertionError(f"{' '.join(command)}: {done.returncode}\n{done.stdout}{done.stderr}")
        return done.returncode, done.stdout, done.stderr

    def as_noc(self, auth_password=AUTH, level="authPriv", user="noc"):
        """The options of a manager with SNMPv3."""
        words = {"sha256": "SHA-256", "sha512": "SHA-512", "aes128": "AES", "aes256": "AES-256"}
        options = ["-v3", "-l", level, "-u", user, "-a", words[self.auth], "-A", auth_password]
        return options + (["-x", words[self.priv], "-X", PRIV] if level == "authPriv" else [])

    def walk(self, under=".1.3.6.1", **how):
        """Every value under a name, by name: texts without their quotes, the rest as net-snmp writes it."""
        _, said, _ = self.tool("snmpbulkwalk", under, code=0, **how)
        values, name = {}, None
        for line in said.splitlines():
            if not line.startswith("."):
                values[name] += line  # the rest of a long list of octets
                continue
            name, _, value = line.partition(" ")
            values[name] = value
        return {name: value.strip().removeprefix('"').removesuffix('"').strip() for name, value in values.items()}

    def get(self, name, **how):
        """One value."""
        return self.tool("snmpget", name, code=0, **how)[1].strip().partition(" ")[2].strip('"')


class Receiver:
    """snmptrapd, which knows the agent's engine and its user, and the community."""

    def __init__(self, rig):
        folder = os.path.dirname(rig.path("snmptrapd", "x"))
        config = rig.write("snmptrapd/snmptrapd.conf", f"""
createUser -e 0x{ENGINE} noc SHA-256 "{AUTH}" AES "{PRIV}"
authUser log noc
authCommunity log {COMMUNITY}
""", 0o600)
        self.process = rig.spawn("snmptrapd", [
            "snmptrapd", "-f", "-Lo", "-C", "-c", config, "-m", "", "-On", "-n", "-F", "%P|%v\\n", "-x", "/dev/null",
            f"udp:{rig.address('relay')}:{TRAP_PORT}"], env={**environment(rig), "SNMP_PERSISTENT_DIR": folder})
        self.process.wait_for_text("NET-SNMP version")

    def wait(self, name, deadline=40.0, holding=(), since=0):
        """Waits for a notification of that name with these texts."""
        def found():
            for line in self.process.output()[since:].splitlines():
                if re.search(r"\.1\.3\.6\.1\.6\.3\.1\.1\.4\.1\.0 = OID: " + re.escape(name) + r"\b(?!\.)", line) and all(
                        text in line for text in holding):
                    return line
            return None
        return wait_until(found, f"a notification {name} arrives, with {holding}", deadline, alive=self.process)


def environment(rig):
    """For net-snmp's tools: nothing of the machine's own configuration is read or written."""
    folder = os.path.dirname(rig.path("net-snmp", "x"))
    return {**os.environ, "SNMPCONFPATH": folder, "SNMP_PERSISTENT_DIR": folder, "MIBS": "", "MIBDIRS": folder}


def owner():
    """Whom files of the proxy belong to."""
    return pwd.getpwnam(USER).pw_uid if os.getuid() == 0 else os.getuid()

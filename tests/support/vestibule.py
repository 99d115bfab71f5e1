"""vestibule itself, as a process of the rig: its configuration, its start, what it says of itself."""

import os
import pwd
import shutil
import urllib.error
import urllib.request

import resolver
from rig import wait_until

USER = "nobody"
"""Whom it runs as when the rig runs as root: no port of the rig needs a privilege."""


class Vestibule:
    """One proxy between the rig's outside and inside addresses."""

    def __init__(self, rig, binary, authority, local, federated, link="s2s", secret=None, level="debug",
                 peer_certificate="required", extra="", nodes=("node",), node_port=5269):
        """`local` is the inside domain, XMPP linked by `s2s` (with TLS), `plain` (s2s without) or `component`, or `sip`; `federated` maps
        foreign domains to the text of their [[federate]] table. `peer_certificate` is what outside listeners ask for, `extra` more tables;
        `nodes` are the roles of the nodes of a SIP domain or of one
        linked by s2s with TLS."""
        self._install(rig, binary)
        if not any(process.name == "dnsmasq-outside_resolver" for process in rig.processes):
            resolver.start(rig, {}, role="outside_resolver")  # knows nothing, and says so at once
        public = authority.issue("edge-public", ["edge.lan", local])
        internal = authority.issue("edge-internal", ["edge.lan"])
        self.metrics = f"http://{rig.address('control')}:9464"
        node = rig.address("node")
        how = {
            "s2s": "nodes = [" + ", ".join(f'{{ host = "{rig.address(role)}", port = {node_port} }}' for role in nodes) + "]\n"
                   'tls = "internal"\nlink = "s2s"',
            "plain": f'nodes = [{{ host = "{node}", port = 5269 }}]\nlink = "s2s"',
            "component": f'nodes = [{{ host = "{node}" }}]\nlink = "component"\nsecret = "file:{self._folder}/component.secret"\n'
                         'component_port = 5347',
            "sip": "nodes = [" + ", ".join(f'{{ host = "{rig.address(role)}", port = 5061 }}' for role in nodes) + "]\n"
                   'tls = "internal"\ntransport = "tls"',
        }[link]
        rig.write("vestibule/component.secret", secret or "", 0o600)
        federates = "".join(f'[[federate]]\ndomain = "{domain}"\n{text}\n' for domain, text in federated.items())
        self.config = rig.write("vestibule/vestibule.toml", f"""# Written for one run of the rig.
[edge]
name = "edge.lan"
state_dir = "{self.state}"
run_as = ""

[zone.outside]
addresses = ["{rig.address('edge_outside')}"]
networks = ["{rig.network}.0/24"]
[zone.inside]
addresses = ["{rig.address('edge_inside')}"]

[dns]
servers = ["{rig.address('outside_resolver')}"]

[[listen]]
zone = "outside"
protocol = "sip"
transport = "tls"
port = 5061
tls = "public"

[[listen]]
zone = "outside"
protocol = "xmpp"
port = 5269
tls = "public"

[[listen]]
zone = "inside"
protocol = "xmpp"
port = 5269
{'' if link == 'plain' else 'tls = "internal"'}

[tls.public]
certificates = [{{ chain = "{public.chain}", key = "{public.key}" }}]
trust = ["{authority.certificate}"]
peer_certificate = "{peer_certificate}"

[tls.internal]
certificates = [{{ chain = "{internal.chain}", key = "{internal.key}" }}]
trust = ["{authority.certificate}"]
peer_certificate = "optional"

[[local]]
domain = "{local}"
protocol = "{'sip' if link == 'sip' else 'xmpp'}"
{how}

{federates}
[policy]
default = "deny"

[admin]
control = "{self.control}"
metrics = "{rig.address('control')}:9464"
snmp_agentx = ""

[log]
format = "text"
level = "{level}"

{extra}
""", 0o600)
        self._hand_over(public.key, internal.key, rig.path("vestibule", "component.secret"))

    def _install(self, rig, binary):
        """Its folder and its binary, where the user that it runs as can read them."""
        self.rig, self.process = rig, None
        self._folder = os.path.dirname(os.path.dirname(rig.path("vestibule", "state", "x")))
        self.control = self._folder + "/control.sock"
        self.state = os.path.join(self._folder, "state")
        self.binary = rig.path("vestibule", "vestibule")
        shutil.copy(binary, self.binary)  # the checkout may be where nobody can read
        os.chmod(self.binary, 0o755)

    def _hand_over(self, *paths):
        """Gives its files to the user that it runs as."""
        self.give(self._folder, self.state, self.config, self.binary, *paths)

    def give(self, *paths):
        """Gives what is there of these to the user that it runs as."""
        if os.getuid() == 0:
            owner = pwd.getpwnam(USER)
            for path in paths:
                if os.path.exists(path):
                    os.chown(path, owner.pw_uid, owner.pw_gid)

    def command(self, *arguments):
        """The command line to run one of its commands with this run's configuration."""
        return [self.binary, *arguments, "--config", self.config]

    def start(self, until="/readyz"):
        """Starts it and waits until it says that it is ready; `/healthz` is enough where its node is missing, and `None` waits for nothing."""
        user = ["setpriv", f"--reuid={USER}", "--regid=nogroup", "--clear-groups", "--pdeathsig", "KILL", "--"] if os.getuid() == 0 else []
        self.process = self._spawn(user + self.command("run"))
        if until:
            wait_until(lambda: self.answers(until), f"vestibule answers 200 to {until}", alive=self.process)
        return self

    def kill(self):
        """Kills it, without a word, and waits until it is gone."""
        self.process.popen.kill()
        self.process.popen.wait()
        self.rig.processes.remove(self.process)
        self.process.popen.stdin.close()

    def _spawn(self, command):
        return self.rig.spawn("vestibule", command)

    def answers(self, path):
        """Whether a path of the management listener answers 200."""
        try:
            with urllib.request.urlopen(self.metrics + path, timeout=2) as answer:
                return answer.status == 200
        except (urllib.error.URLError, OSError):
            return False

    def samples(self, prefix="vestibule_"):
        """The lines of /metrics that begin with a prefix."""
        with urllib.request.urlopen(self.metrics + "/metrics", timeout=5) as answer:
            return [line for line in answer.read().decode().splitlines() if line.startswith(prefix)]

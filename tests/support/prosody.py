"""Prosody as an inside node: users, external components or s2s through the edge, with the rig's own resolver."""

import os
import subprocess


class Prosody:
    """One Prosody in the foreground, all its state in the rig's folder.

    Its resolver is libunbound, which reads no configuration but Prosody's `unbound` table: so one line points it at the rig's
    dnsmasq (`do-not-query-localhost` is on by default and would forbid a forwarder on 127/8), and the machine's resolver is not
    touched. Foreign domains then lead to the edge's inside listener.
    """

    def __init__(self, rig, domain, identity, authority, role="node", components=None, secret=None, secure=False,
                 log="debug", resolver="resolver"):
        self.rig, self.domain, self.address = rig, domain, rig.address(role)
        self.name = f"prosody-{role}"
        folder = os.path.dirname(rig.path(self.name, "data", "x"))
        components = components or []
        unbound = (f'unbound = {{ resolvconf = false; hoststxt = false; forward = {{ "{rig.address(resolver)}" }}; '
                   'options = { ["do-not-query-localhost:"] = "no" } }')
        text = f"""
run_as_root = true
pidfile = "{folder}/pid"
data_path = "{folder}"
network_backend = "epoll"
network_settings = {{ opportunistic_writes = true }} -- what it has answered for is in the kernel's hands when a test kills it
use_ipv6 = false
interfaces = {{ "{self.address}" }}
c2s_ports = {{ 5222 }}
s2s_ports = {{ 5269 }}
component_interfaces = {{ "{self.address}" }}
component_ports = {{ {"5347" if components else ""} }}
{unbound}
modules_enabled = {{ "roster", "saslauth", "tls", "dialback", "disco", "ping", "posix", "offline" }}
modules_disabled = {{ "s2s_bidi" }}
authentication = "internal_plain"
c2s_require_encryption = true
s2s_require_encryption = true
s2s_secure_auth = {str(secure).lower()}
log = {{ {{ levels = {{ min = "{log}" }}; to = "console"; timestamps = true }} }}
ssl = {{ key = "{identity.key}"; certificate = "{identity.chain}"; cafile = "{authority.certificate}"; capath = "" }}
VirtualHost "{domain}"
"""
        for component in components:
            text += f'Component "{component}"\n    component_secret = "{secret}"\n    modules_enabled = {{ }}\n'
        self.config = rig.write(f"{self.name}/prosody.cfg.lua", text)
        self.process = None

    def register(self, user, password):
        """Adds a user; before or after the start."""
        done = subprocess.run(["prosodyctl", "--config", self.config, "register", user, self.domain, password],
                              capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"prosodyctl register {user}: {done.stdout}{done.stderr}")

    def start(self):
        """Starts it and waits for its client and server ports."""
        self.process = self.rig.spawn(self.name, ["prosody", "-F", "--config", self.config])
        self.process.wait_for_port(self.address, 5222)
        self.process.wait_for_port(self.address, 5269)
        return self

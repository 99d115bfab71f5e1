"""Prosody as an XMPP server: users, rooms, external components or s2s through the edge, with the rig's own resolver."""

import os
import subprocess


class Prosody:
    """One Prosody in the foreground, all its state in the rig's folder.

    Its resolver is libunbound, which reads no configuration but Prosody's `unbound` table: so one line points it at the rig's
    dnsmasq (`do-not-query-localhost` is on by default and would forbid a forwarder on 127/8), and the machine's resolver is not
    touched. Foreign domains then lead to the edge's inside listener.
    """

    def __init__(self, rig, domain, identity, authority, role="node", components=None, secret=None, secure=False,
                 log="debug", resolver="resolver", modules=()):
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
modules_enabled = {{ "roster", "saslauth", "tls", "dialback", "disco", "ping", "posix", "offline"{"".join(f', "{module}"' for module in modules)} }}
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


class Domains:
    """A Prosody with many domains at one address of a DMZ, each with a user, its own certificate and perhaps a chat service.

    What it says beyond a stock installation: its addresses, its resolver, its certificates, and limits that are larger than the edge's.
    """

    def __init__(self, dmz, role, authority, identities, user, rooms=(), components=(), secret=None, direct=None, bidi=False):
        """`identities` maps domains to their certificates, `rooms` are those that are chat services; `direct` is the certificate of the
        port for direct TLS; with `bidi` it answers on the streams that others have opened (XEP-0288)."""
        self.dmz, self.role, self.name, self.address = dmz, role, role.replace("_", "-"), dmz.address(role)
        self._starts = 0
        folder = os.path.dirname(dmz.path(self.name, "data", "x"))
        text = f"""
run_as_root = true
pidfile = "{folder}/pid"
data_path = "{folder}"
network_settings = {{ opportunistic_writes = true }}
interfaces = {{ "{dmz.address(role)}", "{dmz.address6(role)}" }}
s2s_direct_tls_ports = {{ {"5270" if direct else ""} }}
component_interfaces = {{ "{dmz.address(role)}", "{dmz.address6(role)}" }}
component_ports = {{ {"5347" if components else ""} }}
unbound = {{ resolvconf = false; hoststxt = false; forward = {{ "{dmz.address("resolver_" + dmz.where(role).name)}" }};
             options = {{ ["do-not-query-localhost:"] = "no" }} }}
modules_enabled = {{ "roster", "saslauth", "tls", "dialback", "disco", "ping", "posix", "offline", "vcard", "smacks"{', "s2s_bidi"' if bidi else ""} }}
modules_disabled = {{ {"" if bidi else '"s2s_bidi"'} }}
authentication = "internal_plain"
c2s_require_encryption = true
s2s_require_encryption = false
c2s_stanza_size_limit = 1048576
s2s_stanza_size_limit = 1048576
limits = {{ }}
log = {{ {{ levels = {{ min = "debug" }}; to = "console"; timestamps = true }} }}
"""
        if direct:
            text += f's2s_direct_tls_ssl = {_ssl(direct, authority)}\n'
        for domain, identity in identities.items():
            text += f'Component "{domain}" "muc"\n' if domain in rooms else f'VirtualHost "{domain}"\n'
            text += f"    ssl = {_ssl(identity, authority)}\n"
            if domain not in rooms:
                dmz.write(f"{self.name}/data/{domain.replace('.', '%2e')}/accounts/{user}.dat", 'return { ["password"] = "secret" };')
        for component in components:
            text += f'Component "{component}"\n    component_secret = "{secret}"\n    modules_enabled = {{ }}\n'
        self._config = dmz.write(f"{self.name}/prosody.cfg.lua", text)
        self.process = None

    def spawn(self):
        """Starts it, without waiting; once more after it was stopped or killed."""
        self._starts += 1
        self.process = self.dmz.where(self.role).spawn(
            self.dmz, f"{self.name}-{self._starts}", ["prosody", "-F", "--config", self._config])
        return self

    def ready(self):
        """Waits until it serves clients and servers."""
        for port in (5222, 5269):
            self.dmz.where(self.role).wait_for_port(self.process, self.address, port)
        return self


def _ssl(identity, authority):
    return f'{{ key = "{identity.key}"; certificate = "{identity.chain}"; cafile = "{authority.certificate}"; capath = "" }}'

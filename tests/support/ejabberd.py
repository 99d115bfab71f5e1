"""ejabberd as an XMPP server: s2s over TLS on one side, external components on the other."""

import os


def start(rig, domain, identity, authority, components, secret, role="relay", starttls="required", users=()):
    """Starts the Erlang machine itself in the foreground, unnamed (so no epmd is left behind), without its busy-waiting schedulers; `users` have the
    password `secret`."""
    address = rig.address(role)
    name = "ejabberd"
    clients = _listener(address, 5222, "ejabberd_c2s", "starttls_required: true") if users else ""
    hosts = "".join(f"\n      {component}: {{password: \"{secret}\"}}" for component in components)
    attached = _listener(address, 5347, "ejabberd_service", "access: all", f"hosts:{hosts}") if components else ""
    config = rig.write(f"{name}/ejabberd.yml", f"""
hosts: ["{domain}"]
loglevel: 3
certfiles: ["{identity.both}"]
ca_file: "{authority.certificate}"
s2s_use_starttls: {starttls}
s2s_access: all
max_fsm_queue: 100000
shaper: {{}}
listen:
{clients}  -
    port: 5269
    ip: "{address}"
    module: ejabberd_s2s_in
    max_stanza_size: 1048576
{attached}
modules:
  mod_ping: {{}}
  mod_s2s_dialback: {{}}
{"  mod_roster: {}" if users else ""}
""")
    folder = os.path.dirname(config)
    environment = _environment(rig, name, config, rig.address("resolver"))
    # It asks for addresses by the machine's resolv.conf, whatever its own configuration says.
    resolvers = rig.write(f"{name}/resolv.conf", f"nameserver {rig.address('resolver')}\n")
    own = ["unshare", "--mount", "sh", "-c", "mount --bind \"$0\" /etc/resolv.conf && exec \"$@\"", resolvers] if os.getuid() == 0 else []
    process = rig.spawn(name, own + _command(folder) + (_registering((user, domain) for user in users) if users else []), env=environment)
    process.wait_for_port(address, 5269, 60)
    if components:
        process.wait_for_port(address, 5347, 60)
    if users:
        process.wait_for_text("registered", 60)
        process.wait_for_port(address, 5222, 60)
    return process


class Domains:
    """An ejabberd with many domains at one address of a DMZ, each with a user, its own certificate and perhaps a chat service.

    What it says beyond a stock installation: its addresses, its resolver, its certificates, and limits that are larger than the edge's.
    """

    def __init__(self, dmz, role, authority, identities, user, rooms=(), components=(), secret=None, direct=None):
        """As for Prosody; the certificates are chosen by the names in them, also on the port for direct TLS."""
        self.dmz, self.role, self.name, self.address = dmz, role, role.replace("_", "-"), dmz.address(role)
        self._starts = 0
        hosts = [domain for domain in identities if domain not in rooms]
        certificates = sorted({identity.both for identity in identities.values()})
        listeners = ""
        for address in (dmz.address(role), dmz.address6(role)):
            listeners += _listener(address, 5222, "ejabberd_c2s", "starttls_required: true", "max_stanza_size: 1048576")
            listeners += _listener(address, 5269, "ejabberd_s2s_in", "max_stanza_size: 1048576")
            if direct:
                listeners += _listener(address, 5270, "ejabberd_s2s_in", "tls: true", "max_stanza_size: 1048576")
            if components:
                passwords = "".join(f"\n        {name}: {{password: \"{secret}\"}}" for name in components)
                listeners += _listener(address, 5347, "ejabberd_service", "access: all", "global_routes: false", f"hosts:{passwords}")
        self._config = dmz.write(f"{self.name}/ejabberd.yml", f"""
hosts: {_list(hosts)}
loglevel: 4
certfiles: {_list(certificates)}
ca_file: "{authority.certificate}"
s2s_use_starttls: optional
s2s_dns_retries: 1
s2s_dns_timeout: 5 s
s2s_max_retry_delay: 1 s
max_fsm_queue: 100000
shaper: {{}}
listen:
{listeners}
modules:
  mod_roster: {{}}
  mod_ping: {{}}
  mod_disco: {{}}
  mod_vcard: {{}}
  mod_offline: {{}}
  mod_s2s_dialback: {{}}
{_rooms(rooms)}
""")
        self._folder = os.path.dirname(self._config)
        self._users = [(user, host) for host in hosts]
        self.process = None

    def spawn(self):
        """Starts it, without waiting; once more after it was stopped or killed."""
        self._starts += 1
        name = f"{self.name}-{self._starts}"
        namespace = self.dmz.where(self.role)
        environment = _environment(self.dmz, name, self._config, self.dmz.address("resolver_" + namespace.name))
        command = _command(self._folder) + _registering(self._users)
        self.process = namespace.spawn(self.dmz, name, command, environment)
        return self

    def ready(self):
        """Waits until it serves clients and servers."""
        for port in (5222, 5269):
            self.dmz.where(self.role).wait_for_port(self.process, self.address, port, 60)
        self.process.wait_for_text("registered", 60)
        return self


def _command(folder):
    # Without its busy-waiting schedulers.
    return ["erl", "+K", "true", "+sbwt", "none", "+sbwtdcpu", "none", "+sbwtdio", "none", "-mnesia", "dir", f'"{folder}/mnesia"',
            "-noinput", "-s", "ejabberd"]


def _registering(users):
    register = "".join(f'ejabberd_auth:try_register(<<"{user}">>, <<"{host}">>, <<"secret">>), ' for user, host in users)
    return ["-eval", f'{register}io:format("registered~n").']


def _environment(rig, name, config, resolver):
    # The resolver of this Erlang machine: our own dnsmasq, and no file of the machine.
    inetrc = rig.write(f"{name}/inetrc", "{lookup, [dns]}.\n{resolv_conf, \"\"}.\n{hosts_file, \"\"}.\n"
                       f"{{nameserver, {{{','.join(resolver.split('.'))}}}}}.\n")
    return {"EJABBERD_CONFIG_PATH": config, "EJABBERD_LOG_PATH": os.path.join(rig.logs, f"{name}-server.log"),
            "HOME": os.path.dirname(inetrc), "ERL_LIBS": "/usr/lib/x86_64-linux-gnu", "ERL_INETRC": inetrc, "ERL_CRASH_DUMP": "/dev/null"}


def _listener(address, port, module, *options):
    lines = [f"port: {port}", f'ip: "{address}"', f"module: {module}", *options]
    return "  -\n" + "".join(f"    {line}\n" for line in lines)


def _list(names):
    return "[" + ", ".join(f'"{name}"' for name in names) + "]"


def _rooms(rooms):
    # Each chat service belongs to the domain that its name stands below.
    return "append_host_config:\n" + "".join(
        f"  {room.partition('.')[2]}:\n    modules:\n      mod_muc:\n        hosts: {_list([room])}\n" for room in rooms) if rooms else ""

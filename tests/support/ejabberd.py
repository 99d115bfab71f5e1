"""ejabberd as an XMPP server: s2s over TLS on one side, external components on the other."""

import os


def start(rig, domain, identity, authority, components, secret, role="relay"):
    """Starts the Erlang machine itself in the foreground, unnamed (so no epmd is left behind), without its busy-waiting schedulers."""
    address = rig.address(role)
    name = "ejabberd"
    hosts = "".join(f"      {component}:\n        password: \"{secret}\"\n" for component in components)
    config = rig.write(f"{name}/ejabberd.yml", f"""
hosts: ["{domain}"]
loglevel: 3
certfiles: ["{identity.both}"]
ca_file: "{authority.certificate}"
s2s_use_starttls: required
s2s_access: all
max_fsm_queue: 100000
shaper: {{}}
listen:
  -
    port: 5269
    ip: "{address}"
    module: ejabberd_s2s_in
    max_stanza_size: 1048576
  -
    port: 5347
    ip: "{address}"
    module: ejabberd_service
    access: all
    hosts:
{hosts}
modules:
  mod_ping: {{}}
  mod_s2s_dialback: {{}}
""")
    folder = os.path.dirname(config)
    # The resolver of this Erlang machine: our own dnsmasq, and no file of the machine.
    inetrc = rig.write(f"{name}/inetrc", "{lookup, [dns]}.\n{resolv_conf, \"\"}.\n{hosts_file, \"\"}.\n"
                       f"{{nameserver, {{{','.join(rig.address('resolver').split('.'))}}}}}.\n")
    process = rig.spawn(name, [
        "erl", "+K", "true", "+sbwt", "none", "+sbwtdcpu", "none", "+sbwtdio", "none",
        "-mnesia", "dir", f'"{folder}/mnesia"', "-s", "ejabberd", "-noinput",
    ], env={
        "EJABBERD_CONFIG_PATH": config, "EJABBERD_LOG_PATH": os.path.join(rig.logs, "ejabberd-server.log"), "HOME": folder,
        "ERL_LIBS": "/usr/lib/x86_64-linux-gnu", "ERL_INETRC": inetrc, "ERL_CRASH_DUMP": "/dev/null",
    })
    process.wait_for_port(address, 5269, 60)
    process.wait_for_port(address, 5347, 60)
    return process

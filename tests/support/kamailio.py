"""Kamailio as a SIP relay over TLS, stateful or stateless: what vestibule is compared with."""

import os


def start(rig, identity, authority, next_hop, stateful, role="relay", memory=2048):
    """Relays every request to one next hop (host, port) over TLS; two workers, as many TCP workers, on two cores.

    Process groups are per instance, so `Process.cpu_seconds` counts all its workers. Its stateful relay holds 13 KiB of every transaction
    for 5 s, hence the shared memory.
    """
    address = rig.address(role)
    name = "kamailio-stateful" if stateful else "kamailio-stateless"
    tls = rig.write(f"{name}/tls.cfg", "".join(f"""[{side}:default]
method = TLSv1.2+
private_key = {identity.key}
certificate = {identity.chain}
ca_list = {authority.certificate}
verify_certificate = yes
require_certificate = {"yes" if side == "server" else "no"}
""" for side in ("server", "client")))
    relay = "t_relay()" if stateful else "forward()"
    config = rig.write(f"{name}/kamailio.cfg", f"""#!KAMAILIO
debug=0
log_stderror=yes
children=2
tcp_children=2
auto_aliases=no
enable_tls=yes
listen=tls:{address}:5061
tcp_connection_lifetime=600
tcp_accept_no_cl=no
loadmodule "tls.so"
loadmodule "tm.so"
loadmodule "tmx.so"
loadmodule "sl.so"
loadmodule "pv.so"
loadmodule "maxfwd.so"
loadmodule "textops.so"
loadmodule "siputils.so"
loadmodule "sanity.so"
modparam("tls", "config", "{tls}")
modparam("tm", "fr_timer", 5000)
request_route {{
    if (!mf_process_maxfwd_header("10")) {{ sl_send_reply("483", "Too Many Hops"); exit; }}
    if (!sanity_check()) {{ exit; }}
    remove_hf("Route");
    $du = "sip:{next_hop[0]}:{next_hop[1]};transport=tls";
    {relay};
}}
""")
    folder = os.path.dirname(config)
    process = rig.spawn(name, ["kamailio", "-DD", "-E", "-m", str(memory), "-M", "16", "-Y", folder, "-w", folder, "-f", config])
    process.wait_for_port(address, 5061)
    return process

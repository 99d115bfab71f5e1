"""Kamailio: as a SIP relay over TLS, stateful or stateless, which vestibule is compared with, and as the proxy and presence server of a
domain, on either side of the edge."""

import os
import shutil


def start(rig, identity, authority, next_hop, stateful, role="relay", memory=2048):
    """Relays every request to one next hop (host, port) over TLS; two workers, as many TCP workers, on two cores.

    Process groups are per instance, so `Process.cpu_seconds` counts all its workers. Its stateful relay holds 13 KiB of every transaction
    for 5 s, hence the shared memory.
    """
    address = rig.address(role)
    name = "kamailio-stateful" if stateful else "kamailio-stateless"
    tls = _tls(rig, name, identity, authority)
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


def domain(rig, name, role, identity, authority, users, edge, port=5061, resolver=None):
    """The server of a domain: a stateful, record-routing proxy with presence. `users` maps its users to the UDP addresses (host, port) of
    their user agents, `edge` is the address (host, port) that it reaches all other domains by, over TLS. It asks the machine's resolver, or
    where one is named the one of that role, in a mount namespace of its own.

    What comes over TLS is logged whole, between lines of `>>>` and `<<<`.
    """
    address = rig.address(role)
    tls = _tls(rig, name, identity, authority)
    tables = os.path.dirname(rig.path(name, "tables", "x"))
    for table in ("version", "presentity", "active_watchers", "watchers", "xcap", "pua"):
        shutil.copy(f"/usr/share/kamailio/dbtext/kamailio/{table}", tables)
    contacts = "".join(f"""
    if ($rU == "{user}" && $rd == "{name}") {{ $du = "sip:{host}:{at}"; route(RELAY); }}""" for user, (host, at) in users.items())
    config = rig.write(f"{name}/kamailio.cfg", f"""#!KAMAILIO
debug=1
log_stderror=yes
children=2
tcp_children=2
auto_aliases=no
enable_tls=yes
listen=tls:{address}:{port}
listen=udp:{address}:5060
alias="{name}"
tcp_connection_lifetime=600
loadmodule "tls.so"
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "rr.so"
loadmodule "pv.so"
loadmodule "xlog.so"
loadmodule "maxfwd.so"
loadmodule "textops.so"
loadmodule "siputils.so"
loadmodule "db_text.so"
loadmodule "presence.so"
loadmodule "presence_xml.so"
modparam("tls", "config", "{tls}")
modparam("tm", "fr_timer", 5000)
modparam("rr", "enable_double_rr", 1)
modparam("presence", "db_url", "text://{tables}")
modparam("presence", "server_address", "sip:presence@{address}:{port};transport=tls")
modparam("presence", "send_fast_notify", 1)
modparam("presence_xml", "db_url", "text://{tables}")
modparam("presence_xml", "force_active", 1)
request_route {{
    if ($proto == "tls") {{ xlog("L_ERR", ">>>\n$mb\n<<<\n"); }}
    if (!mf_process_maxfwd_header("70")) {{ sl_send_reply("483", "Too Many Hops"); exit; }}
    if (is_method("CANCEL")) {{ if (t_check_trans()) {{ t_relay(); }} exit; }}
    if (has_totag() && loose_route()) {{
        if (is_method("NOTIFY")) {{ record_route(); }} # RFC 6665 section 4.3
        route(LOCAL); route(RELAY);
    }}
    if (has_totag() && is_method("ACK")) {{ if (t_check_trans()) {{ t_relay(); }} exit; }}
    if (is_method("INVITE|SUBSCRIBE|NOTIFY")) {{ record_route(); }}
    route(LOCAL);{contacts}
    if ($rd == "{name}") {{ sl_send_reply("404", "Not Found"); exit; }}
    $du = "sip:{edge[0]}:{edge[1]};transport=tls";
    route(RELAY);
}}
route[LOCAL] {{
    if ((uri == myself) && is_method("SUBSCRIBE|PUBLISH") && ($rd == "{name}" || has_totag())) {{
        if (!t_newtran()) {{ sl_reply_error(); exit; }}
        if (is_method("SUBSCRIBE")) {{ handle_subscribe(); }} else {{ handle_publish(); }}
        t_release();
        exit;
    }}
}}
route[RELAY] {{
    t_on_reply("ANY");
    if (!t_relay()) {{ sl_reply_error(); }}
    exit;
}}
onreply_route[ANY] {{
    if ($proto == "tls") {{ xlog("L_ERR", ">>>\n$mb\n<<<\n"); }}
}}
""")
    folder = os.path.dirname(config)
    command = ["kamailio", "-DD", "-E", "-m", "64", "-M", "8", "-Y", folder, "-w", folder, "-f", config]
    if resolver:
        file = rig.write(f"{name}/resolv.conf", f"nameserver {rig.address(resolver)}\n")
        command = ["unshare", "--mount", "sh", "-c", f'mount --bind {file} /etc/resolv.conf && exec "$@"', "sh", *command]
    process = rig.spawn(f"kamailio-{name}", command)
    process.wait_for_port(address, port)
    return process


def _tls(rig, name, identity, authority):
    return rig.write(f"{name}/tls.cfg", "".join(f"""[{side}:default]
method = TLSv1.2+
private_key = {identity.key}
certificate = {identity.chain}
ca_list = {authority.certificate}
verify_certificate = yes
require_certificate = {"yes" if side == "server" else "no"}
""" for side in ("server", "client")))

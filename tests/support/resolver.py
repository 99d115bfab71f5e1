"""Resolvers of the rig: dnsmasq on a loopback address. Inside, every foreign domain leads to the edge."""


def start(rig, answers, default=None, role="resolver", records=()):
    """Answers A queries: `answers` maps names (and all below them) to addresses, `default` is for every other `.lan` name;
    `records` are dnsmasq options for records of other kinds.

    Without SRV records a server goes to port 5269 of the name itself, as RFC 6120 says.
    """
    address = rig.address(role)
    command = ["dnsmasq", "--no-daemon", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--user=root", "--group=root",
               "--pid-file=", "--bind-interfaces", f"--listen-address={address}", "--port=53", "--log-queries", "--log-facility=-",
               "--local=/lan/"]
    command += [f"--address=/{name}/{target}" for name, target in answers.items()]
    if default:
        command.append(f"--address=/lan/{default}")
    command += records
    process = rig.spawn(f"dnsmasq-{role}", command)
    process.wait_for_port(address, 53)
    return process


def authority(dmz, role, hosts, services, below=None):
    """A DNS server in a DMZ for one network: `hosts` maps names to their addresses, `services` maps domains to lists of
    (service, priority, port, host), and `below` maps domains to the addresses of everything below them."""
    command = ["dnsmasq", "--no-daemon", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--user=root", "--group=root",
               "--pid-file=", "--bind-interfaces", f"--listen-address={dmz.address(role)}", "--port=53", "--log-queries", "--log-facility=-",
               "--local=/lan/"]
    command += [f"--host-record={name},{','.join(addresses)}" for name, addresses in hosts.items()]
    command += [f"--srv-host=_{service}._tcp.{domain},{host},{port},{priority},1"
                for domain, records in services.items() for service, priority, port, host in records]
    command += [f"--address=/{name}/{address}" for name, addresses in (below or {}).items() for address in addresses]
    namespace = dmz.where(role)
    process = namespace.spawn(dmz, f"dnsmasq-{role}", command)
    namespace.wait_for_port(process, dmz.address(role), 53)
    return process

"""Faults under load, and what became of each message: R1, R2 and R5 of the list of qualities, and the load without faults (L3).

`scripts/bench --only R2` does many, the rig a few. A message is lost when its sender was told that it was accepted, or nothing at all, and it
is not there; a connection that ends before anything was said of it is told too: SIP sees the transport fail, XMPP the stream end before the
message was acknowledged (XEP-0198).
"""

import os
import statistics
import time

import rig as rigs
from exchange import WAYS, Exchange, beside
from fault_proxy import Relay

FIRST = 1000
"""Milliseconds until the first message has to cross each way."""


def held(binary, logs, rate, seconds):
    """L3: a rate each way for a time. Gives what was counted, the CPU microseconds a message of the proxy and the load, and MiB."""
    with rigs.Rig(logs=logs) as rig:
        exchange = Exchange(rig, binary, beside(binary), rate, rate * seconds, faults=True).start()
        proxy, load = exchange.edge.process.cpu_seconds(), rigs.group_cpu_seconds(exchange.load.pid)
        exchange.order("run")
        counted = exchange.counted()
        messages = sum(counted.sent(way) for way in WAYS)
        proxy, load = exchange.edge.process.cpu_seconds() - proxy, rigs.group_cpu_seconds(exchange.load.pid) - load
        return counted, proxy / messages * 1e6, load / messages * 1e6, rigs.group_memory(exchange.edge.process.pid) / 2**20


def kill_proxy(binary, logs, times, rate=1000, between=0.25):
    """R2: kills the proxy amid messages both ways, and starts it at once, so often. Gives what was counted, and the times to the first message
    each way that was sent after the start has crossed, in milliseconds."""
    with rigs.Rig(logs=logs) as rig:
        exchange = Exchange(rig, binary, beside(binary), rate, faults=True).start()
        exchange.order("start")
        crossed = []
        for _ in range(times):
            exchange.order("mark")
            exchange.crossed()
            time.sleep(between)  # so long it carries messages before it is killed; nothing is waited for
            exchange.edge.kill()
            exchange.edge.start(None)
            exchange.order("mark")
            crossed.append(max(exchange.crossed()))
        exchange.order("stop")
        return exchange.counted(), crossed


def kill_node(binary, logs, times, rate=1000, between=1.25):
    """R1: kills one of two nodes amid messages to them, and starts it again, so often; each in its turn."""
    with rigs.Rig(logs=logs) as rig:
        exchange = Exchange(rig, binary, beside(binary), rate, faults=True, nodes=2).start()
        exchange.order("start")
        crossed = []
        for turn in range(times):
            role = sorted(exchange.nodes)[turn % 2]
            exchange.order("mark")
            exchange.crossed()
            time.sleep(between)  # as above
            exchange.nodes[role].kill()
            exchange.order("mark")
            crossed.append(max(exchange.crossed()))
            exchange.nodes[role].close()
            exchange.start_node(role)
        exchange.order("stop")
        return exchange.counted(), crossed


NETWORK = (("stall",), ("swallow",), ("reset", 3001), ("delay", 0.05), ("slow", 8192), *(("reset", octets) for octets in (1, 250, 700, 1900, 20_011)))
"""Faults of a network; resets come within handshakes and amid messages."""


def break_network(binary, logs, profiles=NETWORK, rate=100, seconds=1.0):
    """R5: each fault for a time on the SIP leg, on the XMPP leg, and on both, amid messages both ways; what was swallowed is reset afterwards.
    Gives what was counted."""
    with rigs.Rig(logs=logs) as rig:
        relays = {}

        def detour(name, address, port):
            place = {"sip-target": (rig.address("dead"), 5061), "xmpp-target": (rig.address("dead"), 5269),
                     "sip-listen": (rig.address("mallory"), 5061), "xmpp-listen": (address, 5270)}[name]
            relays[name] = Relay(rig, place, (address, port))
            return place
        exchange = Exchange(rig, binary, beside(binary), rate, faults=True, detour=detour).start()
        exchange.order("start")
        for legs in (("sip",), ("xmpp",), ("sip", "xmpp")):
            for profile in profiles:
                hit = [relay for name, relay in relays.items() if name.partition("-")[0] in legs]
                for relay in hit:
                    relay.fault = profile
                time.sleep(seconds)  # so long the fault lasts; nothing is waited for
                for relay in hit:
                    relay.fault = None
                    if profile == ("swallow",):
                        relay.cut()
                exchange.order("mark")
                exchange.crossed()
        exchange.order("stop")
        return exchange.counted()


def run(arguments):
    """The one that --only names; prints what was seen and the verdict, and gives the exit code."""
    code = 0
    for name in arguments.only:
        logs = os.path.join(arguments.logs, name)
        if name == "L3":
            code |= _held(arguments, logs)
        elif name == "R5":
            counted = break_network(arguments.binary, logs, seconds=arguments.fault_seconds)
            print(f"R5: {len(NETWORK)} faults of {arguments.fault_seconds} s on each leg and on both, amid 100 messages a second each way")
            _show(counted)
            code |= _verdict(name, counted.faults())
        elif name in ("R1", "R2"):
            times = arguments.times or {"R1": 100, "R2": 200}[name]
            counted, crossed = {"R1": kill_node, "R2": kill_proxy}[name](arguments.binary, logs, times)
            print(f"{name}: {times} kills at 1,000 messages a second each way")
            _show(counted)
            late = sum(1 for time in crossed if time > FIRST)
            print(f"first message across after {statistics.median(crossed):.0f} ms in the middle, {max(crossed)} ms at most; {late} times above {FIRST} ms")
            code |= _verdict(name, counted.faults() + ([f"late: {late}"] if late else []))
    return code


def _held(arguments, logs):
    counted, proxy, load, memory = held(arguments.binary, logs, arguments.rate, arguments.seconds)
    print(f"L3: {arguments.rate} messages a second each way for {arguments.seconds} s; carried {counted.sent('to_xmpp') / counted['seconds']:.0f} and "
          f"{counted.sent('to_sip') / counted['seconds']:.0f} a second")
    _show(counted)
    print(f"proxy {proxy:.1f} us of CPU a message and {memory:.0f} MiB, load {load:.1f} us a message; load average {os.getloadavg()[0]:.1f}")
    refused = [f"{way}_refused: {counted[f'{way}_refused']}" for way in WAYS if counted[f"{way}_refused"]]
    slow = [] if counted["seconds"] <= arguments.seconds * 1.02 + 1 else [f"{counted['seconds']:.1f} s were needed"]
    return _verdict("L3", counted.faults() + refused + slow)


def _show(counted):
    for way in WAYS:
        print(f"{way:8}" + "".join(f" {what} {counted[f'{way}_{what}']}," for what in (
            "sent", "accepted", "refused", "broken", "arrived", "lost", "twice", "disordered", "unsettled"))
              + " us: " + ", ".join(f"{what} {counted[f'{way}_{what}']}" for what in ("p50", "p99", "p999", "max")))


def _verdict(name, faults):
    print(f"{name} {'reached' if not faults else 'NOT reached: ' + ', '.join(faults)}")
    return 1 if faults else 0

"""G9 of scripts/bench: a full TLS 1.3 handshake with certificates on both sides, and a hundred octets asked and answered, beside nginx.

Both servers have the same key (P-256), see the same client certificate and verify it, resume nothing, and close after one exchange. nginx
answers a request for a file that it makes up (`return 200`); vestibule answers an OPTIONS for a domain that it translates for, for which it parses the request,
verifies that the certificate proves the domain of From, asks its policy and writes the answer. One connection follows the other.
"""

import socket
import ssl
import time

import rig as rigs
from bench import Case
from vestibule import Vestibule

HANDSHAKES = 500
NGINX = """daemon off; master_process off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log crit;
events {{ worker_connections 512; }}
http {{ access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  server {{ listen {address}:8443 ssl; ssl_certificate {chain}; ssl_certificate_key {key}; ssl_protocols TLSv1.3;
    ssl_client_certificate {ca}; ssl_verify_client on; ssl_session_cache off; ssl_session_tickets off;
    location / {{ return 200 "{body}"; }} }} }}
"""


class Client:
    """Stands where the load generator does: the handshakes are made in this process, whose time nobody counts against a server."""

    def close(self):
        """Nothing is left open."""


class Handshakes(Case):
    """One server under connections that are opened, used once and closed."""

    target = request = None

    def __init__(self, name, arguments, figure=None):
        super().__init__(name, arguments)
        self.figure = figure

    def ready(self, target, request):
        """Says where to connect and what to ask, and tries it once."""
        self.target, self.request = target, request
        self.load = Client()
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_3
        self.context.check_hostname = False
        self.context.load_verify_locations(self.authority.certificate)
        self.context.load_cert_chain(self.source.chain, self.source.key)
        self.exchange(0)

    def exchange(self, number):
        """One connection."""
        with self.context.wrap_socket(socket.create_connection(self.target, rigs.DEADLINE)) as wire:
            wire.sendall(self.request.format(number=number).encode())
            answer = b""
            while b"\r\n\r\n" not in answer:
                got = wire.recv(4096)
                if not got:
                    break
                answer += got
            if b" 200 " not in answer.split(b"\r\n")[0] + b" ":
                raise rigs.Failed(f"{self.name} answered {answer!r}")

    def run(self):
        before, own, start = self.server.cpu_seconds(), time.process_time(), time.monotonic()
        for number in range(HANDSHAKES):
            self.exchange(f"{len(self.costs)}-{number}")
        self.rates.append(HANDSHAKES / (time.monotonic() - start))
        self.load_costs.append((time.process_time() - own) / HANDSHAKES * 1e6)
        self.costs.append((self.server.cpu_seconds() - before) / HANDSHAKES * 1e6)


class Nginx(Handshakes):
    """nginx of Debian, one worker."""

    def start(self):
        address = self.rig.address("relay")
        identity = self.authority.issue("relay", ["relay.lan"])
        folder = self.rig.path("nginx", "x")[:-2]
        config = self.rig.write("nginx/nginx.conf", NGINX.format(folder=folder, address=address, chain=identity.chain, key=identity.key,
                                                                  ca=self.authority.certificate, body="x" * 100))
        self.server = self.rig.spawn("nginx", ["nginx", "-p", folder, "-c", config])
        self.server.wait_for_port(address, 8443)
        self.ready((address, 8443), "GET / HTTP/1.1\r\nHost: relay.lan\r\nX-Number: {number}\r\nX-Fill: " + "x" * 40 + "\r\nConnection: close\r\n\r\n")


class Edge(Handshakes):
    """vestibule."""

    def start(self):
        edge = Vestibule(self.rig, self.arguments.binary, self.authority, "inside.lan", {
            "outside.lan": 'protocol = "sip"\ntls = "public"\nrate = { requests_per_second = 10000, new_dialogs_per_second = 10000 }\n'
                           f'routes = [{{ next_hop = "{self.rig.address("alice")}", port = 5061, transport = "tls" }}]'},
            "component", "secret", level="warn").start("/healthz")
        self.server = edge.process
        self.ready((self.rig.address("edge_outside"), 5061),
                   "OPTIONS sip:inside.lan SIP/2.0\r\nVia: SIP/2.0/TLS a.outside.lan;branch=z9hG4bK{number}\r\nMax-Forwards: 70\r\nFrom: <sip:outside.lan>;tag=t\r\n"
                   "To: <sip:inside.lan>\r\nCall-ID: {number}\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n")

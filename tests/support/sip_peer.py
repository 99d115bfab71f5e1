"""A scripted SIP element, for what real ones will not do: any request and any answer, over TLS, TCP or UDP, written out by hand."""

import itertools
import queue
import select
import socket
import ssl
import threading

from rig import DEADLINE, Failed

_numbers = itertools.count(1)


class Message:
    """A message as it came: its first line, its header fields in their order, its body, and the connection it came on."""

    def __init__(self, text, body, connection):
        self.text, self.body, self.connection = text, body, connection
        self.start, *lines = text.split("\r\n")
        self.headers = [tuple(part.strip() for part in line.split(":", 1)) for line in lines if line]

    def all(self, name):
        """All values of a header field, one a line."""
        return [value for known, value in self.headers if known.lower() == name.lower()]

    def get(self, name):
        """The first value of a header field."""
        values = self.all(name)
        return values[0] if values else None

    @property
    def method(self):
        """The method of a request; `None` for a response."""
        return None if self.start.startswith("SIP/2.0") else self.start.split()[0]

    @property
    def uri(self):
        """The Request-URI."""
        return self.start.split()[1]

    @property
    def status(self):
        """The status of a response; `None` for a request."""
        return int(self.start.split()[1]) if self.start.startswith("SIP/2.0") else None

    def tag(self, name):
        """The tag of From or To."""
        parts = [part for part in self.get(name).split(";") if part.strip().startswith("tag=")]
        return parts[0].strip()[4:] if parts else None

    def __repr__(self):
        return self.text + "\r\n\r\n" + self.body.decode(errors="replace")


class Connection:
    """One connection with SIP on it; whatever comes is put into the peer's queue."""

    def __init__(self, peer, wire, among=None):
        """It stands `among` others before anything is read from it."""
        self.peer, self.wire = peer, wire
        self.lock = threading.Lock()  # one TLS session is not for two threads at once
        self.ending = False
        self.waker, self.wake = socket.socketpair()
        self.wire.setblocking(False)
        if among is not None:
            among.append(self)
        threading.Thread(target=self._read, daemon=True).start()

    def send(self, text):
        """Sends octets or text as they are."""
        octets = memoryview(text if isinstance(text, bytes) else text.encode())
        while octets:
            with self.lock:
                try:
                    octets = octets[self.wire.send(octets):]
                    continue
                except (BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError):
                    pass
            select.select([], [self.wire], [], 1)

    def close(self):
        """Closes it at once; the thread that reads does it."""
        self.ending = True
        try:
            self.wake.send(b"x")
        except OSError:
            pass  # it is closed

    def _receive(self):
        """What comes next, and nothing at the end."""
        while not self.ending:
            with self.lock:
                try:
                    return self.wire.recv(65536)
                except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                    pass
            select.select([self.wire, self.waker], [], [])
        return b""

    def _read(self):
        try:
            self._take()
        finally:
            self.ending = True
            with self.lock:
                for closed in (self.wire, self.wake, self.waker):
                    closed.close()
        self.peer.ended(self)

    def _take(self):
        buffered = b""
        try:
            while True:
                octets = self._receive()
                if not octets:
                    break
                buffered += octets
                while True:
                    buffered = buffered.lstrip(b"\r\n") if buffered.startswith(b"\r\n") else buffered
                    head, found, rest = buffered.partition(b"\r\n\r\n")
                    if not found:
                        break
                    length = int(next((line.split(b":")[1] for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0))
                    if len(rest) < length:
                        break
                    self.peer._came(Message(head.decode(), rest[:length], self))
                    buffered = rest[length:]
        except (OSError, ValueError, ssl.SSLError):
            pass


class Datagrams:
    """A UDP socket to and from everybody."""

    def __init__(self, peer, wire):
        self.peer, self.wire = peer, wire
        threading.Thread(target=self._read, daemon=True).start()

    def send(self, text, to=None):
        """Sends one datagram, to whoever sent last where nobody is named."""
        self.wire.sendto(text if isinstance(text, bytes) else text.encode(), to or self.last)

    def close(self):
        """Closes the socket."""
        try:
            self.wire.shutdown(socket.SHUT_RDWR)  # wakes whoever reads, although there is no connection
        except OSError:
            pass
        self.wire.close()

    def _read(self):
        try:
            while True:
                octets, self.last = self.wire.recvfrom(65536)
                if not octets:
                    return
                head, found, body = octets.partition(b"\r\n\r\n")
                if found:
                    self.peer._came(Message(head.decode(), body, self))
        except OSError:
            pass


class Peer:
    """A SIP element at an address; it says its own name in Via and Contact."""

    def __init__(self, rig, address, port=5061, transport="tls", identity=None, authority=None, name=None):
        self.address, self.port, self.transport = address, port, transport
        self.identity, self.authority = identity, authority
        self.name = name or (f"[{address}]" if ":" in address else address)
        self.messages, self.connections = queue.Queue(), queue.Queue()
        self.seen, self.accepted = [], []
        self.questions, self.lives = [], (200, "OK", ())  # whether it lives, asked and answered; `None` is silence
        if transport == "udp":
            wire = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
            wire.bind((address, port))
            self.port = wire.getsockname()[1]
            self.listener = Datagrams(self, wire)
            self.connection = self.listener
        else:
            self.listener = socket.create_server((address, port))
            threading.Thread(target=self._accept, daemon=True).start()
            self.connection = None
        rig.on_close(self.close)

    def context(self, server_side):
        """A TLS context with the peer's certificate."""
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if server_side else ssl.PROTOCOL_TLS_CLIENT)
        made.check_hostname = False
        made.verify_mode = ssl.CERT_NONE
        if self.identity:
            made.load_cert_chain(self.identity.chain, self.identity.key)
        return made

    def _accept(self):
        while True:
            try:
                wire, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(wire,), daemon=True).start()

    def _serve(self, wire):
        try:
            wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.transport == "tls":
                wire = self.context(True).wrap_socket(wire, server_side=True)
        except OSError:
            wire.close()
            return
        connection = Connection(self, wire, self.accepted)
        self.connections.put(("accepted", connection))

    def dial(self, address, port=5061):
        """Connects to an element, and sends there from now on."""
        wire = socket.create_connection((address, port), DEADLINE, source_address=(self.address, 0))
        wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.transport == "tls":
            wire = self.context(False).wrap_socket(wire)
        self.connection = Connection(self, wire)
        return self.connection

    def close(self):
        """Stops listening, and closes every connection."""
        if isinstance(self.listener, socket.socket):
            try:
                self.listener.shutdown(socket.SHUT_RDWR)  # closing alone does not wake whoever accepts
            except OSError:
                pass
        self.listener.close()
        for connection in [*self.accepted, self.connection]:
            if connection is not None:
                connection.close()

    def _came(self, message):
        """A question whether it lives is answered at once, and disturbs nobody who waits for anything else."""
        if message.method != "OPTIONS" or message.get("Max-Forwards") != "0":
            self.take(message)
            return
        lives = self.lives
        self.questions.append(message)
        if lives:
            status, reason, headers = lives
            self.answer(message, status, reason, headers, tag="lives")

    def take(self, message):
        """Called with each message that comes."""
        self.seen.append(message)
        self.messages.put(message)

    def ended(self, connection):
        """Called when a connection has ended."""
        self.connections.put(("closed", connection))

    def next(self, within=DEADLINE):
        """The next message that comes."""
        try:
            return self.messages.get(timeout=within)
        except queue.Empty:
            raise Failed(f"{self.name} got no SIP message in {within} s") from None

    def request(self, method="", within=DEADLINE):
        """The next request; provisional responses on the way are passed over."""
        while True:
            message = self.next(within)
            if message.method == method or (message.method and not method):
                return message
            if message.method or message.status >= 200:
                raise Failed(f"{self.name} waited for {method or 'a request'} and got {message}")

    def response(self, within=DEADLINE, status=None):
        """The next final response, or the next of a status."""
        while True:
            message = self.next(within)
            if message.status and (message.status == status or (status is None and message.status >= 200)):
                return message
            if message.method or message.status >= 200:
                raise Failed(f"{self.name} waited for a response and got {message}")

    def via(self, branch=None):
        """A Via of its own."""
        return f"SIP/2.0/{self.transport.upper()} {self.name}:{self.port};branch=z9hG4bK{branch or f'p{next(_numbers)}'}"

    def send(self, method, uri, from_, to, headers=(), body="", call_id=None, cseq=1, tag="t", to_tag=None, branch=None, kind="text/plain"):
        """Sends a request with From and To as bare addresses; gives its Call-ID."""
        call_id = call_id or f"call-{next(_numbers)}@{self.name}"
        lines = [f"{method} {uri} SIP/2.0", f"Via: {self.via(branch)}", "Max-Forwards: 70", f"From: <sip:{from_}>;tag={tag}",
                 f"To: <sip:{to}>" + (f";tag={to_tag}" if to_tag else ""), f"Call-ID: {call_id}", f"CSeq: {cseq} {method}", *headers]
        if body:
            lines.append(f"Content-Type: {kind}")
        octets = body if isinstance(body, bytes) else body.encode()
        lines.append(f"Content-Length: {len(octets)}")
        self.connection.send(("\r\n".join(lines) + "\r\n\r\n").encode() + octets)
        return call_id

    def answer(self, request, status=200, reason="OK", headers=(), body="", tag=None, kind="text/plain"):
        """Answers a request on the connection that it came on."""
        to = request.get("To")
        if tag and ";tag=" not in to:
            to += f";tag={tag}"
        lines = [f"SIP/2.0 {status} {reason}", *(f"Via: {value}" for value in request.all("Via")),
                 *(f"Record-Route: {value}" for value in request.all("Record-Route")), f"From: {request.get('From')}", f"To: {to}",
                 f"Call-ID: {request.get('Call-ID')}", f"CSeq: {request.get('CSeq')}", *headers]
        if body:
            lines.append(f"Content-Type: {kind}")
        lines.append(f"Content-Length: {len(body.encode())}")
        request.connection.send("\r\n".join(lines) + "\r\n\r\n" + body)

"""AOL's SIP access gateway, scripted: many domains behind one server and one certificate, and single messages alone."""

from sip_peer import Peer


class Gateway(Peer):
    """The gateway of a clearing house. Its certificate names the house and none of the domains behind it.

    It takes a MESSAGE by its Request-URI, without sessions, typing or receipts: any other method is refused with what it does take.
    """

    ALLOW = "MESSAGE, SUBSCRIBE, NOTIFY, OPTIONS"

    def __init__(self, rig, address, identity, house, domains):
        super().__init__(rig, address, identity=identity, name=f"sag.{house}")
        self.house, self.domains = house, domains
        self.away = set()  # the screen names that are not signed on

    def take(self, message):
        """Answers requests as the product does; what it took and what it is answered can be waited for."""
        if message.method is None:
            super().take(message)
        elif message.method == "MESSAGE":
            self._deliver(message)
        elif message.method != "ACK":
            super().take(message)
            self.answer(message, 405, "Method Not Allowed", [f"Allow: {self.ALLOW}"], tag="sag")

    def _deliver(self, message):
        name, _, domain = message.uri.removeprefix("sip:").partition(";")[0].partition("@")
        super().take(message)
        if domain not in self.domains:
            self.answer(message, 404, "Not Found", tag="sag")
        elif message.get("Content-Type").partition(";")[0] != "text/plain":
            self.answer(message, 415, "Unsupported Media Type", ["Accept: text/plain"], tag="sag")
        elif name in self.away:
            self.answer(message, 480, "Temporarily Unavailable", tag="sag")
        else:
            self.answer(message, 200, "OK", tag="sag")

    def page(self, sender, to, text):
        """A message of one of its users: its Call-ID."""
        return self.send("MESSAGE", f"sip:{to}", sender, to, body=text)

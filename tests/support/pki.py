"""A throw-away certificate authority and what it signs, made with the openssl command."""

import base64
import hashlib
import os
import subprocess


class Identity:
    """A certificate with its key: apart, and together in one file as baresip and Kamailio like it."""

    def __init__(self, chain, key, both):
        self.chain, self.key, self.both = chain, key, both


class Authority:
    """A certificate authority that lives as long as the rig's folder."""

    def __init__(self, rig, name="Throw-away CA"):
        self._folder = os.path.dirname(rig.path(name.replace(" ", "-").lower(), "x"))
        self.certificate = os.path.join(self._folder, "ca.pem")
        self._key = os.path.join(self._folder, "ca.key")
        _openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "7",
                 "-subj", f"/CN={name}", "-keyout", self._key, "-out", self.certificate,
                 "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign")

    def issue(self, label, names, usage="serverAuth,clientAuth", key="ec"):
        """A certificate for server and client use, or another (or with no such restriction); names are DNS names, or `IP:...`, `URI:...` as
        openssl spells them. `key` is ec or rsa."""
        base = os.path.join(self._folder, label)
        alternatives = ",".join(name if ":" in name else f"DNS:{name}" for name in names)
        with open(base + ".ext", "w", encoding="ascii") as extensions:
            extensions.write("basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\n"
                             f"{f'extendedKeyUsage={usage}' if usage else ''}\nsubjectAltName={alternatives}\n")
        kind = ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"] if key == "ec" else ["rsa:2048"]
        _openssl("req", "-newkey", *kind, "-nodes", "-subj", f"/CN={names[0]}",
                 "-keyout", base + ".key", "-out", base + ".csr")
        _openssl("x509", "-req", "-in", base + ".csr", "-CA", self.certificate, "-CAkey", self._key, "-CAcreateserial",
                 "-days", "7", "-extfile", base + ".ext", "-out", base + ".pem")
        with open(base + ".both.pem", "w", encoding="ascii") as both:
            for part in (base + ".pem", base + ".key"):
                with open(part, encoding="ascii") as text:
                    both.write(text.read())
        os.chmod(base + ".key", 0o600)
        os.chmod(base + ".both.pem", 0o600)
        return Identity(base + ".pem", base + ".key", base + ".both.pem")

    def pin(self, identity):
        """The SHA-256 of an identity's public key, hexadecimal."""
        text = _openssl("x509", "-in", identity.chain, "-noout", "-pubkey")
        key = base64.b64decode("".join(line for line in text.splitlines() if not line.startswith("-----")))
        return hashlib.sha256(key).hexdigest()

    def revocation_list(self, path, revoked=()):
        """Writes a list of the identities that are revoked."""
        base = os.path.join(self._folder, "revoked")
        index = base + ".index"
        with open(index, "w", encoding="ascii") as out:
            for identity in revoked:
                serial = _openssl("x509", "-in", identity.chain, "-noout", "-serial").strip().partition("=")[2]
                out.write(f"R\t351231235959Z\t200101000000Z\t{serial}\tunknown\t/CN=revoked\n")
        with open(base + ".number", "w", encoding="ascii") as out:
            out.write(f"{len(revoked) + 1:02x}\n")
        with open(base + ".cnf", "w", encoding="ascii") as out:
            out.write(f"[ca]\ndefault_ca = it\n[it]\ndatabase = {index}\ncrlnumber = {base}.number\ndefault_md = sha256\n"
                      "crl_extensions = more\n[more]\nauthorityKeyIdentifier = keyid:always\n")
        _openssl("ca", "-config", base + ".cnf", "-gencrl", "-crldays", "7", "-keyfile", self._key, "-cert", self.certificate, "-out", path + ".new")
        os.replace(path + ".new", path)
        return path


def _openssl(*arguments):
    done = subprocess.run(["openssl", *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"openssl {arguments[0]}: {done.stderr}")
    return done.stdout

"""scripts/install puts everything in its place, again and again, and takes it away. Needs VESTIBULE_BINARY."""

import os
import shutil
import subprocess
import tempfile
import unittest

BINARY = os.environ["VESTIBULE_BINARY"]
PROJECT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
MOST_EXPOSED = 25
"""Tenths of the exposure that `systemd-analyze security` may find."""

PLACES = {
    "usr/local/bin/vestibule": 0o755, "usr/local/share/man/man1/vestibule.1": 0o644, "etc/systemd/system/vestibule.service": 0o644,
    "usr/local/bin/vestibule-snmpd": 0o755, "usr/local/share/man/man8/vestibule-snmpd.8": 0o644,
    "etc/systemd/system/vestibule-snmpd.service": 0o644, "usr/local/share/snmp/mibs/VESTIBULE-MIB.txt": 0o644,
    "usr/lib/sysusers.d/vestibule.conf": 0o644, "etc/vestibule/vestibule.toml": 0o640,
}


class Install(unittest.TestCase):
    """Into a folder, so that this machine stays as it is."""

    def setUp(self):
        self.root = tempfile.mkdtemp(prefix="vestibule-install.")
        self.addCleanup(shutil.rmtree, self.root)

    def install(self, *options, code=0):
        """Runs the script; its output."""
        done = subprocess.run([os.path.join(PROJECT, "scripts/install"), *options], capture_output=True, text=True, check=False)
        self.assertEqual(code, done.returncode, done.stdout + done.stderr)
        return done.stdout + done.stderr

    def into(self, *options):
        """Installs into the folder."""
        return self.install("--binary", BINARY, "--root", self.root, *options)

    def path(self, place):
        return os.path.join(self.root, place)

    def test_everything_is_in_its_place_and_what_is_configured_stays(self):
        self.assertIn("vestibule check", self.into())
        for place, mode in PLACES.items():
            self.assertEqual(oct(mode), oct(os.stat(self.path(place)).st_mode & 0o777), place)
        for program, section in (("vestibule", 1), ("vestibule-snmpd", 8)):
            said = subprocess.run([self.path(f"usr/local/bin/{program}"), "--version"], capture_output=True, text=True, check=True).stdout
            self.assertTrue(said.startswith(program + " "), said)
            with open(self.path(f"usr/local/share/man/man{section}/{program}.{section}"), encoding="utf-8") as manual:
                self.assertIn(f".TH {program} {section}", manual.read())
        with open(self.path("etc/vestibule/vestibule.toml"), "w", encoding="utf-8") as configuration:
            configuration.write("# mine\n")
        self.assertIn("stays as it is", self.into())
        with open(self.path("etc/vestibule/vestibule.toml"), encoding="utf-8") as configuration:
            self.assertEqual("# mine\n", configuration.read())
        self.into("--remove")
        self.assertEqual(["etc/vestibule/vestibule.toml"], [place for place in PLACES if os.path.exists(self.path(place))])

    def test_what_cannot_be_installed_is_told(self):
        self.assertIn("--help", self.install("--wrong", code=1))
        self.assertIn("cannot be run", self.install("--binary", "/bin/false", "--root", self.root, code=1))
        self.assertEqual([], os.listdir(self.root))

    def test_a_proxy_without_its_agent_beside_it_is_not_installed(self):
        alone = os.path.join(self.root, "alone")
        os.mkdir(alone)
        shutil.copy(BINARY, os.path.join(alone, "vestibule"))
        into = os.path.join(self.root, "into")
        self.assertIn("vestibule-snmpd", self.install("--binary", os.path.join(alone, "vestibule"), "--root", into, code=1))
        self.assertFalse(os.path.exists(into))

    def test_the_units_are_some_and_expose_little(self):
        self.into()
        for name in ("vestibule", "vestibule-snmpd"):
            unit = self.path(f"etc/systemd/system/{name}.service")
            done = subprocess.run(["systemd-analyze", "security", "--offline=true", "--no-pager", f"--threshold={MOST_EXPOSED}", unit],
                                  capture_output=True, text=True, check=False)
            self.assertEqual(0, done.returncode, done.stdout[-300:] + done.stderr)
            said = subprocess.run(["systemd-analyze", "verify", "--man=no", unit], capture_output=True, text=True, check=False).stderr
            # The program is not where the unit names it on this machine, which is said and no fault.
            faults = [line for line in said.splitlines() if f"{name}.service" in line and "/usr/local/bin/vestibule" not in line]
            self.assertEqual([], faults)


if __name__ == "__main__":
    unittest.main()

"""The virtual machine image under QEMU: its config partition, its serial line, and what it reports of itself."""

import collections
import glob
import os
import re
import shutil
import subprocess

from rig import Failed, wait_until

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
USER = 800
"""The number of the user vestibule in the image (config/image/overlay/usr/lib/sysusers.d)."""
LIMIT = 400
"""Seconds after which a machine is ended, whatever it does; a start takes a fourth of that on an idle machine."""


def logs(name):
    """The folder in which the serial line and the reports of a test stay."""
    return os.path.join(ROOT, "target/image-test", name)


class Image:
    """What scripts/build-image has made."""

    def __init__(self, folder):
        manifests = glob.glob(os.path.join(folder, "*.manifest"))
        if len(manifests) != 1:
            raise Failed(f"{folder} has {len(manifests)} images instead of one; scripts/build-image makes it")
        self.raw = manifests[0].removesuffix(".manifest") + ".raw"
        self.compressed = manifests[0].removesuffix(".manifest") + ".qcow2"
        with open(manifests[0], encoding="ascii") as lines:
            self.lines = [line.split() for line in lines]

    def said(self, *words):
        """The rest of the first line of the manifest that begins with these words."""
        return next(line[len(words):] for line in self.lines if line[:len(words)] == list(words))


class Appliance:
    """One machine, and its disk, which is a copy."""

    def __init__(self, rig, image, name="appliance"):
        self.rig, self.image, self.name = rig, image, name
        self.disk = rig.path(name, "disk.raw")
        subprocess.run(["cp", "--sparse=always", image.raw, self.disk], check=True)
        self.machine = None

    def store(self, files):
        """Writes these files (path below /etc/vestibule to text or to the path of a file) into the config partition, as setup would;
        those in tls and named *.secret belong to the proxy."""
        folder = os.path.dirname(self.rig.path(self.name, "config", "x"))
        os.chmod(folder, 0o755)
        for path, text in files.items():
            target = self.rig.path(self.name, "config", path)
            if os.path.isabs(text):
                shutil.copy(text, target)
            else:
                with open(target, "w", encoding="utf-8") as out:
                    out.write(text)
            secret = path.endswith((".key", ".secret"))
            os.chmod(target, 0o600 if secret else 0o644)
            os.chmod(os.path.dirname(target), 0o755)
            if secret:
                os.chown(target, USER, USER)
        start, size = (int(number) for number in self.image.said("partition", "config"))
        subprocess.run(["mke2fs", "-q", "-F", "-t", "ext4", "-m", "0", "-L", "config", "-E", f"offset={start << 20},root_owner=0:0", "-d", folder,
                        self.disk, f"{size}M"], check=True, capture_output=True)

    def tamper(self):
        """Changes four octets of the root file system."""
        start, _ = self.image.said("partition", "root")
        with open(self.disk, "r+b") as disk:
            disk.seek((int(start) << 20) + 1024)
            disk.write(b"\xde\xad\xbe\xef")

    def start(self, *arguments):
        """Boots it, with arguments of scripts/run-image; its serial line is the output and the input of the process."""
        self.reported = os.path.join(self.rig.logs, f"{self.name}.report")
        with open(self.reported, "wb"):
            pass
        self.machine = self.rig.spawn(self.name, [os.path.join(ROOT, "scripts/run-image"), "--image", self.disk, "--keep", "--report", self.reported,
                                                  "--time-limit", str(LIMIT), *arguments])
        return self

    def type(self, line):
        """Types a line on the serial port."""
        self.machine.popen.stdin.write(line.encode() + b"\r")
        self.machine.popen.stdin.flush()

    def answer(self, answers, confirm):
        """Answers the questions of `vestibule setup --line` on the serial port, by their words, and with Enter where nothing is said of
        one; `confirm` begins the last question, which is answered with yes. Gives what was shown before that."""
        since, asked = 0, collections.Counter()
        while True:
            shown = wait_until(lambda: self._asked(since), "setup asks on the serial port", LIMIT, alive=self.machine)
            prompt = shown.rsplit("\n", 1)[-1]
            question = re.sub(r"( \(.*\))?( \[.*\])?: $", "", prompt)
            asked[question] += 1
            if asked[question] > 2:
                raise Failed(f"setup does not take the answer to {prompt!r}:\n{shown[-1500:]}")
            since = len(self.machine.output())
            if question.startswith(confirm):
                self.type("yes")
                return shown
            self.type(answers.get(question, ""))

    def _asked(self, since):
        """What has come since then, where it ends with a question."""
        text = re.sub(r"\x1b[\[\]!][0-9;?]*[A-Za-z\x07]?", "", self.machine.output()[since:]).replace("\r", "")
        return text if re.search(r"\n[^\n]+[:?] $", text) else None

    def report(self, ready=lambda report: True, what="reports its state"):
        """Waits for a complete report, begun from now on, that satisfies a condition; gives it as a map of sections to lines."""
        begun = len(self._parts())

        def complete():
            reports = [_sections(part) for part in self._parts()[begun:] if "= end\n" in part]
            return next((report for report in reports if ready(report)), None)
        return wait_until(complete, f"the appliance {what}", LIMIT, alive=self.machine)

    def _parts(self):
        with open(self.reported, encoding="utf-8", errors="replace") as text:
            return text.read().split("= begin\n")[1:]

    def stop(self):
        """Takes its power away."""
        self.machine.stop()
        self.rig.processes.remove(self.machine)


def _sections(text):
    sections = {"uptime": []}
    name = "uptime"
    for line in text.splitlines():
        if line.startswith("= "):
            name = line[2:]
            sections[name] = []
        elif line.strip():
            sections[name].append(line)
    return sections


def memory(report):
    """Total and used memory of a report, in MiB: used is what could not be given to a new program."""
    numbers = {line.split(":")[0]: int(line.split()[1]) for line in report["memory"]}
    return numbers["MemTotal"] / 1024, (numbers["MemTotal"] - numbers["MemAvailable"]) / 1024

"""Runs the tests of the rig; the few that fail are run once more, alone, and named as unsteady where they pass then.

Real programs on a busy machine are late now and then in a way that says nothing of vestibule. What is broken fails twice, and
many that fail at once are a fault in any case. An unsteady test is printed again at the end of `scripts/test`, to be mended.

    python3 -m twice test_edge test_udp.OverUdp
"""

import io
import sys
import textwrap
import unittest

FEW = 3


def once_more(failed):
    """Runs these tests again, each by itself; gives those that failed again, with what they said."""
    still = []
    for name in failed:
        said = io.StringIO()
        result = unittest.TextTestRunner(said, verbosity=2).run(unittest.defaultTestLoader.loadTestsFromName(name))
        if not result.testsRun or not result.wasSuccessful():
            still.append((name, said.getvalue()))
    return still


def main(names):
    result = unittest.TextTestRunner(sys.stdout, verbosity=2).run(unittest.defaultTestLoader.loadTestsFromNames(names))
    failed = [test for test, _ in (*result.failures, *result.errors)]
    failed = list(dict.fromkeys(getattr(test, "test_case", test).id() for test in failed))  # a subtest by its test
    if not failed and result.testsRun:
        return 0
    if len(failed) > FEW or any(name.startswith(("setUp", "tearDown")) for name in failed):
        return 1
    still = once_more(failed)
    for name in failed:
        if name not in dict(still):
            print(f"UNSTEADY: {name} failed, and passed when it was run once more, alone")
    for _, said in still:
        print("\nOnce more, alone:\n" + textwrap.indent(said, "    "))
    return 1 if still or not result.testsRun else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

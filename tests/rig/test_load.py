"""Messages both ways at once between SIP and XMPP, each followed by its number: a tenth of what scripts/bench holds, with the counts and
never the time asserted. Needs VESTIBULE_BINARY, and the load generator beside it."""

import os
import unittest

import faults

BINARY = os.environ["VESTIBULE_BINARY"]
SECONDS, RATE = 10, 500
PROXY_KILLS, NODE_KILLS = 20, 10


class Load(unittest.TestCase):
    """vestibule between a SIP peer and an XMPP node, both of the load generator."""

    def test_under_load_each_message_arrives_once_and_in_order_both_ways(self):
        counted, *_ = faults.held(BINARY, None, RATE, SECONDS)
        self.assertEqual([], counted.faults())
        for way in faults.WAYS:
            self.assertEqual(counted.sent(way), counted[f"{way}_accepted"])
            self.assertGreaterEqual(counted.sent(way), RATE * SECONDS)

    def test_killing_the_proxy_amid_messages_loses_none_in_silence_and_doubles_none(self):
        counted, crossed = faults.kill_proxy(BINARY, None, PROXY_KILLS)
        self.assertEqual([], counted.faults())
        self.assertEqual(PROXY_KILLS, len(crossed))
        self.assertGreater(sum(counted[f"{way}_broken"] for way in faults.WAYS), 0, "nothing was amid")

    def test_killing_one_of_two_nodes_amid_messages_loses_none_in_silence_and_the_other_carries_on(self):
        counted, crossed = faults.kill_node(BINARY, None, NODE_KILLS)
        self.assertEqual([], counted.faults())
        self.assertEqual(NODE_KILLS, len(crossed))
        self.assertEqual(0, counted["to_xmpp_broken"], "no SIP flow ends with a node")
        self.assertGreater(counted["to_xmpp_accepted"], 10 * counted["to_xmpp_refused"], "the other carries on")

    def test_a_network_that_stalls_swallows_and_resets_on_either_leg_loses_none_in_silence(self):
        counted = faults.break_network(BINARY, None, faults.NETWORK[:3], seconds=0.7)
        self.assertEqual([], counted.faults())
        for way in faults.WAYS:
            self.assertGreater(counted[f"{way}_broken"], 0, "nothing was amid")


if __name__ == "__main__":
    unittest.main()

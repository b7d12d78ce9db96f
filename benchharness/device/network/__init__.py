"""Simulated networks: seeded profiles of a small relay on loopback. Standard library only.

`profiles` are the networks by name, `course` when each byte of a connection arrives (pure), `simulator` the relay, a
process of its own, and `simulated` that process as seen by whoever starts it. What is simulated is a TCP stream as an
application sees it: delay, jitter, a rate, stalls, cuts. Packets, retransmission and congestion control are not.
"""

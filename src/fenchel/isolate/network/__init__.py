"""The way out: `fetch` of actions, from the worker's frames to the network and back; and the
streams of bytes that everything large takes.
"""

from fenchel.isolate.network.byte_streams import ByteStreams, OutgoingStream
from fenchel.isolate.network.egress import Egress
from fenchel.isolate.network.syscalls import NetworkSyscalls

__all__ = ["ByteStreams", "Egress", "NetworkSyscalls", "OutgoingStream"]

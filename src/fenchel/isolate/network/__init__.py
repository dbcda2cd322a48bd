"""The way out: `fetch` of actions, from the worker's frames to the network and back."""

from fenchel.isolate.network.egress import Egress
from fenchel.isolate.network.syscalls import NetworkSyscalls

__all__ = ["Egress", "NetworkSyscalls"]

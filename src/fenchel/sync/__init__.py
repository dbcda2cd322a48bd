"""The sync protocol: a pure state machine, and one worker per client around it."""

from fenchel.sync.backend import (
    Authenticator,
    ClientInfo,
    FunctionBackend,
    Socket,
    SocketClosed,
)
from fenchel.sync.closing import Ending
from fenchel.sync.protocol import Authenticate
from fenchel.sync.sync_worker import SyncWorker

__all__ = [
    "Authenticate",
    "Authenticator",
    "ClientInfo",
    "Ending",
    "FunctionBackend",
    "Socket",
    "SocketClosed",
    "SyncWorker",
]

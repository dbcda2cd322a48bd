"""The sync protocol: a pure state machine, one worker per client around it, and the live queries
that they share."""

from fenchel.sync.backend import (
    Authenticator,
    ClientInfo,
    FunctionBackend,
    Socket,
    SocketClosed,
)
from fenchel.sync.closing import Ending
from fenchel.sync.protocol import Authenticate
from fenchel.sync.shared_queries import SharedQueries
from fenchel.sync.sync_worker import SyncWorker

__all__ = [
    "Authenticate",
    "Authenticator",
    "ClientInfo",
    "Ending",
    "FunctionBackend",
    "SharedQueries",
    "Socket",
    "SocketClosed",
    "SyncWorker",
]

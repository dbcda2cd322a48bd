"""Help for tests: a whole backend in this process; virtual time, simulated processes and faults."""

from fenchel.testing.faulty_persistence import FaultPlan, FaultyPersistence, SimulatedDisk
from fenchel.testing.running_backend import running_backend
from fenchel.testing.served_backend import ServedBackend, served_backend
from fenchel.testing.simulated_process import ProcessCrashed, SimulatedProcess
from fenchel.testing.simulated_server import Running, SimulatedServer
from fenchel.testing.virtual_time import (
    VirtualClock,
    VirtualDeadlockError,
    VirtualEventLoop,
    run_virtual,
)

__all__ = [
    "FaultPlan",
    "FaultyPersistence",
    "ProcessCrashed",
    "Running",
    "ServedBackend",
    "SimulatedDisk",
    "SimulatedProcess",
    "SimulatedServer",
    "VirtualClock",
    "VirtualDeadlockError",
    "VirtualEventLoop",
    "run_virtual",
    "running_backend",
    "served_backend",
]

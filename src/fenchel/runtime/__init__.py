"""Clock, randomness, fault points and settings: what the system takes from its surroundings."""

from fenchel.runtime.clock import Clock, SystemClock
from fenchel.runtime.faults import FaultPoints
from fenchel.runtime.randomness import Randomness, SeededRandomness, SystemRandomness
from fenchel.runtime.runtime import Runtime
from fenchel.runtime.settings import Settings

__all__ = [
    "Clock",
    "FaultPoints",
    "Randomness",
    "Runtime",
    "SeededRandomness",
    "Settings",
    "SystemClock",
    "SystemRandomness",
]

"""Clock, randomness, tasks, fault points and settings: what comes from the surroundings."""

from fenchel.runtime.background_tasks import BackgroundTasks
from fenchel.runtime.clock import Clock, SystemClock
from fenchel.runtime.counter import Counter
from fenchel.runtime.deadlines import Deadline, Deadlines
from fenchel.runtime.faults import FaultPoints
from fenchel.runtime.histogram import TIME_BOUNDS, Histogram
from fenchel.runtime.randomness import (
    Randomness,
    SeededRandomness,
    SystemRandomness,
    encode_uuid4,
)
from fenchel.runtime.runtime import Runtime
from fenchel.runtime.setting_values import describe_settings, with_values
from fenchel.runtime.settings import Settings
from fenchel.runtime.shifting_clock import ShiftingClock

__all__ = [
    "TIME_BOUNDS",
    "BackgroundTasks",
    "Clock",
    "Counter",
    "Deadline",
    "Deadlines",
    "FaultPoints",
    "Histogram",
    "Randomness",
    "Runtime",
    "SeededRandomness",
    "Settings",
    "ShiftingClock",
    "SystemClock",
    "SystemRandomness",
    "describe_settings",
    "encode_uuid4",
    "with_values",
]

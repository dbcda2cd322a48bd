"""When a turn counts as one that others should not wait for: looks with made-up readings."""

from fenchel.isolate.turn_watch import TurnWatch


class Readings:
    """A worker as it is seen, look by look, every ten milliseconds."""

    def __init__(self) -> None:
        self.watch = TurnWatch()
        self.now = self.cpu_seconds = self.last_sign = 0.0
        self.turn_id = 1

    def look(self, used_seconds: float, times: int = 1) -> bool:
        for _ in range(times):
            self.now += 0.01
            self.cpu_seconds += used_seconds
            self.watch.look(
                last_sign=self.last_sign,
                turn_id=self.turn_id,
                cpu_seconds=self.cpu_seconds,
                now=self.now,
                seconds_max=0.015,
            )
        return self.watch.is_stalled


def test_a_turn_that_computes_on_and_on_is_stalled() -> None:
    readings = Readings()
    assert [readings.look(0.01) for _ in range(4)] == [False, False, True, True]


def test_a_sign_of_life_begins_a_new_turn() -> None:
    readings = Readings()
    for _ in range(10):
        readings.last_sign = readings.now
        assert not readings.look(0.01)


def test_a_turn_of_another_begins_anew() -> None:
    readings = Readings()
    assert readings.look(0.01, 3)
    readings.turn_id = 2
    assert not readings.look(0.01)


def test_a_worker_that_waits_is_not_stalled() -> None:
    assert not Readings().look(0.0, 100)


def test_a_machine_that_has_no_time_for_a_worker_hides_no_turn() -> None:
    readings = Readings()
    assert [
        readings.look(0.009),
        readings.look(0, 3),
        readings.look(0.009),
        readings.look(0, 3),
    ] == ([False] * 4)
    assert readings.look(0.009)


def test_who_rests_without_a_word_has_ended_its_turn() -> None:
    readings = Readings()
    assert readings.look(0.01, 3)
    assert not readings.look(0.0, 6)
    assert not readings.look(0.01)

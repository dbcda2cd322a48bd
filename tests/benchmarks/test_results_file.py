from benchmarks.results_file import format_table, result_lines
from benchmarks.rounds import Measurement

MEASUREMENTS = [
    Measurement(name="list.c1.p50", value=0.5, unit="ms", peer="workerd"),
    Measurement(name="list.c1.p50", value=1.0, unit="ms", peer="fenchel"),
    Measurement(name="alone", value=7.0, unit="ms", peer="fenchel"),
]


def test_a_ratio_is_to_the_reference_peer_and_missing_without_it() -> None:
    lines = result_lines(MEASUREMENTS, references={"workerd"}, commit="abc")
    assert [line.ratio for line in lines] == [1.0, 2.0, None]


def test_the_first_of_several_reference_peers_counts() -> None:
    lines = result_lines(MEASUREMENTS, references={"fenchel", "workerd"}, commit="abc")
    assert [line.ratio for line in lines] == [1.0, 2.0, 1.0]


def test_every_line_says_where_and_when() -> None:
    for line in result_lines(MEASUREMENTS, references={"workerd"}, commit="abc"):
        assert line.commit == "abc"
        assert "cores" in line.machine
        assert line.date.endswith("+00:00")


def test_the_table_has_a_row_per_figure_and_a_column_per_peer() -> None:
    rows = format_table(
        result_lines(MEASUREMENTS, references={"workerd"}, commit="abc")
    ).splitlines()
    assert rows[0].split() == ["workerd", "fenchel"]
    assert rows[1].split() == ["list.c1.p50", "ms", "0.5", "(1.00x)", "1", "(2.00x)"]
    assert rows[2].split() == ["alone", "ms", "-", "7"]

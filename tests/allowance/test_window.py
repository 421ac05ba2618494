"""Windows of the calendar: they follow on one another, whatever the clocks of a time zone do."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import strategies as st

from llmswitch._window import DAY, FOREVER, Calendar, Ever, Steady, Until, zone_of
from tests.everyday import examples
from tests.rows import rows

HOUR = 3_600_000
# Among them zones where midnight does not exist (Cairo), where it comes twice (Havana), where the clocks were set back
# from 00:01 to 23:01 of the day before (St. John's), where a date was left out (Apia), and where they move by half an
# hour (Lord Howe).
ZONES = [
    "UTC",
    "Asia/Shanghai",
    "America/New_York",
    "Africa/Cairo",
    "America/Havana",
    "America/St_Johns",
    "America/Sao_Paulo",
    "Pacific/Apia",
    "Australia/Lord_Howe",
    "Asia/Kathmandu",
]
PERIODS = ["minute", "hour", "day", "month"]


def at(text: str, zone: str) -> int:
    """Milliseconds of a local time."""
    return round(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp() * 1000)


@rows(
    ("zone", "day", "hours"),
    [
        ("America/New_York", "2026-03-08", 23),
        ("America/New_York", "2026-11-01", 25),
        ("Asia/Shanghai", "2026-03-08", 24),
        ("Africa/Cairo", "2026-04-24", 23),
        ("America/Havana", "2026-11-01", 25),
        ("Australia/Lord_Howe", "2026-04-05", 24.5),
    ],
)
def test_a_day_is_as_long_as_it_is(zone, day, hours):
    """A day has 23 or 25 hours where the clocks are set, and begins at the first moment of its date."""
    noon = at(f"{day}T12:00", zone)
    start, end = Calendar("day", zone).span(noon)
    assert hours * HOUR == end - start
    for moment, date in ((start, day), (end - 1, day)):
        assert date == datetime.fromtimestamp(moment / 1000, ZoneInfo(zone)).date().isoformat()
    assert day > datetime.fromtimestamp((start - 1) / 1000, ZoneInfo(zone)).date().isoformat()


def test_where_there_is_no_midnight():
    """In Cairo the clocks are set forward at midnight: the day begins at one o'clock."""
    start, _ = Calendar("day", "Africa/Cairo").span(at("2026-04-24T12:00", "Africa/Cairo"))
    assert "2026-04-24T01:00:00+03:00" == datetime.fromtimestamp(start / 1000, ZoneInfo("Africa/Cairo")).isoformat()


def test_a_date_that_comes_twice_opens_its_window_once():
    """In St. John's it was 00:01 once, then 23:01 of the day before: the new day's window had begun, and goes on."""
    zone = "America/St_Johns"
    midnight = at("2010-11-07T00:00", zone)
    window = Calendar("day", zone)
    for minute in range(62):
        assert midnight == window.span(midnight + minute * 60_000)[0]
    assert "2010-11-06T23:30:00" == datetime.fromtimestamp(midnight / 1000 + 1800, ZoneInfo(zone)).isoformat()[:19]


@rows(
    ("moment", "start", "end"),
    [
        ("2026-01-31T23:59:59.999", "2026-01-01", "2026-02-01"),
        ("2026-02-28T12:00", "2026-02-01", "2026-03-01"),
        ("2028-02-29T23:59", "2028-02-01", "2028-03-01"),
        ("2026-12-31T23:59:59", "2026-12-01", "2027-01-01"),
        ("2027-01-01T00:00", "2027-01-01", "2027-02-01"),
    ],
)
@rows("zone", ["UTC", "Asia/Shanghai", "America/New_York"])
def test_months_end_where_they_end(zone, moment, start, end):
    """A month lasts from the midnight of its first day to that of the next month's, in the zone."""
    expected = at(f"{start}T00:00", zone), at(f"{end}T00:00", zone)
    assert expected == Calendar("month", zone).span(at(moment, zone))


@examples(
    60,
    1600,
    zone=st.sampled_from(ZONES),
    period=st.sampled_from(PERIODS),
    moment=st.integers(1_262_304_000_000, 2_000_000_000_000),
)
def test_every_moment_is_in_one_window(zone, period, moment):
    """A moment lies in its window, every other moment of that window has the same one, and the next begins there."""
    window = Calendar(period, zone)
    start, end = window.span(moment)
    assert start <= moment < end
    if period in ("day", "month"):
        assert (start, end) == window.span(start) == window.span(end - 1)
        assert end == window.span(end)[0]


@pytest.mark.slow
@pytest.mark.parametrize("zone", ZONES)
def test_windows_leave_no_gap(zone):
    """From 2010 to 2040 the days and months of a zone follow on one another, and none is shorter than 22 hours."""
    for period in ("day", "month"):
        window, moment = Calendar(period, zone), 1_262_304_000_000
        while moment < 2_208_988_800_000:
            start, end = window.span(moment)
            assert start <= moment < end
            following = window.span(end)
            assert end == following[0]
            assert end - start >= 22 * HOUR
            moment = end


@examples(12, 60, moment=st.integers(1_262_304_000_000, 2_000_000_000_000), zone=st.sampled_from(ZONES))
def test_a_window_never_begins_before_the_one_of_a_sooner_moment(moment, zone):
    """Time that goes on leads into the same window or a later one; hours where the clocks move by half of one apart."""
    for period, step in (("day", 7 * HOUR), ("month", 9 * DAY)):
        window = Calendar(period, zone)
        assert window.span(moment)[0] <= window.span(moment + step)[0]


def test_windows_without_an_end():
    """A dated window is over at its end; the one for good never is."""
    assert (0, 5000) == Until(5000).span(4999)
    assert None is Until(5000).span(5000)
    assert (0, FOREVER) == Ever().span(5000)


@rows("name", ["", "Mars/Olympus", "../../etc/passwd", "Asia", "UTC\0"])
def test_no_zone_of_that_name(name):
    """A name that is no time zone is refused in the same words, whatever the library raises."""
    with pytest.raises(ValueError, match="no time zone of that name is known here"):
        zone_of(name)


def test_utc_needs_no_data():
    """UTC is there on every machine."""
    assert UTC is zone_of("UTC")


class Clocks:
    """The machine's clock, and the one that nobody sets."""

    def __init__(self) -> None:
        self.wall, self.boot = 1_800_000_000.0, 500.0
        self.steady = Steady(lambda: self.wall, lambda: self.boot)

    def tick(self, seconds: float) -> None:
        self.wall += seconds
        self.boot += seconds


@rows("jump", [timedelta(days=1), timedelta(days=-1), timedelta(seconds=-90)])
def test_the_clock_does_not_jump(jump):
    """A machine's clock that jumps there and back leaves no trace."""
    clocks = Clocks()
    clocks.tick(10)
    clocks.wall += jump.total_seconds()
    assert 1_800_000_010_000 == clocks.steady()
    clocks.tick(3000)
    assert 1_800_003_010_000 == clocks.steady()
    clocks.wall -= jump.total_seconds()
    clocks.tick(3000)
    assert 1_800_006_010_000 == clocks.steady()


def test_a_clock_that_was_set_is_believed_after_an_hour():
    """Where the machine's clock says otherwise for an hour, it was set, or the machine stood still."""
    clocks = Clocks()
    clocks.wall += 7200
    before = clocks.steady()
    for _ in range(60):
        clocks.tick(60)
        last = clocks.steady()
    assert 1_800_000_000_000 == before
    assert 1_800_000_000_000 + (7200 + 3600) * 1000 == last


def test_small_differences_are_nothing():
    """A clock that is set by fractions of a second is followed neither forward nor back."""
    clocks = Clocks()
    clocks.wall += 1.5
    clocks.tick(4000)
    assert 1_800_004_000_000 == clocks.steady()
    clocks.tick(4000)
    assert 1_800_008_000_000 == clocks.steady()

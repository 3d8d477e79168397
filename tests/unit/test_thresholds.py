from alerts import thresholds
from alerts.thresholds import LimitUnit, Threshold

DECLARED = {name: value for name, value in vars(thresholds).items() if isinstance(value, Threshold)}


def test_ratios_are_between_0_and_1() -> None:
    ratios = {name: item.value for name, item in DECLARED.items() if item.unit is LimitUnit.RATIO}
    assert ratios
    assert {name: value for name, value in ratios.items() if not 0 < value < 1} == {}


def test_every_threshold_says_why() -> None:
    assert [name for name, item in DECLARED.items() if not item.why.endswith(".")] == []


def test_warning_comes_before_critical() -> None:
    assert (
        thresholds.DISK_AVAIL_CRITICAL.value < thresholds.DISK_AVAIL_WARNING.value < thresholds.DISK_TREND_AVAIL.value
    )


def test_a_gate_outlives_the_age_at_which_telemetry_counts_as_stale() -> None:
    # A host whose agent dies while a gate is firing must be stale before that gate opens.
    assert thresholds.KEEP_FIRING_FOR > thresholds.TELEMETRY_STALE_AFTER

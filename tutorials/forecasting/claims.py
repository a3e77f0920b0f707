"""What the page claims of the real series alone, and how it reports its intervals."""

from collections.abc import Mapping, Sequence

import numpy as np

Errors = Mapping[str, np.ndarray]  # by forecast: mean absolute errors by horizon, (steps,)
Covered = Mapping[tuple[float, str], float]  # (coverage promised, way): coverage found


def check_temperatures(
    one_day: Mapping[str, float], of_seeds: Sequence[float], by_horizon: Errors, covered: Covered
) -> None:
    """Raise AssertionError for the first claim that does not hold; errors in °C."""
    ensemble, linear = one_day["GRU, ensemble"], one_day["linear, absolute errors"]
    assert ensemble <= 1.75
    assert linear - 0.03 < ensemble < linear, "ahead by hundredths of a degree"
    assert abs(np.mean(of_seeds) - linear) < 0.02, "one network is as good as the sum"
    assert max(of_seeds) < 0.95 * one_day["naive"], "every seed beats yesterday's value"
    for name in ("linear, least squares", "GRU, recursive", "GRU, direct"):
        assert np.all(np.abs(by_horizon[name][2:] / by_horizon["season alone"][2:] - 1) < 0.04)
    for promised, slack in ((0.8, 0.03), (0.95, 0.02)):
        as_it_says, calibrated, each_day = (
            covered[promised, way] for way in ("as it says", "calibrated", "each day")
        )
        assert calibrated > as_it_says > promised, "after a wild year, too much"
        assert abs(each_day - promised) <= min(slack, as_it_says - promised), "the nearest"


def check_months(passengers: Errors, sunspots: Errors) -> None:
    """Likewise: the classics win, and the network has learnt."""
    best = [min(errors, key=lambda n: errors[n].mean()) for errors in (passengers, sunspots)]
    assert best == ["ARIMA of Box and Jenkins", "linear autoregression"], best
    assert sunspots["GRU, direct"].mean() < 0.8 * sunspots["naive"].mean()


def check_price(of_no_change: float, standard_errors: float) -> None:
    """Likewise: the error as a share of that of "no change"; the gain over a constant."""
    assert of_no_change > 0.98, "a hundredth"
    assert standard_errors < 2, "the rest may be chance"


def coverages(covered: Covered) -> dict[str, str]:
    """For the report, a row for each coverage that was promised."""
    rows: dict[str, list[str]] = {}
    for (promised, way), found in covered.items():
        rows.setdefault(f"intervals of {promised:.0%} hold", []).append(f"{way} {found:.1%}")
    return {name: ", ".join(found) for name, found in rows.items()}

"""Changes against base and excess over control: worked examples, averages, what enters them."""

import numpy as np
import pandas as pd
import pytest

from building import write_study
from persona_collapse.tables.published_contrasts import Estimate, change_pct, contrasts, excess_pp


def test_change_in_percent_with_independent_error():
    # (3 - 2) / 2 = 50 %; SE = 100 sqrt((0.2/2)^2 + (3 * 0.1 / 4)^2) = 100 sqrt(0.01 + 0.005625) = 12.5
    assert change_pct(Estimate(3, 0.2), Estimate(2, 0.1)) == pytest.approx((50, 12.5))


def test_excess_in_points_of_base():
    # (3 - 2.5) / 2 = 25 pp; SE = 100 sqrt((0.3^2 + 0.4^2)/4 + (0.5 * 0.2 / 4)^2) = 100 sqrt(0.0625 + 0.000625)
    found = excess_pp(Estimate(3, 0.3), Estimate(2.5, 0.4), Estimate(2, 0.2))
    assert found == pytest.approx((25, 100 * np.sqrt(0.063125)))


@pytest.mark.parametrize("base", [Estimate(0, 0.1), Estimate(np.inf, np.nan), Estimate(np.nan, np.nan)])
def test_against_no_finite_base_there_is_no_change(base):
    assert np.isnan(change_pct(Estimate(3, 0.2), base)).all()
    assert np.isnan(excess_pp(Estimate(3, 0.2), Estimate(2, 0.2), base)).all()


def metrics_of(values):
    """metrics.csv with one metric and scope; `values` maps (family, variant) to value."""
    rows = [(f, v, "overall", "susceptibility", "published", value, 0.1) for (f, v), value in values.items()]
    return pd.DataFrame(rows, columns=["family", "variant", "scope", "metric", "method", "value", "se"])


@pytest.fixture
def study(tmp_path):
    return write_study(
        tmp_path,
        families={
            "a": [("base", "base", None), ("other", "alternate", None), ("ok", "control", None), ("bad", "harmful", "ok")],
            "b": [("base", "base", None), ("other", "harmful", None), ("ok", "control", None), ("bad", "harmful", "ok")],
        },
    )


VALUES = {
    ("a", "base"): 1.0, ("a", "other"): 9.0, ("a", "ok"): 1.1, ("a", "bad"): 1.5,
    ("b", "base"): 2.0, ("b", "other"): 3.0, ("b", "ok"): 1.0, ("b", "bad"): 5.0,
}  # fmt: skip


def value(table, **where):
    found = table
    for name, wanted in where.items():
        found = found[found[name] == wanted]
    assert len(found) == 1
    return found.iloc[0]


def test_every_variant_changes_against_its_own_base(study):
    table = contrasts(study, metrics_of(VALUES))
    assert value(table, family="a", variant="bad", quantity="change_pct")["value"] == pytest.approx(50)
    assert value(table, family="b", variant="bad", quantity="change_pct")["value"] == pytest.approx(150)
    # a change has no control; an excess names it
    assert value(table, family="a", variant="bad", quantity="change_pct")["control"] == ""
    assert value(table, family="a", variant="bad", quantity="excess_pp")["control"] == "ok"


def test_excess_needs_a_named_control(study):
    table = contrasts(study, metrics_of(VALUES))
    assert value(table, family="b", variant="bad", quantity="excess_pp")["value"] == pytest.approx(200)
    assert table.query("family == 'b' and variant == 'other' and quantity == 'excess_pp'").empty


def test_averages_are_plain_and_carry_no_error(study):
    mean = value(contrasts(study, metrics_of(VALUES)), family="mean", variant="bad", quantity="change_pct")
    assert (mean["value"], mean["families"]) == (pytest.approx(100), 2)
    assert np.isnan(mean["se"]) and np.isnan(mean["lo"])


def test_an_alternate_changes_but_enters_no_average(study):
    """`other` is an alternate in family a (+800 %) and a harmful variant in family b (+50 %)."""
    table = contrasts(study, metrics_of(VALUES))
    assert value(table, family="a", variant="other", quantity="change_pct")["value"] == pytest.approx(800)
    mean = value(table, family="mean", variant="other", quantity="change_pct")
    assert (mean["value"], mean["families"]) == (pytest.approx(50), 1)


def test_an_average_over_a_missing_change_is_missing(study):
    table = contrasts(study, metrics_of(VALUES | {("b", "bad"): np.nan}))
    assert np.isnan(value(table, family="mean", variant="bad", quantity="change_pct")["value"])


def test_order_of_the_metrics_does_not_matter(study):
    metrics = metrics_of(VALUES)
    one, other = (contrasts(study, m).to_csv() for m in (metrics, metrics.iloc[::-1]))
    assert one == other

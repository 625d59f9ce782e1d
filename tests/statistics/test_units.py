"""Clusters of personas are left out whole, in everything that has an interval for other personas."""

import numpy as np
import pytest
from scipy.stats import t

from building import SCALE, counts_of, random_counts
from persona_collapse.statistics import components, persona_jackknife, presence, rarefaction, style
from persona_collapse.statistics.moments import Parts, cells
from persona_collapse.statistics.recommended_estimators import METRICS, leave_one_out
from persona_collapse.statistics.units import Units

SIX = np.full((6, 1), 1 / 6)
ITEM = np.ones((1, 1))


def parts(counts, clusters=None):
    return Parts(counts, cells(counts, SCALE), SCALE, clusters=clusters)


def drawn(seed, personas=23):
    """Ratings of a variant and its base, one cell with a single rating, and the clusters of the personas, of 1 to 5 each."""
    rng = np.random.default_rng(seed)
    variant, base = random_counts(rng, personas), random_counts(rng, personas)
    variant[4, 2] = np.eye(6, dtype=int)[1]
    return variant, base, np.sort(rng.integers(0, 8, personas))[rng.permutation(personas)] * 7


def test_sums_without_each_cluster_by_hand():
    # clusters a = {1, 2}, b = {6}: of all 9, without a 6, without b 3
    units = Units(3, np.array([0, 0, 1]))
    assert units.totals(np.array([1.0, 2.0, 6.0])).tolist() == [9, 6, 3]
    assert units.means(np.array([1.0, 2.0, 6.0])).tolist() == [3, 6, 1.5]
    assert units.sizes[:, 0].tolist() == [3, 1, 2]
    # deviations -2, -1, 3: variance 14/2; without b that of 1 and 2 is 1/2; a single persona has none
    with np.errstate(invalid="ignore", divide="ignore"):
        found = units.products(*[np.array([-2.0, -1.0, 3.0])] * 2)
    assert (found[0], found[2]) == (7, pytest.approx(0.5)) and not np.isfinite(found[1])


def test_noise_of_three_clusters_by_hand():
    # cell variances 0 (2, 2), 2 (1, 3), 2 (3, 5), 8 (0, 4); clusters {0, 1}, {2}, {3}
    counts = counts_of([[[2, 2]], [[1, 3]], [[3, 5]], [[0, 4]]])
    run = leave_one_out(counts, SCALE, ITEM, clusters=np.array([5, 5, 2, 9]))
    # W: 12/4; without cluster 2 10/3, without cluster 5 10/2, without cluster 9 4/3, in the order of the numbers
    assert run.of("within_rms")[:, 0] == pytest.approx(np.sqrt([3, 10 / 3, 5, 4 / 3]))
    assert (run.clusters.tolist(), run.units.tolist(), run.personas.tolist()) == ([2, 5, 9], [2, 5, 9], [0, 1, 2, 3])
    assert run.varying.tolist() == [3]
    z = np.log(run.of("within_rms")[:, 0])
    found = persona_jackknife.estimate(run.logs[METRICS.index("within_rms")])
    # three clusters: two degrees of freedom
    assert found.se[0] == pytest.approx(np.sqrt(2 / 3 * ((z[1:] - z[1:].mean()) ** 2).sum()))
    lo, hi = persona_jackknife.limits(found)
    assert (hi - lo)[0] == pytest.approx(2 * t.ppf(0.975, 2) * found.se[0])


@pytest.mark.parametrize("seed", range(3))
def test_without_a_cluster_every_metric_is_that_of_the_other_personas(seed):
    variant, base, clusters = drawn(seed)
    run = leave_one_out(variant, SCALE, SIX, base=base, clusters=clusters)
    assert run.values.shape[1] == 1 + len(np.unique(clusters))
    for row, cluster in enumerate(run.clusters, start=1):
        stays = clusters != cluster
        expected = leave_one_out(variant[stays], SCALE, SIX, base=base[stays]).full
        assert run.values[:, row] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_without_a_cluster_companions_are_those_of_the_other_personas(seed):
    variant, base, clusters = drawn(seed)
    own, other, fold = parts(variant, clusters), parts(base, clusters), style.folds([str(p) for p in range(len(variant))])
    shares = style._share(style._squared_errors(other.own.mean, own.own.mean, fold, own.units), own)
    fewer = rarefaction.rarefied(own, SIX, 3)
    squares = components._mean_square(own, own.deviation, 5)
    for row, cluster in enumerate(own.units.labels, start=1):
        stays = clusters != cluster
        left, left_base = parts(variant[stays]), parts(base[stays])
        assert shares[row] == pytest.approx(
            style._share(style._squared_errors(left_base.own.mean, left.own.mean, fold[stays]), left)[0], abs=1e-12
        )
        expected = rarefaction.rarefied(left, SIX, 3)
        assert fewer.within_sd[row] == pytest.approx(expected.within_sd[0], abs=1e-12)
        assert fewer.susceptibility[row] == pytest.approx(expected.susceptibility[0], abs=1e-12)
        assert squares[row] == pytest.approx(components._mean_square(left, left.deviation, 5)[0], abs=1e-12)


def test_clusters_of_one_persona_are_that_persona_whatever_their_numbers():
    variant, base, _ = drawn(5)
    plain = leave_one_out(variant, SCALE, SIX, base=base)
    rng = np.random.default_rng(5)
    numbers = rng.permutation(len(variant)) + 100
    run = leave_one_out(variant, SCALE, SIX, base=base, clusters=numbers)
    for one, other in zip(persona_jackknife.level(run), persona_jackknife.level(plain), strict=True):
        if one.dtype.kind == "f":
            assert one == pytest.approx(other, abs=1e-12, nan_ok=True)
    own, alone = parts(variant, numbers), parts(variant)
    fold = style.folds([str(p) for p in range(len(variant))])
    assert style.style_share(own, parts(base), fold) == pytest.approx(style.style_share(alone, parts(base), fold), abs=1e-12)
    assert presence.change(run, leave_one_out(base, SCALE, SIX, clusters=numbers)) == pytest.approx(
        presence.change(plain, leave_one_out(base, SCALE, SIX)), abs=1e-12
    )


def test_personas_copied_into_clusters_have_the_interval_of_the_personas_that_were_drawn():
    """Every persona three times: noise and its interval are those of the 20; taken as 60 personas the interval is too short."""
    counts = random_counts(np.random.default_rng(6), 20)
    plain = persona_jackknife.level(leave_one_out(counts, SCALE, SIX)).of("within_rms")
    thrice, clusters = np.tile(counts, (3, 1, 1)), np.tile(np.arange(20), 3)
    found = persona_jackknife.level(leave_one_out(thrice, SCALE, SIX, clusters=clusters)).of("within_rms")
    assert (found.lo[0], found.hi[0]) == pytest.approx((plain.lo[0], plain.hi[0]))
    taken = persona_jackknife.level(leave_one_out(thrice, SCALE, SIX)).of("within_rms")
    # SE is that of sqrt(3) times as many, but for the degrees of freedom: 19/59 in place of 1/3
    assert taken.se[0] / plain.se[0] == pytest.approx(np.sqrt(19 / 59), rel=0.01)


def test_a_cluster_that_carries_an_interval_is_named():
    # personas 4 and 5, one household, alone differ from the others
    counts = np.zeros((12, 6, 6), int)
    counts[..., 2] = counts[::3, :, 3] = 5
    counts[4:6] = [0, 0, 0, 0, 0, 5]
    run = leave_one_out(counts, SCALE, SIX, clusters=np.repeat(np.arange(6), 2))
    one = persona_jackknife.level(run).of("susceptibility").at(0)
    said = persona_jackknife.remark(one, "S", "overall", lambda number: f"cluster {'abcdef'[number]}")
    assert one.persona == 2 and said.startswith("S, overall: cluster c alone carries ")


def test_runs_of_different_clusters_are_refused():
    counts = random_counts(np.random.default_rng(7))
    one, other = (leave_one_out(counts, SCALE, SIX, clusters=np.arange(20) // size) for size in (2, 4))
    with pytest.raises(ValueError, match=r"^jackknife: a contrast of "):
        persona_jackknife.change(one, other)

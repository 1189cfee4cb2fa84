import numpy as np
import pytest

from icl_lib.retrieval.ccd import clean_posterior, divide, is_clean


def losses_of(clean, noisy, seed=0):
    rng = np.random.default_rng(seed)
    return np.concatenate([rng.gamma(2, 0.1, clean), 1.5 + rng.gamma(2, 0.1, noisy)])


def test_finds_the_noisy_pairs():
    verdict = is_clean(losses_of(400, 100))
    assert verdict[:400].mean() > 0.97 and verdict[400:].mean() < 0.03


def test_scale_and_shift_do_not_matter():
    losses = losses_of(200, 50)
    np.testing.assert_array_equal(is_clean(losses), is_clean(30 * losses + 7))


def test_posterior_agrees_with_gaussians_written_out():
    values = losses_of(300, 100)
    values = (values - values.min()) / np.ptp(values)
    from sklearn.mixture import GaussianMixture

    mixture = GaussianMixture(2, max_iter=100, tol=1e-2, reg_covar=5e-4, random_state=0).fit(
        values[:, None]
    )
    weight, mean, variance = mixture.weights_, mixture.means_[:, 0], mixture.covariances_[:, 0, 0]
    density = weight * np.exp(-((values[:, None] - mean) ** 2) / (2 * variance)) / np.sqrt(variance)
    expected = density[:, mean.argmin()] / density.sum(1)
    np.testing.assert_allclose(clean_posterior(values), expected, atol=1e-8)


@pytest.mark.parametrize("losses", [[], [3.0], [2.0] * 10])
def test_losses_without_information_keep_every_pair(losses):
    assert is_clean(np.array(losses)).all()


def test_if_all_pairs_look_clean_the_least_likely_hundredth_is_dropped(monkeypatch):
    from icl_lib.retrieval import ccd

    monkeypatch.setattr(ccd, "clean_posterior", lambda values, seed: 0.6 + 0.3 * values)
    assert (~is_clean(np.arange(500.0))).sum() == 5


def test_mostly_zero_losses_are_divided_without_error():
    losses = np.zeros(300)
    losses[:20] = np.linspace(0.5, 1, 20)
    verdict = is_clean(losses)
    assert verdict[20:].all() and not verdict[10:20].any()


def test_branches_must_agree_or_toss_a_coin():
    both_noisy, one_noisy = losses_of(800, 200), losses_of(1000, 0)
    one_noisy[800:] = 0.1
    one_noisy[300:500] += 3
    verdict = divide({"bge": both_noisy, "tse": one_noisy}, np.random.default_rng(0))
    assert verdict[:300].mean() > 0.9
    assert 0.3 < verdict[300:500].mean() < 0.7
    again = both_noisy.copy()
    assert divide({"bge": both_noisy, "tse": again}, np.random.default_rng(0))[800:].mean() < 0.05


def test_division_is_reproducible():
    losses = {"bge": losses_of(100, 50), "tse": losses_of(100, 50, seed=1)}
    np.testing.assert_array_equal(*(divide(losses, np.random.default_rng(4)) for _ in range(2)))

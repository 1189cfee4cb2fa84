"""Confident consensus division (CCD) of RDE: which pairs to trust, judged by their losses."""

import numpy as np


def divide(losses: dict[str, np.ndarray], rng: np.random.Generator) -> np.ndarray:
    """Which pairs to train on in this epoch, bool [P], from the per-pair losses {branch: [P]}.

    A pair that every branch calls clean is used, one that every branch calls noisy is not; where
    the branches disagree, a fair coin decides. The same `rng` gives the same result.
    """
    verdicts = np.stack(
        [is_clean(values, seed=int(rng.integers(2**31))) for values in losses.values()]
    )
    coin = rng.random(verdicts.shape[1]) < 0.5
    return verdicts.all(0) | (verdicts.any(0) & coin)


def is_clean(losses: np.ndarray, seed: int = 0) -> np.ndarray:
    """Which pairs one branch calls clean, bool [P]: those with a `clean_posterior` above 0.5.

    The losses [P] are scaled to [0, 1] first. If every posterior is above 0.5, the least likely 1%
    of the pairs are called noisy. If all losses are equal, or there are fewer
    than two pairs, all are clean.
    """
    losses = np.asarray(losses, dtype=np.float64)
    spread = np.ptp(losses) if len(losses) else 0.0
    if not spread > 0:
        return np.ones(len(losses), dtype=bool)
    posterior = clean_posterior((losses - losses.min()) / spread, seed)
    if posterior.min() > 0.5:
        return posterior > np.quantile(posterior, 0.01)
    return posterior > 0.5


def clean_posterior(values: np.ndarray, seed: int = 0) -> np.ndarray:
    """Probability [P] that each value belongs to the lower of two Gaussians fitted to `values`.

    Args:
        values: losses [P] in [0, 1].
        seed: seed of the mixture's initialisation.
    """
    from sklearn.mixture import GaussianMixture

    column = values[:, None]
    # The floor on the variance keeps a component from collapsing onto pairs of loss 0.
    mixture = GaussianMixture(2, max_iter=100, tol=1e-2, reg_covar=5e-4, random_state=seed)
    mixture.fit(column)
    return mixture.predict_proba(column)[:, mixture.means_[:, 0].argmin()]

"""Clean-pair division (CCD) of RDE: which training pairs are believed, from how hard they are to fit."""

import numpy as np


def divide(losses: dict[str, np.ndarray], rng: np.random.Generator) -> np.ndarray:
    """Which pairs to train on this epoch, bool [P], from each branch's per-pair losses {branch: [P]}.

    A pair that every branch finds clean is used, one that every branch finds noisy is not, and where they
    disagree a coin is tossed. Deterministic given `rng`.
    """
    verdicts = np.stack(
        [is_clean(values, seed=int(rng.integers(2**31))) for values in losses.values()]
    )
    coin = rng.random(verdicts.shape[1]) < 0.5
    return verdicts.all(0) | (verdicts.any(0) & coin)


def is_clean(losses: np.ndarray, seed: int = 0) -> np.ndarray:
    """Clean by one branch, bool [P]: posterior of the lower-mean of two Gaussians, fitted to the losses,
    above 0.5.

    Losses are min-max normalised first. Where no pair is at or below 0.5, the 1% least likely are dropped.
    Equal losses (or fewer than two pairs) tell nothing, so all are clean.
    """
    losses = np.asarray(losses, dtype=np.float64)
    spread = np.ptp(losses) if len(losses) else 0.0
    if len(losses) < 2 or not spread > 0:
        return np.ones(len(losses), dtype=bool)
    posterior = clean_posterior((losses - losses.min()) / spread, seed)
    if posterior.min() > 0.5:
        return posterior > np.quantile(posterior, 0.01)
    return posterior > 0.5


def clean_posterior(values: np.ndarray, seed: int = 0) -> np.ndarray:
    """Posterior [P] of the lower-mean component of a two-component Gaussian mixture on values [P] in [0, 1]."""
    from sklearn.mixture import GaussianMixture

    column = values[:, None]
    # The floor on the variance keeps a component from collapsing onto the many pairs whose loss is exactly 0.
    mixture = GaussianMixture(2, max_iter=100, tol=1e-2, reg_covar=5e-4, random_state=seed).fit(
        column
    )
    return mixture.predict_proba(column)[:, mixture.means_[:, 0].argmin()]

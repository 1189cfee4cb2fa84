import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from icl_lib.retrieval.losses import LOSSES, info_nce, sdm, tal, trl


@pytest.mark.parametrize("name", LOSSES)
def test_agrees_with_the_released_code(golden, name):
    expected = golden[f"loss.{name.replace('_', '')}"]
    for dtype, tolerance in ((torch.float64, 1e-5), (torch.float32, 1e-4)):
        found = LOSSES[name](golden["loss.sim"].to(dtype), golden["loss.pids"])
        assert found.dtype == dtype
        assert torch.allclose(found.double(), expected.double(), atol=tolerance, rtol=1e-6)


def slow(name, sim, pids):
    """Sample by sample, direction by direction, in plain Python floats."""
    n, total = len(pids), []
    for i in range(n):
        loss = 0.0
        for row in ([sim[i][j] for j in range(n)], [sim[j][i] for j in range(n)]):
            positives = [row[j] for j in range(n) if pids[j] == pids[i]]
            negatives = [row[j] for j in range(n) if pids[j] != pids[i]]
            if name in ("tal", "trl"):
                tau, margin = (0.015, 0.1) if name == "tal" else (0.02, 0.2)
                if not negatives:
                    continue
                top = max(positives)
                alpha = [math.exp((p - top) / tau) for p in positives]
                positive = sum(a * p for a, p in zip(alpha, positives, strict=True)) / sum(alpha)
                high = max(negatives)
                hardest = high + (
                    tau * math.log(sum(math.exp((s - high) / tau) for s in negatives))
                    if name == "tal"
                    else 0.0
                )
                loss += max(0.0, margin - positive + hardest)
            else:
                high = max(row)
                log_z = 50 * high + math.log(sum(math.exp(50 * (s - high)) for s in row))
                if name == "info_nce":
                    loss += (log_z - 50 * row[i]) / 2
                else:
                    for j in range(n):
                        log_p = 50 * row[j] - log_z
                        truth = (1 / len(positives) if pids[j] == pids[i] else 0.0) + 1e-8
                        loss += math.exp(log_p) * (log_p - math.log(truth))
        total.append(loss)
    return np.array(total)


@pytest.mark.parametrize("name", LOSSES)
@settings(max_examples=30, deadline=None)
@given(st.integers(1, 9), st.integers(1, 5), st.integers(0, 10**6))
def test_agrees_with_the_double_loop(name, size, identities, seed):
    rng = np.random.default_rng(seed)
    sim, pids = rng.uniform(-1, 1, (size, size)), rng.integers(0, identities, size)
    found = LOSSES[name](torch.from_numpy(sim), torch.from_numpy(pids)).numpy()
    np.testing.assert_allclose(found, slow(name, sim.tolist(), pids.tolist()), atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("name", LOSSES)
def test_gradient_is_that_of_finite_differences(name):
    generator = torch.Generator().manual_seed(3)
    sim = torch.rand(6, 6, dtype=torch.float64, generator=generator) * 0.4
    pids = torch.tensor([0, 0, 1, 2, 1, 3])
    leaf = sim.clone().requires_grad_()
    LOSSES[name](leaf, pids).sum().backward()
    if name in ("tal", "trl"):  # α carries no gradient: hold it fixed in the reference
        tau = {"tal": 0.015, "trl": 0.02}[name]
        same = pids[:, None] == pids[None]
        alphas = [(s / tau).masked_fill(~same, -torch.inf).softmax(1) for s in (sim, sim.T)]

        def value(s):
            total = 0.0
            for weight, one in zip(alphas, (s, s.T), strict=True):
                negative = one.masked_fill(same, -torch.inf)
                hardest = tau * (negative / tau).logsumexp(1) if name == "tal" else negative.amax(1)
                total += (
                    ({"tal": 0.1, "trl": 0.2}[name] - (weight * one).sum(1) + hardest)
                    .clamp(min=0)
                    .sum()
                )
            return float(total)
    else:

        def value(s):
            return float(LOSSES[name](s, pids).sum())

    step = 1e-6
    for i in range(6):
        for j in range(6):
            up, down = sim.clone(), sim.clone()
            up[i, j] += step
            down[i, j] -= step
            assert leaf.grad[i, j].item() == pytest.approx(
                (value(up) - value(down)) / (2 * step), abs=1e-5
            )


def slow_in_torch(name, sim, pids):
    """The sum of the losses in float64 scalars, so that autograd differentiates the loop."""
    n, total = len(pids), torch.zeros((), dtype=torch.float64)
    for i in range(n):
        for row in ([sim[i, j] for j in range(n)], [sim[j, i] for j in range(n)]):
            positives = [row[j] for j in range(n) if pids[j] == pids[i]]
            negatives = [row[j] for j in range(n) if pids[j] != pids[i]]
            if name in ("tal", "trl"):
                if not negatives:
                    continue
                tau, margin = (0.015, 0.1) if name == "tal" else (0.02, 0.2)
                top = max(p.item() for p in positives)
                alpha = [math.exp((p.item() - top) / tau) for p in positives]  # floats: no gradient
                loss = margin - sum(a * p for a, p in zip(alpha, positives, strict=True)) / sum(
                    alpha
                )
                high = max(negatives, key=torch.Tensor.item)
                if name == "tal":
                    shift = high.item()
                    high = shift + tau * sum(((s - shift) / tau).exp() for s in negatives).log()
                loss = loss + high
                total = total + (loss if loss.item() > 0 else 0.0)
                continue
            shift = 50 * max(s.item() for s in row)
            log_z = shift + sum((50 * s - shift).exp() for s in row).log()
            if name == "info_nce":
                total = total + (log_z - 50 * row[i]) / 2
            else:
                for j in range(n):
                    truth = (1 / len(positives) if pids[j] == pids[i] else 0.0) + 1e-8
                    log_p = 50 * row[j] - log_z
                    total = total + log_p.exp() * (log_p - math.log(truth))
    return total


@pytest.mark.parametrize("name", LOSSES)
@settings(max_examples=15, deadline=None)
@given(st.integers(1, 6), st.integers(1, 4), st.integers(0, 10**6), st.sampled_from([0.3, 1.0]))
def test_gradient_agrees_with_the_double_loop(name, size, identities, seed, spread):
    rng = np.random.default_rng(seed)
    values, pids = rng.uniform(-spread, spread, (size, size)), rng.integers(0, identities, size)
    fast, loop = (torch.tensor(values, requires_grad=True) for _ in range(2))
    LOSSES[name](fast, torch.from_numpy(pids)).sum().backward()
    expected = slow_in_torch(name, loop, pids.tolist())
    gradient = torch.zeros_like(loop)
    if expected.requires_grad:
        gradient = torch.autograd.grad(expected, loop)[0]
    torch.testing.assert_close(fast.grad, gradient, atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("pids", [[4], [1, 1, 1], [0, 0, 1]])
def test_gradient_agrees_with_the_double_loop_at_extreme_cosines(name, pids):
    generator = torch.Generator().manual_seed(len(pids))
    for values in (
        torch.ones(len(pids), len(pids)),
        -torch.ones(len(pids), len(pids)),
        torch.randint(2, (len(pids), len(pids)), generator=generator) * 2.0 - 1,
    ):
        values = values.double()
        # Equal maxima share TRL's gradient in one place and not in the other: a hair apart.
        values -= 1e-6 * torch.arange(values.numel(), dtype=torch.float64).view_as(values)
        fast, loop = values.clone().requires_grad_(), values.clone().requires_grad_()
        LOSSES[name](fast, torch.tensor(pids)).sum().backward()
        expected = slow_in_torch(name, loop, pids)
        gradient = torch.zeros_like(loop)
        if expected.requires_grad:
            gradient = torch.autograd.grad(expected, loop)[0]
        torch.testing.assert_close(fast.grad, gradient, atol=1e-8, rtol=1e-8)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("fill", [-1.0, 0.0, 1.0])
@pytest.mark.parametrize("pids", [[4], [1, 1, 1], [0, 1, 2], [0, 0, 1]])
def test_extreme_and_degenerate_batches_are_finite(name, fill, pids):
    sim = torch.full((len(pids), len(pids)), fill)
    sim[0, 0] = 1.0
    sim.requires_grad_()
    losses = LOSSES[name](sim, torch.tensor(pids))
    losses.sum().backward()
    assert losses.shape == (len(pids),)
    assert losses.isfinite().all() and sim.grad.isfinite().all()
    if name in ("tal", "trl") and len(set(pids)) == 1:
        assert (losses == 0).all() and (sim.grad == 0).all()


def test_no_overflow_at_a_tiny_temperature():
    sim = torch.tensor([[1.0, -1.0], [1.0, -1.0]], requires_grad=True)
    loss = tal(sim, torch.tensor([0, 1]), tau=1e-4)
    loss.sum().backward()
    # text 0: right; text 1: 2 off; image 0: as near to text 1; image 1: as far from text 0.
    assert torch.allclose(loss, torch.tensor([0.0 + 0.1, 2.1 + 0.1]))
    assert sim.grad.isfinite().all()


def test_perfect_separation_costs_nothing():
    pids = torch.tensor([0, 0, 1, 2])
    sim = torch.where(pids[:, None] == pids[None], 1.0, -1.0)
    assert (tal(sim, pids) == 0).all() and (trl(sim, pids) == 0).all()
    assert sdm(sim, pids).abs().max() < 1e-5


def test_pairs_do_not_depend_on_their_order():
    generator = torch.Generator().manual_seed(0)
    sim, pids = torch.rand(7, 7, generator=generator), torch.tensor([0, 1, 1, 2, 0, 3, 4])
    order = torch.randperm(7, generator=generator)
    for loss in LOSSES.values():
        assert torch.allclose(
            loss(sim, pids)[order], loss(sim[order][:, order], pids[order]), atol=1e-5
        )


def test_bfloat16_is_computed_in_float32():
    assert info_nce(torch.eye(3, dtype=torch.bfloat16), torch.arange(3)).dtype == torch.float32


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"\(2, 3\)"):
        sdm(torch.zeros(2, 3), torch.zeros(2))

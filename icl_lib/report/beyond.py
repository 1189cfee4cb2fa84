"""Notebook 06: variants beside Algorithm 1, and what the MLLM's answers must be for THI to gain."""

from dataclasses import replace

import numpy as np
import pandas as pd

from icl_lib.report.figures import LABELS
from icl_lib.report.studies import differences
from icl_lib.report.style import BLACK, CYCLE, GREEN, RED, panels, styled
from icl_lib.thi import Trace, replay, simulated_trace

METRICS = ("rank1", "rank5", "rank10", "mAP")


def side_by_side(rows: dict[str, dict], seed: int = 0) -> pd.DataFrame:
    """Each of `rows` {label: per-query metrics} against the FIRST: a row a label and metric.

    Columns: percent (its mean), gain (points over the first row), low, high (95% paired bootstrap), excludes_0.
    """
    first, table = next(iter(rows.values())), []
    for label, values in rows.items():
        told = differences(values, first, METRICS, seed)
        for metric, row in told.iterrows():
            table.append({"method": label, "metric": metric, "percent": row["after"], "gain": row["difference"],
                          **row[["low", "high", "excludes_0"]].to_dict()})
    return pd.DataFrame(table).set_index(["method", "metric"])


def wide(table: pd.DataFrame) -> pd.DataFrame:
    """`side_by_side` to read: a row a method, each metric as "percent (gain, low to high)"."""
    told = table.apply(lambda row: f"{row['percent']:.2f} ({row['gain']:+.2f}, {row['low']:+.2f} to {row['high']:+.2f})", axis=1)
    return told.unstack("metric")[list(METRICS)].reindex(table.index.unique("method"))


def verdicts(plain: dict, published: dict, rows: dict[str, dict], query_pids, gallery_pids) -> pd.DataFrame:
    """Queries whose first picture a variant treats otherwise than Algorithm 1 does, a row a variant.

    plain, published, rows' values: per-query metrics with `anchor`: without THI, of Algorithm 1, of each variant. Harmed:
    right without THI, wrong under Algorithm 1; repaired: the other way round. Columns: harmed, saved (of those), repaired,
    lost (of those), newly repaired, newly harmed; anchors withdrawn wrong and right, and others taken instead.
    """
    query_pids, gallery_pids = np.asarray(query_pids), np.asarray(gallery_pids)
    before, alg = plain["rank1"] > 0, published["rank1"] > 0
    old = published["anchor"]
    right = (old >= 0) & (gallery_pids[old] == query_pids)
    table = {}
    for label, values in rows.items():
        now, anchor = values["rank1"] > 0, values["anchor"]
        gone = (old >= 0) & (anchor < 0)
        table[label] = {
            "harmed": before & ~alg,
            "saved": before & ~alg & now,
            "repaired": ~before & alg,
            "lost": ~before & alg & ~now,
            "newly repaired": ~before & ~alg & now,
            "newly harmed": before & alg & ~now,
            "withdrawn, wrong": gone & ~right,
            "withdrawn, right": gone & right,
            "another anchor": (anchor >= 0) & (anchor != old),
        }
    return pd.DataFrame({label: {k: int(v.sum()) for k, v in row.items()} for label, row in table.items()}).T.rename_axis("method")


def calls(run, published: np.ndarray, anchor: np.ndarray, K: int, xi: float, behind_first_yes: bool) -> dict[str, int]:
    """MLLM calls that a variant makes beside Algorithm 1's at (K, xi): questions, pictures described, texts merged.

    published, anchor [Q]: Algorithm 1's anchors and the variant's. behind_first_yes: it asks on, to K, where a first Yes
    was found in the list's walk. An anchor that is withdrawn was described all the same; its text may not be needed,
    and is not subtracted.
    """
    first, depth = run.trace.first_yes, min(K, run.trace.k_max)
    walked = (first >= 0) & (first < depth) & (run.sim.max(1) <= xi)
    other = (anchor >= 0) & (anchor != published)
    seen = set(published[published >= 0].tolist())
    return {
        "extra questions": int((depth - 1 - first[walked]).sum()) if behind_first_yes else 0,
        "extra pictures described": len(set(anchor[other].tolist()) - seen),
        "extra texts merged": int(other.sum()),
    }


def rates(trace: Trace, query_pids, gallery_pids, K: int) -> dict[str, float]:
    """Share of Yes, in percent, of the right person (TPR) and of others (FPR) among the first K candidates.

    trace: asked to the end, its candidates as gallery columns. NaN where there is no such candidate.
    """
    yes = trace.p_yes[:, :K] > trace.threshold
    if np.isnan(trace.p_yes[:, :K]).any():
        raise ValueError(f"rates over the first {K} candidates want every one of them asked: ask='all'")
    right = np.asarray(gallery_pids)[trace.candidates[:, :K]] == np.asarray(query_pids)[:, None]
    return {name: 100 * float(yes[who].mean()) if who.any() else np.nan for name, who in (("TPR", right), ("FPR", ~right))}


def rate_map(sim, candidates, query_pids, gallery_pids, K: int, xi: float, lam: float, steps=np.linspace(0, 1, 11), seeds=3):
    """INSTRUMENT, no model: Rank-1 points that THI gains with an answerer of dialled rates; columns TPR, FPR (percent), gain.

    The answerer errs at random, whatever the picture looks like (`icl_lib.thi.simulated_trace`), mean over `seeds`. No
    refined text is made (q̂ = q): the anchor's own jump alone moves Rank-1. candidates [Q, ≥ K] in rank order; with q̂ = q
    only they can come first, so that the rest of the gallery is not looked at.
    """
    candidates, query_pids = np.asarray(candidates)[:, : max(K, 1)], np.asarray(query_pids)
    near = np.take_along_axis(np.asarray(sim), candidates, axis=1)
    right = np.asarray(gallery_pids)[candidates] == query_pids[:, None]
    places, rows = np.broadcast_to(np.arange(candidates.shape[1]), candidates.shape), np.arange(len(near))
    table = []
    for tpr in steps:
        for fpr in steps:
            gains = []
            for seed in range(seeds):
                trace = replace(simulated_trace(candidates, query_pids, gallery_pids, tpr, fpr, seed), candidates=places)
                final, _ = replay(near, near, trace, K, xi, lam)
                gains.append(right[rows, final.argmax(1)].mean() - right[:, 0].mean())
            table.append({"TPR": round(100 * float(tpr), 6), "FPR": round(100 * float(fpr), 6), "gain": 100 * float(np.mean(gains))})
    return pd.DataFrame(table)


@styled
def gains(table: pd.DataFrame, xlim=(-5, 5)):
    """Points of each variant over the table's first method, a panel a metric, 95% intervals; from `side_by_side`."""
    figure, (axes,) = panels(1, len(METRICS), height=3.0, sharey=True)
    names = table.index.unique("method")[1:]
    for ax, metric in zip(axes, METRICS):
        for y, name in enumerate(names):
            row = table.loc[(name, metric)]
            color = BLACK if not row["excludes_0"] else GREEN if row["gain"] > 0 else RED
            ax.errorbar(row["gain"], y, xerr=[[row["gain"] - row["low"]], [row["high"] - row["gain"]]], fmt="o", capsize=3, color=color)
        ax.axvline(0, color=BLACK, lw=1)
        ax.set(xlim=xlim, title=LABELS[metric].removesuffix(" (%)"), xlabel="points")
    axes[0].set_yticks(range(len(names)), names)
    axes[0].set_ylim(len(names) - 0.5, -0.5)
    figure.supxlabel(f"gain over {table.index[0][0]}; bars: 95% paired bootstrap over queries; coloured: 0 lies outside", fontsize=8, x=0.01, ha="left")
    return figure


@styled
def over_values(tables: dict[str, tuple], metrics=("rank1", "rank10", "mAP"), ylim=(-5, 5)):
    """Change of metrics on val against the neutral value, over each variant's own parameter; ○ the chosen value.

    tables: {name: (table of `icl_lib.beyond.on_val`, the parameter's name, neutral value, chosen value)}. Values stand at
    equal distances.
    """
    figure, axes = panels(-(-len(tables) // 3), 3, height=2.8, sharey=True)
    for ax, (name, (table, parameter, neutral, chosen)) in zip(axes.flat, tables.items()):
        base = table[table["value"] == neutral].iloc[0]
        at = np.arange(len(table))
        for color, metric in zip(CYCLE, metrics):
            ax.plot(at, table[metric] - base[metric], marker=".", color=color, label=LABELS[metric].removesuffix(" (%)"))
        place = int(np.flatnonzero(table["value"] == chosen)[0])
        ax.axvline(place, color=BLACK, ls=":", lw=1.2)
        shown = at[:: -(-len(at) // 8)]
        ax.set_xticks(shown, [("∞" if np.isinf(v) else f"{v:g}") for v in table["value"].iloc[shown]])
        ax.set(title=f"{name}: {'neutral' if chosen == neutral else f'{chosen:g}'} chosen", xlabel=parameter, ylim=ylim)
    for ax in axes.flat[len(tables):]:
        ax.set_visible(False)
    axes[0, 0].legend(fontsize=8)
    for ax in axes[:, 0]:
        ax.set_ylabel("points on val")
    return figure


@styled
def saved_and_lost(table: pd.DataFrame, limit: int = 100):
    """Queries a variant wins (up) and loses (down) against Algorithm 1 at the first place; table: from `verdicts`."""
    figure, ((ax,),) = panels(height=3.2)
    at, wide_ = np.arange(len(table)), 0.36
    bars = (("saved", "lost", "harmed ones saved", "repaired ones lost", -0.5, ""),
            ("newly repaired", "newly harmed", "newly repaired", "newly harmed", 0.5, "//"))
    for up, down, told_up, told_down, side, hatch in bars:
        ax.bar(at + side * wide_, table[up], wide_, color=GREEN, alpha=0.8, hatch=hatch, label=told_up)
        ax.bar(at + side * wide_, -table[down], wide_, color=RED, alpha=0.8, hatch=hatch, label=told_down)
        for x, high, low in zip(at + side * wide_, table[up], table[down]):
            ax.text(x, min(high, limit), f"{high}", ha="center", va="bottom", fontsize=8)
            ax.text(x, max(-low, -limit), f"{low}", ha="center", va="top", fontsize=8)
    ax.axhline(0, color=BLACK, lw=1)
    ax.set_xticks(at, table.index)
    ax.set(ylabel="queries, against Algorithm 1", ylim=(-1.15 * limit, 1.15 * limit))
    ax.legend(ncols=4, loc="lower left", bbox_to_anchor=(0, 1), fontsize=8)
    ax.grid(axis="x", visible=False)
    return figure


@styled
def rate_heatmap(table: pd.DataFrame, points: dict[str, tuple[dict, float]], limit: float = 40):
    """Rank-1 gain over FPR × TPR, colours fixed at ±`limit` points, the break-even line drawn; table: from `rate_map`.

    points: {label: (`rates`, the gain that was measured)}.
    """
    grid = table.pivot(index="TPR", columns="FPR", values="gain")
    figure, ((ax,),) = panels(height=4.6)
    half = (grid.columns[1] - grid.columns[0]) / 2
    extent = (grid.columns[0] - half, grid.columns[-1] + half, grid.index[0] - half, grid.index[-1] + half)
    image = ax.imshow(grid, origin="lower", extent=extent, vmin=-limit, vmax=limit, cmap="PuOr_r", aspect="auto")
    for tpr, row in grid.iterrows():
        for fpr, value in row.items():
            ax.text(fpr, tpr, f"{value:+.0f}", ha="center", va="center", fontsize=7, color="white" if abs(value) > 0.7 * limit else BLACK)
    if grid.to_numpy().min() < 0 < grid.to_numpy().max():
        ax.contour(grid.columns, grid.index, grid, levels=[0], colors=BLACK, linewidths=2)
    for marker, (label, (rate, gain)) in zip("os^D", points.items()):
        ax.plot(rate["FPR"], rate["TPR"], marker, ms=11, color=GREEN, mec=BLACK, mew=1.5, ls="",
                label=f"{label}: TPR {rate['TPR']:.0f}%, FPR {rate['FPR']:.0f}%; measured gain {gain:+.1f}")
    ax.set(xlabel="false-positive rate: Yes to other people (%)", ylabel="true-positive rate: Yes to the right person (%)")
    ax.legend(loc="lower left", bbox_to_anchor=(0, 1))
    ax.grid(False)
    figure.colorbar(image, ax=ax, label="Rank-1 gain of a simulated answerer (points)")
    return figure


def signs_of_a_right_anchor(right, signs: dict) -> pd.DataFrame:
    """How well each sign tells right anchors from wrong ones: AUC in percent (50: not at all), higher meaning righter.

    right [N] bool; signs: {label: values [N]}. NaN where all anchors are right, or none.
    """
    from sklearn.metrics import roc_auc_score

    right = np.asarray(right, dtype=bool)
    both = right.any() and not right.all()
    told = {label: 100 * roc_auc_score(right, values) if both else np.nan for label, values in signs.items()}
    return pd.Series(told, name="AUC (%)", dtype=float).rename_axis("sign").to_frame()

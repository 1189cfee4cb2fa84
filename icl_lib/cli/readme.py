"""Writes a run's numbers and dialogue into README and pages: `python -m icl_lib.cli.readme`."""

import re
import sys
from pathlib import Path

from icl_lib.analysis.paper import METRICS, paper_results
from icl_lib.figures import stored_table
from icl_lib.params import Params, load_params
from icl_lib.params.paths import available, repo_root
from icl_lib.results import atomic_write, read_summary
from icl_lib.retrieval.metrics import LABELS

STAGES = {
    "data": "draw the stand-in",
    "baseline": "train the backbone without RDA",
    "rda": "RDA of all training captions",
    "adapter": "mine pairs, train LoRA, calibrate it and choose its threshold",
    "backbone": "train the backbone with RDA",
    "thi-val": "THI on val",
    "thi-test": "THI on test",
    "thi-test-raw": "THI on test with the raw MLLM",
}


def results_block(params: Params) -> str:
    """The table of results and two sentences, from summary.json, next to the paper's numbers."""
    run, paper = read_summary(params), paper_results(params.dataset)
    final, cost = run["thi"]["final"], run["cost"]
    lines = [
        "| stand-in, `demo` | Rank-1 | Rank-5 | Rank-10 | mAP | mINP "
        "| paper, real data: Rank-1 / mAP |",
        "|---|---|---|---|---|---|---|",
    ]
    for label, ours, row in (
        ("backbone without RDA", run["backbone"]["baseline"], "RDE"),
        ("ICL: backbone with RDA", run["backbone"]["rda"], "ICL"),
        ("ICL + THI", final, "ICL+THI"),
        ("ICL + evidence, notebook 06", run["thi"]["evidence"], None),
    ):
        cells = [f"{ours[metric]:.1f}{_interval(ours, metric)}" for metric in METRICS]
        theirs = f"{paper.loc[row, 'rank1']:.2f} / {paper.loc[row, 'mAP']:.2f}" if row else ""
        lines.append(f"| {' | '.join([label, *cells, theirs])} |")
    raw, lora = run["mllm"]["raw"]["top10"], run["mllm"]["lora"]["top10"]
    return "\n".join(
        [
            *lines,
            f"| a perfect reader of the captions | {run['oracle']['rank1']:.1f} | | | | | |",
            "",
            "Yes/No about the backbone's Top-10 of test captions: the raw MLLM has an AUC of "
            f"{raw['AUC']:.1f}, the MLLM with LoRA {lora['AUC']:.1f}, and the backbone's "
            f"similarity alone {run['mllm']['similarity_top10_AUC']:.1f}. With LoRA, at the "
            f"threshold chosen on val, {lora['precision']:.0f}% of the Yes answers are right, and "
            f"{lora['recall']:.0f}% of the right pictures get a Yes. THI at K = {final['K']}, "
            f"xi = {final['xi']:.3f}, lambda = {final['lam']:.1f} asks {cost['questions']:,} "
            f"questions for {cost['queries']:,} queries; the released code asks "
            f"{cost['released_questions']:,} for the same ranking. Evidence asks "
            f"{run['thi']['evidence']['questions'] * cost['queries']:,.0f}.",
        ]
    )


def data_sets_block(profile: str = "demo") -> str:
    """Rank-1 and mAP of the methods on all data sets, from notebook 08's stored tables."""
    methods = ["RDE", "ICL", "ICL + THI", "ICL + evidence"]
    lines = [
        f"| stand-in of | {' | '.join(methods)} | paper: RDE | ICL | ICL+THI |",
        "|---" * (len(methods) + 4) + "|",
    ]
    for dataset in available("datasets"):
        params, paper = load_params(dataset, profile), paper_results(dataset)
        found = stored_table(params, "08_main", ["method", "metric"])
        if found is not None:
            ours, theirs = found["percent"].unstack(), paper.loc[["RDE", "ICL", "ICL+THI"]]
            cells = [f"{ours.loc[m, 'rank1']:.1f} / {ours.loc[m, 'mAP']:.1f}" for m in methods]
            cells += [f"{row.rank1:.1f} / {row.mAP:.1f}" for row in theirs.itertuples()]
            lines.append(f"| {' | '.join([params.data.title, *cells])} |")
    return "\n".join([*lines, "", evidence_sentence(load_params(profile=profile))])


def evidence_sentence(params: Params) -> str:
    """What evidence gains over Algorithm 1 on average over the data sets, from notebook 06."""
    table = stored_table(params, "06_standins", ["method", "metric"])
    if table is None:
        return ""
    mean = table[["gain", "questions", "questions before"]].groupby(level=[0, 1]).mean()
    told = []
    for method in ("ICL + evidence", "ICL + evidence, all asked"):
        named = ((m, LABELS[m].removesuffix(" (%)")) for m in METRICS)
        gains = ", ".join(f"{name} {mean.loc[(method, m), 'gain']:+.1f}" for m, name in named)
        asked = mean.loc[(method, "rank1")]
        before = f"{asked['questions before']:.2f} of Algorithm 1"
        told.append(f"{gains} at {asked['questions']:.2f} questions per query ({before})")
    return f"Evidence over Algorithm 1, mean of the four, in points: {told[0]}; {told[1]}."


def cost_block(params: Params) -> str:
    """The seconds of each stage, and how much THI asks, from summary.json."""
    run = read_summary(params)
    seconds, cost = run["seconds"], run["cost"]
    rows = [f"| {STAGES[name]} | {seconds[name]:.0f} |" for name in STAGES if name in seconds]
    return "\n".join(
        [
            "| stage | seconds, 2 CPU cores |",
            "|---|---|",
            *rows,
            "",
            f"At the chosen point, THI asks {cost['questions'] / cost['queries']:.1f} questions "
            f"per query and describes {cost['pictures_described']:,} pictures for "
            f"{cost['queries']:,} queries. Every answer is kept, so a second run asks nothing.",
        ]
    )


def dialogue_block(params: Params, folder: Path, link: str) -> str:
    """A repaired query as Markdown, chosen by the rule of notebook 05; pictures go to `folder`."""
    from icl_lib import stages, thi
    from icl_lib.analysis.cases import cases, pick
    from icl_lib.figures.dialogue import dialogue

    point, run, _ = stages.final(params)
    final, anchor = thi.replay(run.sim, run.sim_refined, run.trace, **point)
    q = pick(cases(run, final, anchor), "repaired", 1)[0]
    title = f"Query {q} of the test split"
    shown = dialogue(run, q, final, anchor, point["K"], point["xi"], title)
    return shown.markdown(folder, link).strip()


def put(text: str, name: str, block: str) -> str:
    """`text` with `block` between <!-- name:begin --> and <!-- name:end -->.

    Raises ValueError if a mark is missing.
    """
    pattern = rf"(<!-- {name}:begin -->\n).*?(\n<!-- {name}:end -->)"
    if not re.search(pattern, text, re.S):
        raise ValueError(f"the text lacks the marks <!-- {name}:begin --> and <!-- {name}:end -->")
    return re.sub(pattern, lambda m: m[1] + block + m[2], text, flags=re.S)


def blocks(params: Params) -> dict[str, dict[str, str]]:
    """What stands between which marks: {file: {name: block}}, all but the dialogue."""
    readme = {"results": results_block(params), "data sets": data_sets_block(params.profile)}
    return {"README.md": readme, "notebooks/pages/costs.md": {"cost": cost_block(params)}}


def main() -> None:
    """Rewrites README.md and the pages with the results of the demo runs."""
    params = load_params("rstp", "demo")
    link = "results/demo/rstp/figures/readme"
    written = blocks(params)
    written["README.md"]["dialogue"] = dialogue_block(params, repo_root() / link, link)
    for file, parts in written.items():
        path = repo_root() / file
        text = path.read_text(encoding="utf-8")
        for name, block in parts.items():
            text = put(text, name, block)
        atomic_write(path, text)
        print(f"{path} rewritten", file=sys.stderr)


def _interval(metrics: dict, metric: str) -> str:
    if metric not in metrics["ci95"]:
        return ""
    low, high = metrics["ci95"][metric]
    return f" ({low:.1f}–{high:.1f})"


if __name__ == "__main__":
    main()

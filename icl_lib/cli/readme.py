"""Keeps the README's numbers and dialogue equal to what a run computed: `python -m icl_lib.cli.readme`."""

import re
import sys
from pathlib import Path

from icl_lib.analysis.paper import METRICS, paper_results
from icl_lib.params import Params, load_params
from icl_lib.params.paths import repo_root
from icl_lib.results import atomic_write, read_summary

ROWS = (
    ("backbone without RDA", "baseline", "RDE"),
    ("ICL: backbone with RDA", "rda", "ICL"),
    ("ICL + THI", None, "ICL+THI"),
)

STAGES = {
    "data": "draw the stand-in",
    "baseline": "train the backbone without RDA",
    "rda": "RDA of all training captions",
    "adapter": "mine pairs, train LoRA, choose its threshold",
    "backbone": "train the backbone with RDA",
    "thi-val": "THI on val",
    "thi-test": "THI on test",
    "thi-test-raw": "THI on test with the raw MLLM",
}


def results_block(params: Params) -> str:
    """The README's table and what it says, from summary.json alone: our percent with intervals, the paper's beside."""
    told, paper = read_summary(params), paper_results(params.dataset)
    lines = [
        "| stand-in, `demo` | Rank-1 | Rank-5 | Rank-10 | mAP | mINP | paper, real data: Rank-1 / mAP |",
        "|---|---|---|---|---|---|---|",
    ]
    for label, name, theirs in ROWS:
        ours = told["backbone"][name] if name else told["thi"]["final"]
        cells = [
            f"{ours[m]:.1f}"
            + (" ({:.1f}–{:.1f})".format(*ours["ci95"][m]) if m in ours["ci95"] else "")
            for m in METRICS
        ]
        lines.append(
            f"| {label} | {' | '.join(cells)} | {paper.loc[theirs, 'rank1']:.2f} / {paper.loc[theirs, 'mAP']:.2f} |"
        )
    lines.append(f"| a perfect reader of the captions | {told['oracle']['rank1']:.1f} | | | | | |")
    raw, lora, point, cost = (
        told["mllm"]["raw"]["top10"],
        told["mllm"]["lora"]["top10"],
        told["thi"]["final"],
        told["cost"],
    )
    lines += [
        "",
        f"Yes/No on the backbone's own Top-10 of held-out people: AUC {raw['AUC']:.1f} for the raw model, {lora['AUC']:.1f} with LoRA, "
        f"{told['mllm']['similarity_top10_AUC']:.1f} for the backbone's similarity alone; with LoRA, at the threshold chosen on val, "
        f"{lora['precision']:.0f}% of its Yes are right and it finds {lora['recall']:.0f}% of the right pictures. "
        f"THI at K = {point['K']}, xi = {point['xi']:.3f}, lambda = {point['lam']:.1f} asked {cost['questions']:,} questions for "
        f"{cost['queries']:,} queries; the released code's way of asking takes {cost['released_questions']:,} for the same ranking.",
    ]
    return "\n".join(lines)


def cost_block(params: Params) -> str:
    """What the stages took on the machine of the committed run, and what asking took, from summary.json alone."""
    told = read_summary(params)
    seconds, cost = told["seconds"], told["cost"]
    lines = ["| stage | seconds, 2 CPU cores |", "|---|---|"]
    lines += [
        f"| {label} | {seconds[name]:.0f} |" for name, label in STAGES.items() if name in seconds
    ]
    lines += [
        "",
        f"At the chosen point THI asks {cost['questions'] / cost['queries']:.1f} questions a query and describes "
        f"{cost['pictures_described']:,} pictures for {cost['queries']:,} queries. Every answer is kept: a second run asks nothing.",
    ]
    return "\n".join(lines)


def dialogue_block(params: Params, folder: Path, link: str) -> str:
    """One repaired query as Markdown, chosen by the rule of notebook 05; its pictures go into `folder`."""
    from icl_lib import stages, thi
    from icl_lib.analysis import cases
    from icl_lib.figures.dialogue import dialogue

    point, run, _ = stages.final(params)
    final, anchor = thi.replay(run.sim, run.sim_refined, run.trace, **point)
    q = cases.pick(cases.cases(run, final, anchor), "repaired", 1)[0]
    return dialogue(
        run, q, final, anchor, point["K"], point["xi"], f"Query {q} of the test split"
    ).markdown(folder, link)


def put(text: str, name: str, block: str) -> str:
    """`text` with what stands between <!-- name:begin --> and <!-- name:end --> replaced. ValueError if a mark is missing."""
    pattern = rf"(<!-- {name}:begin -->\n).*?(\n<!-- {name}:end -->)"
    if not re.search(pattern, text, re.S):
        raise ValueError(
            f"the marks <!-- {name}:begin --> and <!-- {name}:end --> are not in the text"
        )
    return re.sub(pattern, lambda m: m[1] + block + m[2], text, flags=re.S)


def main() -> None:
    """Rewrite README.md from the demo run on rstp."""
    params, path = load_params("rstp", "demo"), repo_root() / "README.md"
    text = put(path.read_text(), "results", results_block(params))
    text = put(text, "cost", cost_block(params))
    link = "results/demo/rstp/figures/readme"
    text = put(text, "dialogue", dialogue_block(params, repo_root() / link, link).strip())
    atomic_write(path, text)
    print(f"{path} rewritten", file=sys.stderr)


if __name__ == "__main__":
    main()

"""Finding notebooks, and planning runs of them."""

from small_notebooks import write_notebook

from icl_lib import load_params
from icl_lib.cli import notebooks
from icl_lib.params.paths import repo_root


def test_types_of_values_are_inferred_as_papermill_infers_them():
    from papermill.cli import _resolve_type

    for text in [
        "True",
        "False",
        "None",
        "3",
        "-3",
        "1_000",
        "3.5",
        "5e-5",
        "inf",
        "true",
        "",
        "rstp",
    ]:
        assert repr(notebooks.infer_type(text)) == repr(_resolve_type(text))


def test_each_of_several_notebooks_gets_the_parameters_that_it_has(home):
    jobs = notebooks.plan(
        [notebooks.find("03"), notebooks.find("04_plain")], {"K": 3, "dataset": "icfg"}
    )
    assert [job.given for job in jobs] == [{"K": 3, "dataset": "icfg"}, {}]
    assert jobs[0].output == home / "results" / "demo" / "icfg" / "03_hello.ipynb"
    assert jobs[1].output == home / "results" / "demo" / "04_plain.ipynb"


def test_a_trial_run_of_every_notebook_goes_into_a_folder_of_its_own():
    every = notebooks.available()
    jobs = notebooks.plan(every, {"profile": "paper", "limit_ids": 50})
    assert len(jobs) == len(every) and all(job.given["limit_ids"] == 50 for job in jobs)
    assert {job.output.parent for job in jobs} == {
        load_params("rstp", "paper", limit_ids=50).results_dir
    }


def test_a_limit_in_a_notebook_of_your_own_leads_to_its_own_folder_too(home, tmp_path):
    for limit, folder in (("50", "icfg-50ids"), ("None", "icfg")):
        own = tmp_path / "elsewhere" / "mine.ipynb"
        write_notebook(own, "1", parameters=f'dataset = "icfg"\nlimit_ids = {limit}')
        [job] = notebooks.plan([own], {})
        assert job.output == home / "results" / "demo" / folder / "mine.ipynb"
        [job] = notebooks.plan([own], {"limit_ids": 7})
        assert job.output.parent.name == "icfg-7ids"


def test_a_notebook_is_found_by_name_path_or_beginning(home):
    here = home / "notebooks" / "03_hello.ipynb"
    assert {notebooks.find(name) for name in ["03_hello", "03_hello.ipynb", "03", str(here)]} == {
        here
    }


def test_every_notebook_of_the_kit_has_a_title_and_the_common_parameters():
    common = {"dataset", "profile", "seed", "limit_ids"}
    for path in sorted((repo_root() / "notebooks").glob("*.ipynb")):
        assert notebooks.title(path) != "(no title)", path.name
        assert common <= set(notebooks.parameters_of(path)), path.name

"""A kit's folder with small notebooks, and the `icl` command run in this process."""

import shutil
import sys

import click
import pytest
from click.testing import CliRunner
from paper_weights import files  # noqa: F401
from small_notebooks import HELLO, write_notebook

from icl_lib.cli import main
from icl_lib.params.paths import repo_root


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A kit's folder with the real params and three small notebooks."""
    shutil.copytree(repo_root() / "params", tmp_path / "params")
    figures = tmp_path / "results" / "demo" / "rstp" / "figures"
    usual = 'dataset = "rstp"  # short name\nprofile = "demo"\nseed = 0\n'
    write_notebook(
        tmp_path / "notebooks" / "03_hello.ipynb",
        HELLO,
        heading="# 03 · Hello",
        parameters=usual + f"K = 5\nlam = None\nfigures = {str(figures)!r}",
    )
    write_notebook(
        tmp_path / "notebooks" / "04_broken.ipynb", "print('so far')", "1 / 0", parameters=usual
    )
    write_notebook(tmp_path / "notebooks" / "04_plain.ipynb", "print(6 * 7)")
    monkeypatch.setenv("ICL_HOME", str(tmp_path))
    monkeypatch.delenv("ICL_RESULTS", raising=False)
    return tmp_path


@click.command(context_settings={"ignore_unknown_options": True, "help_option_names": []})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def _as_command(arguments):
    before, sys.argv = sys.argv, ["icl", *arguments]
    try:
        main.main()
    finally:
        sys.argv = before


@pytest.fixture
def icl():
    """A function that runs the command and returns its exit code, stdout and stderr."""

    def run(*arguments):
        done = CliRunner().invoke(_as_command, arguments)
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        return done.exit_code, done.stdout, done.stderr

    return run

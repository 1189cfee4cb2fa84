"""The shape of icl_lib: imports point down the floors, modules and functions stay short.

CONTRIBUTING.md shows the floors. The checks below work on any package, so that tests can also show
them a small package with faults.
"""

import ast
import graphlib
import re
from pathlib import Path

import pytest

from icl_lib.params.paths import repo_root

ROOT = repo_root()
FLOORS = [  # from the ground up; rooms of the same floor do not import each other
    ["params"],
    ["results"],
    ["data"],
    ["retrieval", "mllm"],
    ["thi", "rda", "pretrain", "speed"],
    ["analysis"],
    ["figures"],
    ["stages"],
    ["search"],
    ["cli"],
]
FLOOR = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
MODULE_LINES, FUNCTION_LINES = 300, 60
REASON = "Long because"  # begins the sentence of a docstring that excuses a long function


def parsed(package: Path) -> dict[str, ast.Module]:
    """{dotted name: syntax tree} of every module of a package."""
    trees = {}
    for file in sorted(package.rglob("*.py")):
        parts = file.relative_to(package.parent).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        trees[name] = ast.parse(file.read_text(encoding="utf-8"))
    return trees


def imports(package: Path) -> dict[str, set[str]]:
    """{module: the package's modules that it imports}, anywhere in the module."""
    trees, found = parsed(package), {}
    for name, tree in trees.items():
        named = set()
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                named |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                assert not node.level, f"{name} imports relatively: write icl_lib.… in full"
                named |= {f"{node.module}.{alias.name}" for alias in node.names}
        # "from a.b import c" names a module a.b.c, or else something inside a.b.
        modules = {each if each in trees else each.rpartition(".")[0] for each in named}
        found[name] = (modules & set(trees)) - {name}
    return found


def room(module: str) -> str:
    """The room of a dotted module name, "" for the package itself."""
    return module.partition(".")[2].partition(".")[0]


def upward(package: Path) -> list[str]:
    """Imports from one room into another that is not on a lower floor."""
    arrows = [(a, b) for a, found in imports(package).items() for b in sorted(found)]
    return [
        f"{a} -> {b}"
        for a, b in arrows
        if room(a) != room(b) and "" not in (room(a), room(b)) and FLOOR[room(a)] <= FLOOR[room(b)]
    ]


def circle(package: Path) -> list[str]:
    """The modules of one circle of imports, in order; empty if there is no circle."""
    try:
        graphlib.TopologicalSorter(imports(package)).prepare()
    except graphlib.CycleError as error:
        return error.args[1]
    return []


def too_long(package: Path) -> list[str]:
    """Modules over `MODULE_LINES`, and functions over `FUNCTION_LINES` that give no reason.

    The lines of a function's docstring do not count.
    """
    found = []
    for file in sorted(package.rglob("*.py")):
        text = file.read_text(encoding="utf-8")
        if (lines := len(text.splitlines())) > MODULE_LINES:
            found.append(f"{file.relative_to(package)}: {lines} lines")
        for node in ast.walk(ast.parse(text)):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            lines, reason = node.end_lineno - node.lineno + 1, ast.get_docstring(node) or ""
            if reason:  # a docstring is no reason to split a function
                lines -= node.body[0].end_lineno - node.body[0].lineno + 1
            if lines > FUNCTION_LINES and REASON not in " ".join(reason.split()):
                found.append(f"{file.relative_to(package)}: {node.name} has {lines} lines")
    return found


def loose(package: Path) -> list[str]:
    """Modules that lie beside the rooms instead of in one."""
    return [file.name for file in sorted(package.glob("*.py")) if file.name != "__init__.py"]


def rooms(package: Path) -> set[str]:
    """The folders of a package that hold modules."""
    return {file.parent.name for file in package.glob("*/*.py")}


def test_every_import_points_down_the_floors():
    assert upward(ROOT / "icl_lib") == []


def test_no_modules_import_each_other_in_a_circle():
    assert circle(ROOT / "icl_lib") == []


def test_no_module_or_function_is_too_long_without_a_reason():
    assert too_long(ROOT / "icl_lib") == []


def test_no_module_lies_outside_a_room():
    assert loose(ROOT / "icl_lib") == []


def test_contributing_shows_every_room_on_its_floor():
    assert rooms(ROOT / "icl_lib") == set(FLOOR)
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    drawn = [FLOOR[name] for name in re.findall(r"^(\w+)/ {2,}\S", text, flags=re.M)]
    assert len(drawn) == len(FLOOR) and drawn == sorted(drawn, reverse=True)


@pytest.fixture
def package(tmp_path):
    """A function that writes {path: text} as the package `icl_lib` in a new folder."""

    def write(files):
        for path, text in files.items():
            file = tmp_path / "icl_lib" / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        return tmp_path / "icl_lib"

    return write


@pytest.mark.parametrize(
    "line",
    [
        "from icl_lib.thi.trace import Trace",
        "from icl_lib.thi import trace",
        "import icl_lib.thi.trace",
        "def f():\n    from icl_lib.thi import trace",
    ],
)
def test_an_upward_import_is_found(package, line):
    house = package({"data/manifest.py": line, "thi/trace.py": "", "thi/__init__.py": ""})
    assert len(upward(house)) == 1 and upward(house)[0].startswith("icl_lib.data.manifest -> ")


def test_rooms_of_one_floor_are_strangers_and_lower_ones_are_not(package):
    house = package(
        {
            "mllm/base.py": "",
            "retrieval/models.py": "from icl_lib.mllm import base",
            "thi/ask.py": "from icl_lib.mllm.base import MLLM\nfrom icl_lib import thi",
            "thi/__init__.py": "import numpy.random",
        }
    )
    assert upward(house) == ["icl_lib.retrieval.models -> icl_lib.mllm.base"]


def test_a_circle_is_found_through_several_modules(package):
    files = {
        "thi/a.py": "from icl_lib.thi.b import x",
        "thi/b.py": "from icl_lib.thi import c",
        "thi/c.py": "def f():\n    import icl_lib.thi.a",
        "thi/d.py": "from icl_lib.thi import a",
    }
    assert set(circle(package(files))) == {f"icl_lib.thi.{name}" for name in "abc"}
    assert circle(package(files | {"thi/c.py": ""})) == []


def test_long_modules_and_functions_are_found_unless_a_docstring_gives_the_reason(package):
    body = "    x = 1\n" * FUNCTION_LINES
    house = package(
        {
            "thi/long.py": "\n" * (MODULE_LINES + 1),
            "thi/full.py": "\n" * MODULE_LINES,
            "thi/a.py": f"def f():\n{body}",
            "thi/b.py": f'class C:\n  def f(self):\n    """Does. Long because it does."""\n{body}',
        }
    )
    assert too_long(house) == ["thi/a.py: f has 61 lines", "thi/long.py: 301 lines"]


def test_a_loose_module_is_found(package):
    house = package({"__init__.py": "", "cost.py": "", "thi/trace.py": ""})
    assert loose(house) == ["cost.py"] and rooms(house) == {"thi"}

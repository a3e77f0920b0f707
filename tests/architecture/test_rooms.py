"""The package's plan, enforced: who imports whom, how long a file is, what a twin derives from."""

import ast
import os
import pathlib
import re
import subprocess
import sys

import keras
import pytest

import custom_layers
from tests.architecture import rooms

REPOSITORY = pathlib.Path(__file__).parents[2]
PACKAGE = REPOSITORY / "custom_layers"
FILES = sorted(PACKAGE.rglob("*.py"))
every_file = pytest.mark.parametrize(
    "path", FILES, ids=lambda path: path.relative_to(PACKAGE).as_posix()
)


def room_of(path: pathlib.Path) -> str:
    parts = path.relative_to(PACKAGE).parts
    return parts[0] if len(parts) > 1 else ""


def imports_of(path: pathlib.Path) -> set[str]:
    """Every module that a file names in an import, wherever in the file."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module or ""}
    return found


@every_file
def test_imports_point_one_way(path):
    room = room_of(path)
    allowed = {room, *rooms.MAY_IMPORT[room]}
    for name in imports_of(path):
        if name == "custom_layers" or name.startswith("custom_layers."):
            parts = name.split(".")
            target = parts[1] if len(parts) > 1 and (PACKAGE / parts[1]).is_dir() else ""
            if len(parts) == 1 and any(n.startswith("custom_layers.") for n in imports_of(path)):
                continue  # `from custom_layers import x` is judged by x
            assert target in allowed, f"{room or 'the package'} may not import {name}"
        assert not name.startswith(("tutorials", "tests")), f"nothing imports {name}"


@every_file
def test_layers_run_on_any_backend(path):
    relative, room = path.relative_to(PACKAGE).as_posix(), room_of(path)
    if room in rooms.MAY_KNOW_TENSORFLOW:
        return
    known = {name.split(".")[0] for name in imports_of(path)} & set(rooms.BACKENDS)
    assert known <= {rooms.KNOWS_A_BACKEND.get(relative, "")}


@every_file
def test_layers_use_keras_as_the_public_does(path):
    """No private module, no private function, no built-in layer inside a twin."""
    if room_of(path) not in (*rooms.LAYER_FAMILIES, "transformer"):
        return
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert not any(name.startswith("keras.src") for name in imports_of(path))
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "keras.layers":
            asked_for_alone = ast.unparse(node) in rooms.RECOGNISED
            allowed = node.attr in {"Layer", "Wrapper", "InputSpec"} or asked_for_alone
            assert allowed, f"keras.layers.{node.attr}"
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            assert node.value != "_keras_mask" or path.name == "masks.py", "one file knows the mask"
        if isinstance(node, ast.Attribute) and node.attr.startswith("_"):
            owner = ast.unparse(node.value)
            public = node.attr.startswith("__") or node.attr in rooms.NAMED_TUPLE
            assert public or owner in {"self", "cls", "super()"}, f"{owner}.{node.attr} is private"
    for name in imports_of(path):
        assert not name.startswith("keras.layers"), f"write keras.layers.X, not {name}"


@pytest.mark.parametrize("path", sorted((REPOSITORY / "tutorials").rglob("*.py")), ids=str)
def test_tutorials_files_hold_one_idea(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= rooms.LONGEST_FILE
    assert path.stem not in rooms.VAGUE_NAMES


@every_file
def test_files_hold_one_idea(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= rooms.LONGEST_FILE
    assert path.stem not in rooms.VAGUE_NAMES
    if path.name == "__init__.py":
        kinds = {type(node) for node in ast.parse(path.read_text(encoding="utf-8")).body}
        assert kinds <= {ast.Expr, ast.ImportFrom, ast.Assign}, "code in an __init__.py"


TWINS = [
    getattr(custom_layers, name)
    for name in custom_layers.__all__
    if isinstance(getattr(custom_layers, name), type)
    and getattr(custom_layers, name).__module__.startswith("custom_layers.")
]


@pytest.mark.parametrize("twin", TWINS, ids=lambda twin: twin.__name__)
def test_a_twin_is_written_and_not_inherited(twin):
    """Of Keras it has what every layer has, and no more."""
    ancestors = (
        set(twin.__mro__) - set(keras.layers.Layer.__mro__) - set(keras.layers.Wrapper.__mro__)
    )
    assert {base for base in ancestors if not base.__module__.startswith("custom_layers.")} == set()


def test_what_is_no_twin_is_keras_s_own():
    named = {n: getattr(custom_layers, n) for n in custom_layers.__all__}
    kept = {name for name, value in named.items() if value not in TWINS}
    assert kept == {"Add", "Input", "StringLookup", "TextVectorization"}
    assert all(named[name] is getattr(keras.layers, name) for name in kept)


def test_every_public_layer_is_compared_with_keras():
    """A layer without a pair in tests/parity would be a promise that nobody checks."""
    from tests.parity.test_parity import PAIRS

    compared = {type(pair.make(custom_layers)) for pair in PAIRS}
    # Keras and KerasHub have none: see tests/attention, embedding, recurrent and transformer
    papers = {"BahdanauAttention", "LuongAttention", "RelativePositionBias", "FeedForward"}
    cells = ("PeepholeLSTM", "CoupledLSTM", "LayerNormLSTM", "ProjectionLSTM", "MinimalGatedUnit")
    cells += ("BatchNormLSTM",)
    papers |= {*cells, *(f"{cell}Cell" for cell in cells), "IRNN"}
    papers |= {"ZoneoutCell", "ResidualCell", "HighwayCell"}
    papers |= {"StandardScaling", "MinMaxScaling", "RNNDecoder", "AttentionPooling"}
    assert {twin.__name__ for twin in TWINS if twin not in compared} == papers


IMPORTS = """
import sys
import keras
before = {name.split('.')[0] for name in sys.modules} | {n for n in sys.modules if 'tensorflow' in n}
import custom_layers
after = {name.split('.')[0] for name in sys.modules} | {n for n in sys.modules if 'tensorflow' in n}
print(sorted(after - before))
"""


@pytest.mark.parametrize("backend", rooms.BACKENDS)
def test_importing_the_package_imports_keras_and_no_more(backend):
    pytest.importorskip(backend)
    done = subprocess.run(
        [sys.executable, "-c", IMPORTS],
        env={**os.environ, "KERAS_BACKEND": backend, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "['custom_layers']"


def test_words_that_name_a_place_or_a_person_stay_out():
    """No path of a machine, no registry's host: the project runs anywhere."""
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=REPOSITORY, capture_output=True, text=True, check=False
    ).stdout.split()
    assert tracked or not (REPOSITORY / ".git").exists()
    suspicious = ("/" + "root/", "/" + "home/", "/" + "work/", "/" + "opt/", "pypi" + ".org/simple")
    for name in tracked:
        path = REPOSITORY / name
        if path.suffix in {".py", ".md", ".toml", ".txt", ".ipynb", ""} and path.is_file():
            text = path.read_text(encoding="utf-8")
            assert not [word for word in suspicious if word in text], name


def test_no_figure_is_left_to_be_filled_in():
    for path in (REPOSITORY / "README.md", REPOSITORY / "tensorboard_logs" / "README.md"):
        assert not re.findall(r"@[A-Z_]+@", path.read_text(encoding="utf-8"))

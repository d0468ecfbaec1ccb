"""The package as a whole: a light import, public names, and what may lie in the repository."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import lumiere
from lumiere.io.bundle import shipped

ROOT = Path(__file__).parents[1]
MEGABYTE = 10**6
PICKLES = {".pt", ".pth", ".ckpt", ".bin", ".pkl", ".pickle", ".joblib", ".npy", ".npz"}
HEAVY = {"ray", "torch", "numpy", "diffusers", "transformers", "accelerate", "av", "PIL", "webdataset"}


def _modules_after(statement: str) -> set[str]:
    """The top-level modules in a fresh interpreter after ``statement``."""
    script = f"import json, sys\n{statement}\nprint(json.dumps(sorted(m.split('.')[0] for m in sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize(
    "statement",
    [
        "import lumiere",
        "from lumiere import InputError",
        "import click\n"
        "from lumiere.cli import VERBS, main\n"
        "for verb in VERBS: main.get_command(click.Context(main), verb)",
    ],
    ids=["package", "error", "every verb of the command line"],
)
def test_import_is_light(statement: str) -> None:
    assert not _modules_after(statement) & HEAVY


@pytest.mark.parametrize("name", lumiere.__all__)
def test_public_names_resolve(name: str) -> None:
    value = getattr(lumiere, name)
    assert callable(value)
    assert value.__doc__, f"{name} has no docstring"


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="STUNot"):
        _ = lumiere.STUNot


def test_version_is_the_distribution_s() -> None:
    from importlib.metadata import version

    assert lumiere.__version__ == version("lumiere-video")
    assert set(lumiere.__all__) <= set(dir(lumiere))


def _repository_files() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


def test_the_repository_holds_no_pickle_and_no_large_file() -> None:
    files = _repository_files()
    assert not [path for path in files if path.suffix in PICKLES]
    assert not [path for path in files if path.stat().st_size >= 15 * MEGABYTE]


@pytest.mark.parametrize("bundle", shipped().values(), ids=lambda path: path.name)
def test_a_shipped_bundle_is_small_and_has_a_card(bundle: Path) -> None:
    sizes = {path: path.stat().st_size for path in bundle.rglob("*") if path.is_file()}
    assert sum(sizes.values()) < 70 * MEGABYTE
    assert max(sizes.values()) < 15 * MEGABYTE
    assert {path.suffix for path in sizes} <= {".safetensors", ".json", ".md", ".toml", ".txt", ""}
    assert (bundle / "README.md").is_file(), "no model card"


def test_the_shipped_bundles_are_small_together() -> None:
    files = [path for bundle in shipped().values() for path in bundle.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 80 * MEGABYTE


def test_the_types_are_published() -> None:
    assert (ROOT / "src" / "lumiere" / "py.typed").is_file()

"""The public names, and that nothing heavy is imported before one of them is used."""

import importlib.metadata
import subprocess
import sys

import pytest

import fcmae

HEAVY = ("torch", "torchvision", "numpy", "PIL", "numba", "tyro", "rich")


def imported_after(code: str) -> set[str]:
    """Heavy packages that a fresh interpreter has imported once it has run `code`."""
    code += f"\nimport sys; print(*sorted({set(HEAVY)!r} & set(sys.modules)))"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    return set(result.stdout.split())


@pytest.mark.parametrize("name", ["create_model", "create_autoencoder", "random_mask", "pretrain"])
def test_public_functions_can_be_called_from_the_package(name: str) -> None:
    assert callable(getattr(fcmae, name))
    assert name in fcmae.__all__


def test_every_name_that_is_announced_is_there() -> None:
    assert set(fcmae.__all__) <= set(dir(fcmae))
    for name in fcmae.__all__:
        assert getattr(fcmae, name) is not None


def test_a_star_import_brings_the_public_names() -> None:
    names: dict[str, object] = {}
    exec("from fcmae import *", names)
    assert set(fcmae.__all__) <= names.keys()


def test_public_modules_come_with_the_package() -> None:
    assert fcmae.recipes.TABLE_2["A"].weight_decay == 0.3
    assert fcmae.recipes.TABLE_4.printed("base_learning_rate", "B") == 6.25e-3
    assert callable(fcmae.optim.parameter_groups)


def test_models_are_listed_by_version_and_size() -> None:
    models = fcmae.list_models()
    assert (models[0], models[8]) == ("convnext_atto", "convnext_xlarge")
    assert (models[9], models[-1]) == ("convnextv2_atto", "convnextv2_huge")


def test_an_unknown_name_is_an_attribute_error() -> None:
    assert not hasattr(fcmae, "pretrian")
    with pytest.raises(AttributeError, match="'fcmae' has no attribute 'pretrian'"):
        fcmae.pretrian  # noqa: B018


def test_the_version_is_that_of_the_installed_package() -> None:
    assert fcmae.__version__ == importlib.metadata.version("fcmae")


@pytest.mark.parametrize(
    "code",
    [
        "import fcmae; dir(fcmae); fcmae.__version__",
        "import fcmae; fcmae.list_models()",
        "import fcmae; fcmae.recipes.TABLE_1['A']",
        "from fcmae import pretrain",
    ],
)
def test_nothing_heavy_is_imported_for_names_and_facts(code: str) -> None:
    assert imported_after(code) == set()


def test_what_is_imported_would_be_seen() -> None:
    assert imported_after("import numpy") == {"numpy"}

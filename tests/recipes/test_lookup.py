import re

import pytest

from fcmae.recipes import TABLE_3, TABLE_4, TABLE_5, TABLE_6, layer_decay_kind
from fcmae.recipes.lookup import column_of, finetune_table
from fcmae.sizes import SIZES


def test_every_model_has_a_letter_but_those_that_v2_lacks() -> None:
    letters = {name: column_of(name) for name in SIZES}
    assert {name for name in SIZES if letters[name] is None} == {
        "convnext_small",
        "convnext_xlarge",
    }
    v2 = [letters[name] for name in SIZES if name.startswith("convnextv2_")]
    assert "".join(map(str, v2)) == "AFPNTBLH"


@pytest.mark.parametrize("name", ["B", "b", "base", "convnextv2_base", "convnext_base"])
def test_a_size_has_many_names(name: str) -> None:
    assert column_of(name) == "B"


def test_a_model_has_a_column_of_a_stages_tables() -> None:
    assert finetune_table("convnextv2_tiny", "1k") == (TABLE_3, "T")
    assert finetune_table("convnextv2_large", "1k") == (TABLE_4, "L")
    assert TABLE_4["L"].base_learning_rate == 6.25e-4
    assert finetune_table("convnextv2_nano", "22k") == (TABLE_5, "N")
    assert finetune_table("convnextv2_huge", "22k-to-1k") == (TABLE_6, "H")


@pytest.mark.parametrize("size", ["atto", "tiny", "large"])
def test_v1_takes_the_column_of_v2(size: str) -> None:
    v1 = finetune_table(f"convnext_{size}", "1k")
    assert v1 == finetune_table(f"convnextv2_{size}", "1k")


@pytest.mark.parametrize(
    ("model", "stage", "message"),
    [
        (
            "convnextv2_atto",
            "22k",
            "size 'convnextv2_atto' has no column at stage '22k': nano, tiny, base, large, huge "
            "have one. Take stage '1k', one of these sizes",
        ),
        (
            "convnext_small",
            "1k",
            "size 'convnext_small' has no column at stage '1k': atto, femto, pico, nano, tiny, "
            "base, large, huge have one. Take one of these sizes",
        ),
        ("convnextv2_bas", "1k", "unknown size 'convnextv2_bas': did you mean 'convnextv2_base'?"),
        ("convnext_huge", "1k", "unknown size 'convnext_huge': did you mean 'convnextv2_huge'?"),
        ("convnextv2_base", "22k-1k", "unknown stage '22k-1k': did you mean '22k-to-1k'?"),
    ],
)
def test_what_has_no_recipe_is_told_what_to_do(model: str, stage: str, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        finetune_table(model, stage)


def test_base_and_large_decay_by_group() -> None:
    kinds = {name: layer_decay_kind(name) for name in SIZES if name.startswith("convnextv2_")}
    group = {name for name, kind in kinds.items() if kind == "group"}
    assert group == {"convnextv2_base", "convnextv2_large"}
    assert set(kinds.values()) == {"layer", "group"}
    assert layer_decay_kind("convnext_small") == layer_decay_kind("convnext_xlarge") == "group"

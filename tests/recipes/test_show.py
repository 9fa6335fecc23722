import re
import subprocess
import sys

import pytest

from fcmae.optim import scaled_learning_rate
from fcmae.recipes import TABLE_2, TABLE_4
from fcmae.recipes.show import WIDTH, show_recipe


def titles(text: str) -> list[str]:
    return [line.partition(":")[0] for line in text.splitlines() if re.match(r"\w", line)]


def row(text: str, label: str) -> str:
    """What stands in a row, its source included as far as it is on the same line."""
    (value,) = re.findall(rf"^  {label}  +(.*)$", text, re.MULTILINE)
    return str(value)


def test_pretraining_is_table_1_and_what_it_leaves_out() -> None:
    text = show_recipe("pretrain")
    assert titles(text) == ["Table 1", "What Table 1 leaves out"]
    assert row(text, "training epochs") == "800 or 1600"
    assert row(text, "decoder width").split(maxsplit=1) == ["512", "channels; section 3"]
    assert "batch size / 256 = 2.4e-3\n" in text


@pytest.mark.parametrize("size", ["huge", "A", "convnext_small"])
def test_the_one_column_of_table_1_is_every_sizes(size: str) -> None:
    assert show_recipe("pretrain", size) == show_recipe("pretrain")


@pytest.mark.parametrize(
    ("stage", "tables"),
    [
        (None, ["Table 2", "Table 3", "Table 4"]),
        ("1k", ["Table 2", "Table 3", "Table 4"]),
        ("22k", ["Table 5"]),
        ("22k-to-1k", ["Table 6"]),
    ],
)
def test_a_stage_is_its_tables(stage: str | None, tables: list[str]) -> None:
    text = show_recipe("finetune", stage=stage)
    assert titles(text) == [*tables, "What Tables 2-6 leave out"]


@pytest.mark.parametrize("size", ["base", "b", "convnextv2_base", "convnext_base"])
def test_one_size_is_one_column_with_its_erratum(size: str) -> None:
    text = show_recipe("finetune", size)
    assert titles(text)[0] == "Table 4"
    assert row(text, "base learning rate") == "6.25e-3 [1]"
    assert row(text, "layer-wise lr decay") == "0.6"
    assert row(text, "layer decay kind").startswith("group ")
    assert "  [1] printed 6.25e-3, used 6.25e-4: the authors' TRAINING.md" in text
    assert "[2]" not in text
    assert "size / 256 = 2.5e-3\n" in text


def test_a_cell_in_doubt_says_so() -> None:
    text = show_recipe("finetune", "H")
    assert row(text, "base learning rate") == "1.25e-3 [1]"
    assert "  [1] printed and used 1.25e-3: in doubt" in text


def test_learning_rates_are_the_scaled_ones() -> None:
    assert "size / 256 = 2.5e-3 (B/L), 5e-3 (H)\n" in show_recipe("finetune")
    for size, rate in (("B", 2.5e-3), ("H", 5e-3)):
        recipe = TABLE_4[size]
        assert scaled_learning_rate(recipe.base_learning_rate, recipe.batch_size) == rate
    assert "size / 256 = 8e-4\n" in show_recipe("finetune", "pico")
    assert scaled_learning_rate(TABLE_2["P"].base_learning_rate, TABLE_2["P"].batch_size) == 8e-4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("pretrian",), "unknown recipe 'pretrian': did you mean 'pretrain'"),
        (("pretrain", None, "22k"), "stage '22k': only finetune has stages"),
        (("pretrain", "hug"), "unknown size 'hug': did you mean 'huge'"),
        (("finetune", "convnext_xlarge"), "size 'convnext_xlarge' has no column at stage '1k'"),
        (("finetune", "atto", "22k"), "nano, tiny, base, large, huge have one. Take stage '1k'"),
        (("finetune", "", "1k"), "unknown size ''"),
        (("finetune", None, ""), "unknown stage ''"),
    ],
)
def test_bad_words_are_answered_in_words(arguments: tuple[str, ...], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        show_recipe(*arguments)


@pytest.mark.parametrize("stage", ["1k", "22k", "22k-to-1k"])
def test_it_fits_a_terminal_but_for_titles(stage: str) -> None:
    lines = show_recipe("finetune", stage=stage).splitlines()
    assert max(len(line) for line in lines if line.startswith(" ")) <= WIDTH
    assert all(line == line.rstrip() for line in lines)


def test_it_needs_no_torch() -> None:
    code = (
        "import sys; from fcmae.recipes.show import show_recipe; show_recipe('finetune'); "
        "assert not {'torch', 'numpy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)

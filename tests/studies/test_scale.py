from dataclasses import replace

import pytest

from fcmae.recipes import MOCO_V3, TABLE_1
from fcmae.studies.scale import PAPER, SMALL, scale_of


def test_the_papers_scale_is_the_appendix() -> None:
    assert PAPER.pretraining_epochs in TABLE_1["B"].training_epochs
    pretraining = PAPER.pretraining("convnextv2_base", mask_ratio=0.3)
    assert pretraining == {
        "model": "convnextv2_base", "epochs": 800, "batch_size": 4096, "image_size": 224,
        "stem_stride": 4, "mask_ratio": 0.3, "set": (),
    }  # fmt: skip
    assert PAPER.finetuning() == {"label_share": 1.0, "set": ()}  # the table of each size
    assert PAPER.contrastive("convnextv2_base") == {
        "method": "moco-v3", "model": "convnextv2_base", "epochs": MOCO_V3.training_epochs,
        "batch_size": MOCO_V3.batch_size, "image_size": 224, "stem_stride": 4, "set": (),
    }  # fmt: skip
    assert PAPER.supervised("convnext_base")["set"] == (
        "base_learning_rate=0.00025", "drop_path=0.5", "warmup_epochs=20",
    )  # fmt: skip


def test_smaller_sizes_have_their_tables_drop_path_and_small_has_no_other() -> None:
    for options in (PAPER.supervised("convnext_atto"), SMALL.supervised("convnext_base")):
        assert not any(assignment.startswith("drop_path") for assignment in options["set"])


def test_two_studies_have_the_papers_longer_pretraining() -> None:
    assert scale_of("paper", long=True).pretraining_epochs == max(TABLE_1["B"].training_epochs)
    assert scale_of("small", long=True) == SMALL


def test_what_stands_in_grns_place_is_part_of_pretraining_alone() -> None:
    assert "response=layer" in SMALL.pretraining("convnextv2_atto", response="layer")["set"]
    usual = SMALL.pretraining("convnext_atto")["set"]
    assert not any(assignment.startswith("response") for assignment in usual)
    assert SMALL.pretraining("convnext_atto")["mask_ratio"] == 0.6
    assert "model" not in SMALL.finetuning()


def test_no_digit_of_a_number_is_lost() -> None:
    scale = replace(
        SMALL,
        pretraining_base_learning_rate=0.00123456789,
        supervised_base_learning_rate=1e-7 / 3,
        supervised_warmup_epochs=12.3456789,
    )
    (rate,) = scale.pretraining("convnextv2_atto")["set"]
    assert rate == "base_learning_rate=0.00123456789"
    rate, warmup = scale.supervised("convnextv2_atto")["set"]
    assert float(rate.partition("=")[2]) == 1e-7 / 3
    assert warmup == "warmup_epochs=12.3456789"


def test_an_unknown_scale_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown scale 'smal': did you mean 'small'"):
        scale_of("smal")

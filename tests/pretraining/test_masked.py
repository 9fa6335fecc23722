"""What a masked pre-training will be, from what was asked for and what the paper says."""

import json
from collections.abc import Callable
from typing import Any

import plans
import pytest
from plans import pretraining_plan

from fcmae.pretraining.masked import METHOD, MaskedPlan
from fcmae.recipes import PRETRAINING, TABLE_1
from fcmae.training.plan import default_batch_size
from fcmae.training.recipe import Departure

# What `fcmae pretrain` asks for on the paper's data when no option is given.
PAPER: dict[str, Any] = {**plans.PAPER, "patch_size": None, "mask_ratio": 0.6, "epochs": 800}


AS_PUBLISHED = "decay_exempt=paper-code"  # the one field that is our own unless asked for


def plan(**options: Any) -> MaskedPlan:
    found = pretraining_plan(**{**PAPER, **options})
    assert isinstance(found, MaskedPlan)
    return found


def published(*assignments: str, **options: Any) -> MaskedPlan:
    """A plan that decays what the authors' code decays: one departure less."""
    return plan(assignments=(AS_PUBLISHED, *assignments), **options)


# The paper's own run


@pytest.mark.parametrize("epochs", [800, 1600])
def test_the_papers_run_departs_in_nothing(epochs: int) -> None:
    settled = plan(epochs=epochs, assignments=(AS_PUBLISHED,))
    assert settled.departures == ()
    assert settled.batch_size == 4096
    assert settled.learning_rate == pytest.approx(1.5e-4 * 4096 / 256)
    assert (settled.patches, settled.visible_patches) == (49, 19)
    assert settled.real_mask_ratio == pytest.approx(30 / 49)
    assert settled.patch_size == 32
    assert settled.steps_per_epoch == 312
    assert settled.steps == 312 * epochs
    assert settled.warmup_steps == 312 * 40


def test_the_recipe_is_table_1_and_what_it_leaves_out() -> None:
    recipe, table = METHOD.recipe.fitted(800, 3), TABLE_1["A"]
    assert recipe.base_learning_rate == table.base_learning_rate == 1.5e-4
    assert recipe.weight_decay == table.weight_decay == 0.05
    assert recipe.optimizer_momentum == table.optimizer_momentum == (0.9, 0.95)
    assert recipe.warmup_epochs == table.warmup_epochs == 40
    assert recipe.decoder_width == PRETRAINING.decoder_width == 512


# Departures


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"batch_size": 4096}, []),
        ({"batch_size": 1024}, [("batch_size", 4096, 1024)]),
        ({"image_size": (160, 96)}, [("image_size", (224, 224), (160, 96))]),
        ({"mask_ratio": 0.75}, [("mask_ratio", 0.6, 0.75)]),
        ({"patch_size": 32}, []),
        ({"patch_size": 64, "image_size": (256, 192)},
         [("image_size", (224, 224), (256, 192)), ("mask_size", 32, 64)]),
        ({"stem_stride": 2}, [("mask_size", 32, 16), ("stem_stride", 4, 2)]),
        ({"assignments": ("weight_decay=0.05",)}, []),
        ({"assignments": ("weight_decay=0.1",)}, [("weight_decay", 0.05, 0.1)]),
        ({"assignments": ("warmup_epochs=0",)}, [("warmup_epochs", 40.0, 0.0)]),
        ({"assignments": ("norm_pix=false", "decoder_depth=2")},
         [("norm_pix", True, False), ("decoder_depth", 1, 2)]),
        ({"precision": "bf16"}, [("precision", "fp32", "bf16")]),
        ({"std": (0.2, 0.2, 0.2)}, [("statistics", "imagenet", "data")]),
        ({"in_channels": 1, "mean": (0.5,), "std": (0.2,)},
         [("in_channels", 3, 1), ("statistics", "imagenet", "data")]),
        # What neither the table nor the authors' code speaks of is no departure from it.
        ({"model": "convnext_base", "seed": 7}, []),
    ],
)  # fmt: skip
def test_what_was_asked_for_otherwise_is_a_departure_and_nothing_else(
    options: dict[str, Any], expected: list[tuple[str, object, object]]
) -> None:
    assignments = options.pop("assignments", ())
    departures = published(*assignments, **options, given=options).departures
    assert [(d.field, d.table, d.run) for d in departures] == expected
    assert {d.because for d in departures} <= {"asked for"}


def test_a_shorter_run_warms_up_for_the_same_share_and_says_so() -> None:
    settled = published(epochs=100)
    assert settled.departures == (
        Departure("training_epochs", (800, 1600), 100, "asked for"),
        Departure("warmup_epochs", 40.0, 5.0, "the same share of the epochs"),
    )
    assert settled.warmup_steps == 5 * 312


def test_a_warm_up_that_was_asked_for_is_called_so() -> None:
    departures = published("warmup_epochs=7", epochs=100).departures
    assert departures[1] == Departure("warmup_epochs", 40.0, 7.0, "asked for")


def test_a_longer_run_warms_up_as_the_paper_does() -> None:
    assert [d.field for d in published(epochs=4000).departures] == ["training_epochs"]


def test_a_batch_size_that_few_images_ask_for_gives_its_reason() -> None:
    (departure,) = published(images=1000).departures
    assert departure == Departure("batch_size", 4096, 16, "1000 images: 62 steps an epoch")
    (departure,) = published(images=1000, batch_size=16, given={"batch_size"}).departures
    assert departure.because == "asked for"


def test_what_is_our_own_choice_says_why() -> None:
    (departure,) = plan().departures
    assert departure == Departure(
        "decay_exempt", "paper-code", "fixed", METHOD.because["decay_exempt"]
    )
    (departure,) = published(precision="bf16").departures
    assert departure.because == "the hardware has it, and is faster"


@pytest.mark.parametrize("seed", [-1, 1 << 63])
def test_a_seed_that_no_generator_takes_is_refused(seed: int) -> None:
    with pytest.raises(ValueError, match=f"seed {seed}"):
        plan(seed=seed)


# The batch size


@pytest.mark.parametrize(
    ("images", "size"),
    [(1, 1), (13, 13), (16, 16), (500, 16), (1023, 16), (1024, 32), (2047, 32), (2048, 64),
     (50_000, 1024), (131_071, 2048), (131_072, 4096), (14_000_000, 4096)],
)  # fmt: skip
def test_the_batch_is_the_largest_power_of_two_that_leaves_32_steps(images: int, size: int) -> None:
    assert default_batch_size(images, 4096) == size
    assert plan(images=images).batch_size == size


def test_a_single_image_is_a_run() -> None:
    settled = plan(images=1, epochs=3)
    assert (settled.steps_per_epoch, settled.steps) == (1, 3)
    assert settled.log_every == 1


def test_images_left_over_are_not_counted_as_a_step() -> None:
    assert plan(images=31, batch_size=8).steps_per_epoch == 3


@pytest.mark.parametrize("batch_size", [0, -4])
def test_a_batch_of_nothing_is_refused(batch_size: int) -> None:
    with pytest.raises(ValueError, match=f"batch size {batch_size}: at least 1"):
        plan(batch_size=batch_size)


def test_a_batch_larger_than_the_data_is_refused_with_one_that_fits() -> None:
    with pytest.raises(
        ValueError, match=r"batch size 2048 .* 1024 images .* in /data.*lower it, to 32"
    ):
        plan(images=1024, batch_size=2048)


# The learning rate


@pytest.mark.parametrize("batch_size", [1, 64, 256, 4096])
def test_the_learning_rate_grows_with_the_batch(batch_size: int) -> None:
    settled = plan(batch_size=batch_size, assignments=("base_learning_rate=0.01",))
    assert settled.learning_rate == pytest.approx(0.01 * batch_size / 256)


def test_a_warm_up_of_part_of_an_epoch_is_rounded_to_steps() -> None:
    settled = plan(images=31, batch_size=8, assignments=("warmup_epochs=0.5",))
    assert settled.warmup_steps == 2  # of 1.5


@pytest.mark.parametrize(("epochs", "warmup"), [(3, 3), (3, 0), (1, 1)])
def test_a_warm_up_may_last_the_whole_run(epochs: int, warmup: int) -> None:
    settled = plan(epochs=epochs, assignments=(f"warmup_epochs={warmup}",))
    assert settled.warmup_steps == warmup * settled.steps_per_epoch


@pytest.mark.parametrize(
    ("images", "lines"), [(16, 1), (16 * 39, 1), (16 * 40, 2), (16 * 60, 3), (16 * 100_000, 100)]
)
def test_the_metrics_have_about_twenty_lines_an_epoch(images: int, lines: int) -> None:
    assert plan(images=images, batch_size=16).log_every == lines


# Sizes and masks


@pytest.mark.parametrize(
    ("image_size", "patch_size", "said"),
    [
        ((225, 224), None, "225x224: 225 is not a multiple of the patch size 32.*224 or 256"),
        ((224, 100), None, "100 is not a multiple.*96 or 128"),
        ((31, 224), None, "31 is not a multiple.*nearest: 32$"),
        ((0, 224), None, "nearest: 32$"),
        ((224, 0), None, "0 is not a multiple"),
        ((224, 224), 64, "the patch size 64; the nearest: 192 or 256"),
    ],
)
def test_an_image_size_that_patches_do_not_fill_is_refused_with_the_nearest(
    image_size: tuple[int, int], patch_size: int | None, said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        plan(image_size=image_size, patch_size=patch_size)


def test_images_need_not_be_square() -> None:
    settled = plan(image_size=(64, 160))
    assert settled.patches == 2 * 5
    assert settled.visible_patches == 4


@pytest.mark.parametrize(("stem_stride", "patch_size"), [(1, 8), (2, 16), (4, 32)])
def test_patches_are_by_default_as_large_as_a_cell(stem_stride: int, patch_size: int) -> None:
    settled = plan(stem_stride=stem_stride)
    assert settled.patch_size == patch_size
    assert settled.patches == (224 // patch_size) ** 2


@pytest.mark.parametrize(
    ("stem_stride", "patch_size", "said"),
    [
        (4, 0, "patch_size 0 .*try 32 or 64"),
        (4, -32, "patch_size -32"),
        (4, 16, "patch_size 16 .*total stride 32.*try 32 or 64"),
        (2, 24, "patch_size 24 .*total stride 16.*try 16 or 32"),
        (3, None, "stem_stride 3 is not supported: 4, or 1 or 2"),
        (0, None, "stem_stride 0"),
    ],
)
def test_a_patch_that_is_no_number_of_cells_is_refused(
    stem_stride: int, patch_size: int | None, said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        plan(stem_stride=stem_stride, patch_size=patch_size, image_size=(96, 48))


@pytest.mark.parametrize(
    ("ratio", "said"),
    [
        (0.0, "not between 0 and 1"),
        (1.0, "not between 0 and 1"),
        (-0.5, "not between 0 and 1"),
        (float("nan"), "not between 0 and 1"),
        (0.9, "leaves none of the 6 patches visible: lower it"),
    ],
)
def test_a_mask_of_nothing_or_everything_is_refused(ratio: float, said: str) -> None:
    with pytest.raises(ValueError, match=f"mask ratio {ratio}.*{said}"):
        plan(mask_ratio=ratio, image_size=(64, 96))


def test_an_image_of_a_single_patch_cannot_be_masked() -> None:
    with pytest.raises(
        ValueError, match=r"none of the 1 patches.*larger images or smaller patches"
    ):
        plan(image_size=(32, 32))


# The recipe


@pytest.mark.parametrize("epochs", [0, -1])
def test_a_run_of_no_epochs_is_refused(epochs: int) -> None:
    with pytest.raises(ValueError, match=f"epochs {epochs}: at least 1"):
        plan(epochs=epochs)


@pytest.mark.parametrize(
    ("assignment", "said"),
    [
        ("warmup_epochs=4", "from 0 to the 3 epochs"),
        ("warmup_epochs=-1", "from 0 to the 3 epochs"),
        ("base_learning_rate=0", "more than 0"),
        ("base_learning_rate=-1e-4", "more than 0"),
        ("weight_decay=-0.1", "0 or more"),
        ("optimizer_momentum=(0.9, 1.0)", "two numbers from 0 to below 1"),
        ("optimizer_momentum=(-0.1, 0.9)", "two numbers from 0 to below 1"),
        ("minimum_learning_rate=-1", "0 or more"),
        ("decay_exempt=norms", "fixed or paper-code"),
        ("decoder_width=0", "1 or more"),
        ("decoder_depth=0", "1 or more"),
        ("crop_scale=(0.0, 1.0)", "growing order"),
        ("crop_scale=(0.9, 0.2)", "growing order"),
        ("crop_scale=(0.2, 1.1)", "growing order"),
        ("horizontal_flip=1.5", "a probability"),
        ("weight_decy=1", "did you mean 'weight_decay'"),
    ],
)
def test_a_recipe_that_cannot_be_run_is_refused(assignment: str, said: str) -> None:
    field = assignment.partition("=")[0]
    with pytest.raises(ValueError, match=f"{field}.*{said}"):
        plan(epochs=3, assignments=(assignment,))


# What is stored


def test_a_plan_survives_its_file() -> None:
    stored = json.loads(json.dumps(plan(epochs=3).as_dict()))
    assert stored["recipe"]["crop_scale"] == [0.2, 1.0]
    assert stored["departures"][0] == {
        "field": "training_epochs",
        "table": [800, 1600],
        "run": 3,
        "because": "asked for",
    }


@pytest.mark.parametrize(
    "change",
    [
        lambda names: [*names, "c.png"],
        lambda names: names[::-1],
        lambda names: [names[0], "B.png"],
    ],
)
def test_other_names_or_another_order_are_another_plan(
    change: Callable[[list[str]], list[str]],
) -> None:
    assert plan(names=change(PAPER["names"])).names != plan().names
    assert plan(names=list(PAPER["names"])) == plan()

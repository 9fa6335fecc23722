import json
from pathlib import Path
from xml.etree import ElementTree

import pytest
from report.page import Page

from fcmae.pretraining.page import diversity_chart, key_figures, loss_chart, page, read_diversity
from fcmae.report import write_report
from fcmae.report.charts import Chart
from fcmae.report.inline import Drawing, draw_inline
from fcmae.report.run import Run, read_run


def drawn(chart: Chart | None) -> Drawing:
    assert chart is not None
    return draw_inline(chart)


def diversity(run: Run) -> Drawing:
    return drawn(diversity_chart(read_diversity(run)))


def texts(svg: str) -> list[str | None]:
    return [text.text for text in ElementTree.fromstring(svg).iter("text")]


def step(number: int, loss: float | None) -> dict[str, object]:
    return {"kind": "step", "step": number, "epoch": number / 2, "loss": loss}


def look(distance: float, epoch: int = 2) -> dict[str, object]:
    blocks = [
        {"block": "stages.0.0", "distance": 0.5},
        {"block": "stages.3.0", "distance": distance},
    ]
    return {"kind": "look", "epoch": epoch, "step": 4, "diversity": blocks}


def test_a_finished_run_in_words(full_run: Path) -> None:
    assert (
        "Loss fell from 1.020 to 0.803 over 2 epochs (4 steps). "
        "The last block’s diversity is 0.38: no sign of collapse."
    ) in page(read_run(full_run))


def test_a_run_under_way_says_how_far_it_is(make_run) -> None:
    run = read_run(make_run([step(1, 1.0), step(2, 0.9)], config={"steps": 300}))
    assert "Step 2 of 300 (0 %). Loss fell from 1.000 to 0.950 so far" in page(run)


def test_before_training_diversity_is_not_judged(make_run) -> None:
    text = page(read_run(make_run([look(0.01, epoch=0)])))
    assert "Step 0 of 4 (0 %). No step is logged yet." in text
    assert "collapsed" not in text


@pytest.mark.parametrize(
    ("distance", "word"),
    [(0.01, "have collapsed"), (0.1, "becoming alike"), (0.4, "no sign of collapse")],
)
def test_collapse_is_called_so(make_run, distance: float, word: str) -> None:
    run = read_run(make_run([step(1, 1.0), step(4, 0.8), look(distance)]))
    assert word in page(run)


def test_key_figures_of_a_full_run(full_run: Path) -> None:
    figures = {figure.name: figure.value for figure in key_figures(read_run(full_run))}
    assert figures == {
        "Loss": "0.803",
        "Epochs": "2",
        "Images": "4,000",
        "Time": "5 s",
        "Images a second": "52",
        "Waiting for images": "4 %",
    }


def test_the_loss_is_explained_as_it_was_computed(make_run) -> None:
    assert "deviation 1" in page(read_run(make_run()))
    plain = page(read_run(make_run(config={"recipe": {"norm_pix": False}})))
    assert "deviation" not in plain
    assert "contrast" not in plain


def test_a_contrastive_loss_is_explained_with_that_of_guesses(make_run) -> None:
    config = {"method": "moco-v3", "chance": 3.3271, "batch_size": 64}
    text = page(read_run(make_run(config=config)))
    assert "Guesses score 3.327 in a batch of 64, and more in a larger batch" in text
    unsaid = page(read_run(make_run(config={"method": "moco-v3"})))
    assert "Guesses score more in a larger batch" in unsaid


def test_the_learning_rate_stands_under_the_loss(full_run: Path) -> None:
    words = texts(drawn(loss_chart(read_run(full_run))).wide)
    assert words.index("Loss") < words.index("Learning rate") < words.index("step")


def test_stages_are_named_and_divided(full_run: Path) -> None:
    chart = diversity(read_run(full_run))
    words = texts(chart.wide)
    assert {"stage 1", "stage 2", "stage 3", "stage 4", "epoch 0", "epoch 2"} <= set(words)
    assert "epoch 1" not in words  # between first and last: faint, unnamed
    tips = [title.text for title in ElementTree.fromstring(chart.wide).iter("title")]
    assert tips[-1] == "stages.3.0: 0.38"


def test_a_single_look_is_drawn_once(make_run) -> None:
    blocks = [{"block": f"stages.{i}.0", "distance": 0.4} for i in range(4)]
    run = read_run(make_run([{"kind": "look", "epoch": 1, "step": 2, "diversity": blocks}]))
    assert len(ElementTree.fromstring(diversity(run).wide).findall("polyline")) == 1


def test_blocks_of_any_name_are_drawn(make_run) -> None:
    blocks = [{"block": "<b>", "distance": 0.4}, {"block": "a.x.c", "distance": None}]
    run = read_run(make_run([{"kind": "look", "epoch": 1, "step": 2, "diversity": blocks}]))
    svg = ElementTree.fromstring(diversity(run).wide)
    assert [title.text for title in svg.iter("title")] == ["<b>: 0.40"]


def test_a_contrastive_run_has_no_pictures_and_shows_what_guesses_score(full_run: Path) -> None:
    config = json.loads((full_run / "config.json").read_text())
    of_moco = {"method": "moco-v3", "table": "MoCo v3's recipe", "chance": 1.3}
    (full_run / "config.json").write_text(json.dumps(config | of_moco))
    path = write_report(full_run)
    page = Page(path)
    assert {"loss", "diversity", "throughput", "departures"} <= page.ids()
    assert "reconstructions" not in page.ids()
    assert not any(tag == "img" for tag, _ in page.tags)
    assert "Contrastive pre-training, MoCo v3" in page.text
    assert "guesses" in page.text
    assert "differs from MoCo v3's recipe. Few" in page.text


def test_small_pictures_are_enlarged_without_blur(full_run: Path) -> None:
    def classes() -> str:
        found = (
            attributes.get("class") or "" for _, attributes in Page(write_report(full_run)).tags
        )
        return next(name for name in found if name.startswith("strips"))

    assert "pixelated" in classes()
    config = json.loads((full_run / "config.json").read_text())
    (full_run / "config.json").write_text(json.dumps({**config, "image_size": [224, 160]}))
    assert "pixelated" not in classes()


def test_distances_that_are_all_unknown_are_no_error(make_run) -> None:
    blocks = [{"block": f"stages.{i}.0", "distance": None} for i in range(4)]
    run = read_run(make_run([{"kind": "look", "epoch": 1, "step": 2, "diversity": blocks}]))
    assert "nan" not in diversity(run).wide
    assert "block’s diversity" not in page(run)

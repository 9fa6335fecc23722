"""CONTRIBUTING's steps: a toy of each kind is added by them, and every name in them is there."""

import ast
import importlib
import io
import json
import re
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, BinaryIO

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor, nn

import fcmae
from fcmae import cli, report
from fcmae.commands.command import Options, command
from fcmae.images import EncodedSet, ImageSet, open_images
from fcmae.models.encoder import Encoder
from fcmae.models.masks import random_mask
from fcmae.ops import kernels
from fcmae.ops.depthwise_conv import reference
from fcmae.ops.tiles import Tiles
from fcmae.pretraining import methods
from fcmae.report.charts import Panel
from fcmae.sizes import size_of
from fcmae.studies import runner
from fcmae.studies.claims import above
from fcmae.studies.results import Results, series
from fcmae.studies.scale import SUPERVISED
from fcmae.studies.study import ACCURACY, ComparisonOptions, Setting, Study

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "src" / "fcmae"
STEPS = (ROOT / "CONTRIBUTING.md").read_text().partition("## How to add")[2].partition("\n## ")[0]


def module(monkeypatch: pytest.MonkeyPatch, **contents: Any) -> None:
    """Let a module "toy" be there, as if it were a file."""
    own: Any = SimpleNamespace(**contents)
    monkeypatch.setitem(sys.modules, "toy", own)


# What the steps name


def paths_in(text: str) -> list[str]:
    """Files in backticks, but for those that are still to be written."""
    named = re.findall(r"`([\w/.-]+\.(?:py|md|toml|html))`", text)
    return [path for path in named if "NAME" not in path]


def file_of(path: str) -> Path:
    return (PACKAGE if (PACKAGE / path).exists() else ROOT) / path


def test_every_file_of_the_steps_is_there() -> None:
    assert len(paths_in(STEPS)) > 30
    for path in paths_in(STEPS):
        assert file_of(path).is_file(), path


@pytest.mark.parametrize("step", re.split(r"\n(?=\d\. |\n)", STEPS))
def test_a_step_names_what_is_in_its_files(step: str) -> None:
    text = "\n".join(file_of(path).read_text() for path in paths_in(step))
    for name in re.findall(r"`([A-Za-z_]+)`", step):
        if text and "NAME" not in name:
            is_folder = any((folder / name).is_dir() for folder in (PACKAGE, ROOT))
            assert is_folder or re.search(rf"\b{name}\b", text), name


# What has a row in a table


def modules_with(room: str, name: str) -> set[str]:
    """The modules of a room that have something of this name at their top."""
    found = set()
    for path in (PACKAGE / room).rglob("*.py"):
        for node in ast.parse(path.read_text()).body:
            targets = node.targets if isinstance(node, ast.Assign) else []
            if name in [one.id for one in targets if isinstance(one, ast.Name)]:
                parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
                found.add(".".join(parts).removesuffix(".__init__"))
    return found


def test_every_method_has_a_row() -> None:
    assert set(methods.METHODS.values()) == modules_with("pretraining", "METHOD")


def test_every_study_has_a_row() -> None:
    rows = {row.module for name, row in cli.COMMANDS.items() if name.startswith("study")}
    assert modules_with("studies", "STUDY") <= rows


def test_every_page_has_a_row() -> None:
    pages = {
        f"fcmae.{path.parent.name}.page"
        for path in PACKAGE.glob("*/page.py")
        if re.search(r"^def page\(run: Run\)", path.read_text(), re.MULTILINE)
    }
    assert {home.partition(":")[0] for home in report.PAGES.values()} == pages


def made_commands() -> dict[tuple[str, str], tuple[str, str, str]]:
    """Every `name = command(Options, "module:function", ...)`: its module and name, and these."""
    made = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        here = ".".join(parts).removesuffix(".__init__")
        for name, options, home, function in re.findall(
            r'^(\w+) = command\(\s*(\w+), "([\w.]+):(\w+)"', path.read_text(), re.MULTILINE
        ):
            made[here, name] = (options, home, function)
    return made


def test_every_command_has_a_row_and_a_function_that_takes_its_options() -> None:
    made = made_commands()
    assert made.keys() == {(row.module, row.function) for row in cli.COMMANDS.values()}
    for (module, _), (options, home, function) in made.items():
        takes = list(getattr(importlib.import_module(home), function).__annotations__.values())
        assert takes[0] is getattr(importlib.import_module(module), options), (home, function)


# A source of images: a zip file


class ZipSource:
    """The files of a zip."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with zipfile.ZipFile(path) as archive:
            self.names = sorted(name for name in archive.namelist() if not name.endswith("/"))

    def __len__(self) -> int:
        return len(self.names)

    def name(self, index: int) -> str:
        return self.names[index]

    def location(self, index: int) -> str:
        return f"{self.path}/{self.names[index]}"

    def open(self, index: int) -> BinaryIO:
        with zipfile.ZipFile(self.path) as archive:
            return io.BytesIO(archive.read(self.names[index]))


def open_zips_too(data: str | Path, **options: Any) -> ImageSet[object]:
    if str(data).endswith(".zip"):
        return EncodedSet(ZipSource(Path(data)))
    return open_images(data, **options)


def test_a_source_is_a_class_that_open_images_recognises(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with zipfile.ZipFile(tmp_path / "images.zip", "w") as archive:
        for path in sorted(folder.rglob("*.png")):
            archive.write(path, path.relative_to(folder))
    monkeypatch.setattr("fcmae.pretraining.run.open_images", open_zips_too)
    weights = []
    for data in (folder, tmp_path / "images.zip"):
        out = fcmae.pretrain(
            data=data, out=tmp_path / f"{data.stem}-run", epochs=1, batch_size=8, image_size=16,
            stem_stride=1, workers=0, device="cpu", statistics="imagenet",
        )  # fmt: skip
        weights.append(load_file(out / "weights.safetensors"))
    for name, value in weights[0].items():
        assert torch.equal(weights[1][name], value)


# An implementation of an operator: by shifted copies


class Shifted:
    """The convolution as a sum over its taps, with gradients by autograd."""

    calls = 0

    def depthwise_conv(
        self, x: Tensor, weight: Tensor, bias: Tensor, sites: Tiles | None, /
    ) -> Tensor:
        Shifted.calls += 1
        dense = x if sites is None else sites.unpack(x)  # [B, H, W, C]
        reach, (_, height, width, _) = weight.shape[2] // 2, dense.shape
        padded = nn.functional.pad(dense, (0, 0, reach, reach, reach, reach))
        total = bias.expand_as(dense)
        for row in range(2 * reach + 1):
            for column in range(2 * reach + 1):
                tap = weight[:, 0, row, column]
                total = total + tap * padded[:, row : row + height, column : column + width]
        return total if sites is None else sites.pack(total)


@pytest.mark.parametrize("visible", [True, False])
def test_an_implementation_is_a_file_that_kernels_choose(
    visible: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = Encoder("convnextv2_atto", in_channels=2, stem_stride=1).double()
    images = torch.randn(2, 2, 24, 16, dtype=torch.float64)
    mask = random_mask(2, (3, 2), 0.5) if visible else None

    def features() -> list[Tensor]:
        out = encoder(images, mask)
        return [out.detach(), *torch.autograd.grad(out.square().sum(), list(encoder.parameters()))]

    expected = features()
    monkeypatch.setattr(kernels, "_convolution", lambda device: Shifted())
    monkeypatch.setattr(Shifted, "calls", 0)
    for one, other in zip(features(), expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12 * float(other.abs().max()))
    assert Shifted.calls == sum(size_of(encoder.model).depths)
    x, weight, bias = (torch.randn(shape).double() for shape in ((1, 4, 6, 3), (3, 1, 3, 3), (3,)))
    torch.testing.assert_close(
        Shifted().depthwise_conv(x, weight, bias, None),
        reference.depthwise_conv(x, weight, bias, None),
    )


# A study: of two families


@dataclass(frozen=True, kw_only=True)
class Families(ComparisonOptions):
    """Train V1 and V2 from scratch.

    Args:
        scale: small or paper.
    """

    out: str | Path = Path("runs/study-families")


def panels(results: Results) -> list[Panel]:
    """Accuracies."""
    values = results.by_name()
    return [Panel("accuracy (%)", "family", tuple(values), (series("here", values.values()),))]


FAMILIES = Study(
    name="families",
    kind="A toy",
    title="Families",
    subject="Nothing",
    parts=(SUPERVISED,),
    paper="The paper did no such thing.",
    claims=lambda results: [above(results.by_seed(), "convnextv2", "convnext")],
    panels=panels,
    alternative="accuracies by family, as in the table",
    reading=("A row a family.",),
    columns=(("family", lambda _, label: label), ACCURACY),
)


def run_families(options: Families) -> list[dict[str, Any]]:
    """Hand the settings on."""

    def settings(scale: Any) -> dict[str, Setting]:
        models = {family: f"{family}_{scale.size}" for family in ("convnext", "convnextv2")}
        return {
            family: Setting(model, None, scale.supervised(model))
            for family, model in models.items()
        }

    return runner.run(FAMILIES, options, settings)


def test_a_study_is_a_file_and_a_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for split in ("train", "val"):
        for number, name in enumerate(("green", "red")):
            (tmp_path / "data" / split / name).mkdir(parents=True)
            for i in range(3):
                colour = (200 * number, 200 - 200 * number, 40 * i)
                picture = Image.new("RGB", (18 + i, 20), colour)
                picture.save(tmp_path / "data" / split / name / f"{i}.png")
    families = command(Families, "toy:run_families", list)
    module(monkeypatch, families=families, run_families=run_families)
    monkeypatch.setitem(cli.COMMANDS, "study families", cli.Command("toy", "families"))
    scale = "image_size=16 num_images=0 num_val_images=0 supervised_epochs=1 label_share=1"
    scale += " supervised_batch_size=2"
    words = f"study families --data {tmp_path}/data --out {tmp_path}/out --seeds 0 --device cpu"
    assert cli.main(f"{words} --workers 0 --set {scale}".split()) == 0
    rows = json.loads((tmp_path / "out" / "results.json").read_text())["rows"]
    assert [(row["name"], row["seed"]) for row in rows] == [("convnext", 0), ("convnextv2", 0)]
    assert all(0 <= row["accuracy"] <= 1 for row in rows)
    page = (tmp_path / "out" / "page.html").read_text()
    assert "The paper did no such thing." in page
    assert "convnextv2" in page


# A command and its options


@dataclass(frozen=True, kw_only=True)
class Greet(Options):
    """Greet somebody.

    Args:
        name: of whom.
        times: so often.
    """

    name: str
    times: int = 1


def run_greet(options: Greet) -> None:
    """Print it."""
    print(" ".join([f"hello {options.name}"] * options.times))  # noqa: T201


def test_a_command_is_options_a_function_and_a_row(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    module(monkeypatch, greet=command(Greet, "toy:run_greet"), run_greet=run_greet)
    monkeypatch.setitem(cli.COMMANDS, "greet", cli.Command("toy", "greet", ("name",)))
    assert cli.main(["greet", "tile", "--times", "2"]) == 0
    assert capsys.readouterr().out == "hello tile hello tile\n"
    with pytest.raises(SystemExit):
        cli.main(["greet", "--help"])
    assert "so often" in capsys.readouterr().out

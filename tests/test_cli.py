"""The command line: exit codes, help, and words for what cannot be done."""

import inspect
import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest

import fcmae
from fcmae.cli import COMMANDS, main
from fcmae.commands import benchmark
from fcmae.commands import pretrain as pretrain_module
from fcmae.commands.doctor import Doctor, doctor
from fcmae.commands.pretrain import Pretrain
from fcmae.commands.probe import probe
from fcmae.sizes import SIZES
from fcmae.training.signals import Interrupted


def code_of(words: str) -> int:
    """The exit code of a command, however it leaves."""
    try:
        return main(words.split())
    except SystemExit as leaving:
        return int(str(leaving.code))  # a text would be a message, not a code


# Help


@pytest.mark.parametrize(
    "words",
    ["--help", "-h", "pretrain --help", "doctor --help", "benchmark --help", "models --help",
     "benchmark pretraining --help", "recipe --help", "recipe show --help", "finetune --help",
     "evaluate --help", "predict --help", "embed --help", "probe --help", "convert --help",
     "benchmark inference --help", "benchmark operators --help", "study --help",
     "study sparse-efficiency --help", "study mask-ratio --help", "study reconstruction --help"],
)  # fmt: skip
def test_help_is_on_the_output_and_no_error(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert code_of(words) == 0
    assert "fcmae" in capsys.readouterr().out


def test_the_first_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--help"])
    words = capsys.readouterr().out
    for command in COMMANDS:
        assert f"fcmae {command}" in words


@pytest.mark.parametrize(
    ("command", "function"),
    [
        ("pretrain", fcmae.pretrain),
        ("finetune", fcmae.finetune),
        ("evaluate", fcmae.evaluate),
        ("embed", fcmae.embed),
        ("probe", probe),
        ("doctor", doctor),
        ("benchmark pretraining", benchmark.pretraining),
        ("benchmark inference", benchmark.inference),
        ("benchmark operators", benchmark.operators),
        ("study sparse-efficiency", benchmark.sparse_efficiency),
    ],
)
def test_help_explains_every_option(
    command: str, function: Callable[..., object], capsys: pytest.CaptureFixture[str]
) -> None:
    assert code_of(f"{command} --help") == 0
    out = capsys.readouterr().out
    lines = [line.strip("│ ") for line in out.splitlines()]
    options = [name.replace("_", "-") for name in inspect.signature(function).parameters]
    assert len(options) > 3
    for option in options:
        start = next(i for i, line in enumerate(lines) if line.split()[:1] == [f"--{option}"])
        explained = next(
            (i for i, line in enumerate(lines[start + 1 :], start + 1) if line.startswith("--")),
            len(lines),
        )
        # Beside the option's name and type, some words of its own.
        assert len(" ".join(lines[start:explained]).split()) > 4, option


WORDS = (
    "--help",
    "--version",
    "models",
    "pretrain --help",
    "doctor --help",
    "pretrain --epohcs 3",
    "finetune --help",
    "evaluate --help",
    "predict --help",
    "embed --help",
    "probe --help",
    "convert --help",
    "recipe show pretrain",
    "benchmark pretraining --help",
    "benchmark inference --help",
    "benchmark operators --help",
    "study sparse-efficiency --help",
    "study mask-ratio --help",
    "study normalization --help",
    "study grn --help",
    "study scaling --help",
    "study contrastive --help",
    "study reconstruction --help",
)
IMPORTS = """
import json, sys
from fcmae.cli import main

found = {}  # by command; what one has imported, those that follow have too
for words in sys.argv[1:]:
    try:
        main(words.split())
        found[words] = []
    except SystemExit:
        found[words] = []
    except Exception as error:
        found[words] = [repr(error)]
    found[words] += ["torch"] * ("torch" in sys.modules)
print()
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def imported() -> dict[str, list[str]]:
    """What is wrong in a fresh interpreter after each command, one after the other."""
    result = subprocess.run(
        [sys.executable, "-c", IMPORTS, *WORDS],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    found: dict[str, list[str]] = json.loads(result.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize("words", WORDS)
def test_words_alone_import_no_torch(words: str, imported: dict[str, list[str]]) -> None:
    assert imported[words] == []


# What the commands print


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.strip() == fcmae.__version__


def test_every_size_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models"]) == 0
    rows = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()[1:]}
    assert list(rows) == fcmae.list_models()
    for name, size in SIZES.items():
        assert ", ".join(map(str, size.depths)) in rows[name]
        assert f"{size.parameters / 1e6:.1f}M" in rows[name]
    atto = rows["convnextv2_atto"].split()
    assert atto[6:8] == ["3.7M", "0.55G"]  # Table 7
    assert atto[10] == "76.7"
    assert rows["convnextv2_huge"].split()[10:14] == ["86.3", "-", "88.7", "88.9"]


def test_it_also_runs_as_a_module() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "fcmae", "model"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr == "fcmae: unknown command 'model': did you mean 'models'?\n"


# Bad use: 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("pretrian --out x", "did you mean 'pretrain'"),
        ("--out x", "unknown command '--out'"),
        ("benchmark pretrainin", "did you mean 'pretraining'"),
        ("benchmark", "benchmark: which? pretraining, inference, operators"),
        ("study", "study: which? sparse-efficiency"),
        ("pretrain --out x --epohcs 3", "--epochs"),
        ("pretrain --out x --epochs three", "three"),
        ("pretrain --out x --epochs 3 --epochs 4", "--epochs is given twice"),
        ("pretrain --out x --batch-size=3 --batch_size 4", "--batch-size is given twice"),
        ("pretrain --data sample", "--out"),
        ("models --all", "--all"),
        ("models convnextv2_atto", "convnextv2_atto"),
    ],
)
def test_bad_use_leaves_with_2_and_says_what_was_meant(
    words: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert code_of(words) == 2
    captured = capsys.readouterr()
    assert said in captured.err
    assert captured.out == ""


@pytest.mark.parametrize(
    "words",
    [
        "--set weight_decay=1 warmup_epochs=3",
        "--set weight_decay=1 --set warmup_epochs=3",
        "--set=weight_decay=1 --set=warmup_epochs=3",
    ],
)
def test_fields_are_set_together_or_one_by_one(words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    given = {}

    def task(*, seed: int = 0, set: tuple[str, ...] = ()) -> None:
        given.update(seed=seed, set=set)

    monkeypatch.setattr("fcmae.commands.pretrain.pretrain", task)
    assert main(["pretrain", *words.split(), "--seed", "2"]) == 0
    assert given == {"seed": 2, "set": ("weight_decay=1", "warmup_epochs=3")}


def test_no_command_shows_what_there_is_and_leaves_with_2(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main([]) == 2
    assert "fcmae pretrain" in capsys.readouterr().out


def test_bad_input_leaves_with_2_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert code_of(f"pretrain --data {tmp_path}/missing --out {tmp_path}/run --device cpu") == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("fcmae: ")
    assert "missing" in lines[0]
    assert not (tmp_path / "run").exists()


# The other exit codes


@pytest.fixture
def ends(monkeypatch: pytest.MonkeyPatch) -> Callable[[BaseException], None]:
    """`ends(error)`: pre-training ends with this error, whatever its options are."""

    def ends(error: BaseException) -> None:
        def pretrain(*, out: str) -> NoReturn:
            raise error

        monkeypatch.setattr(pretrain_module, "pretrain", pretrain)

    return ends


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ValueError("mask ratio 2 is not between 0 and 1"), 2),
        (OSError("disk full"), 1),
        (FileNotFoundError("gone"), 1),
        (RuntimeError("out of memory"), 1),
        (KeyboardInterrupt(), 130),
        (Interrupted(signal.SIGINT), 130),
        (Interrupted(signal.SIGTERM), 143),
    ],
)
def test_the_exit_code_says_how_it_ended(
    ends: Callable[[BaseException], None],
    error: BaseException,
    code: int,
    capsys: pytest.CaptureFixture[str],
) -> None:
    ends(error)
    assert code_of("pretrain --out x") == code
    expected = f"fcmae: {error}\n" if isinstance(error, Exception) else ""
    assert capsys.readouterr().err == expected


def test_a_mistake_of_ours_shows_where_it_is(ends: Callable[[BaseException], None]) -> None:
    ends(KeyError("step"))  # Python then leaves with 1
    with pytest.raises(KeyError):
        main(["pretrain", "--out", "x"])


@pytest.mark.parametrize("error", [ValueError("odd"), RuntimeError("odd")])
def test_a_traceback_is_there_for_who_wants_it(
    ends: Callable[[BaseException], None], error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends(error)
    monkeypatch.setenv("FCMAE_TRACEBACK", "1")
    with pytest.raises(type(error), match="odd"):
        main(["pretrain", "--out", "x"])


def test_options_arrive_as_they_were_given(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seen: list[object] = []

    def pretrain(
        *,
        out: str,
        set: tuple[str, ...] = (),
        image_size: int | str = 224,
        batch_size: int | None = None,
        dry_run: bool = False,
    ) -> None:
        seen.append((out, set, image_size, batch_size, dry_run))

    monkeypatch.setattr(pretrain_module, "pretrain", pretrain)
    assert code_of("pretrain --out a --set x=1 y=-2 --image-size 160x96 --dry-run") == 0
    assert code_of("pretrain --batch_size 13 --out=a --image-size 32") == 0
    assert seen == [
        ("a", ("x=1", "y=-2"), "160x96", None, True),
        ("a", (), 32, 13, False),
    ]


def test_some_options_are_given_by_their_place(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[object] = []

    def predict(*, images: tuple[str, ...], weights: str, out: str, top: int = 5) -> None:
        seen.append((images, weights, out, top))

    monkeypatch.setattr("fcmae.commands.predict.predict", predict)
    assert code_of("predict a.png photos --weights run --out b.csv") == 0
    assert code_of("predict --out b.csv --weights=run --top 2 a.png") == 0
    assert seen == [(("a.png", "photos"), "run", "b.csv", 5), (("a.png",), "run", "b.csv", 2)]


def test_a_command_of_two_words_shows_its_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recipe", "show", "finetune", "--size", "tiny"]) == 0
    assert "Table 3" in capsys.readouterr().out
    assert code_of("recipe show finetune --size tinny") == 2
    assert "did you mean 'tiny'" in capsys.readouterr().err


def test_weights_are_converted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, target = tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    fcmae.save_weights(fcmae.create_model("convnextv2_atto", num_classes=2), source)
    assert code_of(f"convert {source} {target} --dialect timm") == 0
    assert f"written     {target}" in capsys.readouterr().out
    assert target.exists()
    assert code_of(f"convert {source} {target} --dialect official") == 2
    assert "exists: choose another, or replace it with --overwrite" in capsys.readouterr().err
    assert code_of(f"convert {source} {target} --dialect official --overwrite") == 0
    assert code_of(f"convert {source} {tmp_path}/c.safetensors --dialect tim") == 2
    assert "timm" in capsys.readouterr().err


def test_a_reader_that_has_read_enough_is_no_error() -> None:
    result = subprocess.run(
        f"{sys.executable} -m fcmae models | head -c 1",
        shell=True,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert result.stderr == ""


def test_only_what_was_typed_is_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[frozenset[str]] = []

    def start(options: Pretrain) -> None:
        seen.append(options.given)

    monkeypatch.setattr("fcmae.pretraining.run.run_pretrain", start)
    assert code_of("pretrain --out a") == 0
    assert code_of("pretrain --out=a --image_size 224") == 0
    assert seen == [{"out"}, {"out", "image_size"}]


def test_the_code_of_a_check_that_failed_is_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(options: Doctor) -> int:
        return options.seed

    monkeypatch.setattr("fcmae.doctor.examination.run_doctor", failing)
    assert code_of("doctor") == 0
    assert code_of("doctor --seed 1") == 1


def test_help_shows_shared_options_by_themselves(capsys: pytest.CaptureFixture[str]) -> None:
    assert code_of("benchmark inference --help") == 0
    out = capsys.readouterr().out
    shown = ["--batch-sizes", "measuring", "--repeats", "computing", "--threads"]
    places = [out.rindex(words) for words in shown]
    assert places == sorted(places)


def test_shared_options_arrive_beside_the_own_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[benchmark.BenchmarkInference] = []
    monkeypatch.setattr("fcmae.benchmarks.inference.run_benchmark_inference", seen.append)
    words = "benchmark inference --threads 3 --models convnext_atto --json a.json"
    assert code_of(words) == 0
    (options,) = seen
    assert (options.threads, options.models, options.json) == (3, ("convnext_atto",), "a.json")
    assert (options.device, options.repeats) == ("auto", 7)
    assert options.given == {"threads", "models", "json"}


def test_an_option_that_a_command_describes_itself_is_one_of_its_own(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert code_of("pretrain --help") == 0
    own, shared = capsys.readouterr().out.split("training options")
    assert "--data" in own
    assert "the photographs that come with" in own
    assert "--data" not in shared


@pytest.mark.parametrize("name", [n for n, row in COMMANDS.items() if "studies" in row.module])
def test_a_study_has_a_folder_of_its_own(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert code_of(f"{name} --help") == 0
    words = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert words.count("--out ") == 1
    assert f"default: runs/{name.replace(' ', '-')}" in words

"""The command line: `fcmae COMMAND`, one function each. Imports nothing heavy before it must."""

import dataclasses
import importlib
import inspect
import os
import re
import sys
from collections.abc import Callable, Sequence
from inspect import Parameter
from typing import NamedTuple, TypeVar

from fcmae.commands.command import Options, documentation, names_of

T = TypeVar("T")

HELP = """\
fcmae: masked pre-training for convolutional networks, on your own images

  fcmae pretrain --data DIR|sample --out RUN   from unlabelled images to an encoder and a report
  fcmae finetune --data DIR --init RUN --out RUN2
                                               from there to a classifier of your classes
  fcmae evaluate --data DIR --weights RUN2     accuracy, class by class, and calibration
  fcmae predict IMAGE|DIR... --weights RUN2 --out FILE.csv|.json
  fcmae embed --data DIR --weights RUN --out FILE.npy|.parquet
                                               a feature vector for each image
  fcmae probe --data DIR --weights RUN         did pre-training help? with two controls
  fcmae convert IN OUT --dialect NAME          weights to the names of official, timm, transformers
  fcmae recipe show pretrain|finetune          the paper's tables, and what they leave out
  fcmae doctor [--weights RUN|FILE]            what runs here, and does it compute what it should
  fcmae benchmark pretraining                  dense, masked, tiled and timm in turns, here
  fcmae benchmark inference                    the classifier against timm's, and fine-tuning steps
  fcmae benchmark operators                    every implementation of every operator
  fcmae benchmark images                       photographs a core reads: Pillow, exact and fast
  fcmae analyze selectivity                    how much channels answer to one class: figure 2
  fcmae analyze diversity                      how unlike each other channels are, over depth
  fcmae analyze activations                    maps of a block's channels, dead ones counted
  fcmae analyze reconstruct                    images under any mask, and what is made of them
  fcmae study sparse-efficiency                the paper's figure 1, measured here
  fcmae study mask-ratio --data DIR            figure 3: accuracy by the share that is masked
  fcmae study normalization --data DIR         figure 6: other norms in GRN's place, diversity
  fcmae study grn --data DIR                   Table 9: GRN without one or the other of its parts
  fcmae study scaling --data DIR               Table 7: architecture and pre-training, by size
  fcmae study contrastive --data DIR           section D: masked, contrastive or no pre-training
  fcmae study reconstruction --data DIR        figures 4 and 5: is easy reconstruction good?
  fcmae models                                 every size: parameters, FLOPs, accuracies, memory

Each command has --help. Under torchrun: torchrun --nproc-per-node N -m fcmae pretrain ...
"""


class Command(NamedTuple):
    """Where a command's function is, and which of its options are positional."""

    module: str
    function: str
    positional: tuple[str, ...] = ()


COMMANDS = {
    "pretrain": Command("fcmae.commands.pretrain", "pretrain"),
    "finetune": Command("fcmae.commands.finetune", "finetune"),
    "evaluate": Command("fcmae.commands.evaluate", "evaluate"),
    "predict": Command("fcmae.commands.predict", "predict", ("images",)),
    "embed": Command("fcmae.commands.embed", "embed"),
    "probe": Command("fcmae.commands.probe", "probe"),
    "convert": Command("fcmae.commands.convert", "convert", ("source", "target")),
    "recipe show": Command("fcmae.commands.recipe", "recipe_show", ("task",)),
    "doctor": Command("fcmae.commands.doctor", "doctor"),
    "benchmark pretraining": Command("fcmae.commands.benchmark", "pretraining"),
    "benchmark inference": Command("fcmae.commands.benchmark", "inference"),
    "benchmark operators": Command("fcmae.commands.benchmark", "operators"),
    "benchmark images": Command("fcmae.commands.benchmark", "images"),
    "analyze selectivity": Command("fcmae.commands.analyze", "selectivity"),
    "analyze diversity": Command("fcmae.commands.analyze", "diversity"),
    "analyze activations": Command("fcmae.commands.analyze", "activations"),
    "analyze reconstruct": Command("fcmae.commands.analyze", "reconstruct"),
    "study sparse-efficiency": Command("fcmae.commands.benchmark", "sparse_efficiency"),
    "study mask-ratio": Command("fcmae.studies.mask_ratio", "mask_ratio"),
    "study normalization": Command("fcmae.studies.normalization", "normalization"),
    "study grn": Command("fcmae.studies.grn", "grn"),
    "study scaling": Command("fcmae.studies.scaling", "scaling"),
    "study contrastive": Command("fcmae.studies.contrastive", "contrastive"),
    "study reconstruction": Command("fcmae.studies.reconstruction", "reconstruction"),
    "models": Command("fcmae.commands.recipe", "models"),
}
GROUPS = ("recipe", "benchmark", "analyze", "study")  # of commands of two words


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return its exit code: 0 done, 2 bad use or input, 130/143 stopped, 1 else."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        return _command(words)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # who read the output has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + 13
    except ValueError as error:
        _complain(error)
        return 2
    except (OSError, RuntimeError) as error:
        _complain(error)
        return 1


def _command(words: list[str]) -> int:
    if not words or words[0] in ("-h", "--help"):
        print(HELP, end="")
        return 0 if words else 2
    if words[0] == "--version":
        from fcmae import __version__

        print(__version__)
        return 0
    name, rest = _named(words)
    if rest is None:
        print(HELP, end="")
        return 0
    command = COMMANDS[name]
    function = getattr(importlib.import_module(command.module), command.function)
    result = _call(function, rest, f"fcmae {name}", command.positional)
    return result if isinstance(result, int) else 0


def _named(words: list[str]) -> tuple[str, list[str] | None]:
    """A command's name, of one word or two, and its options; None where help on a group is due."""
    from fcmae.errors import unknown

    length = 2 if words[0] in GROUPS else 1
    if length == 2:
        group = [name.split()[1] for name in COMMANDS if name.split()[0] == words[0]]
        if len(words) == 1:
            raise ValueError(f"{words[0]}: which? {', '.join(group)}")
        if words[1] in ("-h", "--help"):
            return words[0], None
        if words[1] not in group:
            raise unknown(words[0], words[1], group)
    name = " ".join(words[:length])
    if name not in COMMANDS:
        raise unknown("command", name, [*COMMANDS, *GROUPS])
    return name, words[length:]


def _call(
    function: Callable[..., T], words: list[str], program: str, positional: tuple[str, ...]
) -> T:
    """Parse the words and call the function, with those options alone that were typed."""
    import tyro

    words = _once(words)
    typed = {word.partition("=")[0][2:].replace("-", "_") for word in words if word[:2] == "--"}
    parameters = dict(inspect.signature(function).parameters)
    groups = _shared(function)
    for group in groups.values():
        for option in dataclasses.fields(group):
            parameters.pop(option.name)

    def with_typed(*values: object, **options: object) -> T:
        """Pass on only the options that were typed: a command may ask which they are."""
        for heading in groups:
            options |= vars(options.pop(heading))
        written = {name: value for name, value in options.items() if name in typed}
        return function(**dict(zip(positional, values, strict=True)), **written)

    shown = [
        *(parameters.pop(name).replace(kind=Parameter.POSITIONAL_ONLY) for name in positional),
        *parameters.values(),
        *(Parameter(name, Parameter.KEYWORD_ONLY, annotation=g) for name, g in groups.items()),
    ]
    with_typed.__signature__ = inspect.Signature(shown)  # type: ignore[attr-defined]
    with_typed.__annotations__ = {one.name: one.annotation for one in shown}
    # An option's lines are one: tyro takes those of a function for paragraphs.
    with_typed.__doc__ = re.sub(r"\n {8,}", " ", inspect.getdoc(function) or "")
    # An option without a value is a plain switch; "None" defaults are said in the help texts.
    config = (tyro.conf.FlagCreatePairsOff, tyro.conf.OmitArgPrefixes)
    return tyro.cli(with_typed, args=words, prog=program, config=config)


def _shared(function: Callable[..., object]) -> dict[str, type]:
    """The options that a command has in common with others, by the headings of help.

    An option that the command describes itself is one of its own.
    """
    options = getattr(function, "__wrapped__", None)
    if options is None:
        return {}
    bases = [base for base in options.__mro__[1:] if issubclass(base, Options)]
    ours = {option.name: option for option in dataclasses.fields(options)}  # with its own defaults
    args = (inspect.getdoc(options) or "").partition("Args:\n")[2].partition("\n\n")[0]
    own = set(re.findall(r"^ {4}(\w+):", args, re.MULTILINE))
    groups = {}
    for base in bases:
        if base is Options or any(base in other.__mro__[1:] for other in bases):
            continue  # whose options are among those of the other
        fields = [
            (name, ours[name].type, dataclasses.field(default=ours[name].default))
            for name in names_of(base)
            if name not in own
        ]
        words = re.sub("(?<=[a-z])(?=[A-Z])", "_", base.__name__.removesuffix("Options"))
        documented = {"__doc__": documentation(base)}
        made = dataclasses.make_dataclass(words, fields, kw_only=True, namespace=documented)
        groups[words.lower()] = made
    return groups


def _once(words: list[str]) -> list[str]:
    """Each option once: --set may be repeated, any other would silently count as given last."""
    options: dict[str, list[str]] = {}
    name = ""
    for word in words:
        if word.startswith("--"):
            name, given, value = word.partition("=")
            name = name.replace("_", "-")
            if name in options and name != "--set":
                raise ValueError(f"{name} is given twice: give it once, with all its values")
            options.setdefault(name, []).extend([value] if given else [])
        else:
            options.setdefault(name, []).append(word)
    return [word for name, values in options.items() for word in (name, *values) if word]


def _complain(error: Exception) -> None:
    if os.environ.get("FCMAE_TRACEBACK"):
        raise error
    print(f"fcmae: {error}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())

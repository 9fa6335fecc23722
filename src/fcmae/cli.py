"""The command line: `fcmae COMMAND`, one function each. Imports nothing heavy before it must."""

import functools
import os
import sys
from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")

HELP = """\
fcmae: masked pre-training for convolutional networks, on your own images

  fcmae pretrain --data DIR|sample --out RUN   from unlabelled images to an encoder and a report
  fcmae doctor [--weights RUN|FILE]            what runs here, and does it compute what it should
  fcmae benchmark pretraining                  dense, masked and tiled side by side on this machine
  fcmae models                                 every size, with parameters and FLOPs

Each command has --help. Under torchrun: torchrun --nproc-per-node N -m fcmae pretrain ...
"""
COMMANDS = ("pretrain", "doctor", "benchmark", "models")
BENCHMARKS = ("pretraining",)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return its exit code: 0 done, 2 bad use or input, 130/143 stopped, 1 else."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if not words or words[0] in ("-h", "--help"):
        print(HELP, end="")
        return 0 if words else 2
    if words[0] == "--version":
        from fcmae import __version__

        print(__version__)
        return 0
    try:
        return _command(words)
    except KeyboardInterrupt:
        return 130
    except ValueError as error:
        _complain(error)
        return 2
    except (OSError, RuntimeError) as error:
        _complain(error)
        return 1


def _command(words: list[str]) -> int:
    from fcmae.errors import unknown

    name, rest = words[0], words[1:]
    if name not in COMMANDS:
        raise unknown("command", name, COMMANDS)
    if name == "models":
        _call(_models, rest, "fcmae models")
        return 0
    if name == "pretrain":
        from fcmae.tasks.pretrain import pretrain

        _call(pretrain, rest, "fcmae pretrain")
        return 0
    if name == "doctor":
        from fcmae.doctor import doctor

        return _call(doctor, rest, "fcmae doctor")
    if rest and rest[0] in ("-h", "--help"):
        print(HELP, end="")
        return 0
    if not rest or rest[0] not in BENCHMARKS:
        if not rest:
            raise ValueError(f"benchmark: which? {', '.join(BENCHMARKS)}")
        raise unknown("benchmark", rest[0], BENCHMARKS)
    from fcmae.benchmarks.pretraining import benchmark_pretraining

    _call(benchmark_pretraining, rest[1:], "fcmae benchmark pretraining")
    return 0


def _call(function: Callable[..., T], words: list[str], program: str) -> T:
    import tyro

    words = _once(words)
    typed = {word.partition("=")[0][2:].replace("-", "_") for word in words if word[:2] == "--"}

    @functools.wraps(function)
    def with_typed(**options: object) -> T:
        """What was left alone is not passed on: a task may ask which options were given."""
        return function(**{name: value for name, value in options.items() if name in typed})

    # An option without a value is a plain switch; "None" defaults are said in the help texts.
    return tyro.cli(with_typed, args=words, prog=program, config=(tyro.conf.FlagCreatePairsOff,))


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


def _models() -> None:
    """Every size: depths, width, parameters with 1000 classes, and FLOPs (multiply-adds)."""
    from fcmae.sizes import SIZES

    print(
        f"{'model':<20}{'depths':<14}{'width':>6}{'parameters':>13}{'FLOPs at 224, 384, 512':>28}"
    )
    for name, size in SIZES.items():
        depths = ", ".join(map(str, size.depths))
        flops = "".join(f"{flops / 1e9:>8.2f}G" for flops in size.flops)
        print(f"{name:<20}{depths:<14}{size.width:>6}{size.parameters / 1e6:>12.1f}M {flops}")


def _complain(error: Exception) -> None:
    if os.environ.get("FCMAE_TRACEBACK"):
        raise error
    print(f"fcmae: {error}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())

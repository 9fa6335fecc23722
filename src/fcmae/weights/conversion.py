"""Weights from one dialect to another, by command."""

from pathlib import Path

from fcmae import weights
from fcmae.commands.convert import Convert
from fcmae.errors import check_target


def run(options: Convert) -> None:
    """Run `convert` with these options."""
    target = Path(options.target).expanduser()
    if target.is_file() and not options.overwrite:
        raise ValueError(
            f"target {options.target} exists: choose another, or replace it with --overwrite"
        )
    check_target("target", target)
    report = weights.convert(options.source, target, dialect=options.dialect, key=options.key)
    print(report)
    print(f"written     {options.target}")

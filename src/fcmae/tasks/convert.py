"""Weights from one dialect to another."""

from pathlib import Path

from fcmae.errors import check_target


def convert(
    *, source: str, target: str, dialect: str, key: str | None = None, overwrite: bool = False
) -> None:
    """Write weights in the names of another library; values and precision stay as they are.

    Args:
        source: a run's folder; or a .safetensors, .pth, .pt or .bin file of any dialect.
        target: a .safetensors file.
        dialect: official (the authors' names), timm or transformers.
        key: which of several states of a .pth file to take, such as model_ema.
        overwrite: replace the target where it exists.

    Raises:
        ValueError: if the file cannot be read, or is of no known model or dialect.
    """
    from fcmae import weights

    place = Path(target).expanduser()
    if place.is_file() and not overwrite:
        raise ValueError(f"target {target} exists: choose another, or replace it with --overwrite")
    check_target("target", place)
    print(weights.convert(source, target, dialect=dialect, key=key))
    print(f"written     {target}")

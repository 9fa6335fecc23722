"""What a cell of a table says of a row; a dash where the row has nothing to say."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fcmae.console.units import memory, rate

Row = Mapping[str, Any]
Column = tuple[str, Callable[[Row], str]]  # its heading, and a row's cell
LETTERS = 70  # of a kernel's name


def cells(row: Row, columns: Sequence[Column]) -> list[str]:
    """A row's cells, or its name and a reason."""
    name = _cell(row, columns[0][1])
    if "error" in row:
        return [name, f"failed: {str(row['error']).partition(chr(10))[0]}"]
    if "left_out" in row:
        return [name, f"left out: {row['left_out']}"]
    return [name, *(_cell(row, value) for _, value in columns[1:])]


def _cell(row: Row, value: Callable[[Row], str]) -> str:
    try:
        return value(row)
    except Exception:  # a row of another kind: what it has is in the JSON file
        return "–"


def of_mode(mode: str, value: Callable[[Row], str]) -> Callable[[Row], str]:
    """A cell of figure 1's row, of one mode; its reason where there is none."""

    def cell(size: Row) -> str:
        row = size.get(mode)
        if row is None:
            return "–"
        return str(row["error"]) if "error" in row else value(row)

    return cell


def text(name: str) -> Callable[[Row], str]:
    """A value as it is."""
    return lambda row: str(row.get(name, "–"))


def number(name: str, form: str, scale: float = 1.0) -> Callable[[Row], str]:
    """A number in units of `scale`, by Python's format."""
    return lambda row: _shown_number(row.get(name), form, scale)


def _shown_number(value: float | str | None, form: str, scale: float = 1.0) -> str:
    if value is None:
        return "–"
    return value if isinstance(value, str) else format(value / scale, form)  # "inf", "nan"


def within(outer: str, name: str, form: str, scale: float = 1.0) -> Callable[[Row], str]:
    """A number of a field that has several by name."""
    inner = number(name, form, scale)
    return lambda row: inner(row.get(outer) or {})


def spread(ratio: str, name: str | None = None) -> Callable[[Row], str]:
    """A ratio with its range; `name` where both are by name."""

    def cell(row: Row) -> str:
        value, around = row.get(ratio), row.get(f"{ratio}_range")
        if name is not None:
            value, around = (value or {}).get(name), (around or {}).get(name)
        if value is None:
            return "–"
        spread = "" if around is None else f" ({around[0]:.2f} to {around[1]:.2f})"
        return f"{value:.2f}{spread}"

    return cell


def agrees(row: Row) -> str:
    """Whether a row does; a dash where nobody asked."""
    value = row.get("agrees")
    return "–" if value is None else "yes" if value else "NO"


def difference(row: Row) -> str:
    """The largest, where there are several."""
    value = row.get("difference")
    found = list(value.values()) if isinstance(value, dict) else [value]
    words = [one for one in found if isinstance(one, str)]  # of what is not a number
    numbers = [one for one in found if isinstance(one, float)]
    return words[0] if words else _shown_number(max(numbers, default=None), ".1e")


def short(row: Row) -> str:
    """The model's size."""
    return str(row["model"]).partition("_")[2] if "model" in row else "–"


def model_and_batch(row: Row) -> str:
    """The model's size, and the images of a step."""
    return f"{short(row)}, {row['batch_size']}"


def layout(row: Row) -> str:
    """A kernel's layout, the winner's where a row names one."""
    found = row.get("winner") or row.get("layout") or {}
    values = {name: value for name, value in found.items() if value is not None}
    return ", ".join(f"{name} {value}" for name, value in values.items()) or "–"


def kernel(row: Row) -> str:
    """A kernel's name without what PyTorch's have in common."""
    name = str(row.get("name", "all"))
    for common in ("void ", "at::native::", "(anonymous namespace)::"):
        name = name.replace(common, "")
    return name[:LETTERS].strip("_")


def same_compiler(row: Row) -> str:
    """Whether a carried cache is from the compiler that is here."""
    if row["cache_from"] is None:
        return "none was carried"
    other = [name for name, made in row["cache_from"].items() if made != row["compiler"][name]]
    return f"no: another {' and '.join(other)}" if other else "yes"


def stage(row: Row) -> str:
    """Kernel, size and stage; the stage alone of a row that stands for all kernels."""
    return (
        f"{row['kernel']}, {short(row)}, {row['stage']}" if "kernel" in row else f"{row['stage']}"
    )


def speed(row: Row) -> str:
    """Images a second."""
    return rate(row["images_per_second"])


def all_held(row: Row) -> str:
    """Memory at the peak of a step, with what is held before it."""
    return memory(row["held"] + row["memory"])


def milliseconds(row: Row) -> str:
    """A step's, the median over turns, with the lowest and highest."""
    turns = [1e3 * seconds for seconds in row["turns"]]
    return f"{1e3 * row['step_seconds']:.1f} ({min(turns):.1f} to {max(turns):.1f})"

"""Numbers as a reader wants them: `1,200`, `3 min 12 s`, `4 %`, `1.2 GB`."""

NO_BREAK = "\u00a0"  # a space at which no line ends


def count(value: float) -> str:
    """A whole number with thousands separated: `1,281,167`."""
    return f"{value:,.0f}"


def short(value: float) -> str:
    """A tick's number: `250`, `20k`, `1.5M`."""
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"


def scientific(value: float, digits: int = 3) -> str:
    """A small number without padding: `3.75e-5`, and `0` for zero."""
    if value == 0:
        return "0"
    mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
    return f"{float(mantissa):g}e{int(exponent)}"


def percent(share: float) -> str:
    """A share of one: `4 %`; below one per cent with a decimal, so that little is not none."""
    return f"{share:.1%}".replace("%", " %") if 0 < share < 0.01 else f"{share * 100:.0f} %"


def accuracy(share: float) -> str:
    """To a tenth of a per cent, on one line: `84.3 %`; no other than 1 is `100 %`, than 0 `0 %`."""
    shown = f"{100 * share:.0f}" if share in (0, 1) else f"{min(max(100 * share, 0.1), 99.9):.1f}"
    return f"{shown}{NO_BREAK}%"


def loss(value: float) -> str:
    """A loss to three decimals, or to three digits where it is tiny or huge."""
    return f"{value:.3f}" if 0.01 <= abs(value) < 1000 else f"{value:.3g}"


def rate(value: float) -> str:
    """Images a second: a decimal only where it says something."""
    return f"{value:,.0f}" if value >= 20 else f"{value:.1f}"


def duration(seconds: float) -> str:
    """Seconds as the two units that matter: `48 s`, `3 min 12 s`, `5 h 4 min`, `2 d 3 h`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    for size, unit, smaller, smaller_unit in (
        (86400, "d", 3600, "h"),
        (3600, "h", 60, "min"),
        (60, "min", 1, "s"),
    ):
        if whole >= size:
            large, rest = divmod(whole, size)
            return f"{large} {unit} {rest // smaller} {smaller_unit}"
    raise AssertionError("60 seconds and more are at least a minute")


def memory(size: float) -> str:
    """Bytes as decimal MB or GB."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"


def plural(number: float, noun: str) -> str:
    """`1 step`, `124 steps`."""
    return f"{count(number)} {noun}" if number == 1 else f"{count(number)} {noun}s"


def cell(value: object) -> str:
    """Any value of a configuration, in a table's cell."""
    match value:
        case None:
            return "none"
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:.6g}" if abs(value) >= 1e-3 else scientific(value, digits=6)
        case list() | tuple():
            return ", ".join(cell(one) for one in value)
        case dict():
            return ", ".join(f"{name}: {cell(one)}" for name, one in value.items())
        case _:
            return str(value)

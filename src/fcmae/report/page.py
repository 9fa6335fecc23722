"""Pages: one file each that opens anywhere, without a network, and has no script.

The content security policy of the page makes the browser hold it to that, whatever a file name or
a reason in a run folder contains.
"""

import base64
import functools
from collections.abc import Mapping, Sequence

from jinja2 import Environment, PackageLoader, StrictUndefined

from fcmae.console import units
from fcmae.report import summary
from fcmae.report.curves import throughput_chart
from fcmae.report.inline import draw_inline
from fcmae.report.run import SLOW, Run
from fcmae.report.statistics import highest, mean
from fcmae.report.summary import KeyFigure


def render(template: str, values: Mapping[str, object]) -> str:
    """Fill in a template, such as `report/run.html`; whatever a value holds stays text."""
    return _environment().get_template(template).render(values)


@functools.cache  # a run writes its page many times, and templates are compiled once
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("fcmae", package_path=""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    named = ("count", "plural", "percent", "accuracy", "memory", "cell", "loss")
    environment.filters |= {name: getattr(units, name) for name in named}
    environment.filters |= {"embedded": _embedded, "drawn": draw_inline}
    return environment


def run_page(
    template: str,
    run: Run,
    verdict: Sequence[str],
    figures: Sequence[KeyFigure],
    own: Mapping[str, object],
) -> str:
    """The page of a run.

    Args:
        template: of the task, which extends `report/run.html`.
        run: the run.
        verdict: the run in a few sentences; empty ones are left out.
        figures: those at the top of the page.
        own: what else the template shows.
    """
    shared = {
        "run": run,
        "summary": summary,
        "verdict": " ".join(sentence for sentence in verdict if sentence),
        "figures": figures,
        "throughput": throughput_chart(run),
        "waiting": mean(run.timing.waiting),
        "slow": SLOW,
        "peak_memory": highest(run.timing.peak_memory),
    }
    return render(template, {**own, **shared})


def _embedded(image: bytes) -> str:
    kind = "png" if image.startswith(b"\x89PNG") else "svg+xml"
    return f"data:image/{kind};base64,{base64.b64encode(image).decode()}"

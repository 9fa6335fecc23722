"""Versions of this library and of others, which stored results name."""

import importlib.metadata
import platform

VERSION = "0.1.0"


def version(name: str) -> str | None:
    """Of "fcmae", "python", or a library; None of one that is not installed."""
    if name == "fcmae":
        return VERSION  # it runs from its sources too
    if name == "python":
        return platform.python_version()
    if name == "torch":
        import torch  # here: the library's own version is asked for without it

        return str(torch.__version__)  # with what it was built for
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def versions(*names: str) -> dict[str, str | None]:
    """Versions of these, by name."""
    return {name: version(name) for name in names}

import importlib.metadata
import platform

import torch

from fcmae.storage.versions import VERSION, version, versions


def test_the_librarys_own_is_the_packages() -> None:
    assert version("fcmae") == VERSION == importlib.metadata.version("fcmae")


def test_each_by_its_name_in_order() -> None:
    found = versions("python", "torch", "timm", "no-such-library")
    assert list(found) == ["python", "torch", "timm", "no-such-library"]
    assert found["python"] == platform.python_version()
    assert found["torch"] == torch.__version__
    assert found["timm"] == importlib.metadata.version("timm")
    assert found["no-such-library"] is None

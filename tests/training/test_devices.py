"""Which device, which precision, and which part of the work, here and on machines we pretend."""

import multiprocessing
import subprocess
import sys
from multiprocessing.queues import SimpleQueue

import pytest
import torch
import torch.distributed as dist
from two_processes import run_pair, take_part

from fcmae.training.devices import Runtime, choose_device, choose_precision, start_runtime

CPU, CUDA, MPS = torch.device("cpu"), torch.device("cuda", 0), torch.device("mps")
TORCHRUN = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in TORCHRUN:
        monkeypatch.delenv(name, raising=False)


def pretend(
    monkeypatch: pytest.MonkeyPatch, *, cuda: bool = False, mps: bool = False, bf16: bool = True
) -> None:
    """A machine with these devices."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: bf16)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)


# The device


@pytest.mark.parametrize(
    ("cuda", "mps", "chosen"),
    [(True, True, CUDA), (True, False, CUDA), (False, True, MPS), (False, False, CPU)],
)
def test_auto_takes_cuda_before_mps_before_the_processor(
    monkeypatch: pytest.MonkeyPatch, cuda: bool, mps: bool, chosen: torch.device
) -> None:
    pretend(monkeypatch, cuda=cuda, mps=mps)
    assert choose_device("auto") == chosen


@pytest.mark.parametrize("name", ["cpu", "cuda", "cuda:3", "mps"])
def test_a_device_that_is_there_is_the_one_that_was_asked_for(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    pretend(monkeypatch, cuda=True, mps=True)
    device = choose_device(name)
    assert device.type == name.partition(":")[0]
    assert device.index == {"cuda": 0, "cuda:3": 3}.get(name)


@pytest.mark.parametrize("name", ["cuda", "cuda:1", "mps"])
def test_a_device_that_is_absent_is_never_replaced_by_another(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    pretend(monkeypatch)
    kind = name.partition(":")[0]
    with pytest.raises(ValueError, match=f"device '{kind}' is not available here.*--device auto"):
        choose_device(name)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("cudaa", "did you mean 'cuda'"),
        ("CPU", "auto, cpu, cuda, mps"),
        ("", "auto, cpu"),
        ("gpu", "cpu"),
        ("cuda:", "cuda"),
        ("cuda:one", "cuda"),
        ("cpu:-1", "cpu"),
        ("cpu:0:1", "cpu"),
    ],
)
def test_an_unknown_device_is_refused_in_words(
    monkeypatch: pytest.MonkeyPatch, name: str, said: str
) -> None:
    pretend(monkeypatch, cuda=True)
    with pytest.raises(ValueError, match=f"unknown device '{name}'.*{said}"):
        choose_device(name)


@pytest.mark.parametrize("name", ["auto", "cuda"])
def test_each_process_of_torchrun_has_its_own_gpu(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    pretend(monkeypatch, cuda=True)
    monkeypatch.setenv("LOCAL_RANK", "3")
    assert choose_device(name) == torch.device("cuda", 3)


# The precision


@pytest.mark.parametrize(
    ("device", "bf16", "chosen"),
    [(CUDA, True, "bf16"), (CUDA, False, "fp32"), (CPU, True, "fp32"), (MPS, True, "fp32")],
)
def test_auto_is_bf16_where_a_gpu_multiplies_it(
    monkeypatch: pytest.MonkeyPatch, device: torch.device, bf16: bool, chosen: str
) -> None:
    pretend(monkeypatch, cuda=True, mps=True, bf16=bf16)
    assert choose_precision("auto", device) == chosen


@pytest.mark.parametrize("name", ["fp32", "bf16"])
@pytest.mark.parametrize("device", [CPU, CUDA, MPS])
def test_a_precision_that_was_asked_for_is_kept(name: str, device: torch.device) -> None:
    assert choose_precision(name, device) == name


@pytest.mark.parametrize(
    ("name", "said"), [("bf61", "bf16"), ("fp8", "fp32"), ("##", "auto, fp32")]
)
def test_an_unknown_precision_is_refused_in_words(name: str, said: str) -> None:
    with pytest.raises(ValueError, match=f"unknown precision '{name}'.*{said}"):
        choose_precision(name, CPU)


@pytest.mark.parametrize(
    ("precision", "dtype"), [("fp32", torch.float32), ("bf16", torch.bfloat16)]
)
def test_only_the_forward_pass_is_in_bf16(precision: str, dtype: torch.dtype) -> None:
    layer = torch.nn.Linear(13, 2)
    with Runtime(CPU, precision).autocast():
        out = layer(torch.ones(1, 13))
    assert out.dtype == dtype
    assert layer(torch.ones(1, 13)).dtype == torch.float32  # nothing of it stays
    out.float().sum().backward()
    assert layer.weight.dtype == layer.weight.grad.dtype == torch.float32


# The runtime


@pytest.mark.parametrize("environment", [{}, {"WORLD_SIZE": "1", "RANK": "0", "LOCAL_RANK": "0"}])
def test_one_process_works_alone(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with start_runtime(CPU, "fp32") as runtime:
        assert runtime == Runtime(CPU, "fp32", rank=0, processes=1)
        assert runtime.first
        assert not dist.is_initialized()


def test_the_processor_has_nothing_to_wait_for_and_no_memory_of_its_own() -> None:
    runtime = Runtime(CPU, "fp32")
    runtime.synchronise()
    assert runtime.peak_memory() is None


def test_only_rank_zero_writes() -> None:
    assert [Runtime(CPU, "fp32", rank, 3).first for rank in range(3)] == [True, False, False]


def _rank(rank: int, port: int, told: "SimpleQueue[tuple[int, int, int, bool]]") -> None:
    take_part(rank, port)
    with start_runtime(CPU, "fp32") as runtime:
        total = torch.tensor(10.0**rank)
        dist.all_reduce(total)
    told.put((runtime.rank, runtime.processes, int(total), dist.is_initialized()))


@pytest.mark.slow  # two interpreters import torch
def test_processes_of_torchrun_meet_and_part() -> None:
    context = multiprocessing.get_context("spawn")
    told = context.SimpleQueue()
    run_pair(context, _rank, told)
    assert sorted(told.get() for _ in range(2)) == [(0, 2, 11, False), (1, 2, 11, False)]


def test_exact_sums_on_a_gpu_do_not_fill_fresh_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "set_device", lambda _: None)
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # put back after
    filled = torch.utils.deterministic.fill_uninitialized_memory
    try:
        start_runtime(CUDA, "fp32")
        assert torch.are_deterministic_algorithms_enabled()
        assert not torch.utils.deterministic.fill_uninitialized_memory
    finally:
        torch.use_deterministic_algorithms(False)
        torch.utils.deterministic.fill_uninitialized_memory = filled


@pytest.mark.gpu
def test_on_a_gpu_the_place_measures_its_memory() -> None:
    device = choose_device("auto")
    with start_runtime(device, choose_precision("auto", device)) as runtime:
        assert runtime.device.type == "cuda"
        kept = torch.empty(1 << 22, device=runtime.device)
        runtime.synchronise()
        peak = runtime.peak_memory()
        assert peak is not None
        assert peak >= kept.nbytes


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="counts pages of Linux")
def test_a_processor_keeps_the_pages_that_a_step_freed() -> None:
    # In a process of its own, for what is kept is kept until the end.
    code = (
        "import resource, torch\n"
        "from fcmae.training.devices import keep_freed_memory\n"
        "keep_freed_memory(torch.device('cpu'))\n"
        "def faults():\n"
        "    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt\n"
        "    [torch.ones(3, 1 << 20) for _ in range(8)]\n"
        "    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before\n"
        "[faults() for _ in range(3)]\n"
        "assert faults() < 2000, 'of 24576 pages'\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)

"""Compiles the TorchScript file of a model folder ahead of time: a package of AOTInductor for each size of a batch.

    make aoti MODEL=models/selfie

Beside `model.pt` it writes `model.b1.pt2`, `model.b2.pt2`, … The weights are in the packages, folded and in the order
that oneDNN wants on this processor for the threads of an instance, and the code is compiled for its instruction set:
make them where they shall run, with the version of torch that shall run them. A C++ compiler (g++) is needed for that,
and none to run them.

Each package is run on random input beside the TorchScript before it is put in place. A line says how far apart their
answers are, how long both take for an image, and how many times faster the package is. Which of them is faster depends
on the model, the processor and the size of the batch; where none is faster, leave the format as it is.

For a batch of several images there are a few candidates, of which the fastest is put in place: one runs every layer on
the whole batch, the others run the first layers on fewer images at a time (stages.py). The line names the sizes of
these chunks, stage by stage. A layer's weights are in a package once for each chunk that it runs on.
"""

import argparse
import ctypes
import logging
import os
import statistics
import sys
import tempfile
import time
import tomllib
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
import torch._inductor
from torch import Tensor

import stages

TOLERANCE = 1e-4
"""How far apart answers may be, of the greatest absolute value of the answer, or of 1 if that is less."""

BUDGETS = (10 << 20, 4 << 20)
"""Bytes that a layer's activations may take in a candidate with stages.

The caches that a core has for itself are smaller, but a convolution works on one part of its activations after the
other; what is right differs between processors, hence two.
"""

MOST_COPIES = 6
"""How many times as many layers as the network itself a candidate may have. Every copy is compiled, and has packed
weights of its own; networks whose last layers need small chunks too would take minutes, and many times the memory."""

WORTH = 1.03
"""How many times faster than the whole batch a candidate must be, as its package is larger."""

INSTRUCTIONS = ("amx", "avx", "bmi", "f16c", "fma", "gfni", "sse", "ssse", "vaes", "vpclmulqdq")
"""How the processor's flags begin that code may be compiled for; the server refuses where one of them is missing."""


def instructions() -> str:
    """Those of this processor."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(encoding="utf-8").splitlines() if cpuinfo.is_file() else []
    flags = next((line.partition(":")[2].split() for line in lines if line.startswith("flags")), [])
    return " ".join(sorted(flag for flag in flags if flag.startswith(INSTRUCTIONS)))


INDUCTOR = {
    "aot_inductor.metadata": {"lucarne.instructions": instructions()},
    # Weights become constants: batch normalisation goes into the convolutions, which are reordered once, and here.
    "freezing": True,
    # The loops take the threads of whoever calls, not as many as there are here.
    "cpp.dynamic_threads": True,
}

DTYPES = {"f32": torch.float32, "i64": torch.int64}


class CannotPackage(Exception):
    """What the user reads instead of packages."""


@dataclass
class Model:
    """What of a model folder matters here."""

    artifact: Path
    """The TorchScript file; with numbered versions, that of the newest."""
    example: Callable[[int], tuple[Tensor, ...]]
    """Random arguments of `forward` for a batch of that size, with the strides of the server's."""
    max_batch_size: int
    threads: int


def read_model(folder: Path) -> Model:
    """What model.toml says; `CannotPackage` where the task has no single tensor program."""
    manifest = folder / "model.toml"
    if not manifest.is_file():
        raise CannotPackage(f"{manifest}: no such file")
    toml = tomllib.loads(manifest.read_text(encoding="utf-8"))
    instances = toml.get("instances", {})
    shared = max(1, (os.cpu_count() or 1) // max(1, instances.get("count", 1)))
    return Model(
        artifact=find_artifact(folder, toml.get("artifact", {}).get("file", "model.pt")),
        example=example_of(toml),
        max_batch_size=toml.get("batching", {}).get("max_batch_size", 16),
        threads=instances.get("threads", 0) or shared,
    )


def find_artifact(folder: Path, name: str) -> Path:
    """The file itself, or that in the numbered folder with the highest number."""
    if (folder / name).is_file():
        return folder / name
    versions = [entry for entry in folder.iterdir() if entry.name.isdecimal() and (entry / name).is_file()]
    if not versions:
        raise CannotPackage(f"{folder}: no {name}, and no numbered folder with one")
    return max(versions, key=lambda version: int(version.name)) / name


def example_of(toml: dict) -> Callable[[int], tuple[Tensor, ...]]:
    """Makes random arguments of `forward` for a task; `CannotPackage` for a task that cannot be packaged."""
    task = toml.get("task")
    if task == "tensor":
        inputs = toml.get("inputs", [])
        for each in inputs:
            check_shape(each)
        return lambda batch: tuple(random_tensor(each, batch) for each in inputs)
    if task == "detection" and toml.get("output", {}).get("format") not in ("dense", "yolo"):
        raise CannotPackage("only detection with [output] format dense or yolo can be packaged")
    if task not in ("classification", "segmentation", "detection"):
        raise CannotPackage(f"the task {task} cannot be packaged: only classification, segmentation, detection, tensor")
    height, width = toml["input"]["size"]
    channels = 1 if toml["input"].get("color") == "gray" else 3
    # As the server lays its batch out: pixel by pixel. Code that is compiled for other strides would read nonsense.
    return lambda batch: (torch.randn(batch, height, width, channels).permute(0, 3, 1, 2),)


def check_shape(declared: dict) -> None:
    """`CannotPackage` unless −1 is first, and only there."""
    name, shape = declared["name"], declared["shape"]
    if shape[:1] != [-1]:
        raise CannotPackage(f"input {name}: −1, the batch, must be first in the shape {shape}")
    if -1 in shape[1:]:
        raise CannotPackage(f"input {name}: a package has one size, but {shape} has −1 after the batch")
    if declared["dtype"] not in DTYPES:
        raise CannotPackage(f"input {name}: dtype {declared['dtype']} cannot be packaged")


def random_tensor(declared: dict, batch: int) -> Tensor:
    """Normal numbers, or 0 and 1, which are valid wherever integers look something up in a table."""
    shape = (batch, *declared["shape"][1:])
    tensor = torch.randn(shape) if declared["dtype"] == "f32" else torch.randint(0, 2, shape)
    # The server lays whatever has four dimensions out as it does pictures.
    return tensor.contiguous(memory_format=torch.channels_last) if tensor.dim() == 4 else tensor


def answers(output: object) -> list[Tensor]:
    """The tensors that the server reads, in order: of a dictionary only `out`, which is segmentation's."""
    if isinstance(output, Tensor):
        return [output]
    if isinstance(output, dict):
        if "out" not in output:
            raise CannotPackage(f"the model answers with a dictionary without `out`: {', '.join(output)}")
        return [output["out"]]
    if isinstance(output, (tuple, list)) and all(isinstance(each, Tensor) for each in output):
        return list(output)
    raise CannotPackage(f"the model answers with {type(output).__name__}, which is neither tensors nor a dictionary")


def load(path: Path) -> torch.jit.ScriptModule:
    """The TorchScript for inference."""
    module = torch.jit.load(path, map_location="cpu").eval()
    for parameter in module.parameters():
        parameter.requires_grad_(False)
    return module


def frozen(path: Path) -> torch.jit.ScriptModule:
    """The TorchScript as the server runs it: weights channels-last and frozen, operators fused."""
    module = load(path)
    for parameter in module.parameters():
        if parameter.dim() == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    return torch.jit.optimize_for_inference(torch.jit.freeze(module))


def reason(error: Exception) -> str:
    """The first line of what it says."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


@contextmanager
def conversion() -> Iterator[None]:
    """Whatever stops it is `CannotPackage`."""
    try:
        yield
    except CannotPackage:
        raise
    except Exception as error:
        raise CannotPackage(f"the TorchScript cannot be converted: {reason(error)}") from error


def compile_package(graph: torch.fx.GraphModule, example: tuple[Tensor, ...], path: Path) -> None:
    """Writes the package of `graph` for arguments with the sizes and strides of `example`."""
    with conversion():
        program = torch.export.export(graph, example)
    torch._inductor.aoti_compile_and_package(program, package_path=str(path), inductor_configs=INDUCTOR)


def worst_difference(found: list[Tensor], expected: list[Tensor]) -> tuple[float, bool]:
    """The greatest difference, and whether all are within `TOLERANCE`."""
    if [each.shape for each in found] != [each.shape for each in expected]:
        raise CannotPackage("the package answers with other shapes than the TorchScript")
    worst, close = 0.0, True
    for ours, theirs in zip(found, expected):
        difference = (ours.double() - theirs.double()).abs().max().item()
        worst = max(worst, difference)
        # Written so that NaN is not close.
        close = close and difference <= TOLERANCE * max(1.0, theirs.abs().max().item())
    return worst, close


def medians(programs: list[Callable], example: tuple[Tensor, ...], seconds: float = 1.5) -> list[float]:
    """Milliseconds of a call of each, in turns and for `seconds` each, so that whatever else runs slows all of them."""
    for program in programs * 3:
        program(*example)
    times: list[list[float]] = [[] for _ in programs]
    end = time.monotonic() + seconds * len(programs)
    while time.monotonic() < end or len(times[0]) < 5:
        for program, of_program in zip(programs, times):
            began = time.perf_counter()
            program(*example)
            of_program.append((time.perf_counter() - began) * 1000)
    return [statistics.median(of_program) for of_program in times]


def leave_out(what: str, error: Exception) -> None:
    """Says why there is no such candidate."""
    print(f"{what} left out: {reason(error)}", file=sys.stderr, flush=True)


def record(module: torch.jit.ScriptModule, example: Callable[[int], tuple[Tensor, ...]], batch: int) -> stages.Graphs:
    """The graph for the batch, and those for its chunks where all of them can be recorded."""

    def program(*arguments: Tensor) -> tuple[Tensor, ...]:
        return tuple(answers(module(*arguments)))

    with conversion():
        graphs = {batch: stages.record(program, example(batch))}
    try:
        chunks = {size: stages.record(program, example(size)) for size in stages.chunk_sizes(batch) if size != batch}
    except Exception as error:
        leave_out(f"batch {batch}: stages", error)
        return graphs
    return graphs | chunks


@dataclass
class Candidate:
    """A package that may be put in place."""

    path: Path
    program: Callable
    stages: str
    """The sizes of their chunks."""
    difference: float


def make_candidates(model: Model, batch: int, folder: Path) -> list[Candidate]:
    """The package of the whole batch, and those with stages that can be made and answer as the TorchScript does."""
    module = load(model.artifact)
    graphs = record(torch.jit.freeze(module), model.example, batch)
    # Other numbers than those that they are recorded with.
    example = model.example(batch)
    expected = answers(module(*example))

    def make(plan: stages.Plan, path: Path) -> Candidate:
        compile_package(stages.build(graphs, plan), model.example(batch), path)
        program = torch._inductor.aoti_load_package(str(path), run_single_threaded=True)
        difference, close = worst_difference(list(program(*example)), expected)
        if not close:
            raise CannotPackage(f"the answers of package and TorchScript differ by {difference:.2g}")
        return Candidate(path, program, stages.describe(plan), difference)

    whole = stages.whole(graphs)
    candidates: list[Candidate] = []
    for plan in dict.fromkeys([whole, *(stages.plan(graphs, budget) for budget in BUDGETS)]):
        if stages.copies(graphs, plan) > MOST_COPIES:
            continue
        try:
            candidates.append(make(plan, folder / f"{len(candidates)}.pt2"))
        except Exception as error:
            if plan != whole:
                leave_out(f"batch {batch}: stages {stages.describe(plan)}", error)
            elif isinstance(error, CannotPackage):
                raise CannotPackage(f"batch {batch}: {error}") from error
            else:
                raise
    return candidates


def package(model: Model, batch: int, threads: int) -> None:
    """Makes, checks and measures packages for one size of batch, then puts the fastest in place."""
    path = model.artifact.with_name(f"{model.artifact.stem}.b{batch}.pt2")
    # Before compiling too: oneDNN blocks weights for a number of threads, and with another it may reorder them in every
    # call.
    torch.set_num_threads(threads)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".aoti-") as folder:
        candidates = make_candidates(model, batch, Path(folder))
        programs = [frozen(model.artifact), *(candidate.program for candidate in candidates)]
        script_ms, *packages_ms = (ms / batch for ms in medians(programs, model.example(batch)))
        measured = list(zip(packages_ms, candidates))
        package_ms, best = min(measured, key=lambda each: each[0])
        if best.stages != candidates[0].stages and packages_ms[0] < WORTH * package_ms:
            package_ms, best = measured[0]
        best.path.replace(path)
    print(
        f"{path}: batch {batch}, max difference {best.difference:.1e}, "
        f"ms an image {script_ms:.2f} TorchScript, {package_ms:.2f} package, ratio {script_ms / package_ms:.2f}, "
        f"stages {best.stages}",
        flush=True,
    )


def like_the_server() -> None:
    """Settings that the server has too, so that the measurement is of the same work."""
    torch._C._jit_set_profiling_mode(False)
    torch._C._jit_set_profiling_executor(False)
    # glibc would map and give back large blocks at every call, and their page faults take as long as the arithmetic.
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        m_trim_threshold, m_mmap_threshold = -1, -3
        libc.mallopt(m_mmap_threshold, 1 << 30)
        libc.mallopt(m_trim_threshold, 512 << 20)


def batch_sizes(limit: int) -> list[int]:
    """Powers of two up to `limit`, and `limit`."""
    return sorted({1 << power for power in range(limit.bit_length())} | {limit})


def positive(text: str) -> int:
    """A whole number from 1."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def main() -> None:
    """Makes the packages that were asked for, or those that the server's batches need."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("model", type=Path, help="model folder, with model.toml")
    arguments.add_argument(
        "--batch-sizes", type=positive, nargs="+", help="default: powers of two up to max_batch_size, and that"
    )
    arguments.add_argument("--threads", type=positive, help="of an instance (default: what model.toml says)")
    options = arguments.parse_args()
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    like_the_server()
    try:
        model = read_model(options.model)
        with torch.no_grad():
            for batch in options.batch_sizes or batch_sizes(model.max_batch_size):
                package(model, batch, options.threads or model.threads)
    except CannotPackage as error:
        sys.exit(f"{options.model}: {error}")
    print('To serve them, write in model.toml: [artifact] format = "aoti"')


if __name__ == "__main__":
    main()

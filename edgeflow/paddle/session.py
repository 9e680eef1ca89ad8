"""PaddlePaddle: export a layer, run a program, say on which device."""

from __future__ import annotations

import contextlib
import os
import warnings
import zlib  # noqa: F401  (before paddle, or gzip and npz crash with SIGSEGV afterwards)
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeflow.core.errors import DataError, ModelError, last_line
from edgeflow.core.need import need
from edgeflow.core.ragged import cut
from edgeflow.core.samples import joined
from edgeflow.core.tensors import TensorSpec, declared_batch
from edgeflow.graph import program as programs

Array = npt.NDArray[Any]

CONSTANTS_MAX_BYTES = 1 << 32
"""What the constants of a program may take while they are folded."""

CONVOLUTIONS = ("conv2d", "depthwise_conv2d", "conv2d_grad", "depthwise_conv2d_grad")


def paddle() -> Any:
    """The package, with a deterministic choice of kernels.

    Raises:
        BackendMissing: paddlepaddle is not installed.
    """
    os.environ.setdefault("GLOG_minloglevel", "2")  # Paddle reads it once, when it is imported
    package = need("paddle", "build")
    package.set_flags({"FLAGS_cudnn_deterministic": True} if package.is_compiled_with_cuda() else {})
    return package


def has_gpu() -> bool:
    """A GPU is there, and this PaddlePaddle can use it."""
    package = paddle()
    return bool(package.is_compiled_with_cuda() and package.device.cuda.device_count() > 0)


def device_name() -> str:
    """The device that `run` computes on, as reports name it."""
    if has_gpu():
        return f"GPU ({paddle().device.cuda.get_device_name(0)})"
    return f"CPU ({_cpu_model()})"


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        lines = []
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unnamed")


def seed(number: int) -> None:
    """Make weights and shuffles that a factory draws at random the same every time."""
    import random

    random.seed(number)
    np.random.seed(number)
    paddle().seed(number)


def export(
    factory: Callable[[], Any],
    inputs: Sequence[TensorSpec],
    prefix: Path,
    where: str,
    shown: Callable[[BaseException], Sequence[str]] = lambda err: (),
) -> None:
    """Write `prefix`.pdmodel and .pdiparams of the layer that `factory` returns.

    Args:
        shown: what of an error of the factory is for its author; see project/user_errors.py.

    Raises:
        ModelError: the factory fails or returns no paddle.nn.Layer, or the layer cannot be exported.
    """
    package = paddle()
    package.disable_static()
    package.set_device("gpu" if has_gpu() else "cpu")
    try:
        with package.utils.unique_name.guard(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # such as: a model without weights, which is fine
            layer = factory()
            if not isinstance(layer, package.nn.Layer):
                raise ModelError(f"{where}: returned {type(layer).__name__}, and should return a paddle.nn.Layer")
            layer.eval()
            specs = [
                package.static.InputSpec([None if d < 0 else d for d in spec.shape], spec.dtype, spec.name)
                for spec in inputs
            ]
            package.jit.save(layer, str(prefix), input_spec=specs)
    except ModelError:
        raise
    except (Exception, SystemExit) as err:
        lines = shown(err)
        why = type(err).__name__ if lines else f"{type(err).__name__}: {last_line(err)}"
        raise ModelError(
            f"{where}: cannot be exported ({why})",
            try_="run the factory and paddle.jit.save by hand to see the whole traceback",
            lines=lines,
        ) from err
    parameters = prefix.with_suffix(".pdiparams")
    if not parameters.exists():
        parameters.touch()  # a model without parameters; opt accepts an empty file


def load_inference(prefix: Path, executor: Any) -> tuple[Any, list[str], list[Any]]:
    """`paddle.static.load_inference_model`, of a program that only computes: the one way from a file to Paddle.

    Raises:
        ModelError: the program has an op that does more, or is damaged; see graph/structure.py.
    """
    programs.load(prefix.with_suffix(".pdmodel"))
    program, names, fetches = paddle().static.load_inference_model(str(prefix), executor)
    return program, names, fetches


class Program:
    """A .pdmodel ready to run; a runner: arrays by name in, arrays by name out."""

    def __init__(self, prefix: Path, *, gpu: bool | None = None) -> None:
        package = paddle()
        package.enable_static()
        self._package = package
        use_gpu = has_gpu() if gpu is None else gpu
        self.name = f"paddle on {device_name() if use_gpu or gpu is None else f'CPU ({_cpu_model()})'}"
        self._scope = package.static.Scope()
        self._executor = package.static.Executor(package.CUDAPlace(0) if use_gpu else package.CPUPlace())
        with package.static.scope_guard(self._scope):
            try:
                self.program, names, self._fetches = load_inference(prefix, self._executor)
            except ModelError:
                raise
            except Exception as err:
                last = str(err).strip().splitlines()[-1] if str(err).strip() else type(err).__name__
                raise ModelError(
                    f"{prefix}.pdmodel: cannot be loaded with its parameters ({last})",
                    try_="export both files again with paddle.jit.save",
                ) from err
        self.inputs = tuple(_spec(package, self.program, name) for name in names)
        self.outputs = tuple(var.name for var in self._fetches)

    def __enter__(self) -> Program:
        return self

    def __exit__(self, *exc: object) -> None:
        self._executor.close()
        self._package.disable_static()

    def infer(self, feed: Mapping[str, Array]) -> dict[str, Array]:
        """Run once.

        Raises:
            DataError: the program does not take these arrays.
        """
        try:
            with self._package.static.scope_guard(self._scope):
                # As tensors: one that carries the rows of each sample (LoD), as an older NMS gives, has no plain array.
                found = self._executor.run(self.program, feed=dict(feed), fetch_list=self._fetches, return_numpy=False)
                arrays = [np.array(tensor) for tensor in found]
        except Exception as err:
            raise DataError(f"the model does not run on these inputs ({last_line(err)})") from err
        return dict(zip(self.outputs, arrays, strict=True))


def fixed_batch(prefix: Path, samples: Mapping[str, Array]) -> int:
    """The number of samples that a program must be fed, tried on the first few; 0 where it takes any number.

    Most programs that declare a batch of their own give for several batches at once what they give for each.
    """
    with Program(prefix, gpu=False) as runner:
        fixed = declared_batch(runner.inputs)
        if not fixed or len(next(iter(samples.values()), ())) < 2 * fixed:
            return fixed
        feed = {spec.name: samples[spec.name][: 2 * fixed] for spec in runner.inputs}
        parts = [runner.infer({name: array[k : k + fixed] for name, array in feed.items()}) for k in (0, fixed)]
        try:
            together = runner.infer(feed)
        except DataError:
            return fixed  # it is written into a reshape, say
        apart = joined(parts)
        same = all(
            together[name].shape == array.shape and np.allclose(together[name], array, rtol=1e-4, atol=1e-5)
            for name, array in apart.items()
        )
        return 0 if same else fixed


def feeds_for(prefix: Path, samples: Mapping[str, Array], most: int) -> list[dict[str, Array]]:
    """Samples in feeds of `most`, or in whole ones of a batch that is fixed; what does not fill one is left out.
    Of several sizes those that follow each other and are alike go together.

    Raises:
        DataError: there are fewer samples than the fixed batch.
    """
    fixed, count = fixed_batch(prefix, samples), len(next(iter(samples.values()), ()))
    size = fixed or most
    end = count - count % fixed if fixed else count
    if not end:
        raise DataError(f"{count} samples do not fill the model's fixed batch of {fixed}")
    return cut({name: array[:end] for name, array in samples.items()}, size)


def evaluate(program: Any, weights: Mapping[str, Array], names: Sequence[str]) -> dict[str, Array]:
    """Run a program that has no inputs, such as a subgraph of constants, on the CPU.

    Args:
        program: a ProgramDesc; `weights` holds the variables it reads.

    Raises:
        ModelError: Paddle cannot run it.
    """
    try:
        with Session() as session, memory_of(CONSTANTS_MAX_BYTES):
            return session.run(program, weights, {}, names)
    except (DataError, MemoryError) as err:
        what = err.what if isinstance(err, DataError) else f"they need more than {CONSTANTS_MAX_BYTES} bytes"
        raise ModelError(f"constants of the program cannot be computed: {what}") from err


@contextlib.contextmanager
def memory_of(most: int) -> Iterator[None]:
    """Let this process take so many bytes more, while a program that nobody has seen yet is computed."""
    import resource  # of POSIX alone, as building is

    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    try:
        taken = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
    except OSError:
        yield
        return
    limit = taken + most
    if resource.RLIM_INFINITY in (soft, hard) or limit < soft:
        resource.setrlimit(resource.RLIMIT_AS, (limit if hard == resource.RLIM_INFINITY else min(limit, hard), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def through_onednn(program: Any) -> None:
    """Let oneDNN compute a program's convolutions, there and back, for runs on a CPU.

    Paddle's own CPU kernels call BLAS once for each image and group, of which depthwise layers have hundreds: a
    training step of MobileNetV2 takes a seventh of the time. The flag for all operators (FLAGS_use_mkldnn) fails in
    gradients and in transposed convolutions. Layouts other than NCHW come out wrong: they are left to Paddle.

    Not for an inference program that runs again with other weights: with `is_test`, oneDNN keeps those of its first
    run. Not for programs that are saved: the attribute would be too.
    """
    if paddle().base.core.is_compiled_with_mkldnn():
        for block in program.blocks:
            for op in block.ops:
                if op.type in CONVOLUTIONS and op.attr("data_format") in ("NCHW", "AnyLayout"):
                    op._set_attr("use_mkldnn", True)


class Session:
    """Runs ProgramDescs that share their weights, on the CPU: a weight is set again only where it is another array.

    Args:
        fast: convolutions through oneDNN, several times faster; sums are rounded in another order.
    """

    def __init__(self, *, fast: bool = False) -> None:
        self._package = paddle()
        self._fast = fast
        self._package.enable_static()
        self._scope, self._place = self._package.static.Scope(), self._package.CPUPlace()
        self._held: dict[str, Array] = {}

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *exc: object) -> None:
        self._package.disable_static()

    def run(
        self, program: Any, weights: Mapping[str, Array], feed: Mapping[str, Array], names: Sequence[str]
    ) -> dict[str, Array]:
        """Run once and fetch variables by name.

        Raises:
            DataError: Paddle cannot run the program on these inputs.
        """
        if not names:
            return {}  # Paddle would give the program's own outputs
        alone = type(program).FromString(program.SerializeToString())
        for index in reversed(range(len(alone.blocks[0].ops))):
            if alone.blocks[0].ops[index].type == "fetch":
                del alone.blocks[0].ops[index]  # Paddle numbers what is asked for anew, beside these
        read = {name for op in program.blocks[0].ops for var in op.inputs for name in var.arguments}
        try:
            parsed = self._package.static.Program.parse_from_string(alone.SerializeToString())
            if self._fast:
                through_onednn(parsed)
            for name in read & set(weights):
                if self._held.get(name) is not weights[name]:
                    self._scope.var(name).get_tensor().set(weights[name], self._place)
                    self._held[name] = weights[name]
            # An executor keeps the last eight programs with what they computed, and no program comes here twice.
            executor = self._package.static.Executor(self._place)
            with self._package.static.scope_guard(self._scope):
                arrays = executor.run(
                    parsed, feed=dict(feed), fetch_list=list(names), scope=self._scope, return_numpy=False
                )
            executor.close()
            self._scope.drop_kids()
        except Exception as err:
            raise DataError(f"Paddle does not run it ({last_line(err)})") from err
        return dict(zip(names, (np.array(array) for array in arrays), strict=True))


def _spec(package: Any, program: Any, name: str) -> TensorSpec:
    var = program.global_block().var(name)
    dtype = str(package.base.data_feeder.convert_dtype(var.dtype))
    return TensorSpec(name, tuple(int(d) for d in var.shape), dtype)

"""PaddleSlim: post-training quantisation, on copies only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy.typing as npt

from edgeflow.core.coverage import QUANTISABLE
from edgeflow.core.errors import CompressFailed, EdgeflowError, last_line
from edgeflow.core.need import need
from edgeflow.core.ragged import own
from edgeflow.paddle import session as paddle_backend

Array = npt.NDArray[Any]
RECONSTRUCTION = {"recon_level": "layer-wise", "epochs": 20, "lr": 0.1}
"""PaddleSlim's own defaults, written out: fewer epochs leave weights between two steps."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """How PaddleSlim quantises after training.

    `algo` finds the ranges of activations. `batch`: samples a step. `reconstruct` rounds each layer's weights so that
    its output on the calibration samples is met best, instead of to the nearest step.
    """

    algo: str
    per_channel: bool
    batch: int
    bias_correction: bool = False
    reconstruct: bool = False


def quantise(prefix: Path, out: Path, feed: Mapping[str, Array], way: Calibration) -> None:
    """Quantise `prefix`.pdmodel after training; writes `out`.pdmodel and .pdiparams.

    Args:
        feed: calibration samples by input name, [samples, ...].

    Raises:
        CompressFailed: PaddleSlim gave up.
        BackendMissing: paddleslim is not installed.
    """
    paddle = paddle_backend.paddle()
    slim = need("paddleslim.quant", "build")
    paddle.enable_static()
    place = paddle.CUDAPlace(0) if paddle_backend.has_gpu() else paddle.CPUPlace()
    executor = paddle.static.Executor(place)
    scope = paddle.static.Scope()
    try:
        with paddle.static.scope_guard(scope), paddle.utils.unique_name.guard():
            program, names, _ = paddle_backend.load_inference(prefix, executor)
            variables = [program.global_block().var(name) for name in names]
            loader = paddle.io.DataLoader(
                _samples(paddle, [feed[name] for name in names]),
                places=[place],
                feed_list=variables,
                batch_size=way.batch,
                return_list=False,
                shuffle=False,
                drop_last=False,
            )
            run = slim.quant_recon_static if way.reconstruct else slim.quant_post_static
            run(
                executor=executor,
                model_dir=str(prefix.parent),
                quantize_model_path=str(out.parent),
                data_loader=loader,
                model_filename=f"{prefix.name}.pdmodel",
                params_filename=f"{prefix.name}.pdiparams",
                save_model_filename=f"{out.name}.pdmodel",
                save_params_filename=f"{out.name}.pdiparams",
                batch_size=way.batch,
                batch_nums=None,
                scope=scope,
                algo=way.algo,
                bias_correction=way.bias_correction,
                quantizable_op_type=list(QUANTISABLE),
                weight_quantize_type="channel_wise_abs_max" if way.per_channel else "abs_max",
                # The other format rounds half to even and writes one-entry scales that ARM kernels read past.
                onnx_format=False,
                **(RECONSTRUCTION if way.reconstruct else {}),
            )
    except EdgeflowError:
        raise
    except Exception as err:
        raise CompressFailed(
            f"PaddleSlim: post-training quantisation with algo {way.algo!r} failed "
            f"({type(err).__name__}: {last_line(err)})",
            try_="another algo under [compress]: abs_max, avg, hist, KL, mse or emd",
        ) from err
    finally:
        paddle.disable_static()
    if not out.with_suffix(".pdmodel").exists():
        raise CompressFailed(f"PaddleSlim wrote no {out.name}.pdmodel")


def qat_settings(weight_type: str) -> dict[str, Any]:
    """PaddleSlim's configuration of quantisation-aware training, as opt can read its result."""
    return {
        "weight_quantize_type": weight_type,
        "activation_quantize_type": "moving_average_abs_max",
        "onnx_format": False,
        "quantize_op_types": list(QUANTISABLE),
    }


def _samples(paddle: Any, arrays: list[Array]) -> Any:
    class Samples(paddle.io.Dataset):  # type: ignore[misc]
        def __len__(self) -> int:
            return len(arrays[0])

        def __getitem__(self, index: int) -> tuple[Array, ...]:
            return tuple(own(array, index) for array in arrays)

    return Samples()

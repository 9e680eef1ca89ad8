"""calib, and the NNAdapter subgraph with its target's arithmetic."""

from __future__ import annotations

from edgeflow.core.errors import NbError
from edgeflow.emulate.arm import dequantise, quantise, round16
from edgeflow.emulate.graph import INT8, Graph, Value
from edgeflow.emulate.step import Lowering, Step


def calib(step: Step) -> None:
    """Change of precision between kernels. Source: kernels/arm/calib_compute.cc, type_trans.cc, v2.13-rc."""
    g, x, alias = step.g, step.x("Input"), step.alias
    if step.op.kernel is None:  # inside an NPU block: a change of type, which float arithmetic does not see
        step.out("Out", x)
        return
    if alias == "fp32_to_int8":
        inverse = float(1 / step.scale("scale")[0])
        step.out("Out", quantise(g, g.mul(x, inverse)))
    elif alias == "int8_to_fp32":
        step.out("Out", dequantise(g, x, float(step.scale("scale")[0])) if x.dtype == INT8 else x)
    elif alias in ("fp32_to_fp16", "fp16_to_fp32"):
        step.out("Out", round16(g, x))
    elif "_to_" in alias:
        wanted = {"fp32": "float32", "int32": "int32", "int64": "int64", "bool": "bool"}.get(alias.split("_to_")[1])
        if wanted is None:
            raise NbError(f"calib: kernel {alias!r} is unknown")
        step.out("Out", g.cast(x, wanted))
    else:
        raise NbError(f"calib: kernel {alias!r} is unknown")


def subgraph(step: Step) -> None:
    """Ops for an NPU. The device is not in the file, and its rounding is not public: an approximation."""
    for index, name in enumerate(step.op.inputs.get("Inputs", ())):
        value = step.env.get(name)
        if value is not None and value.dtype == INT8:
            scale = step.scale(f"Inputs{index}_scale")
            step.env[name] = dequantise(step.g, value, float(scale[0]))
        elif value is not None and step.npu == "float16" and value.dtype == "float32" and value.const is None:
            step.env[name] = round16(step.g, value)
    step.run_block(step, int(step.attr("sub_block", -1)))


def fake_quantise(g: Graph, x: Value, scale: float) -> Value:
    """What a symmetric int8 tensor, kept as uint8 around 128 by Verisilicon drivers, can hold of x.

    Source: Paddle-Lite nnadapter optimizer convert_quantization_symm_to_asymm.cc, v2.13-rc.
    """
    return dequantise(g, quantise(g, g.mul(x, 1.0 / scale)), scale)


def cut_off(g: Graph, x: Value, scale: float) -> Value:
    """What NNAdapter's builtin_device keeps of x in int8: the steps are cut off towards zero, not rounded.

    Source: Paddle-Lite v2.13-rc nnadapter/include/nnadapter/operation/math/quantize.h.
    """
    whole = g.cast(g.clip(g.add("Div", x, g.scalar(scale)), -127.0, 127.0), "int32")
    return g.mul(g.cast(whole, "float32"), scale)


TABLE: dict[str, Lowering] = {"calib": calib, "calib_once": calib, "subgraph": subgraph}

"""The child process of opt.py: one conversion, then gone. Imports nothing of edgeflow; the fence is run as a file."""

import json
import runpy
import sys
from pathlib import Path


def main(order: dict[str, object]) -> None:
    """Calls keep the order that opt needs: fp16 before the places, sparsity after them."""
    runpy.run_path(str(order["fence"]))["write_only_in"]([Path(str(order["out"])).parent])
    from paddlelite.lite import Opt

    opt = Opt()
    opt.set_model_file(order["model"])
    opt.set_param_file(order["params"])
    if order["fp16"]:
        opt.enable_fp16()
    opt.set_valid_places(order["valid_targets"])
    if order["weight_only"]:
        opt.set_quant_model(True)
        opt.set_quant_type({"int8": "QUANT_INT8", "int16": "QUANT_INT16"}[str(order["weight_only"])])
    if order["sparsity"]:
        opt.set_sparse_model(True)
        opt.set_sparse_threshold(order["sparsity"])
    opt.set_model_type("naive_buffer")
    opt.set_optimize_out(order["out"])
    opt.run()


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))

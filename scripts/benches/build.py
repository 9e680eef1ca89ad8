"""edgeflow build against a script that does the same by hand."""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from benches.clock import line, median_s
from benches.example import trained_copy

ROOT = Path(__file__).resolve().parents[2]
RUNS = 3


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        work = trained_copy(Path(name) / "digits")
        for targets, goal in ((["arm64-int8"], "<= 1.3"), (["kirin", "arm64-int8", "arm64"], "<= 0.8")):
            flags = [flag for target in targets for flag in ("-t", target)]

            def ours(flags: list[str] = flags) -> None:
                shutil.rmtree(work / "build", ignore_errors=True)
                call([sys.executable, "-m", "edgeflow", "build", *flags], work)

            def plain(targets: list[str] = targets) -> None:
                out = Path(name) / "plain"
                shutil.rmtree(out, ignore_errors=True)
                out.mkdir()
                for target in targets:  # by hand, a target is a run of the script
                    call([sys.executable, str(ROOT / "scripts" / "benches" / "by_hand.py"), str(out), target], work)

            def plain_at_once(targets: list[str] = targets) -> None:
                out = Path(name) / "plain"
                shutil.rmtree(out, ignore_errors=True)
                out.mkdir()
                call([sys.executable, str(ROOT / "scripts" / "benches" / "by_hand.py"), str(out), *targets], work)

            built = median_s(ours, RUNS, 0)
            label = f"build, {len(targets)} target{'s' if len(targets) > 1 else ''}"
            line(label, built, median_s(plain_at_once, RUNS, 0), goal)
            if len(targets) > 1:
                line(f"{label}, the script started for each", built, median_s(plain, RUNS, 0), goal)
        again = median_s(lambda: call([sys.executable, "-m", "edgeflow", "build", *flags], work), RUNS)
        print(f"{'rebuild with nothing changed':<44} {again:8.2f} s  goal <= 0.7 s")
        verify = median_s(
            lambda: call([sys.executable, "-m", "edgeflow", "verify", "build/kirin/model.nb"], work), RUNS
        )
        print(f"{'verify from the files alone':<44} {verify:8.2f} s  goal <= 3 s")
    import resource

    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    call([sys.executable, "-m", "edgeflow", "--help"], ROOT)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(
        f"{'edgeflow --help, CPU time':<44} "
        f"{after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime:8.3f} s  goal <= 0.15 s"
    )


def call(command: list[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)}: {done.stderr[-2000:]}")

"""edgeflow reproduce on real builds: identical, or what differs and whose doing it is; never in the way of what is
there.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

import edgeflow
from edgeflow.cli.reproduce import lines
from edgeflow.core.errors import DataError, RecipeError, TargetError
from edgeflow.flow.provenance import FOLLOWS
from edgeflow.flow.reproduce import reproduce
from edgeflow.project.trust import trust
from tests.conftest import ROOT
from tests.projects import edit, hashes, run

pytestmark = pytest.mark.build


@pytest.fixture
def manifest(project: Path, built: Path) -> Path:
    """A finished build of arm64 in a project of its own."""
    shutil.copytree(built / "build" / "arm64", project / "build" / "arm64")
    trust(project)
    return project / "build" / "arm64" / "manifest.json"


def test_identical_and_nothing_is_touched(manifest: Path, tmp_path: Path) -> None:
    project = manifest.parents[2]
    before = hashes(manifest.parent)
    done = run(project, "reproduce", "build/arm64/manifest.json", "--build-dir", str(tmp_path / "again"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout == f"identical: model.nb, sha256 {before['model.nb']}, and all that the manifest records\n"
    assert hashes(manifest.parent) == before == hashes(tmp_path / "again" / "arm64")
    assert {p.name for p in (project / "build").iterdir()} == {"arm64"}, "neither a cache nor a lock is left in build/"
    again = run(project, "reproduce", "build/arm64/manifest.json", "--build-dir", str(tmp_path / "again"))
    assert again.returncode == 1 and "is not empty, and a rebuild should start from nothing" in again.stderr
    assert str(project) not in manifest.read_text()


def test_changed_weights_data_and_settings_are_told_apart(manifest: Path) -> None:
    project = manifest.parents[2]
    edit(
        project,
        "model.py",
        "    return model\n",
        "    model.stem[0].bias.set_value(model.stem[0].bias + 1)\n    return model\n",
    )
    found = reproduce(manifest)
    assert not found.identical and not found.same_bytes
    assert {item.field for item in found.differences if item.cause == "model"} == {"model.weights_sha256"}
    assert {item.cause for item in found.differences} == {"model", "result"}
    text = "\n".join(lines(found))
    assert text.startswith("your model changed\n  the weights are other ones\n" + FOLLOWS)
    edit(project, "model.py", "    model.stem[0].bias.set_value(model.stem[0].bias + 1)\n", "")

    edit(
        project,
        "data.py",
        'return {"image": pictures, "label": labels}',
        'return {"image": pictures[:99], "label": labels[:99]}',
    )
    edit(project, "edgeflow.toml", "[drift]\n", "[drift]\nsqnr_db_min = 20.0\n")
    done = run(project, "reproduce", "build/arm64/manifest.json", "--json")
    assert done.returncode == 3
    assert "known before the rebuild:\nsettings changed\n  settings.limits.sqnr_db_min is 20.0, recorded" in done.stderr
    assert "evaluation" not in done.stderr
    table = json.loads(done.stdout)
    assert not table["identical"] and table["same_bytes"], "neither has a say in a float .nb"
    by_cause = {item["cause"]: item["field"] for item in table["differences"]}
    assert by_cause["data"] == "data.evaluation_sha256" and by_cause["settings"] == "settings.limits.sqnr_db_min"
    documented = (ROOT / "docs" / "lock.md").read_text()
    for key in (*table, *table["differences"][0]):
        assert f"`{key}`" in documented, key


def test_other_tools_and_files_that_were_exchanged(manifest: Path, tmp_path: Path) -> None:
    table = json.loads(manifest.read_text())
    table["tools"]["paddlelite"] = "2.12"
    del table["code"], table["settings"]["convert"]
    alone = tmp_path / "alone" / "manifest.json"
    alone.parent.mkdir()
    alone.write_text(json.dumps(table))
    (alone.parent / "model.nb").write_bytes(b"x")
    with pytest.raises(RecipeError, match="does not lie in a recipe's build/<target>/") as caught:
        reproduce(alone)
    assert "--recipe" in caught.value.try_
    told: list[str] = []
    found = reproduce(alone, manifest.parents[2], told=lambda items: told.extend(item.text for item in items))
    assert told == ['paddlelite is "2.13rc0", recorded "2.12"']
    assert {item.cause for item in found.differences} == {"tools", "files"} and found.same_bytes and not found.identical
    assert found.unrecorded == ("code", "settings.convert.keep_float", "settings.convert.keep_on_cpu")
    text = "\n".join(lines(found))
    assert "files beside the manifest are not the recorded ones\n  model.nb has other bytes" in text
    assert text.endswith("the .nb itself is the same, byte for byte")


def test_ops_kept_on_the_cpu_by_the_command_line(project: Path) -> None:
    assert run(project, "build", "-t", "kirin", "--keep-on-cpu", "pool2d").returncode == 0
    recorded = json.loads((project / "build" / "kirin" / "manifest.json").read_text())
    assert recorded["settings"]["convert"] == {"keep_on_cpu": ["pool2d"], "keep_float": []}
    assert reproduce(project / "build" / "kirin" / "manifest.json").identical


@pytest.mark.parametrize(
    ("key", "value", "error", "message"),
    [
        ("target", "../../evil.toml", TargetError, "and should be a name"),
        ("target", "kirim", TargetError, "did you mean 'kirin'"),
        ("target", None, DataError, "target is nothing"),
        ("nb", {}, DataError, "nb.sha256 is nothing"),
        ("format", 7, DataError, "format is 7"),
    ],
)
def test_manifests_that_cannot_be_rebuilt(
    key: str, value: object, error: type[Exception], message: str, manifest: Path
) -> None:
    table = json.loads(manifest.read_text())
    manifest.write_text(json.dumps({**table, key: value}))
    with pytest.raises(error, match=message):
        reproduce(manifest)


def test_a_profile_of_ones_own(project: Path, tmp_path: Path) -> None:
    own = tmp_path / "myboard.toml"
    own.write_text('base = "arm64"\n')
    (result,) = edgeflow.build(project, [str(own)])
    manifest = result.folder / "manifest.json"
    with pytest.raises(TargetError, match="'myboard' is unknown") as caught:
        reproduce(manifest)
    assert "--target PROFILE.toml" in caught.value.try_
    with pytest.raises(TargetError, match="was built for 'myboard', and --target is 'arm64'"):
        reproduce(manifest, target="arm64")
    own.write_text('base = "arm64"\n[precision]\nweights = "per_layer"\n')
    found = reproduce(manifest, target=str(own))
    assert [item.cause for item in found.differences] == ["target"] and found.same_bytes

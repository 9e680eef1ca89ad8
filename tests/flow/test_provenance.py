"""Two manifests compared: every difference is found, and stands under whose doing it is."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgeflow.core.errors import DataError
from edgeflow.flow.provenance import FOLLOWS, TITLES, differences, grouped, part, unrecorded, validate

MANIFEST: dict[str, Any] = {
    "format": 1,
    "name": "digits",
    "target": "arm64",
    "precision": "float32",
    "compression": "none",
    "npu_arithmetic": None,
    "profile_hash": "ab",
    "code": "cd",
    "reference": {"device": "CPU (a)", "samples": 450, "sha256": "11", "outputs": ["y"]},
    "model": {
        "program_sha256": "22",
        "weights_sha256": "33",
        "repairs": {},
        "rewrites": {"batch_norm": 4},
        "respelled": {},
    },
    "data": {"evaluation_sha256": "44", "calibration_sha256": None, "training_sha256": "55"},
    "nb": {
        "sha256": "66",
        "bytes": 100,
        "opt_version": "v2.13-rc",
        "valid_targets": "arm",
        "repairs": {},
        "off_npu": [],
    },
    "settings": {
        "compress": {"algo": "hist", "layer_algo": {}, "fine_tune": {"epochs": 0}},
        "seed": 0,
        "metric": "top1",
        "limits": {"sqnr_db_min": 30.0},
        "inputs": {"image": {"shape": [-1], "dtype": "float32"}},
        "sources_hash": "77",
        "convert": {"keep_on_cpu": [], "keep_float": []},
    },
    "tools": {"python": "3.10.13", "numpy": "1.26.4"},
    "layers": {"mapped": 1, "total": 1, "ops": [{"op": 0}]},
}


def changed(*path: str, to: Any) -> dict[str, Any]:
    found = copy.deepcopy(MANIFEST)
    inner = found
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = to
    return found


@pytest.mark.parametrize(
    ("path", "to", "cause", "says"),
    [
        (("model", "program_sha256"), "99", "model", "the exported program is another one"),
        (("model", "weights_sha256"), "99", "model", "the weights are other ones"),
        (("data", "evaluation_sha256"), "99", "data", "the evaluation data are other ones"),
        (("data", "calibration_sha256"), "99", "data", 'data.calibration_sha256 is "99", recorded nothing'),
        (("settings", "compress", "algo"), "KL", "settings", 'settings.compress.algo is "KL", recorded "hist"'),
        (
            ("settings", "compress", "fine_tune", "epochs"),
            3,
            "settings",
            "settings.compress.fine_tune.epochs is 3, recorded 0",
        ),
        (
            ("settings", "compress", "layer_algo"),
            {"a": "KL"},
            "settings",
            'layer_algo differs: {"a": "KL"}, recorded {}',
        ),
        (
            ("settings", "inputs"),
            {"image": {"shape": [-1]}, "second": {"shape": [1]}},
            "settings",
            "settings.inputs differs",
        ),
        (("settings", "sources_hash"), "99", "settings", "[model] or [data] of the recipe"),
        (
            ("settings", "convert", "keep_on_cpu"),
            ["pool2d"],
            "settings",
            'keep_on_cpu differs: ["pool2d"], recorded []',
        ),
        (("name",), "numbers", "settings", 'name is "numbers"'),
        (("profile_hash",), "99", "target", "the profile gives opt"),
        (("npu_arithmetic",), "float16", "target", "npu_arithmetic is"),
        (("tools", "numpy"), "2.0", "tools", 'numpy is "2.0", recorded "1.26.4"'),
        (("tools", "paddlelite"), "2.14", "tools", 'paddlelite is "2.14", recorded nothing'),
        (("code",), "99", "tools", "edgeflow's own code"),
        (("nb", "opt_version"), "v2.14", "tools", "nb.opt_version"),
        (("reference", "device"), "GPU", "device", 'reference.device is "GPU", recorded "CPU (a)"'),
        (("nb", "sha256"), "99", "result", "the .nb has other bytes"),
        (("reference", "sha256"), "99", "result", "the reference (inputs and outputs) has other bytes"),
        (("model", "rewrites"), {"batch_norm": 5}, "result", "model.rewrites differs"),
        (("layers",), {}, "result", "the map from ops to source layers"),
    ],
    ids=lambda value: ".".join(value) if isinstance(value, tuple) else "",
)
def test_each_field_has_its_cause(path: tuple[str, ...], to: Any, cause: str, says: str) -> None:
    (found,) = differences(MANIFEST, changed(*path, to=to))
    assert found.cause == cause
    assert says in found.text
    assert (found.field, found.rebuilt) == (".".join(path), to)


def test_groups_say_whose_doing_it_is() -> None:
    both = changed("model", "weights_sha256", to="99")
    both["nb"]["sha256"] = "99"
    assert [title for title, _ in grouped(differences(MANIFEST, both))] == ["your model changed", FOLLOWS]
    assert [title for title, _ in grouped(differences(MANIFEST, changed("nb", "bytes", to=101)))] == [TITLES["result"]]
    both["tools"]["numpy"] = "2"
    assert grouped(differences(MANIFEST, both))[0][0] == "your model changed, or other tools exported it in another way"


def test_a_record_of_an_older_version() -> None:
    old = copy.deepcopy(MANIFEST)
    del old["code"], old["settings"]["convert"]
    assert differences(old, MANIFEST) == ()
    assert unrecorded(old, MANIFEST) == ("code", "settings.convert.keep_float", "settings.convert.keep_on_cpu")
    assert unrecorded(MANIFEST, old) == ()
    assert [item.field for item in differences(MANIFEST, old)] == [
        "settings.convert.keep_float",
        "settings.convert.keep_on_cpu",
        "code",
    ], "what a rebuild lacks is a difference"


def test_only_what_is_known_so_far() -> None:
    known = {"settings": {"seed": 1}, "tools": {"python": "3.10.13"}, "code": "cd"}
    found = differences(part(MANIFEST, known), known)
    assert [item.field for item in found] == ["settings.seed", "tools.numpy"]


@pytest.mark.parametrize(
    ("path", "to", "message"),
    [
        (("nb", "sha256"), None, "nb.sha256 is nothing, and should be a string"),
        (("nb",), [], "nb.sha256 is nothing"),
        (("target",), 3, "target is 3, and should be a string"),
        (("tools",), "all", 'tools is "all", and should be a table'),
        (("settings", "compress"), {}, "settings.compress is {}"),
        (("model", "weights_sha256"), "", 'weights_sha256 is ""'),
    ],
)
def test_a_record_of_too_little(path: tuple[str, ...], to: Any, message: str) -> None:
    with pytest.raises(DataError) as caught:
        validate(changed(*path, to=to), "m.json")
    assert message in caught.value.what and caught.value.what.startswith("m.json: ")
    validate(MANIFEST, "m.json")


def test_hostile_values_stay_short_and_printable() -> None:
    found = differences(MANIFEST, changed("settings", "metric", to="\x1b[31m" + "x" * 10**6))
    assert len(found[0].text) < 200 and found[0].text.isprintable()
    deep: Any = []
    for _ in range(900):
        deep = [deep]
    with pytest.raises(DataError, match="nested more than"):
        validate(changed("settings", "metric", to=deep), "m.json")


values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=5) | st.integers(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
tables = st.dictionaries(
    st.sampled_from(["model", "data", "settings", "tools", "nb", "x", "layers"]), values, max_size=4
)
patient = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])


@patient
@given(tables)
def test_equal_tables_never_differ(table: dict[str, Any]) -> None:
    assert differences(table, json.loads(json.dumps(table))) == ()


@patient
@given(tables, tables)
def test_nothing_is_missed(one: dict[str, Any], other: dict[str, Any]) -> None:
    """Whatever differs shows up as a difference, or as a field that was not recorded; null and an empty table hold
    nothing.
    """

    def without_empty(value: Any) -> Any:
        if isinstance(value, dict):
            kept = {k: without_empty(v) for k, v in value.items()}
            return {k: v for k, v in kept.items() if v not in ({}, None)}
        return value

    same = json.dumps(without_empty(one), sort_keys=True) == json.dumps(without_empty(other), sort_keys=True)
    if not (differences(one, other) or unrecorded(one, other)):
        assert same

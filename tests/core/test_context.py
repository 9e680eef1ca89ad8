from __future__ import annotations

import pytest

from edgeflow.core.context import pairs, parsed, spelled, told
from edgeflow.core.errors import DataError, RecipeError
from edgeflow.core.targets import load_target, names


def test_what_is_told_goes_through_and_back() -> None:
    target = load_target("qualcomm-qnn")
    found = told(target, {"QUALCOMM_QNN_ENABLE_FP16": "true", "QUALCOMM_QNN_DEVICE_TYPE": "HTP"})
    text = "QUALCOMM_QNN_DEVICE_TYPE=HTP;QUALCOMM_QNN_ENABLE_FP16=true"
    assert spelled(found) == text and parsed(text) == found and told(target, {}) == {}


@pytest.mark.parametrize(
    ("target", "key", "value", "said"),
    [
        ("qualcomm-qnn", "QUALCOMM_QNN_DEVICE_TYPE", "NPU", "one of CPU, GPU, DSP, HTP"),
        ("mediatek", "MEDIATEK_APU_RELAX_FP32_TO_FP16", "", "one of true, false"),
        ("nnapi", "ANDROID_NNAPI_SELECTED_DEVICE_IDS", "0;X=1", "numbers with commas between"),
        ("ascend310", "HUAWEI_ASCEND_NPU_DUMP_MODEL_FILE_PATH", "a b", "a path on the device"),
        ("nnapi", "ANDROID_NNAPI_RELAX_FP16", "true", "did you mean 'ANDROID_NNAPI_RELAX_FP32_TO_FP16'"),
        ("kirin", "ANDROID_NNAPI_RELAX_FP32_TO_FP16", "true", "its driver takes none"),
    ],
)
def test_what_a_driver_does_not_know_is_refused(target: str, key: str, value: str, said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        told(load_target(target), {key: value})
    with pytest.raises(DataError, match="should be KEY=VALUE"):
        pairs(["KEY"], DataError)


def test_profiles_say_values_that_they_allow() -> None:
    for name in names():
        target = load_target(name)
        told(target, {})
        told(target, {key: known.default for key, known in target.runtime.context.items() if known.default})

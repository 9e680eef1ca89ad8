#include <filesystem>

#include "contract.h"
#include "expect.h"
#include "files.h"

using namespace edgeflow;

namespace {

const std::string good =
    R"({"format": 1, "name": "digits", "target": "kirin", "task": "classify", "model": {"file": "model.nb", "sha256": "ab"},
  "inputs": [{"name": "image", "dtype": "float32", "shape": [-1, 3, 224, 224], "preprocess": {"resize": "short_side", "size": [256, 256],
  "crop": [224, 224], "colour": "RGB", "scale": 0.00392156862745098, "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225], "layout": "NCHW", "pad_value": 0.0}}],
  "outputs": ["softmax_0.tmp_0"], "golden": {"inputs": ["golden/in_0.npy"], "outputs": ["golden/out_0.npy"], "max_abs": 1e-3, "picture": null, "picture_input": null},
  "labels": "labels.txt", "runtime": {"devices": ["huawei_kirin_npu"], "context": "A=1;B=2", "libraries": ["libnnadapter.so"]}})";

std::string with(const std::string& old, const std::string& fresh) {
  std::string text = good;
  const std::size_t at = text.find(old);
  EXPECT(at != std::string::npos);
  return text.replace(at, old.size(), fresh);
}

Contract parsed(const std::string& text) {
  write_file("bundle/contract.json", text);
  return read_contract("bundle/contract.json");
}

}  // namespace

int main() {
  std::filesystem::create_directories("bundle");
  std::filesystem::create_directories("outside");
  const Contract c = parsed(good);
  EXPECT(c.name == "digits" && c.target == "kirin" && c.task == "classify" && c.model == "bundle/model.nb" &&
         c.model_sha256 == "ab");
  EXPECT(c.inputs.size() == 1 && c.picture_input() == 0 && c.inputs[0].dtype == Dtype::float32 &&
         (c.inputs[0].shape == Shape{-1, 3, 224, 224}));
  const Preprocess& p = *c.inputs[0].preprocess;
  EXPECT(p.resize == "short_side" && p.size[1] == 256 && p.crop[0] == 224 && p.channels() == 3 && p.layout == "NCHW");
  EXPECT_NEAR(p.std[1], 0.224, 1e-7);
  EXPECT(c.golden && c.golden->inputs[0] == "bundle/golden/in_0.npy" && c.golden->picture.empty());
  EXPECT_NEAR(c.golden->max_abs, 1e-3, 0);
  EXPECT(c.labels == "bundle/labels.txt" && c.devices[0] == "huawei_kirin_npu" && c.context == "A=1;B=2");

  const auto kinds = [](const char* list) {
    return with(R"("labels")", std::string(R"("kinds": )") + list + R"(, "labels")");
  };
  const Contract told =
      parsed(kinds(R"([{"kind": "boxes", "why": "w", "columns": ["x", "y", "w", "h", "score"], "normalised": true}])"));
  EXPECT(told.first_of("boxes") == 0U && !told.first_of("map") && told.kinds[0].columns[4] == "score" &&
         told.kinds[0].normalised);
  EXPECT(parsed(kinds(R"([{"kind": "ctc", "why": "w", "blank": -1}])")).kinds[0].blank == -1 && !c.first_of("ctc"));
  EXPECT_THROWS(parsed(kinds(R"([{"kind": "boxes", "why": "w", "columns": ["x", "y"]}])")),
                "should hold x1, y1, x2, y2, or");
  EXPECT_THROWS(parsed(kinds(R"([{"kind": "ids", "why": "w"}, {"kind": "ids", "why": "w"}])")),
                "what 2 outputs are, and there are 1");
  EXPECT_THROWS(parsed(kinds(R"([{"kind": "sounds", "why": "w"}])")), "kinds[0].kind");

  EXPECT(parsed(with(R"("task": "classify")", R"("task": null)")).task.empty());
  EXPECT(!parsed(with(R"("labels": "labels.txt")", R"("labels": null)")).labels.size());
  EXPECT_THROWS(parsed("{"), "bundle/contract.json: is no JSON");
  EXPECT_THROWS(parsed("[1]"), "is no table");
  EXPECT_THROWS(parsed(with(R"("format": 1)", R"("format": 2)")), "format is 2, and should be 1");
  EXPECT_THROWS(parsed(with(R"("outputs": ["softmax_0.tmp_0"],)", "")), "key 'outputs' is missing");
  EXPECT_THROWS(parsed(with(R"("file": "model.nb")", R"("file": "../model.nb")")), "should be a path inside");
  EXPECT_THROWS(parsed(with(R"("file": "model.nb")", R"("file": "/etc/passwd")")), "should be a path inside");
  EXPECT_THROWS(parsed(with(R"("file": "model.nb")", R"("file": "a/../../b")")), "should be a path inside");
  EXPECT_THROWS(parsed(with(R"("file": "model.nb")", R"("file": "")")), "should be a path inside");
  EXPECT_THROWS(parsed(with(R"("file": "model.nb")", R"("file": "a\u0000b")")), "should be a path inside");
  std::error_code code;
  std::filesystem::create_directory_symlink("../outside", "bundle/golden", code);
  EXPECT_THROWS(parsed(good), "golden.inputs is \"golden/in_0.npy\", and should be a path inside");
  std::filesystem::remove("bundle/golden");
  EXPECT_THROWS(parsed(with(R"("resize": "short_side")", R"("resize": "bicubic")")),
                "inputs[0].preprocess.resize is 'bicubic', and should be one of none, stretch");
  EXPECT(p.pad_in == "pixels" && p.interpolation == "linear" && !p.padded());  // as before there were such keys
  EXPECT(parsed(with(R"("resize": "short_side")", R"("resize": "text_line", "pad_in": "input")"))
             .inputs[0]
             .preprocess->padded());
  EXPECT_THROWS(parsed(with(R"("pad_value": 0.0)", R"("pad_in": "bytes")")), "pad_in is 'bytes', and should be one of");
  EXPECT_THROWS(parsed(with(R"("pad_value": 0.0)", R"("interpolation": "nearest")")), "one of linear, cubic, area");
  EXPECT_THROWS(parsed(with(R"("pad_value": 0.0)", R"("gamma": 2.2)")), "unknown key 'gamma'");
  EXPECT_THROWS(parsed(with("[256, 256]", "[256]")), "size is [256], and should be height and width");
  EXPECT_THROWS(parsed(with("[256, 256]", "[0, 256]")), "whole numbers from 1 on");
  EXPECT_THROWS(parsed(with("[256, 256]", "[256.5, 256]")), "whole numbers");
  EXPECT_THROWS(parsed(with("[256, 256]", "[99999, 99999]")), "at most 16384");
  EXPECT_THROWS(parsed(with("[0.485, 0.456, 0.406]", "[0.485]")), "should have one a channel: 3");
  EXPECT_THROWS(parsed(with("[0.229, 0.224, 0.225]", "[0.229, 0, 0.225]")), "std holds 0");
  EXPECT_THROWS(parsed(with("[0.229, 0.224, 0.225]", "[0.229, \"x\", 0.225]")), "should be a number");
  EXPECT_THROWS(parsed(with(R"("dtype": "float32")", R"("dtype": "float13")")), "dtype is 'float13'");
  EXPECT_THROWS(parsed(with(R"("dtype": "float32")", R"("dtype": "uint8")")), "should be float32");
  EXPECT_THROWS(parsed(with(R"("picture": null)", R"("picture": "p.png")")), "should both be given, or neither");
  EXPECT_THROWS(
      parsed(with(R"("name": "digits")", R"("name": )" + std::string(200000, '[') + std::string(200000, ']'))),
      "name is an array, and should be a text");
  EXPECT_THROWS(parsed(std::string(1 << 21, ' ')), "should take at most 1048576");
  EXPECT_THROWS(parsed(with(R"("preprocess": {)", R"("other": {)")).picture_input(), "no input has pre-processing");
  return failures();
}

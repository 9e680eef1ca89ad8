#include "contract.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <initializer_list>
#include <set>
#include <stdexcept>

#include "files.h"
#include "json_read.h"

namespace edgeflow {
namespace {

using namespace json;
namespace fs = std::filesystem;

constexpr std::size_t contract_max_bytes = std::size_t{1} << 20;
constexpr std::int64_t side_max = 16384;
const std::set<std::string> preprocess_keys{"resize", "size",   "crop",      "colour", "scale",        "mean",
                                            "std",    "layout", "pad_value", "pad_in", "interpolation"};

const std::set<std::string> tokenize_keys{"kind",         "vocab",      "vocab_sha256",  "max_length", "padding",
                                          "truncation",   "unk",        "pad",           "cls",        "sep",
                                          "continuation", "lower_case", "strip_accents", "split_cjk",  "token_types",
                                          "task_types",   "positions",  "mask",          "length"};
constexpr std::int64_t length_max = 4096;  // as core/tokenize.py has it

std::vector<std::int64_t> sides(const Json* value, const std::string& where, std::int64_t least) {
  std::vector<std::int64_t> found;
  if (value == nullptr) return found;
  for (const Json& side : list(*value, where, 16)) {
    if (!side.is_number_integer() || side.get<double>() < static_cast<double>(least) || side.get<double>() > 1e9)
      refuse(where + " is " + shown(*value) + ", and should hold whole numbers from " + std::to_string(least) + " on");
    found.push_back(side.get<std::int64_t>());
  }
  return found;
}

std::vector<float> floats(const Json& value, std::size_t size, const std::string& where) {
  std::vector<float> found;
  for (const Json& item : list(value, where, 3)) found.push_back(static_cast<float>(number(item, where)));
  if (found.size() != size)
    refuse(where + " has " + std::to_string(found.size()) +
           " values, and should have one a channel: " + std::to_string(size));
  return found;
}

void check_pair(const std::vector<std::int64_t>& pair, const std::string& where) {
  if (pair.size() != 2 || pair[0] > side_max || pair[1] > side_max)
    refuse(where + " is " + text_of(pair) + ", and should be height and width, each at most " +
           std::to_string(side_max));
}

Preprocess read_preprocess(const Json& table, const std::string& where) {
  if (!table.is_object()) refuse(where + " is no table");
  for (const auto& item : table.items())
    if (preprocess_keys.count(item.key()) == 0)
      refuse(where + ": unknown key '" + item.key() + "'; this program is older than the contract");
  Preprocess found;
  found.resize = one_of(member(table, "resize", where),
                        {"none", "stretch", "short_side", "letterbox", "letterbox_left", "text_line", "limit_long",
                         "limit_short", "long_side"},
                        where + ".resize");
  found.size = sides(optional_member(table, "size"), where + ".size", 1);
  if (found.resize != "none" || !found.size.empty()) check_pair(found.size, where + ".size");
  found.crop = sides(optional_member(table, "crop"), where + ".crop", 1);
  if (!found.crop.empty()) check_pair(found.crop, where + ".crop");
  found.colour = one_of(member(table, "colour", where), {"RGB", "BGR", "GRAY"}, where + ".colour");
  found.scale = static_cast<float>(number(member(table, "scale", where), where + ".scale"));
  found.mean = floats(member(table, "mean", where), found.channels(), where + ".mean");
  found.std = floats(member(table, "std", where), found.channels(), where + ".std");
  for (const float value : found.std)
    if (value == 0.0F) refuse(where + ".std holds 0, and should hold what can be divided by");
  found.layout = one_of(member(table, "layout", where), {"NCHW", "NHWC"}, where + ".layout");
  if (const Json* value = optional_member(table, "pad_value"))
    found.pad_value = static_cast<float>(number(*value, where + ".pad_value"));
  if (const Json* value = optional_member(table, "interpolation"))
    found.interpolation = one_of(*value, {"linear", "cubic", "area"}, where + ".interpolation");
  if (const Json* value = optional_member(table, "pad_in"))
    found.pad_in = one_of(*value, {"pixels", "input"}, where + ".pad_in");
  return found;
}

Tokenize read_tokenize(const Json& table, const std::string& folder, const std::string& where) {
  if (!table.is_object()) refuse(where + " is no table");
  for (const auto& item : table.items())
    if (tokenize_keys.count(item.key()) == 0)
      refuse(where + ": unknown key '" + item.key() + "'; this program is older than the contract");
  const auto word = [&](const char* key) { return text(member(table, key, where), where + "." + key); };
  const auto flag = [&](const char* key) { return truth(member(table, key, where), where + "." + key); };
  Tokenize found;
  found.kind = one_of(member(table, "kind", where), {"wordpiece", "character"}, where + ".kind");
  found.vocab = inside(folder, member(table, "vocab", where), where + ".vocab");
  found.vocab_sha256 = word("vocab_sha256");
  const double longest = number(member(table, "max_length", where), where + ".max_length");
  if (longest < 3 || longest > static_cast<double>(length_max) || std::floor(longest) != longest)
    refuse(where + ".max_length is " + shown(member(table, "max_length", where)) +
           ", and should be a whole number from 3 to " + std::to_string(length_max));
  found.max_length = static_cast<std::int64_t>(longest);
  found.padding = one_of(member(table, "padding", where), {"max_length", "longest"}, where + ".padding");
  found.truncation = one_of(member(table, "truncation", where), {"end", "none"}, where + ".truncation");
  found.unk = word("unk"), found.pad = word("pad"), found.cls = word("cls"), found.sep = word("sep");
  found.continuation = word("continuation");
  found.lower_case = flag("lower_case"), found.strip_accents = flag("strip_accents");
  found.split_cjk = flag("split_cjk");
  found.token_types = word("token_types"), found.task_types = word("task_types");
  found.positions = word("positions"), found.mask = word("mask"), found.length = word("length");
  return found;
}

Input read_input(const Json& table, const std::string& folder, const std::string& where) {
  Input found;
  found.name = text(member(table, "name", where), where + ".name");
  found.dtype = dtype_of(text(member(table, "dtype", where), where + ".dtype"));
  found.shape = sides(&member(table, "shape", where), where + ".shape", -1);
  if (const Json* value = optional_member(table, "preprocess")) {
    found.preprocess = read_preprocess(*value, where + ".preprocess");
    if (found.dtype != Dtype::float32)
      refuse(where + " is " + name_of(found.dtype) + " with pre-processing, and should be float32");
  }
  if (const Json* value = optional_member(table, "tokenize"))
    found.tokenize = read_tokenize(*value, folder, where + ".tokenize");
  return found;
}

Golden read_golden(const Json& table, const std::string& folder) {
  Golden found;
  found.inputs = paths(folder, member(table, "inputs", "golden"), "golden.inputs");
  found.outputs = paths(folder, member(table, "outputs", "golden"), "golden.outputs");
  found.max_abs = number(member(table, "max_abs", "golden"), "golden.max_abs");
  if (const Json* value = optional_member(table, "picture")) found.picture = inside(folder, *value, "golden.picture");
  if (const Json* value = optional_member(table, "picture_input"))
    found.picture_input = inside(folder, *value, "golden.picture_input");
  if (const Json* value = optional_member(table, "texts")) found.texts = inside(folder, *value, "golden.texts");
  if (found.picture.empty() != found.picture_input.empty())
    refuse("golden: picture and picture_input should both be given, or neither");
  return found;
}

OutputKind read_kind(const Json& table, const std::string& where) {
  OutputKind found;
  found.kind =
      one_of(member(table, "kind", where),
             {"scores", "ctc", "map", "boxes", "landmarks", "embedding", "ids", "sequence", "tensor"}, where + ".kind");
  if (const Json* value = optional_member(table, "columns")) {
    found.columns = texts(*value, where + ".columns");
    const auto has = [&](std::initializer_list<const char*> names) {
      return std::all_of(names.begin(), names.end(), [&](const char* name) {
        return std::find(found.columns.begin(), found.columns.end(), name) != found.columns.end();
      });
    };
    if (!has({"x1", "y1", "x2", "y2"}) && !has({"x", "y", "w", "h"}))
      refuse(where + ".columns should hold x1, y1, x2, y2, or x, y, w, h");
  }
  if (const Json* value = optional_member(table, "blank")) {
    const double blank = number(*value, where + ".blank");
    if (blank < -1 || blank > 1e6 || std::floor(blank) != blank)
      refuse(where + ".blank is " + shown(*value) + ", and should be a class, or -1 for the last one");
    found.blank = static_cast<long>(blank);
  }
  if (const Json* value = optional_member(table, "threshold")) found.threshold = number(*value, where + ".threshold");
  if (const Json* value = optional_member(table, "normalised")) found.normalised = truth(*value, where + ".normalised");
  return found;
}

Contract fill(const Json& table, const std::string& path) {
  const std::string folder = fs::path(path).has_parent_path() ? fs::path(path).parent_path().string() : ".";
  if (member(table, "format", "the contract") != 1)
    refuse("format is " + shown(member(table, "format", "the contract")) + ", and should be 1");
  Contract found;
  found.path = path;
  found.name = text(member(table, "name", "the contract"), "name");
  found.target = text(member(table, "target", "the contract"), "target");
  if (const Json* value = optional_member(table, "task"))
    found.task = one_of(*value, {"classify", "classify_text", "detect", "ocr_detect", "ocr_recognise"}, "task");
  const Json& model = member(table, "model", "the contract");
  found.model = inside(folder, member(model, "file", "model"), "model.file");
  found.model_sha256 = text(member(model, "sha256", "model"), "model.sha256");
  for (const Json& input : list(member(table, "inputs", "the contract"), "inputs", 256))
    found.inputs.push_back(read_input(input, folder, "inputs[" + std::to_string(found.inputs.size()) + "]"));
  found.outputs = texts(member(table, "outputs", "the contract"), "outputs");
  if (const Json* value = optional_member(table, "kinds"))
    for (const Json& item : list(*value, "kinds", 256))
      found.kinds.push_back(read_kind(item, "kinds[" + std::to_string(found.kinds.size()) + "]"));
  if (!found.kinds.empty() && found.kinds.size() != found.outputs.size())
    refuse("kinds says what " + std::to_string(found.kinds.size()) + " outputs are, and there are " +
           std::to_string(found.outputs.size()));
  if (const Json* value = optional_member(table, "golden")) found.golden = read_golden(*value, folder);
  if (const Json* value = optional_member(table, "labels")) found.labels = inside(folder, *value, "labels");
  if (const Json* runtime = optional_member(table, "runtime")) {
    if (const Json* value = optional_member(*runtime, "devices")) found.devices = texts(*value, "runtime.devices");
    if (const Json* value = optional_member(*runtime, "context")) found.context = text(*value, "runtime.context");
    if (const Json* value = optional_member(*runtime, "predictor_per_batch"))
      found.predictor_per_batch = truth(*value, "runtime.predictor_per_batch");
  }
  return found;
}

}  // namespace

std::size_t Contract::picture_input() const {
  for (std::size_t i = 0; i < inputs.size(); ++i)
    if (inputs[i].preprocess) return i;
  throw std::runtime_error(
      path + ": no input has pre-processing, and one should, to take a picture; use dump with .npy files instead");
}

std::optional<std::size_t> Contract::first_of(const std::string& kind) const {
  for (std::size_t i = 0; i < kinds.size(); ++i)
    if (kinds[i].kind == kind) return i;
  return std::nullopt;
}

const Tokenize& Contract::tokenize() const {
  for (const Input& input : inputs)
    if (input.tokenize) return *input.tokenize;
  throw std::runtime_error(path +
                           ": no input is made from a text, and one should be; use dump with .npy files instead");
}

Contract read_contract(const std::string& path) {
  const Json table = read_table(path, contract_max_bytes, "the contract.json that a build writes");
  try {
    return fill(table, path);
  } catch (const std::exception& error) {
    throw std::runtime_error(path + ": " + error.what());
  }
}

}  // namespace edgeflow

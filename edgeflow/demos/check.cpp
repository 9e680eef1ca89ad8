// --check: the golden tensors of a contract, replayed on this device.
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <iostream>
#include <sstream>
#include <stdexcept>

#include "golden_texts.h"
#include "json_text.h"
#include "npy.h"
#include "picture.h"
#include "session.h"
#include "tokenize.h"

namespace edgeflow {
namespace {

constexpr double picture_limit = 1e-5;  // both sides do the same float32 operations; see edgeflow/core/preprocess.py

std::vector<Tensor> read_all(const std::vector<std::string>& paths) {
  std::vector<Tensor> found;
  for (const std::string& path : paths) found.push_back(read_npy(path));
  return found;
}

std::string position(const Shape& shape, std::size_t index) {
  Shape at(shape.size());
  for (std::size_t i = shape.size(); i-- > 0;) {
    const auto size = static_cast<std::size_t>(shape[i]);
    at[i] = static_cast<std::int64_t>(index % size);
    index /= size;
  }
  return text_of(at);
}

int fail(const std::string& what) {
  std::cout << "FAIL: " << what << '\n';
  return 3;
}

// As many samples at a time as the model was built for.
std::int64_t batch_of(const Contract& contract, const std::vector<Tensor>& inputs) {
  if (contract.inputs.empty() || contract.inputs[0].shape.empty() || inputs.empty() || inputs[0].shape.empty())
    return 0;
  const std::int64_t batch = contract.inputs[0].shape[0];
  return batch > 0 && batch != inputs[0].shape[0] ? batch : 0;
}

std::optional<std::string> check_picture(const Contract& contract) {
  const Golden& golden = *contract.golden;
  if (golden.picture.empty()) return std::nullopt;
  const Tensor got = preprocess(load_picture(golden.picture), *contract.inputs[contract.picture_input()].preprocess);
  Tensor wanted = read_npy(golden.picture_input);
  if (wanted.shape.size() + 1 == got.shape.size()) wanted.shape.insert(wanted.shape.begin(), 1);
  return difference(got, wanted, picture_limit, true);
}

// Texts with their ids: every one has to be cut into the same tokens here.
std::optional<std::string> check_texts(const Contract& contract) {
  const std::string& path = contract.golden->texts;
  if (path.empty()) return std::nullopt;
  const Tokenizer tokenizer(contract.tokenize());
  for (const GoldenText& golden : read_golden_texts(path)) {
    const std::vector<std::int64_t> got = tokenizer.ids(golden.text);
    if (got != golden.ids)
      return written(golden.text) + " becomes " + written(got) + ", and should become " + written(golden.ids);
  }
  return std::nullopt;
}

}  // namespace

std::optional<std::string> difference(const Tensor& got, const Tensor& wanted, double limit, bool relative) {
  if (got.dtype != wanted.dtype || got.shape != wanted.shape)
    return "is " + name_of(got.dtype) + text_of(got.shape) + ", and should be " + name_of(wanted.dtype) +
           text_of(wanted.shape);
  for (std::size_t i = 0; i < wanted.count(); ++i) {
    const double have = got.value(i), want = wanted.value(i);
    const double allowed = relative ? limit * std::max(1.0, std::abs(want)) : limit;
    if (have == want || std::abs(have - want) <= allowed) continue;
    std::ostringstream text;
    text.precision(9);
    text << "at " << position(wanted.shape, i) << ": got " << have << ", and should be " << want << " (limit " << limit
         << ")";
    return text.str();
  }
  return std::nullopt;
}

int run_check(const Arguments& arguments) {
  Session session(arguments, arguments.text("--check", ""));
  const Contract& contract = session.contract();
  if (!contract.golden)
    throw std::runtime_error(contract.path + ": has no golden tensors, and should have some to be checked");
  if (const auto found = check_picture(contract)) return fail("picture " + *found);
  if (const auto found = check_texts(contract)) return fail("text " + *found);
  const std::vector<Tensor> inputs = read_all(contract.golden->inputs), wanted = read_all(contract.golden->outputs);
  const std::vector<Tensor> got = infer_batches(session, inputs, batch_of(contract, inputs));
  if (got.size() != wanted.size())
    return fail(std::to_string(got.size()) + " outputs, and there should be " + std::to_string(wanted.size()));
  for (std::size_t i = 0; i < got.size(); ++i)
    if (const auto found = difference(got[i], wanted[i], contract.golden->max_abs))
      return fail("output " + std::to_string(i) + " '" + got[i].name + "' " + *found);
  std::cout << "PASS: " << got.size() << " outputs within " << contract.golden->max_abs << '\n';
  return 0;
}

int run_prepare(const Arguments& arguments) {
  if (!arguments.has("--cache-dir"))
    throw UsageError("--prepare keeps what it compiles, and --cache-dir should be given");
  Session session(arguments, arguments.text("--prepare", ""));
  const Contract& contract = session.contract();
  if (!contract.golden)
    throw std::runtime_error(contract.path + ": has no golden tensors, and should have some to be run on");
  const std::vector<Tensor> inputs = read_all(contract.golden->inputs);
  std::vector<double> first_ms, next_ms;
  infer_batches(session, inputs, batch_of(contract, inputs), &first_ms);
  infer_batches(session, inputs, batch_of(contract, inputs), &next_ms);
  std::size_t kept = 0;
  for (const auto& entry : std::filesystem::directory_iterator(session.options().cache_dir))
    kept += entry.path().extension() == ".nnc" ? 1 : 0;
  std::cout << "prepared: loaded in " << session.load_ms() << " ms, first run " << first_ms.front() << " ms, the next "
            << next_ms.back() << " ms; " << kept << " compiled programs in " << session.options().cache_dir << '\n';
  for (const std::string& folder : session.stale_caches())
    std::cout << "stale: " << folder << " is of another model, and may be removed\n";
  return 0;
}

std::optional<int> run_alone(const Arguments& arguments) {
  if (arguments.has("--check")) return run_check(arguments);
  if (arguments.has("--prepare")) return run_prepare(arguments);
  return std::nullopt;
}

}  // namespace edgeflow

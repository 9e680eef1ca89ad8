#include "session.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <memory>
#include <stdexcept>
#include <utility>

#include "files.h"

namespace edgeflow {
namespace {

namespace fs = std::filesystem;

constexpr std::uintmax_t model_min_bytes = 26;  // the fixed part of a .nb; Source: edgeflow/nb/SPEC.md
constexpr unsigned char meta_version_max = 2;
constexpr std::int64_t any_batch = -1;
constexpr std::size_t devices_max = 4;  // each holds the weights once more

// The runtime ends the process when it cannot read a model, so that is looked at before.
void check_model(const Options& options, const std::optional<Contract>& contract) {
  std::error_code code;
  const auto size = fs::is_regular_file(options.model, code) ? fs::file_size(options.model, code) : 0;
  if (code || size < model_min_bytes)
    throw std::runtime_error(options.model + ": is missing or too short, and should be a .nb file");
  std::array<char, 2> meta{};
  std::ifstream(options.model, std::ios::binary).read(meta.data(), meta.size());
  if (meta[1] != 0 || static_cast<unsigned char>(meta[0]) > meta_version_max)
    throw std::runtime_error(options.model + ": does not begin as a .nb file does, and should be one that opt wrote");
  if (!contract || contract->model != options.model) return;
  const std::string found = sha256_of(options.model);
  if (found != contract->model_sha256)
    throw std::runtime_error(options.model + ": has SHA-256 " + found + ", and should have " + contract->model_sha256 +
                             " as its contract says");
}

// The runtime finds a compiled NPU program by device, input names and input shapes, not by weights: a retrained model
// would get the old one. So each model has its own folder. Source: Paddle-Lite v2.13-rc
// lite/kernels/nnadapter/engine.cc.
std::string cache_folder(const std::string& folder, const std::string& model) {
  const fs::path own = fs::path(folder) / sha256_of(model);
  std::error_code code;
  fs::create_directories(own, code);
  if (code)
    throw std::runtime_error(own.string() + ": cannot be made (" + code.message() +
                             "), and should be a folder for compiled NPU programs");
  return own.string();
}

int power_mode(const std::string& name) {
  const auto found = std::find(power_modes.begin(), power_modes.end(), name);
  if (found == power_modes.end())
    throw UsageError("option --power-mode is '" + name +
                     "', and should be high, low, full, no_bind, rand_high or rand_low");
  return static_cast<int>(found - power_modes.begin());
}

Options options_of(const Arguments& arguments, const std::optional<Contract>& contract) {
  Options options;
  if (contract)
    options.model = contract->model, options.devices = contract->devices, options.context = contract->context;
  options.model = arguments.text("--model", options.model);
  if (options.model.empty()) throw UsageError("no model is named, and --model or --contract should name one");
  options.threads = static_cast<int>(arguments.whole("--threads", 1, 1, 64));
  options.power_mode = power_mode(arguments.text("--power-mode", "no_bind"));
  if (arguments.has("--devices")) options.devices = split(arguments.text("--devices", ""), ',');
  options.context = arguments.text("--context", options.context);
  return options;
}

void check_input(const Tensor& tensor, const Input& wanted, const std::string& path) {
  bool fits = tensor.dtype == wanted.dtype && tensor.shape.size() == wanted.shape.size();
  // The first axis is the batch, which is free to differ.
  for (std::size_t i = 1; fits && i < wanted.shape.size(); ++i)
    fits = wanted.shape[i] < 0 || wanted.shape[i] == tensor.shape[i];
  if (!fits)
    throw std::runtime_error(path + ": input '" + wanted.name + "' is given as " + name_of(tensor.dtype) +
                             text_of(tensor.shape) + ", and should be " + name_of(wanted.dtype) +
                             text_of(wanted.shape));
}

}  // namespace

std::vector<Option> with_common(std::vector<Option> own) {
  const std::vector<Option> common{
      {"--model", Takes::one, "FILE.nb  the model"},
      {"--contract", Takes::one,
       "FILE.json  the contract of a build; names the model, its devices and how a picture becomes its input"},
      {"--check", Takes::one,
       "FILE.json  replay the golden tensors of a contract, print PASS or the first difference, and end"},
      {"--prepare", Takes::one,
       "FILE.json  compile for the NPU now: run the golden tensors of a contract twice, print the times, and end"},
      {"--threads", Takes::one, "N  threads of the CPU (1)"},
      {"--power-mode", Takes::one, "MODE  high, low, full, no_bind, rand_high or rand_low (no_bind)"},
      {"--devices", Takes::one, "A,B  NNAdapter devices (the contract's)"},
      {"--context", Takes::one, "K=V;K=V  NNAdapter properties (the contract's)"},
      {"--cache-dir", Takes::one, "DIR  keep compiled NPU programs here, in a folder for each model"}};
  own.insert(own.end(), common.begin(), common.end());
  return own;
}

Session::Session(const Arguments& arguments, const std::string& contract) {
  const std::string path = contract.empty() ? arguments.text("--contract", "") : contract;
  if (!path.empty()) contract_ = read_contract(path);
  options_ = options_of(arguments, contract_);
  check_model(options_, contract_);
  if (arguments.has("--cache-dir"))
    options_.cache_dir = cache_folder(arguments.text("--cache-dir", ""), options_.model);
  const double begin = clock_ms();
  devices_.emplace_back(any_batch, std::make_unique<Device>(options_));
  device_per_batch_ = !contract_ || contract_->predictor_per_batch;
  load_ms_ = clock_ms() - begin;
}

std::vector<std::string> Session::stale_caches() const {
  std::vector<std::string> found;
  if (options_.cache_dir.empty()) return found;
  const fs::path own = options_.cache_dir;
  std::error_code code;
  for (const auto& entry : fs::directory_iterator(own.parent_path(), code))
    if (entry.is_directory(code) && entry.path() != own) found.push_back(entry.path().string());
  std::sort(found.begin(), found.end());
  return found;
}

// An int8 fc packs its weights for the batch of its first run, in place, and computes others wrongly.
// Source: Paddle-Lite v2.13-rc lite/kernels/arm/fc_compute.cc:112-117, 212-224.
void Session::choose_device(std::int64_t batch) {
  const auto found = std::find_if(devices_.begin(), devices_.end(),
                                  [&](const auto& known) { return known.first == batch || known.first == any_batch; });
  if (found != devices_.end()) {
    found->first = batch;
    std::rotate(devices_.begin(), found, found + 1);
    return;
  }
  if (devices_.size() == devices_max) devices_.pop_back();
  devices_.emplace(devices_.begin(), batch, std::make_unique<Device>(options_));
}

const Contract& Session::contract() const {
  if (!contract_) throw UsageError("no contract is named, and --contract should name one");
  return *contract_;
}

void Session::feed(const std::vector<Tensor>& inputs) {
  const std::vector<std::string> names = device().input_names();
  if (inputs.size() != names.size()) {
    std::string list;
    for (const std::string& name : names) list += (list.empty() ? "" : ", ") + name;
    throw std::runtime_error(options_.model + ": " + std::to_string(inputs.size()) +
                             " inputs are given, and there should be " + std::to_string(names.size()) + ": " + list);
  }
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    if (inputs[i].count() == 0)
      throw std::runtime_error("input '" + names[i] + "' is " + text_of(inputs[i].shape) +
                               ", and should hold elements");
    if (contract_ && i < contract_->inputs.size()) check_input(inputs[i], contract_->inputs[i], contract_->path);
  }
  if (device_per_batch_ && !inputs.empty() && !inputs[0].shape.empty()) choose_device(inputs[0].shape[0]);
  device().feed(inputs);
}

std::vector<Tensor> Session::infer(const std::vector<Tensor>& inputs) {
  feed(inputs);
  run();
  return outputs();
}

std::vector<Tensor> infer_batches(Session& session, const std::vector<Tensor>& inputs, std::int64_t batch,
                                  std::vector<double>* times_ms) {
  const auto timed = [&](const std::vector<Tensor>& part) {
    session.feed(part);
    const double begin = clock_ms();
    session.run();
    if (times_ms != nullptr) times_ms->push_back(clock_ms() - begin);
    return session.outputs();
  };
  if (inputs.empty() || batch == 0) return timed(inputs);
  for (const Tensor& input : inputs)
    if (input.shape.empty() || input.shape[0] != inputs[0].shape[0])
      throw std::runtime_error(
          "input " + text_of(input.shape) +
          " cannot be run in parts, and should have as many samples as the first: " + text_of(inputs[0].shape));
  std::vector<Tensor> whole;
  const std::int64_t samples = inputs[0].shape[0];
  if (samples == 0) throw std::runtime_error("inputs hold no sample, and should hold one at least");
  for (std::int64_t begin = 0; begin < samples; begin += batch) {
    const std::int64_t real = std::min(batch, samples - begin);
    std::vector<Tensor> part;
    for (const Tensor& input : inputs) {
      part.push_back(slice(input, begin, begin + real));
      for (std::int64_t i = real; i < batch; ++i) append(part.back(), slice(input, samples - 1, samples));
    }
    std::vector<Tensor> outputs = timed(part);
    whole.resize(outputs.size());
    for (std::size_t i = 0; i < outputs.size(); ++i) {
      if (real < batch && !outputs[i].shape.empty() && outputs[i].shape[0] == batch)
        outputs[i] = slice(outputs[i], 0, real);
      append(whole[i], outputs[i]);
    }
  }
  return whole;
}

}  // namespace edgeflow

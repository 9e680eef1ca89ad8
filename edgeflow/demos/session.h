// What every program does first: options, contract, model, and the replay of golden tensors.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "arguments.h"
#include "contract.h"
#include "device.h"

namespace edgeflow {

// The common options, with a program's own in front.
std::vector<Option> with_common(std::vector<Option> own);

// A model that is loaded, and its contract where one was named.
class Session {
 public:
  // `contract` empty: --contract or --model says what to load. Explicit options count more than the contract.
  explicit Session(const Arguments& arguments, const std::string& contract = "");

  const Contract& contract() const;  // throws when only --model was given
  const Options& options() const { return options_; }
  double load_ms() const { return load_ms_; }
  // The folders of other models among compiled NPU programs: of models that were here before.
  std::vector<std::string> stale_caches() const;
  std::size_t devices() const { return devices_.size(); }
  std::string version() const { return device().version(); }

  // Checks number, dtype and fixed sizes against the contract, and sets the inputs.
  void feed(const std::vector<Tensor>& inputs);
  void run() { device().run(); }
  std::vector<Tensor> outputs() const { return device().outputs(); }
  std::vector<Tensor> infer(const std::vector<Tensor>& inputs);

 private:
  Device& device() const { return *devices_.front().second; }
  void choose_device(std::int64_t batch);

  Options options_;
  std::optional<Contract> contract_;
  // Batch size and the device that is used for it, the latest first; all sizes share one unless the contract says that
  // the model is tied to the batch of its first run.
  std::vector<std::pair<std::int64_t, std::unique_ptr<Device>>> devices_;
  bool device_per_batch_ = true;
  double load_ms_ = 0.0;
};

// Inputs in parts of `batch` samples along the first axis, outputs joined again. 0: all at once. A last part that is
// too small is filled up with its last sample, since a model may have its batch built in. `times_ms` gets one entry a
// run.
std::vector<Tensor> infer_batches(Session& session, const std::vector<Tensor>& inputs, std::int64_t batch,
                                  std::vector<double>* times_ms = nullptr);

// Replays the golden tensors of --check CONTRACT.json; prints PASS (0) or the first difference (3).
int run_check(const Arguments& arguments);

// --prepare CONTRACT.json: runs the model twice on its golden tensors, so that what compiles for an NPU is done and
// kept before the first user waits for it; prints both times, what was kept, and what is kept of other models.
int run_prepare(const Arguments& arguments);

// --check or --prepare, which every program has: the exit code, or nothing where neither is asked for.
std::optional<int> run_alone(const Arguments& arguments);

// The first element that differs by more than the limit, as a sentence; nothing when all are near. NaN is near nothing.
std::optional<std::string> difference(const Tensor& got, const Tensor& wanted, double limit, bool relative = false);

}  // namespace edgeflow

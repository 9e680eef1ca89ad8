// One loaded model on this device: everything the demos know about an inference runtime.
// paddle_lite.cpp implements it over Paddle Lite's light API; a test may link another implementation.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "tensor.h"

namespace edgeflow {

struct Options {
  std::string model;  // path of a .nb
  int threads = 1;
  int power_mode = 3;                // index into power_modes
  std::vector<std::string> devices;  // NNAdapter devices; empty: the CPU
  std::string context;               // NNAdapter properties, "KEY=VALUE;KEY=VALUE"
  std::string cache_dir;             // where compiled NPU programs are kept; empty: nowhere
};

// The order is that of Paddle Lite's PowerMode. Source: Paddle-Lite v2.13-rc lite/api/paddle_place.h.
inline const std::vector<std::string> power_modes{"high", "low", "full", "no_bind", "rand_high", "rand_low"};

class Device {
 public:
  explicit Device(const Options& options);  // loads; throws std::runtime_error
  ~Device();
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  std::vector<std::string> input_names() const;
  void feed(const std::vector<Tensor>& inputs);  // all inputs, in feed order
  void run();
  std::vector<Tensor> outputs() const;  // all outputs, in fetch order
  std::string version() const;          // of the runtime library

 private:
  struct Runtime;
  std::unique_ptr<Runtime> runtime_;
};

double clock_ms();  // monotonic

}  // namespace edgeflow

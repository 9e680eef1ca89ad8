// Declarations of what edgeflow/demos/paddle_lite.cpp uses, for compile checks where Paddle Lite is not there. Never
// shipped.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "paddle_place.h"

namespace paddle {
namespace lite_api {

struct Tensor {
  void Resize(const std::vector<int64_t>& shape);
  template <typename T>
  const T* data() const;
  template <typename T>
  T* mutable_data(TargetType type = TargetType::kHost) const;
  std::vector<int64_t> shape() const;
  PrecisionType precision() const;
};

class PaddlePredictor {
 public:
  virtual ~PaddlePredictor() = default;
  virtual std::unique_ptr<Tensor> GetInput(int i) = 0;
  virtual std::unique_ptr<const Tensor> GetOutput(int i) const = 0;
  virtual void Run() = 0;
  virtual std::string GetVersion() const = 0;
  virtual std::vector<std::string> GetInputNames() = 0;
  virtual std::vector<std::string> GetOutputNames() = 0;
};

class ConfigBase {
 public:
  void set_threads(int threads);
  void set_power_mode(PowerMode mode);
  bool check_nnadapter_device_name(const std::string& name);
  void set_nnadapter_device_names(const std::vector<std::string>& names);
  void set_nnadapter_context_properties(const std::string& properties);
  void set_nnadapter_model_cache_dir(const std::string& folder);
};

class MobileConfig : public ConfigBase {
 public:
  void set_model_from_file(const std::string& path);
};

template <typename ConfigT>
std::shared_ptr<PaddlePredictor> CreatePaddlePredictor(const ConfigT& config);

}  // namespace lite_api
}  // namespace paddle

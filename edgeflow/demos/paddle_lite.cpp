// The only file that sees Paddle Lite: device.h over the light API of libpaddle_light_api_shared.so.
// Source: Paddle-Lite v2.13-rc lite/api/paddle_api.h, lite/api/paddle_place.h.
#include <paddle_api.h>

#include <cstring>
#include <stdexcept>

#include "device.h"

namespace edgeflow {
namespace {

namespace lite = paddle::lite_api;

template <typename T>
void put(lite::Tensor& to, const Tensor& from) {
  std::memcpy(to.mutable_data<T>(), from.bytes.data(), from.bytes.size());
}
template <typename T>
void get(Tensor& to, const lite::Tensor& from) {
  std::memcpy(to.bytes.data(), from.data<T>(), to.bytes.size());
}

Dtype dtype_of(lite::PrecisionType precision, const std::string& name) {
  switch (precision) {
    case lite::PrecisionType::kFloat:
      return Dtype::float32;
    case lite::PrecisionType::kFP64:
      return Dtype::float64;
    case lite::PrecisionType::kInt8:
      return Dtype::int8;
    case lite::PrecisionType::kUInt8:
      return Dtype::uint8;
    case lite::PrecisionType::kInt16:
      return Dtype::int16;
    case lite::PrecisionType::kInt32:
      return Dtype::int32;
    case lite::PrecisionType::kInt64:
      return Dtype::int64;
    case lite::PrecisionType::kBool:
      return Dtype::boolean;
    default:
      throw std::runtime_error("output '" + name + "' has Paddle Lite's precision " +
                               std::to_string(static_cast<int>(precision)) + ", which no .npy here can hold");
  }
}

}  // namespace

struct Device::Runtime {
  std::shared_ptr<lite::PaddlePredictor> predictor;
};

Device::Device(const Options& options) : runtime_(new Runtime) {
  lite::MobileConfig config;
  config.set_model_from_file(options.model);
  config.set_threads(options.threads);
  config.set_power_mode(static_cast<lite::PowerMode>(options.power_mode));
  for (const std::string& device : options.devices)
    if (!config.check_nnadapter_device_name(device))
      throw std::runtime_error("device '" + device + "' is not there, and should be: libnnadapter.so and lib" + device +
                               ".so must lie in the library path, with the vendor's driver");
  if (!options.devices.empty()) config.set_nnadapter_device_names(options.devices);
  if (!options.context.empty()) config.set_nnadapter_context_properties(options.context);
  if (!options.cache_dir.empty()) config.set_nnadapter_model_cache_dir(options.cache_dir);
  runtime_->predictor = lite::CreatePaddlePredictor<lite::MobileConfig>(config);
  if (!runtime_->predictor) throw std::runtime_error(options.model + ": the runtime did not load it");
}

Device::~Device() = default;

std::vector<std::string> Device::input_names() const { return runtime_->predictor->GetInputNames(); }

void Device::feed(const std::vector<Tensor>& inputs) {
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const auto tensor = runtime_->predictor->GetInput(static_cast<int>(i));
    tensor->Resize(inputs[i].shape);
    switch (inputs[i].dtype) {
      case Dtype::float32:
        put<float>(*tensor, inputs[i]);
        break;
      case Dtype::float64:
        put<double>(*tensor, inputs[i]);
        break;
      case Dtype::int8:
        put<std::int8_t>(*tensor, inputs[i]);
        break;
      case Dtype::uint8:
        put<std::uint8_t>(*tensor, inputs[i]);
        break;
      case Dtype::int16:
        put<std::int16_t>(*tensor, inputs[i]);
        break;
      case Dtype::int32:
        put<std::int32_t>(*tensor, inputs[i]);
        break;
      case Dtype::int64:
        put<std::int64_t>(*tensor, inputs[i]);
        break;
      case Dtype::boolean:
        put<bool>(*tensor, inputs[i]);
        break;
    }
  }
}

void Device::run() { runtime_->predictor->Run(); }

std::vector<Tensor> Device::outputs() const {
  const std::vector<std::string> names = runtime_->predictor->GetOutputNames();
  std::vector<Tensor> found;
  for (std::size_t i = 0; i < names.size(); ++i) {
    const auto tensor = runtime_->predictor->GetOutput(static_cast<int>(i));
    found.push_back(Tensor::make(dtype_of(tensor->precision(), names[i]), tensor->shape()));
    Tensor& output = found.back();
    output.name = names[i];
    if (output.bytes.empty()) continue;
    switch (output.dtype) {
      case Dtype::float32:
        get<float>(output, *tensor);
        break;
      case Dtype::float64:
        get<double>(output, *tensor);
        break;
      case Dtype::int8:
        get<std::int8_t>(output, *tensor);
        break;
      case Dtype::uint8:
        get<std::uint8_t>(output, *tensor);
        break;
      case Dtype::int16:
        get<std::int16_t>(output, *tensor);
        break;
      case Dtype::int32:
        get<std::int32_t>(output, *tensor);
        break;
      case Dtype::int64:
        get<std::int64_t>(output, *tensor);
        break;
      case Dtype::boolean:
        get<bool>(output, *tensor);
        break;
    }
  }
  return found;
}

std::string Device::version() const { return runtime_->predictor->GetVersion(); }

}  // namespace edgeflow

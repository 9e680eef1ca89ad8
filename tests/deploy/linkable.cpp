// A library that links like Paddle Lite's and runs nothing: it shows that the programs are built and linked rightly.
// Built by tests/deploy/test_cross.py, never shipped.
#include <paddle_api.h>

#include <cstdlib>

// What edgeflow.nb.match looks for in a library.
extern "C" const char marks[] = "Paddle-Lite\0v2.13-rc\0nnadapter";

namespace paddle {
namespace lite_api {

void Tensor::Resize(const std::vector<int64_t>&) { std::abort(); }
std::vector<int64_t> Tensor::shape() const { std::abort(); }
PrecisionType Tensor::precision() const { std::abort(); }
template <typename T>
const T* Tensor::data() const {
  std::abort();
}
template <typename T>
T* Tensor::mutable_data(TargetType) const {
  std::abort();
}

#define ELEMENT(T)                           \
  template const T* Tensor::data<T>() const; \
  template T* Tensor::mutable_data<T>(TargetType) const;
ELEMENT(float)
ELEMENT(double)
ELEMENT(int8_t)
ELEMENT(uint8_t)
ELEMENT(int16_t)
ELEMENT(int32_t)
ELEMENT(int64_t)
ELEMENT(bool)

void ConfigBase::set_threads(int) {}
void ConfigBase::set_power_mode(PowerMode) {}
bool ConfigBase::check_nnadapter_device_name(const std::string&) { return false; }
void ConfigBase::set_nnadapter_device_names(const std::vector<std::string>&) {}
void ConfigBase::set_nnadapter_context_properties(const std::string&) {}
void ConfigBase::set_nnadapter_model_cache_dir(const std::string&) {}
void MobileConfig::set_model_from_file(const std::string&) {}
template <typename ConfigT>
std::shared_ptr<PaddlePredictor> CreatePaddlePredictor(const ConfigT&) {
  std::abort();
}
template std::shared_ptr<PaddlePredictor> CreatePaddlePredictor<MobileConfig>(const MobileConfig&);

}  // namespace lite_api
}  // namespace paddle

// device.h over recorded outputs: beside MODEL.nb lies MODEL.nb.recorded/ with in_K.npy and out_K.npy. A run looks up
// each sample that it is fed among the recorded inputs, so a wrong input finds no output.
#include <filesystem>
#include <stdexcept>

#include "device.h"
#include "npy.h"

namespace edgeflow {
namespace {

std::vector<Tensor> numbered(const std::filesystem::path& folder, const std::string& stem) {
  std::vector<Tensor> found;
  for (int i = 0; std::filesystem::exists(folder / (stem + std::to_string(i) + ".npy")); ++i) {
    found.push_back(read_npy((folder / (stem + std::to_string(i) + ".npy")).string()));
    found.back().name = stem + std::to_string(i);
  }
  if (found.empty()) throw std::runtime_error(folder.string() + ": holds no " + stem + "0.npy");
  return found;
}

}  // namespace

struct Device::Runtime {
  std::vector<Tensor> known, answers, fed, given;
};

Device::Device(const Options& options) : runtime_(new Runtime) {
  const std::filesystem::path folder = options.model + ".recorded";
  runtime_->known = numbered(folder, "in_");
  runtime_->answers = numbered(folder, "out_");
}

Device::~Device() = default;

std::vector<std::string> Device::input_names() const {
  std::vector<std::string> names;
  for (const Tensor& input : runtime_->known) names.push_back(input.name);
  return names;
}

void Device::feed(const std::vector<Tensor>& inputs) { runtime_->fed = inputs; }

void Device::run() {
  Runtime& r = *runtime_;
  const auto same = [](const Tensor& a, const Tensor& b) {
    return a.dtype == b.dtype && a.shape == b.shape && a.bytes == b.bytes;
  };
  bool whole = true;
  for (std::size_t k = 0; k < r.known.size(); ++k) whole = whole && same(r.fed[k], r.known[k]);
  r.given = r.answers;
  if (whole) return;
  for (Tensor& output : r.given) output.shape.clear(), output.bytes.clear();
  for (std::int64_t i = 0; i < r.fed[0].shape.at(0); ++i) {
    std::int64_t at = 0;
    const auto hit = [&] {
      for (std::size_t k = 0; k < r.known.size(); ++k)
        if (!same(slice(r.fed[k], i, i + 1), slice(r.known[k], at, at + 1))) return false;
      return true;
    };
    while (at < r.known[0].shape.at(0) && !hit()) ++at;
    if (at == r.known[0].shape[0]) throw std::runtime_error("sample " + std::to_string(i) + " was never recorded");
    for (std::size_t k = 0; k < r.given.size(); ++k) append(r.given[k], slice(r.answers[k], at, at + 1));
  }
}

std::vector<Tensor> Device::outputs() const { return runtime_->given; }

std::string Device::version() const { return "recorded"; }

}  // namespace edgeflow

#include "tensor.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <sstream>
#include <stdexcept>
#include <utility>

namespace edgeflow {
namespace {

struct Kind {
  Dtype dtype;
  const char* name;
  std::size_t bytes;
};

constexpr std::array<Kind, 8> kinds{{{Dtype::float32, "float32", 4},
                                     {Dtype::float64, "float64", 8},
                                     {Dtype::int8, "int8", 1},
                                     {Dtype::uint8, "uint8", 1},
                                     {Dtype::int16, "int16", 2},
                                     {Dtype::int32, "int32", 4},
                                     {Dtype::int64, "int64", 8},
                                     {Dtype::boolean, "bool", 1}}};
constexpr std::size_t count_max = std::size_t{1} << (sizeof(std::size_t) > 4 ? 40 : 30);

template <typename T>
double element(const Tensor& tensor, std::size_t index) {
  T value;
  std::memcpy(&value, tensor.bytes.data() + index * sizeof(T), sizeof(T));
  return static_cast<double>(value);
}

}  // namespace

std::size_t item_bytes(Dtype dtype) { return kinds[static_cast<std::size_t>(dtype)].bytes; }

std::string name_of(Dtype dtype) { return kinds[static_cast<std::size_t>(dtype)].name; }

Dtype dtype_of(const std::string& name) {
  for (const Kind& kind : kinds)
    if (name == kind.name) return kind.dtype;
  throw std::runtime_error("dtype is '" + name +
                           "', and should be one of float32, float64, int8, uint8, int16, int32, int64, bool");
}

std::size_t count_of(const Shape& shape) {
  std::size_t count = 1;
  for (const std::int64_t size : shape) {
    if (size < 0) throw std::runtime_error("shape is " + text_of(shape) + ", and should hold no negative size");
    const auto factor = static_cast<std::size_t>(size);
    if (static_cast<std::uint64_t>(size) > count_max || (factor != 0 && count > count_max / factor))
      throw std::runtime_error("shape is " + text_of(shape) + ", which is more than fits in memory");
    count *= factor;
  }
  return count;
}

std::string text_of(const Shape& shape) {
  std::ostringstream text;
  for (std::size_t i = 0; i < shape.size(); ++i) text << (i ? ", " : "") << shape[i];
  return "[" + text.str() + "]";
}

Tensor Tensor::make(Dtype dtype, Shape shape) {
  Tensor tensor;
  tensor.dtype = dtype;
  tensor.bytes.resize(count_of(shape) * item_bytes(dtype));
  tensor.shape = std::move(shape);
  return tensor;
}

double Tensor::value(std::size_t index) const {
  switch (dtype) {
    case Dtype::float32:
      return element<float>(*this, index);
    case Dtype::float64:
      return element<double>(*this, index);
    case Dtype::int8:
      return element<std::int8_t>(*this, index);
    case Dtype::uint8:
      return element<std::uint8_t>(*this, index);
    case Dtype::int16:
      return element<std::int16_t>(*this, index);
    case Dtype::int32:
      return element<std::int32_t>(*this, index);
    case Dtype::int64:
      return element<std::int64_t>(*this, index);
    case Dtype::boolean:
      return bytes[index] != 0;
  }
  throw std::logic_error("a dtype without a name");
}

std::vector<float> Tensor::floats() const {
  std::vector<float> all(count());
  for (std::size_t i = 0; i < all.size(); ++i) all[i] = static_cast<float>(value(i));
  return all;
}

Tensor slice(const Tensor& tensor, std::int64_t begin, std::int64_t end) {
  if (tensor.shape.empty() || begin < 0 || begin > end || end > tensor.shape[0])
    throw std::runtime_error("samples " + std::to_string(begin) + " to " + std::to_string(end) + " of " +
                             text_of(tensor.shape) + " are asked for, and should lie in its first axis");
  Tensor part = tensor;
  part.shape[0] = end - begin;
  const auto sample = tensor.shape[0] == 0 ? 0 : tensor.bytes.size() / static_cast<std::size_t>(tensor.shape[0]);
  const auto* first = tensor.bytes.data() + static_cast<std::size_t>(begin) * sample;
  part.bytes.assign(first, first + static_cast<std::size_t>(end - begin) * sample);
  return part;
}

void append(Tensor& whole, const Tensor& part) {
  if (whole.bytes.empty() && whole.shape.empty()) {
    whole = part;
    return;
  }
  const bool same = whole.dtype == part.dtype && !whole.shape.empty() && whole.shape.size() == part.shape.size() &&
                    std::equal(whole.shape.begin() + 1, whole.shape.end(), part.shape.begin() + 1);
  if (!same)
    throw std::runtime_error("output '" + part.name + "' is " + text_of(part.shape) + " after " + text_of(whole.shape) +
                             ", and should only differ in its first axis from run to run");
  whole.shape[0] += part.shape[0];
  whole.bytes.insert(whole.bytes.end(), part.bytes.begin(), part.bytes.end());
}

}  // namespace edgeflow

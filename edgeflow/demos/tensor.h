// Arrays as they travel between files, pre-processing and the runtime.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace edgeflow {

enum class Dtype { float32, float64, int8, uint8, int16, int32, int64, boolean };

std::size_t item_bytes(Dtype dtype);
std::string name_of(Dtype dtype);         // as NumPy writes it: "float32", "bool"
Dtype dtype_of(const std::string& name);  // throws std::runtime_error for a name that is none

using Shape = std::vector<std::int64_t>;

// Elements of a shape; throws std::runtime_error when a dimension is negative or the product is beyond 2^40.
std::size_t count_of(const Shape& shape);
std::string text_of(const Shape& shape);  // "[1, 3, 8, 8]"

struct Tensor {
  std::string name;
  Dtype dtype = Dtype::float32;
  Shape shape;
  std::vector<unsigned char> bytes;

  static Tensor make(Dtype dtype, Shape shape);  // zeros
  std::size_t count() const { return count_of(shape); }
  double value(std::size_t index) const;  // one element, whatever the dtype
  std::vector<float> floats() const;      // all elements as float32

  template <typename T>
  T* data() {
    return reinterpret_cast<T*>(bytes.data());
  }
  template <typename T>
  const T* data() const {
    return reinterpret_cast<const T*>(bytes.data());
  }
};

// Samples [begin, end) along the first axis.
Tensor slice(const Tensor& tensor, std::int64_t begin, std::int64_t end);

// Adds `part` at the end of `whole` along the first axis; an empty `whole` becomes `part`.
void append(Tensor& whole, const Tensor& part);

}  // namespace edgeflow

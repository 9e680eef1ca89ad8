#include "npy.h"

#include <array>
#include <cstring>
#include <stdexcept>
#include <utility>

#include "files.h"

namespace edgeflow {
namespace {

// Source: NumPy's numpy/lib/format.py, "Format Version 1.0": \x93NUMPY, two version bytes, length of the header, a
// Python dict.
constexpr std::size_t header_max_bytes = 1 << 16;
constexpr std::size_t rank_max = 16;
constexpr std::size_t file_max_bytes = std::size_t{1} << 30;
const std::string magic("\x93NUMPY", 6);

constexpr std::array<std::pair<const char*, Dtype>, 8> descriptions{{{"<f4", Dtype::float32},
                                                                     {"<f8", Dtype::float64},
                                                                     {"|i1", Dtype::int8},
                                                                     {"|u1", Dtype::uint8},
                                                                     {"<i2", Dtype::int16},
                                                                     {"<i4", Dtype::int32},
                                                                     {"<i8", Dtype::int64},
                                                                     {"|b1", Dtype::boolean}}};

[[noreturn]] void refuse(const std::string& where, const std::string& what) {
  throw std::runtime_error(where + ": " + what);
}

// Reads the one dict that a header is: three keys in any order, nothing else.
class HeaderReader {
 public:
  HeaderReader(const std::string& text, const std::string& where) : text_(text), where_(where) {}

  Tensor read() {
    bool has_dtype = false, has_order = false, has_shape = false;
    Tensor tensor;
    expect('{');
    while (!accept('}')) {
      const std::string key = quoted();
      expect(':');
      if (key == "descr" && !has_dtype)
        tensor.dtype = dtype(), has_dtype = true;
      else if (key == "fortran_order" && !has_order)
        order(), has_order = true;
      else if (key == "shape" && !has_shape)
        tensor.shape = shape(), has_shape = true;
      else
        refuse(where_, "header names '" + key + "', and should name descr, fortran_order and shape once");
      if (!accept(',')) {
        expect('}');
        break;
      }
    }
    skip();
    if (at_ != text_.size()) refuse(where_, "header goes on after its dict, and should end there");
    if (!has_dtype || !has_order || !has_shape) refuse(where_, "header lacks one of descr, fortran_order and shape");
    return tensor;
  }

 private:
  void skip() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n')) ++at_;
  }
  bool accept(char wanted) {
    skip();
    if (at_ >= text_.size() || text_[at_] != wanted) return false;
    ++at_;
    return true;
  }
  void expect(char wanted) {
    if (!accept(wanted))
      refuse(where_, "header is no dict as NumPy writes it: '" + std::string(1, wanted) + "' is missing at byte " +
                         std::to_string(at_));
  }
  std::string quoted() {
    expect('\'');
    const std::size_t end = text_.find('\'', at_);
    if (end == std::string::npos) refuse(where_, "header holds a text without end");
    const std::string found = text_.substr(at_, end - at_);
    at_ = end + 1;
    return found;
  }
  bool word(const std::string& wanted) {
    skip();
    if (text_.compare(at_, wanted.size(), wanted) != 0) return false;
    at_ += wanted.size();
    return true;
  }
  Dtype dtype() {
    skip();
    if (at_ < text_.size() && text_[at_] != '\'') refuse(where_, "holds records, and should hold numbers");
    const std::string found = quoted();
    for (const auto& [text, kind] : descriptions)
      if (found == text || (found.size() == 3 && item_bytes(kind) == 1 && found.substr(1) == text + 1)) return kind;
    refuse(where_,
           "holds '" + found + "', and should hold little-endian float32, float64, int8 to int64, uint8 or bool");
  }
  void order() {
    if (word("True"))
      refuse(where_, "is in Fortran order, and should be in C order: save numpy.ascontiguousarray of it");
    if (!word("False")) refuse(where_, "header says neither True nor False for fortran_order");
  }
  Shape shape() {
    Shape found;
    expect('(');
    while (!accept(')')) {
      found.push_back(number());
      if (found.size() > rank_max) refuse(where_, "has more than " + std::to_string(rank_max) + " dimensions");
      if (!accept(',')) {
        expect(')');
        break;
      }
    }
    return found;
  }
  std::int64_t number() {
    skip();
    std::int64_t value = 0;
    std::size_t digits = 0;
    for (; at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9'; ++at_, ++digits) {
      if (digits == 15) refuse(where_, "has a dimension of more than 15 digits");
      value = value * 10 + (text_[at_] - '0');
    }
    if (digits == 0) refuse(where_, "shape holds something that is no whole number");
    return value;
  }

  const std::string& text_;
  const std::string& where_;
  std::size_t at_ = 0;
};

std::size_t unsigned_at(const std::string& bytes, std::size_t at, std::size_t size) {
  std::size_t value = 0;
  for (std::size_t i = 0; i < size; ++i) value |= std::size_t{static_cast<unsigned char>(bytes[at + i])} << (8 * i);
  return value;
}

}  // namespace

Tensor parse_npy(const std::string& bytes, const std::string& where) {
  if (bytes.size() < 10 || bytes.compare(0, magic.size(), magic) != 0) refuse(where, "is no .npy file");
  const unsigned version = static_cast<unsigned char>(bytes[6]);
  if (version < 1 || version > 3)
    refuse(where, "is .npy version " + std::to_string(version) + ", and should be 1, 2 or 3");
  const std::size_t begin = version == 1 ? 10 : 12;
  if (bytes.size() < begin) refuse(where, "ends inside its header");
  const std::size_t length = unsigned_at(bytes, 8, begin - 8);
  if (length > header_max_bytes || length > bytes.size() - begin)
    refuse(where, "promises a header of " + std::to_string(length) + " bytes, and " +
                      std::to_string(bytes.size() - begin) + " follow");
  const std::string header = bytes.substr(begin, length);
  Tensor tensor = HeaderReader(header, where).read();
  std::size_t count = 0;
  try {
    count = tensor.count();
  } catch (const std::runtime_error& error) {
    refuse(where, error.what());
  }
  const std::size_t have = bytes.size() - begin - length;
  const std::size_t item = item_bytes(tensor.dtype);
  if (have % item != 0 || have / item != count)
    refuse(where, "is " + name_of(tensor.dtype) + text_of(tensor.shape) + ", which does not take the " +
                      std::to_string(have) + " bytes that follow its header");
  tensor.bytes.assign(bytes.begin() + static_cast<std::ptrdiff_t>(begin + length), bytes.end());
  return tensor;
}

std::string format_npy(const Tensor& tensor) {
  std::string shape;
  for (const std::int64_t size : tensor.shape) shape += std::to_string(size) + ", ";
  if (tensor.shape.size() > 1) shape.resize(shape.size() - 2);
  if (tensor.shape.size() == 1) shape.pop_back();
  const char* description = nullptr;
  for (const auto& [text, kind] : descriptions)
    if (kind == tensor.dtype) description = text;
  std::string header =
      std::string("{'descr': '") + description + "', 'fortran_order': False, 'shape': (" + shape + "), }";
  // The data begin at a multiple of 64, as NumPy has it.
  header.append(63 - (header.size() + 10) % 64, ' ');
  header += '\n';
  std::string bytes = magic + std::string("\x01\0", 2);
  bytes += static_cast<char>(header.size() & 0xff);
  bytes += static_cast<char>(header.size() >> 8);
  bytes += header;
  return bytes.append(reinterpret_cast<const char*>(tensor.bytes.data()), tensor.bytes.size());
}

Tensor read_npy(const std::string& path) { return parse_npy(read_file(path, file_max_bytes), path); }

void write_npy(const std::string& path, const Tensor& tensor) { write_file(path, format_npy(tensor)); }

}  // namespace edgeflow

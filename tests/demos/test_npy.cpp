#include <stdexcept>

#include "expect.h"
#include "files.h"
#include "npy.h"

using namespace edgeflow;
using namespace std::string_literals;

namespace {

std::string file(const std::string& header, std::size_t data_bytes, char version = '\x01') {
  std::string bytes = std::string("\x93NUMPY", 6) + version + '\0';
  for (int i = 0; i < (version == '\x01' ? 2 : 4); ++i) bytes += static_cast<char>((header.size() >> (8 * i)) & 0xff);
  return bytes + header + std::string(data_bytes, '\0');
}

void refuses(const std::string& bytes, const char* reason, int line) {
  std::string message = "nothing was thrown";
  try {
    parse_npy(bytes, "x.npy");
  } catch (const std::exception& error) {
    message = error.what();
  }
  report(message.rfind("x.npy: ", 0) == 0 && message.find(reason) != std::string::npos, __FILE__, line, message);
}

}  // namespace

int main() {
  for (const Dtype dtype : {Dtype::float32, Dtype::float64, Dtype::int8, Dtype::uint8, Dtype::int16, Dtype::int32,
                            Dtype::int64, Dtype::boolean})
    for (const Shape& shape : {Shape{}, Shape{3}, Shape{2, 3}, Shape{0, 6}, Shape{1, 2, 3, 4, 5}}) {
      Tensor tensor = Tensor::make(dtype, shape);
      for (std::size_t i = 0; i < tensor.bytes.size(); ++i)
        tensor.bytes[i] = static_cast<unsigned char>(dtype == Dtype::boolean ? i % 2 : i * 7 % 251);
      write_npy("x.npy", tensor);
      const Tensor back = read_npy("x.npy");
      EXPECT(back.dtype == dtype && back.shape == shape && back.bytes == tensor.bytes);
      EXPECT(read_file("x.npy", 1 << 20).size() % 64 == tensor.bytes.size() % 64);
    }

  // As NumPy writes it, byte for byte.
  Tensor one = Tensor::make(Dtype::float32, {2});
  const std::string start = "\x93NUMPY\x01\0v\0{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }   "s;
  EXPECT(format_npy(one).compare(0, start.size(), start) == 0);

  const std::string good = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }";
  EXPECT(parse_npy(file(good, 24), "x").count() == 6);
  EXPECT(parse_npy(file(good, 24, '\x02'), "x").count() == 6);
  EXPECT(parse_npy(file("{'shape': (2,3), 'fortran_order': False, 'descr': '<f4'}\n", 24), "x").count() == 6);
  refuses("", "is no .npy", __LINE__);
  refuses(std::string(64, 'x'), "is no .npy", __LINE__);
  refuses(file(good, 24, '\x04'), "version 4", __LINE__);
  refuses(file(good, 24).substr(0, 40), "promises a header", __LINE__);
  refuses(file(good, 23), "does not take the 23 bytes", __LINE__);
  refuses(file(good, 25), "does not take the 25 bytes", __LINE__);
  refuses(file(good + "x", 24), "goes on after its dict", __LINE__);
  refuses(file("{'descr': '<f4', 'fortran_order': True, 'shape': (2, 3), }", 24), "Fortran order", __LINE__);
  refuses(file("{'descr': '>f4', 'fortran_order': False, 'shape': (2, 3), }", 24), "'>f4'", __LINE__);
  refuses(file("{'descr': '|O', 'fortran_order': False, 'shape': (2, 3), }", 24), "'|O'", __LINE__);
  refuses(file("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2, 3), }", 24), "records", __LINE__);
  refuses(file("{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }", 24), "once", __LINE__);
  refuses(file("{'descr': '<f4', 'fortran_order': False, }", 24), "lacks", __LINE__);
  refuses(file("{'descr': '<f4', 'fortran_order': False, 'shape': (-1, 3), }", 24), "no whole number", __LINE__);
  refuses(file("{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,), }", 24), "15 digits",
          __LINE__);
  refuses(file("{'descr': '<f4', 'fortran_order': False, 'shape': (999999999999, 999999999999), }", 24),
          "more than fits", __LINE__);
  refuses(file("{'descr': '<f4', 'fortran_order': False, 'shape': (1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1), }", 4),
          "more than 16", __LINE__);
  refuses(file("{'descr': '<f4", 24), "without end", __LINE__);
  refuses(file("(((((((((", 0), "is no dict", __LINE__);
  refuses(std::string("\x93NUMPY\x02\0\xff\xff\xff\xff{}", 14), "promises a header of 4294967295", __LINE__);
  // Every cut of a good file, and every byte of its header overwritten, ends in an error or a tensor, never outside the
  // file.
  const std::string whole = file(good, 24);
  for (std::size_t cut = 0; cut < whole.size(); ++cut)
    EXPECT_THROWS(parse_npy(whole.substr(0, cut), "x.npy"), "x.npy: ");
  for (std::size_t at = 0; at < whole.size() - 24; ++at)
    for (const char byte : {'\0', '\xff', '(', '\'', '9', ','}) {
      std::string broken = whole;
      broken[at] = byte;
      try {
        EXPECT(parse_npy(broken, "x.npy").bytes.size() == 24);
      } catch (const std::runtime_error&) {
      }
    }

  Tensor a = Tensor::make(Dtype::int32, {3, 2});
  for (int i = 0; i < 6; ++i) a.data<std::int32_t>()[i] = i;
  Tensor joined;
  append(joined, slice(a, 2, 3));
  append(joined, slice(a, 0, 1));
  EXPECT((joined.shape == Shape{2, 2}) && joined.value(0) == 4 && joined.value(1) == 5 && joined.value(2) == 0 &&
         joined.value(3) == 1);
  EXPECT_THROWS(slice(a, 2, 4), "samples 2 to 4 of [3, 2]");
  EXPECT_THROWS(append(joined, Tensor::make(Dtype::int32, {1, 3})), "should only differ in its first axis");
  return failures();
}

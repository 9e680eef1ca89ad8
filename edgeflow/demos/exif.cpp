#include "exif.h"

#include <algorithm>
#include <cstddef>

namespace edgeflow {
namespace {

constexpr unsigned orientation_tag = 274;
constexpr std::size_t entry_bytes = 12;

// Numbers of a file, 0 beyond its end.
struct Bytes {
  const std::string& all;
  std::size_t begin = 0;
  bool little = false;

  unsigned byte(std::size_t at) const {
    return at < all.size() - begin ? static_cast<unsigned char>(all[begin + at]) : 0U;
  }
  unsigned two(std::size_t at) const {
    return little ? byte(at) | (byte(at + 1) << 8) : (byte(at) << 8) | byte(at + 1);
  }
  std::size_t four(std::size_t at) const {
    return little ? two(at) | (std::size_t{two(at + 2)} << 16) : (std::size_t{two(at)} << 16) | two(at + 2);
  }
};

// The first directory of a TIFF file within the bytes.
int orientation_in(const std::string& bytes, std::size_t begin) {
  Bytes tiff{bytes, begin};
  tiff.little = tiff.byte(0) == 'I';
  if (tiff.two(2) != 42) return 1;
  const std::size_t folder = tiff.four(4), entries = tiff.two(folder);
  for (std::size_t k = 0; k < entries; ++k) {
    const std::size_t entry = folder + 2 + k * entry_bytes;
    if (tiff.two(entry) != orientation_tag) continue;
    const unsigned found = tiff.two(entry + 8);
    return found >= 1 && found <= 8 ? static_cast<int>(found) : 1;
  }
  return 1;
}

}  // namespace

int orientation_of(const std::string& bytes) {
  const Bytes file{bytes};
  if (file.two(0) != 0xFFD8) return 1;  // no JPEG
  for (std::size_t at = 2; at + 4 <= bytes.size() && file.byte(at) == 0xFF;) {
    const unsigned marker = file.byte(at + 1);
    const std::size_t size = file.two(at + 2);
    if (marker == 0xDA || size < 2) return 1;  // pixels begin
    const bool exif = marker == 0xE1 && bytes.compare(at + 4, 6, std::string("Exif\0\0", 6)) == 0;
    if (exif && at + 18 <= bytes.size()) return orientation_in(bytes, at + 10);
    at += 2 + size;
  }
  return 1;
}

Picture upright(const Picture& picture, int orientation) {
  if (orientation <= 1 || orientation > 8) return picture;
  const bool swapped = orientation >= 5;
  // Where the first row and column of the file lie: from the bottom, from the right.
  const bool down = orientation == 3 || orientation == 4 || orientation == 7 || orientation == 8;
  const bool back = orientation == 2 || orientation == 3 || orientation == 6 || orientation == 7;
  Picture found{swapped ? picture.width : picture.height, swapped ? picture.height : picture.width,
                std::vector<std::uint8_t>(picture.rgb.size())};
  for (std::int64_t y = 0; y < found.height; ++y)
    for (std::int64_t x = 0; x < found.width; ++x) {
      const std::int64_t v = down ? found.height - 1 - y : y, u = back ? found.width - 1 - x : x;
      const std::int64_t from = swapped ? u * picture.width + v : v * picture.width + u;
      std::copy_n(picture.rgb.data() + 3 * from, 3, found.rgb.data() + 3 * (y * found.width + x));
    }
  return found;
}

}  // namespace edgeflow

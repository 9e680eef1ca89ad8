#include "picture.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <filesystem>
#include <memory>
#include <stdexcept>

#define STBI_MAX_DIMENSIONS 16384
#define STBI_ONLY_JPEG
#define STBI_ONLY_PNG
#define STBI_ONLY_BMP
#define STBI_NO_STDIO
#define STB_IMAGE_STATIC
#define STB_IMAGE_IMPLEMENTATION
#define STB_IMAGE_WRITE_STATIC
#define STB_IMAGE_WRITE_IMPLEMENTATION
#define STBI_WRITE_NO_STDIO
// The library's own warnings are not ours to mend.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"
#include <stb_image.h>
#include <stb_image_write.h>
#pragma GCC diagnostic pop

#include "exif.h"
#include "files.h"

namespace edgeflow {
namespace {

constexpr std::size_t picture_max_bytes = std::size_t{1} << 26;
constexpr std::int64_t pixels_max = std::int64_t{1} << 26;  // 64 megapixels: what a phone's camera takes
constexpr std::int64_t thickness = 2;

}  // namespace

Picture load_picture(const std::string& path, bool rotate) {
  const std::string bytes = read_file(path, picture_max_bytes);
  const auto* raw = reinterpret_cast<const stbi_uc*>(bytes.data());
  const int size = static_cast<int>(bytes.size());
  int width = 0, height = 0, channels = 0;
  // The header is asked first: a small file can promise a huge picture.
  if (stbi_info_from_memory(raw, size, &width, &height, &channels) == 0)
    throw std::runtime_error(path + ": is no picture that can be read, and should be PNG, JPEG or BMP");
  if (std::int64_t{width} * height > pixels_max)
    throw std::runtime_error(path + ": is " + std::to_string(height) + " x " + std::to_string(width) +
                             ", and should have at most 64 megapixels");
  const std::unique_ptr<stbi_uc, void (*)(void*)> pixels(
      stbi_load_from_memory(raw, size, &width, &height, &channels, 3), stbi_image_free);
  if (!pixels)
    throw std::runtime_error(path + ": is damaged (" + stbi_failure_reason() + "), and should be a whole picture");
  Picture found{
      height, width,
      std::vector<std::uint8_t>(pixels.get(), pixels.get() + std::size_t{3} * static_cast<std::size_t>(width) *
                                                                 static_cast<std::size_t>(height))};
  return rotate ? upright(found, orientation_of(bytes)) : found;
}

void save_picture(const std::string& path, const Picture& picture) {
  std::string bytes;
  const auto collect = [](void* to, void* data, int size) {
    static_cast<std::string*>(to)->append(static_cast<char*>(data), static_cast<std::size_t>(size));
  };
  const int width = static_cast<int>(picture.width), height = static_cast<int>(picture.height);
  if (stbi_write_png_to_func(collect, &bytes, width, height, 3, picture.rgb.data(), 3 * width) == 0)
    throw std::runtime_error(path + ": the picture cannot be written as PNG");
  write_file(path, bytes);
}

void draw_box(Picture& picture, double x1, double y1, double x2, double y2) {
  const auto pixel = [](double at, std::int64_t size) {
    return static_cast<std::int64_t>(std::clamp(std::floor(at), -1.0, static_cast<double>(size)));
  };
  const std::int64_t left = pixel(x1, picture.width), right = pixel(x2, picture.width);
  const std::int64_t top = pixel(y1, picture.height), bottom = pixel(y2, picture.height);
  for (std::int64_t y = std::max<std::int64_t>(top, 0); y <= std::min(bottom, picture.height - 1); ++y)
    for (std::int64_t x = std::max<std::int64_t>(left, 0); x <= std::min(right, picture.width - 1); ++x) {
      const bool edge = x - left < thickness || right - x < thickness || y - top < thickness || bottom - y < thickness;
      if (!edge) continue;
      std::uint8_t* rgb = picture.rgb.data() + 3 * (y * picture.width + x);
      rgb[0] = 255, rgb[1] = 64, rgb[2] = 0;
    }
}

void draw_quad(Picture& picture, const Quad& corners) {
  const auto most = static_cast<double>(picture.height + picture.width);
  for (std::size_t k = 0; k < 4; ++k) {
    const Point from = corners[k], to = corners[(k + 1) % 4];
    const double steps = std::min(std::ceil(distance(from, to)), 2 * most);
    for (double i = 0; i <= steps; ++i) {
      const double part = steps > 0 ? i / steps : 0;
      const double x = from.x + (to.x - from.x) * part, y = from.y + (to.y - from.y) * part;
      draw_box(picture, x, y, x + 1, y + 1);
    }
  }
}

std::vector<std::string> pictures_of(const std::string& path) {
  namespace fs = std::filesystem;
  std::error_code code;
  if (!fs::is_directory(path, code)) return {path};
  std::vector<std::string> found;
  for (const fs::directory_entry& entry : fs::directory_iterator(path)) {
    std::string ending = entry.path().extension().string();
    std::transform(ending.begin(), ending.end(), ending.begin(),
                   [](unsigned char letter) { return static_cast<char>(std::tolower(letter)); });
    if (ending == ".png" || ending == ".jpg" || ending == ".jpeg" || ending == ".bmp")
      found.push_back(entry.path().string());
  }
  if (found.empty()) throw std::runtime_error(path + ": holds no picture, and should hold .png, .jpg or .bmp files");
  std::sort(found.begin(), found.end());
  return found;
}

}  // namespace edgeflow

// The twin of edgeflow/core/preprocess.py: the same operations in the same order, so that both round alike. The order
// is colour, resize, pad, crop, scale.
#include "preprocess.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <string>

#include "resizing.h"

namespace edgeflow {
namespace {

constexpr std::int64_t input_pixels_max = std::int64_t{1} << 24;  // 4096 x 4096; see edgeflow/core/preprocess.py

std::string text_of(std::int64_t height, std::int64_t width) {
  return std::to_string(height) + " x " + std::to_string(width);
}

std::int64_t scaled(std::int64_t side, double ratio) {
  return std::max<std::int64_t>(1, static_cast<std::int64_t>(std::floor(static_cast<double>(side) * ratio + 0.5)));
}

// Sides that are multiples, as many as the picture's own size gives; size is the limit and the longest side.
// Source: PaddleOCR 2.7 and PaddleX 3.0, DetResizeForTest.
bool limited(const Preprocess& contract) {
  return contract.resize == "limit_long" || contract.resize == "limit_short" || contract.resize == "long_side";
}

std::int64_t multiple(std::int64_t side, bool upper) {
  constexpr std::int64_t up = 128, near = 32;
  if (upper) return std::max(up, (side + up - 1) / up * up);
  const double halves_to_even = std::nearbyint(static_cast<double>(side) / static_cast<double>(near));
  return std::max(near, static_cast<std::int64_t>(halves_to_even) * near);
}

void place_limited(Placement& at, std::int64_t h, std::int64_t w, const Preprocess& contract) {
  const bool is_short = contract.resize == "limit_short", upper = contract.resize == "long_side";
  double ratio =
      static_cast<double>(contract.size[0]) / static_cast<double>(is_short ? std::min(h, w) : std::max(h, w));
  if (is_short)
    ratio = std::max(ratio, 1.0);
  else if (!upper)
    ratio = std::min(ratio, 1.0);
  const auto times = [](std::int64_t side, double by) {
    return static_cast<std::int64_t>(static_cast<double>(side) * by);
  };
  at.height = times(h, ratio), at.width = times(w, ratio);
  const std::int64_t longest = std::max(at.height, at.width);
  if (longest > contract.size[1]) {
    ratio = static_cast<double>(contract.size[1]) / static_cast<double>(longest);
    at.height = times(at.height, ratio), at.width = times(at.width, ratio);
  }
  at.height = multiple(at.height, upper), at.width = multiple(at.width, upper);
}

// Channels in the order of the contract's colour, each height * width.
std::vector<Plane> planes_of(const Picture& picture, const std::string& colour) {
  const std::size_t pixels = static_cast<std::size_t>(picture.height * picture.width);
  std::vector<Plane> planes(colour == "GRAY" ? 1 : 3, Plane(pixels));
  for (std::size_t i = 0; i < pixels; ++i) {
    const float r = picture.rgb[3 * i], g = picture.rgb[3 * i + 1], b = picture.rgb[3 * i + 2];
    if (colour == "GRAY")
      planes[0][i] = 0.299F * r + 0.587F * g + 0.114F * b;
    else if (colour == "RGB")
      planes[0][i] = r, planes[1][i] = g, planes[2][i] = b;
    else
      planes[0][i] = b, planes[1][i] = g, planes[2][i] = r;
  }
  return planes;
}

}  // namespace

Placement placement(const Picture& picture, const Preprocess& contract) {
  const std::int64_t h = picture.height, w = picture.width;
  Placement at;
  at.picture_height = h, at.picture_width = w;
  at.height = h, at.width = w;
  if (contract.resize == "stretch") {
    at.height = contract.size[0], at.width = contract.size[1];
  } else if (contract.resize == "short_side") {
    const double ratio = static_cast<double>(contract.size[0]) / static_cast<double>(std::min(h, w));
    at.height = h <= w ? contract.size[0] : scaled(h, ratio);
    at.width = w <= h ? contract.size[0] : scaled(w, ratio);
  } else if (contract.resize == "letterbox" || contract.resize == "letterbox_left") {
    const double ratio = std::min(static_cast<double>(contract.size[0]) / static_cast<double>(h),
                                  static_cast<double>(contract.size[1]) / static_cast<double>(w));
    at.height = scaled(h, ratio), at.width = scaled(w, ratio);
  } else if (contract.resize == "text_line") {
    const double width =
        std::ceil(static_cast<double>(contract.size[0]) * (static_cast<double>(w) / static_cast<double>(h)));
    at.height = contract.size[0], at.width = std::min(contract.size[1], static_cast<std::int64_t>(width));
  } else if (limited(contract)) {
    place_limited(at, h, w, contract);
  } else if (!contract.size.empty() && (h != contract.size[0] || w != contract.size[1])) {
    throw std::runtime_error("picture is " + text_of(h, w) + ", and should be " +
                             text_of(contract.size[0], contract.size[1]) + ", since the contract does not resize");
  }
  at.ratio_y = static_cast<double>(at.height) / static_cast<double>(h);
  at.ratio_x = static_cast<double>(at.width) / static_cast<double>(w);
  at.input_height = at.height, at.input_width = at.width;
  std::int64_t top = 0, left = 0;
  if (contract.padded()) {
    at.input_height = contract.size[0], at.input_width = contract.size[1];
    if (contract.resize == "letterbox") top = (at.input_height - at.height) / 2, left = (at.input_width - at.width) / 2;
  }
  if (!contract.crop.empty()) {
    if (contract.crop[0] > at.input_height || contract.crop[1] > at.input_width)
      throw std::runtime_error("picture is " + text_of(at.input_height, at.input_width) + " before the crop of " +
                               text_of(contract.crop[0], contract.crop[1]) + ", and should be at least as large");
    top -= (at.input_height - contract.crop[0]) / 2, left -= (at.input_width - contract.crop[1]) / 2;
    at.input_height = contract.crop[0], at.input_width = contract.crop[1];
  }
  at.offset_y = static_cast<double>(top), at.offset_x = static_cast<double>(left);
  return at;
}

Tensor preprocess(const Picture& picture, const Preprocess& contract) {
  if (picture.height < 1 || picture.width < 1) throw std::runtime_error("picture holds no pixel");
  const Placement at = placement(picture, contract);
  if (contract.resize != "none" && std::max(at.height * at.width, at.input_height * at.input_width) > input_pixels_max)
    throw std::runtime_error("picture would become " + text_of(at.input_height, at.input_width) +
                             ", and should have at most " + std::to_string(input_pixels_max) + " pixels");
  const auto channels = static_cast<std::int64_t>(contract.channels());
  const bool planar = contract.layout == "NCHW";
  Tensor input = Tensor::make(Dtype::float32, planar ? Shape{1, channels, at.input_height, at.input_width}
                                                     : Shape{1, at.input_height, at.input_width, channels});
  const std::vector<Plane> planes = planes_of(picture, contract.colour);
  const auto top = static_cast<std::int64_t>(at.offset_y), left = static_cast<std::int64_t>(at.offset_x);
  for (std::int64_t c = 0; c < channels; ++c) {
    const auto channel = static_cast<std::size_t>(c);
    const bool as_it_is = at.height == picture.height && at.width == picture.width;
    const Plane plane = as_it_is ? planes[channel]
                                 : resized(planes[channel], {picture.height, picture.width}, {at.height, at.width},
                                           contract.interpolation);
    for (std::int64_t y = 0; y < at.input_height; ++y)
      for (std::int64_t x = 0; x < at.input_width; ++x) {
        const std::int64_t from_y = y - top, from_x = x - left;
        const bool covered = from_y >= 0 && from_y < at.height && from_x >= 0 && from_x < at.width;
        const float pixel = covered ? plane[static_cast<std::size_t>(from_y * at.width + from_x)] : contract.pad_value;
        const bool ready = !covered && contract.pad_in == "input";  // no pixel, but a value of the input itself
        const std::int64_t to =
            planar ? (c * at.input_height + y) * at.input_width + x : (y * at.input_width + x) * channels + c;
        input.data<float>()[to] =
            ready ? pixel : (pixel * contract.scale - contract.mean[channel]) / contract.std[channel];
      }
  }
  return input;
}

}  // namespace edgeflow

// The twin of edgeflow/core/resizing.py: the same operations in the same order, so that both round alike.
#include "resizing.h"

#include <algorithm>
#include <cmath>

namespace edgeflow {
namespace {

// The two pixels that an output pixel lies between, and how far it is from the first.
struct Tap {
  std::size_t low, high;
  float weight;
};

std::vector<Tap> centres(std::int64_t in, std::int64_t out) {
  std::vector<Tap> found;
  for (std::int64_t i = 0; i < out; ++i) {
    const double raw = (static_cast<double>(i) + 0.5) * static_cast<double>(in) / static_cast<double>(out) - 0.5;
    const double at = std::clamp(raw, 0.0, static_cast<double>(in - 1));
    const auto low = static_cast<std::int64_t>(std::floor(at));
    found.push_back({static_cast<std::size_t>(low), static_cast<std::size_t>(std::min(low + 1, in - 1)),
                     static_cast<float>(at - static_cast<double>(low))});
  }
  return found;
}

// For area where a side grows: an output pixel within one pixel is that pixel, others lie between two.
std::vector<Tap> extents(std::int64_t in, std::int64_t out) {
  std::vector<Tap> found;
  for (std::int64_t i = 0; i < out; ++i) {
    const std::int64_t low = std::min(i * in / out, in - 1);
    const double beyond =
        static_cast<double>(i + 1) - static_cast<double>((low + 1) * out) / static_cast<double>(in);  // output pixels
    found.push_back({static_cast<std::size_t>(low), static_cast<std::size_t>(std::min(low + 1, in - 1)),
                     static_cast<float>(beyond > 0.0 ? beyond - std::floor(beyond) : 0.0)});
  }
  return found;
}

// What an output pixel is the sum of.
struct Share {
  std::size_t pixel;
  float weight;
};
using Shares = std::vector<std::vector<Share>>;

Shares cubic(std::int64_t in, std::int64_t out) {
  constexpr double a = -0.75;
  const auto outer = [](double d) { return ((a * (d + 1.0) - 5.0 * a) * (d + 1.0) + 8.0 * a) * (d + 1.0) - 4.0 * a; };
  const auto inner = [](double d) { return ((a + 2.0) * d - (a + 3.0)) * d * d + 1.0; };
  Shares found;
  for (std::int64_t i = 0; i < out; ++i) {
    const double at = (static_cast<double>(i) + 0.5) * static_cast<double>(in) / static_cast<double>(out) - 0.5;
    const double low = std::floor(at), x = at - low, y = 1.0 - (at - low);
    const double weights[] = {outer(x), inner(x), inner(y), outer(y)};
    found.emplace_back();
    for (std::int64_t k = 0; k < 4; ++k) {
      const std::int64_t pixel = std::clamp<std::int64_t>(static_cast<std::int64_t>(low) + k - 1, 0, in - 1);
      found.back().push_back({static_cast<std::size_t>(pixel), static_cast<float>(weights[k])});
    }
  }
  return found;
}

Shares area(std::int64_t in, std::int64_t out) {
  Shares found;
  for (std::int64_t i = 0; i < out; ++i) {
    const double start = static_cast<double>(i * in) / static_cast<double>(out),
                 end = static_cast<double>((i + 1) * in) / static_cast<double>(out);
    found.emplace_back();
    for (auto pixel = static_cast<std::int64_t>(std::floor(start)); pixel < in; ++pixel) {
      const double covered =
          std::min(static_cast<double>(pixel + 1), end) - std::max(static_cast<double>(pixel), start);
      if (covered <= 0.0) break;
      found.back().push_back({static_cast<std::size_t>(pixel), static_cast<float>(covered / (end - start))});
    }
  }
  return found;
}

float sum(const float* from, std::size_t step, const std::vector<Share>& shares) {
  float total = from[shares[0].pixel * step] * shares[0].weight;
  for (std::size_t k = 1; k < shares.size(); ++k) total = total + from[shares[k].pixel * step] * shares[k].weight;
  return total;
}

Plane weighted(const Plane& plane, std::int64_t stride, const Shares& rows, const Shares& columns) {
  const auto old_width = static_cast<std::size_t>(stride), width = columns.size();
  Plane wide, out;  // each row in its new width; then each column in its new height
  wide.reserve(plane.size() / old_width * width), out.reserve(rows.size() * width);
  for (std::size_t at = 0; at < plane.size(); at += old_width)
    for (const std::vector<Share>& x : columns) wide.push_back(sum(plane.data() + at, 1, x));
  for (const std::vector<Share>& y : rows)
    for (std::size_t x = 0; x < width; ++x) out.push_back(sum(wide.data() + x, width, y));
  return out;
}

Plane between(const Plane& plane, std::int64_t stride, const std::vector<Tap>& rows, const std::vector<Tap>& columns) {
  const auto width = static_cast<std::size_t>(stride);
  Plane out;
  out.reserve(rows.size() * columns.size());
  for (const Tap& y : rows)
    for (const Tap& x : columns) {
      const float* top = plane.data() + y.low * width;
      const float* bottom = plane.data() + y.high * width;
      const float above = top[x.low] + (top[x.high] - top[x.low]) * x.weight;
      const float below = bottom[x.low] + (bottom[x.high] - bottom[x.low]) * x.weight;
      out.push_back(above + (below - above) * y.weight);
    }
  return out;
}

}  // namespace

Plane resized(const Plane& plane, Extent from, Extent to, const std::string& interpolation) {
  if (interpolation == "cubic") {
    Plane out = weighted(plane, from.width, cubic(from.height, to.height), cubic(from.width, to.width));
    for (float& value : out) value = std::clamp(value, 0.0F, 255.0F);
    return out;
  }
  if (interpolation == "area" && to.height <= from.height && to.width <= from.width)
    return weighted(plane, from.width, area(from.height, to.height), area(from.width, to.width));
  const auto taps = interpolation == "area" ? extents : centres;
  return between(plane, from.width, taps(from.height, to.height), taps(from.width, to.width));
}

}  // namespace edgeflow

#include "text_crop.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>

namespace edgeflow {
namespace {

constexpr double tall = 1.5;
constexpr std::int64_t places = 32;                  // parts of a pixel
constexpr std::int64_t one = std::int64_t{1} << 15;  // weights sum up to it

using Weights = std::array<std::int64_t, 16>;

// Of the sixteen pixels around each of the places in a pixel. What rounding leaves goes to one of four.
std::vector<Weights> weight_table() {
  constexpr float a = -0.75F;
  std::array<std::array<float, 4>, places> line{};
  for (std::size_t k = 0; k < line.size(); ++k) {
    const float x = static_cast<float>(k) / static_cast<float>(places), far = x + 1.0F, near = 1.0F - x;
    auto& w = line[k];
    w[0] = ((a * far - 5.0F * a) * far + 8.0F * a) * far - 4.0F * a;
    w[1] = ((a + 2.0F) * x - (a + 3.0F)) * x * x + 1.0F;
    w[2] = ((a + 2.0F) * near - (a + 3.0F)) * near * near + 1.0F;
    w[3] = 1.0F - w[0] - w[1] - w[2];
  }
  std::vector<Weights> table;
  for (const auto& down : line)
    for (const auto& across : line) {
      Weights weights{};
      std::int64_t left = -one;
      for (std::size_t k = 0; k < weights.size(); ++k) {
        weights[k] = static_cast<std::int64_t>(std::nearbyint(down[k / 4] * across[k % 4] * static_cast<float>(one)));
        left += weights[k];
      }
      std::size_t at = 10;
      for (const std::size_t k : {std::size_t{11}, std::size_t{14}, std::size_t{15}})
        if (left < 0 ? weights[k] < weights[at] : weights[k] > weights[at]) at = k;
      weights[at] -= left;
      table.push_back(weights);
    }
  return table;
}

// The projective map of a rectangle to a quadrilateral (Heckbert, 1989): where a pixel of the cut comes from, in parts
// of a pixel.
struct Way {
  double x0, y0, ax, ay, bx, by, g, h;

  explicit Way(const Quad& c) : x0(c[0].x), y0(c[0].y), g(0), h(0) {
    const double sx = c[0].x - c[1].x + c[2].x - c[3].x, sy = c[0].y - c[1].y + c[2].y - c[3].y;
    const double px = c[1].x - c[2].x, py = c[1].y - c[2].y, qx = c[3].x - c[2].x, qy = c[3].y - c[2].y;
    const double size = px * qy - qx * py;
    if (size != 0) g = (sx * qy - qx * sy) / size, h = (px * sy - sx * py) / size;
    ax = c[1].x - x0 + g * c[1].x, ay = c[1].y - y0 + g * c[1].y;
    bx = c[3].x - x0 + h * c[3].x, by = c[3].y - y0 + h * c[3].y;
  }

  Pixel at(double u, double v) const {
    double below = g * u + h * v + 1;
    // Corners that cross each other may lie on the horizon, where nothing is.
    if (below == 0) below = std::numeric_limits<double>::infinity();
    const auto part = [&](double side) {
      constexpr double most = 1 << 30;
      return static_cast<std::int64_t>(
          std::nearbyint(std::clamp(side / below * static_cast<double>(places), -most, most)));
    };
    return {part(ax * u + bx * v + x0), part(ay * u + by * v + y0)};
  }
};

// Division that rounds down.
std::int64_t below(std::int64_t value, std::int64_t by) { return (value - (((value % by) + by) % by)) / by; }

void put(const Picture& from, Pixel at, const std::vector<Weights>& table, std::uint8_t* to) {
  const std::int64_t x = below(at.x, places), y = below(at.y, places);
  const Weights& weights = table[static_cast<std::size_t>((at.y - y * places) * places + at.x - x * places)];
  std::array<std::int64_t, 3> total{};
  for (std::int64_t k = 0; k < 16; ++k) {
    const std::int64_t row = std::clamp<std::int64_t>(y + k / 4 - 1, 0, from.height - 1);
    const std::int64_t column = std::clamp<std::int64_t>(x + k % 4 - 1, 0, from.width - 1);
    const std::uint8_t* rgb = from.rgb.data() + 3 * (row * from.width + column);
    for (std::size_t c = 0; c < 3; ++c) total[c] += rgb[c] * weights[static_cast<std::size_t>(k)];
  }
  for (std::size_t c = 0; c < 3; ++c)
    to[c] = static_cast<std::uint8_t>(std::clamp<std::int64_t>(below(total[c] + one / 2, one), 0, 255));
}

Picture quarter_turned(const Picture& line) {
  Picture found{line.width, line.height, std::vector<std::uint8_t>(line.rgb.size())};
  for (std::int64_t y = 0; y < found.height; ++y)
    for (std::int64_t x = 0; x < found.width; ++x)
      std::copy_n(line.rgb.data() + 3 * (x * line.width + line.width - 1 - y), 3,
                  found.rgb.data() + 3 * (y * found.width + x));
  return found;
}

}  // namespace

Picture cut_out(const Picture& picture, const Quad& corners) {
  static const std::vector<Weights> table = weight_table();
  const auto most = static_cast<double>(picture.height + picture.width);
  for (const Point& corner : corners)
    if (!(std::abs(corner.x) <= most && std::abs(corner.y) <= most))
      throw std::runtime_error("a box of text reaches far outside the picture");
  const auto side = [&](std::size_t a, std::size_t b, std::size_t c, std::size_t d) {
    const double longer = std::max(distance(corners[a], corners[b]), distance(corners[c], corners[d]));
    return std::max<std::int64_t>(1, static_cast<std::int64_t>(longer));
  };
  const std::int64_t height = side(0, 3, 1, 2), width = side(0, 1, 2, 3);
  const Way way(corners);
  Picture cut{height, width, std::vector<std::uint8_t>(static_cast<std::size_t>(3 * height * width))};
  for (std::int64_t y = 0; y < height; ++y)
    for (std::int64_t x = 0; x < width; ++x)
      put(picture,
          way.at(static_cast<double>(x) / static_cast<double>(width),
                 static_cast<double>(y) / static_cast<double>(height)),
          table, cut.rgb.data() + 3 * (y * width + x));
  return static_cast<double>(height) / static_cast<double>(width) >= tall ? quarter_turned(cut) : cut;
}

Picture turned(const Picture& line) {
  Picture found{line.height, line.width, std::vector<std::uint8_t>(line.rgb.size())};
  const std::int64_t pixels = line.height * line.width;
  for (std::int64_t k = 0; k < pixels; ++k)
    std::copy_n(line.rgb.data() + 3 * k, 3, found.rgb.data() + 3 * (pixels - 1 - k));
  return found;
}

}  // namespace edgeflow

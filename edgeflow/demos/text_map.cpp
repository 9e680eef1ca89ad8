#include "text_map.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <utility>

namespace edgeflow {
namespace {

constexpr double line_height = 10;  // boxes whose tops are less far apart stand in one line
constexpr double side_least = 3;    // a box is longer on each side, in pixels of the picture
constexpr double arc = 0.25;        // how far a round corner's chord may lie from its arc
constexpr double pi = 3.141592653589793;

struct Map {
  std::vector<float> values;
  std::int64_t height, width;

  double at(std::int64_t y, std::int64_t x) const {
    return static_cast<double>(values[static_cast<std::size_t>(y * width + x)]);
  }
};

Map map_of(const Tensor& tensor) {
  const std::size_t rank = tensor.shape.size();
  if (rank < 2 || tensor.count() == 0 ||
      static_cast<std::int64_t>(tensor.count()) != tensor.shape[rank - 2] * tensor.shape[rank - 1])
    throw std::runtime_error("the detector's output is " + text_of(tensor.shape) +
                             ", and should be one probability map [1, 1, H, W]");
  return {tensor.floats(), tensor.shape[rank - 2], tensor.shape[rank - 1]};
}

Bitmap text_of_map(const Map& map, const BoxRules& rules) {
  const auto threshold = static_cast<float>(rules.thresh);
  Bitmap found{map.height, map.width, std::vector<char>(map.values.size())};
  std::transform(map.values.begin(), map.values.end(), found.on.begin(),
                 [&](float value) { return static_cast<char>(value > threshold ? 1 : 0); });
  if (!rules.dilate) return found;
  for (std::int64_t y = map.height; y-- > 0;)
    for (std::int64_t x = map.width; x-- > 0;)
      for (std::int64_t k = 0; k < 4 && found.at(y, x) == 0; ++k)
        if (y >= k / 2 && x >= k % 2) found.at(y, x) = found.at(y - k / 2, x - k % 2);
  return found;
}

// Pixels of a line, eight neighbours, halves towards its left end or, where it is steep, its first.
template <typename Each>
void draw_line(Pixel one, Pixel two, const Each& each) {
  if (one.x > two.x) std::swap(one, two);
  const std::int64_t wide = two.x - one.x, high = std::abs(two.y - one.y), step = two.y >= one.y ? 1 : -1;
  if (wide == 0 && high == 0) return each(one);
  if (wide >= high)
    for (std::int64_t k = 0; k <= wide; ++k)
      each(Pixel{one.x + k, one.y + step * ((2 * k * high + wide - 1) / (2 * wide))});
  else
    for (std::int64_t k = 0; k <= high; ++k)
      each(Pixel{one.x + (2 * k * wide + high - 1) / (2 * high), one.y + step * k});
}

// The mean of the pixels of a box whose corners are cut to whole ones.
double mean_in(const Map& map, const Quad& box) {
  double x1 = box[0].x, x2 = x1, y1 = box[0].y, y2 = y1;
  for (const Point& corner : box) {
    x1 = std::min(x1, corner.x), x2 = std::max(x2, corner.x);
    y1 = std::min(y1, corner.y), y2 = std::max(y2, corner.y);
  }
  const auto pixel = [](double at, std::int64_t size) {
    return std::clamp<std::int64_t>(static_cast<std::int64_t>(at), 0, size - 1);
  };
  const std::int64_t left = pixel(std::floor(x1), map.width), right = pixel(std::ceil(x2), map.width);
  const std::int64_t top = pixel(std::floor(y1), map.height), bottom = pixel(std::ceil(y2), map.height);
  const std::int64_t rows = bottom - top + 1, columns = right - left + 1;
  std::vector<std::int64_t> low(static_cast<std::size_t>(rows), columns), high(static_cast<std::size_t>(rows), -1);
  const auto corner = [&](const Point& at) {
    return Pixel{static_cast<std::int64_t>(at.x - static_cast<double>(left)),
                 static_cast<std::int64_t>(at.y - static_cast<double>(top))};
  };
  for (std::size_t k = 0; k < 4; ++k)
    draw_line(corner(box[k]), corner(box[(k + 1) % 4]), [&](Pixel at) {
      if (at.y < 0 || at.y >= rows) return;
      const auto y = static_cast<std::size_t>(at.y);
      low[y] = std::min(low[y], at.x), high[y] = std::max(high[y], at.x);
    });
  double sum = 0;
  std::int64_t count = 0;
  for (std::int64_t y = 0; y < rows; ++y) {
    const std::int64_t end = std::min(high[static_cast<std::size_t>(y)] + 1, columns);
    for (std::int64_t x = std::max<std::int64_t>(low[static_cast<std::size_t>(y)], 0); x < end; ++x)
      sum += map.at(top + y, left + x), ++count;
  }
  return count == 0 ? 0.0 : sum / static_cast<double>(count);
}

double mean_in(const Map& map, const Outline& outline) {
  Pixel corner{};
  const Bitmap there = filled(outline, corner);
  double sum = 0;
  std::int64_t count = 0;
  for (std::int64_t y = std::max<std::int64_t>(corner.y, 0); y < std::min(corner.y + there.height, map.height); ++y)
    for (std::int64_t x = std::max<std::int64_t>(corner.x, 0); x < std::min(corner.x + there.width, map.width); ++x)
      if (there.at(y - corner.y, x - corner.x) != 0) sum += map.at(y, x), ++count;
  return count == 0 ? 0.0 : sum / static_cast<double>(count);
}

std::int64_t rounded(double value) { return static_cast<std::int64_t>(value < 0 ? value - 0.5 : value + 0.5); }

Point normal(Pixel one, Pixel two) {
  const auto x = static_cast<double>(two.x - one.x), y = static_cast<double>(two.y - one.y);
  const double length = std::sqrt(x * x + y * y);
  return {y / length, -x / length};
}

// The corners of a box that grew by area * ratio / perimeter, round at its corners.
std::vector<Pixel> grown(const Quad& box, double ratio) {
  const double across = distance(box[0], box[1]), down = distance(box[0], box[3]);
  const double by = across * down * ratio / (2 * (across + down));
  std::array<Pixel, 4> whole{};
  for (std::size_t k = 0; k < 4; ++k)
    whole[k] = {static_cast<std::int64_t>(box[k].x), static_cast<std::int64_t>(box[k].y)};
  std::vector<Pixel> path;
  for (std::size_t k = 0; k < 4; ++k) {
    const Pixel before = whole[(k + 3) % 4];
    if (whole[k].x != before.x || whole[k].y != before.y) path.push_back(whole[k]);
  }
  if (path.empty()) path.push_back(whole[0]);
  if (by < 1e-12 || path.size() < 3) return path;
  const double steps = std::min(pi / std::acos(1 - std::min(arc, by * arc) / by), by * pi);
  const double sin = std::sin(2 * pi / steps), cos = std::cos(2 * pi / steps);
  std::vector<Point> normals;
  for (std::size_t k = 0; k < path.size(); ++k) normals.push_back(normal(path[k], path[(k + 1) % path.size()]));
  std::vector<Pixel> found;
  for (std::size_t k = 0; k < path.size(); ++k) {
    const Point before = normals[(k + path.size() - 1) % path.size()], after = normals[k];
    const double turn = before.x * after.y - after.x * before.y, same = before.x * after.x + before.y * after.y;
    Point way = before;
    const auto put = [&] {
      found.push_back(
          {rounded(static_cast<double>(path[k].x) + way.x * by), rounded(static_cast<double>(path[k].y) + way.y * by)});
    };
    if (std::abs(turn * by) >= 1 || same <= 0) {
      const double angle = std::abs(std::atan2(std::clamp(turn, -1.0, 1.0), same));
      const std::int64_t times = std::max<std::int64_t>(rounded(steps / (2 * pi) * angle), 1);
      for (std::int64_t i = 0; i < times; ++i) {
        put();
        way = {way.x * cos - way.y * sin, way.x * sin + way.y * cos};
      }
      way = after;
    }
    put();
  }
  return found;
}

// In whole pixels of the picture; float32 as PaddleOCR has it, since halves decide.
Quad in_picture(const Quad& box, const Map& map, const Placement& at) {
  struct Side {
    float span, begin, size, last;
    double place(double x) const {
      const float found = std::nearbyint(static_cast<float>(x) / size * span - begin);
      return static_cast<double>(std::clamp(found, 0.0F, last));
    }
  };
  const auto side = [](std::int64_t input, std::int64_t picture, std::int64_t size, double offset, double ratio,
                       std::int64_t map_size) {
    const double span = static_cast<double>(input) * (static_cast<double>(picture) / static_cast<double>(size));
    return Side{static_cast<float>(span), static_cast<float>(offset / ratio), static_cast<float>(map_size),
                static_cast<float>(picture - 1)};
  };
  const Side across = side(at.input_width, at.picture_width, at.width, at.offset_x, at.ratio_x, map.width);
  const Side down = side(at.input_height, at.picture_height, at.height, at.offset_y, at.ratio_y, map.height);
  Quad found{};
  for (std::size_t k = 0; k < 4; ++k) found[k] = {across.place(box[k].x), down.place(box[k].y)};
  return found;
}

// From the corner whose coordinates sum up to the least.
Quad clockwise(Quad quad) {
  const auto first = std::min_element(quad.begin(), quad.end(), [](Point a, Point b) { return a.x + a.y < b.x + b.y; });
  std::rotate(quad.begin(), first, quad.end());
  return quad;
}

void sort_as_read(std::vector<TextBox>& boxes) {
  const auto top_left = [](const TextBox& box) { return box.corners[0]; };
  std::stable_sort(boxes.begin(), boxes.end(), [&](const TextBox& a, const TextBox& b) {
    const Point one = top_left(a), two = top_left(b);
    return one.y < two.y || (one.y == two.y && one.x < two.x);
  });
  for (std::size_t i = 0; i + 1 < boxes.size(); ++i)
    for (std::size_t j = i + 1; j-- > 0;) {
      const Point one = top_left(boxes[j]), two = top_left(boxes[j + 1]);
      if (!(std::abs(two.y - one.y) < line_height && two.x < one.x)) break;
      std::swap(boxes[j], boxes[j + 1]);
    }
}

}  // namespace

std::vector<TextBox> text_boxes(const Tensor& tensor, const BoxRules& rules, const Placement& at) {
  const Map map = map_of(tensor);
  std::vector<Outline> found = outlines(text_of_map(map, rules));
  found.resize(std::min(found.size(), rules.max_candidates), Outline{{}, false});
  std::vector<TextBox> boxes;
  for (const Outline& outline : found) {
    const Rectangle box = smallest(hull_of(outline.points()));
    if (box.side < rules.min_size || box.side == 0) continue;
    const double score = rules.slow ? mean_in(map, outline) : mean_in(map, box.corners);
    if (!(score >= rules.box_thresh)) continue;
    const Rectangle whole = smallest(hull_of(grown(box.corners, rules.unclip_ratio)));
    if (whole.side < rules.min_size + 2) continue;
    const Quad quad = clockwise(in_picture(whole.corners, map, at));
    if (std::min(distance(quad[0], quad[1]), distance(quad[0], quad[3])) < side_least + 1) continue;
    boxes.push_back({quad, score});
  }
  sort_as_read(boxes);
  return boxes;
}

}  // namespace edgeflow

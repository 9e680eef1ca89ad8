#include "text.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <utility>

namespace edgeflow {
namespace {

using Points = std::vector<Point>;

Point operator+(Point a, Point b) { return {a.x + b.x, a.y + b.y}; }
Point operator-(Point a, Point b) { return {a.x - b.x, a.y - b.y}; }
Point operator*(Point a, double k) { return {a.x * k, a.y * k}; }
double dot(Point a, Point b) { return a.x * b.x + a.y * b.y; }
double cross(Point a, Point b) { return a.x * b.y - a.y * b.x; }
double length(Point a) { return std::sqrt(a.x * a.x + a.y * a.y); }  // hypot would ask for glibc 2.35

// A rectangle: middle, direction of its width (a unit vector), half width and half height.
struct Rectangle {
  Point middle, along;
  double half_width, half_height;

  Point down() const { return {-along.y, along.x}; }
};

struct Map {
  std::vector<float> values;
  std::size_t height, width;
};

Map map_of(const Tensor& tensor) {
  const std::size_t rank = tensor.shape.size();
  if (rank < 2 || tensor.count() == 0 ||
      static_cast<std::int64_t>(tensor.count()) != tensor.shape[rank - 2] * tensor.shape[rank - 1])
    throw std::runtime_error("the detector's output is " + text_of(tensor.shape) +
                             ", and should be one probability map [1, 1, H, W]");
  return {tensor.floats(), static_cast<std::size_t>(tensor.shape[rank - 2]),
          static_cast<std::size_t>(tensor.shape[rank - 1])};
}

// Marks the component of pixel `seed` and returns the ends of its rows, which hold every corner of its hull.
Points component(const Map& map, float threshold, std::size_t seed, std::vector<char>& seen) {
  std::vector<std::size_t> open{seed};
  std::vector<std::pair<std::size_t, std::size_t>> rows(map.height, {map.width, 0});
  seen[seed] = 1;
  while (!open.empty()) {
    const std::size_t y = open.back() / map.width, x = open.back() % map.width;
    open.pop_back();
    rows[y] = {std::min(rows[y].first, x), std::max(rows[y].second, x)};
    for (std::size_t ny = y > 0 ? y - 1 : 0; ny <= std::min(y + 1, map.height - 1); ++ny)
      for (std::size_t nx = x > 0 ? x - 1 : 0; nx <= std::min(x + 1, map.width - 1); ++nx) {
        const std::size_t next = ny * map.width + nx;
        if (seen[next] != 0 || !(map.values[next] > threshold)) continue;
        seen[next] = 1;
        open.push_back(next);
      }
  }
  Points ends;
  for (std::size_t y = 0; y < map.height; ++y)
    if (rows[y].first < map.width)
      for (const std::size_t x : {rows[y].first, rows[y].second})
        ends.push_back({static_cast<double>(x) + 0.5, static_cast<double>(y) + 0.5});
  return ends;
}

// Andrew's monotone chain.
Points hull_of(Points points) {
  std::sort(points.begin(), points.end(), [](Point a, Point b) { return a.x < b.x || (a.x == b.x && a.y < b.y); });
  Points hull;
  for (int side = 0; side < 2; ++side) {
    const std::size_t begin = hull.size();
    for (const Point& point : points) {
      while (hull.size() >= begin + 2 && cross(hull.back() - hull[hull.size() - 2], point - hull.back()) <= 0)
        hull.pop_back();
      hull.push_back(point);
    }
    hull.pop_back();
    std::reverse(points.begin(), points.end());
  }
  return hull.empty() ? Points{points.front()} : hull;
}

// The smallest rectangle lies along an edge of the hull (Freeman and Shapira, 1975). Half a pixel is added on each
// side, since points are the centres of pixels.
Rectangle smallest(const Points& hull) {
  Rectangle best{hull[0], {1, 0}, 0.5, 0.5};
  double least = std::numeric_limits<double>::infinity();
  for (std::size_t i = 0; i < hull.size(); ++i) {
    const Point edge = hull[(i + 1) % hull.size()] - hull[i];
    const Point along = length(edge) > 0 ? edge * (1 / length(edge)) : Point{1, 0};
    const Point down{-along.y, along.x};
    double left = 1e300, right = -1e300, top = 1e300, bottom = -1e300;
    for (const Point& point : hull) {
      left = std::min(left, dot(point, along)), right = std::max(right, dot(point, along));
      top = std::min(top, dot(point, down)), bottom = std::max(bottom, dot(point, down));
    }
    const double half_width = (right - left) / 2 + 0.5, half_height = (bottom - top) / 2 + 0.5;
    if (half_width * half_height >= least) continue;
    least = half_width * half_height;
    best = {along * ((left + right) / 2) + down * ((top + bottom) / 2), along, half_width, half_height};
  }
  // The width is what lies nearer to the horizontal, and points to the right.
  if (std::abs(best.along.x) < std::abs(best.along.y))
    best.along = best.down(), std::swap(best.half_width, best.half_height);
  if (best.along.x < 0) best.along = best.along * -1;
  return best;
}

float mean_in(const Map& map, const Rectangle& box) {
  const double reach = length({box.half_width, box.half_height});
  const auto from = [&](double at) { return static_cast<std::size_t>(std::max(0.0, std::floor(at - reach))); };
  const auto to = [&](double at, std::size_t size) {
    return std::min(size, static_cast<std::size_t>(std::max(0.0, std::ceil(at + reach))));
  };
  double sum = 0;
  std::size_t count = 0;
  for (std::size_t y = from(box.middle.y); y < to(box.middle.y, map.height); ++y)
    for (std::size_t x = from(box.middle.x); x < to(box.middle.x, map.width); ++x) {
      const Point at = Point{static_cast<double>(x) + 0.5, static_cast<double>(y) + 0.5} - box.middle;
      if (std::abs(dot(at, box.along)) > box.half_width || std::abs(dot(at, box.down())) > box.half_height) continue;
      sum += static_cast<double>(map.values[y * map.width + x]);
      ++count;
    }
  return count == 0 ? 0.0F : static_cast<float>(sum / static_cast<double>(count));
}

// A polygon grows by area * ratio / perimeter on every side; a rectangle stays one.
Rectangle unclipped(Rectangle box, double ratio) {
  const double grow = box.half_width * box.half_height * ratio / (box.half_width + box.half_height);
  box.half_width += grow, box.half_height += grow;
  return box;
}

TextBox corners_of(const Rectangle& box, float score) {
  const Point u = box.along * box.half_width, v = box.down() * box.half_height;
  return {{box.middle - u - v, box.middle + u - v, box.middle + u + v, box.middle - u + v}, score};
}

double middle_y(const TextBox& box) { return (box.corners[0].y + box.corners[2].y) / 2; }
double height_of(const TextBox& box) { return length(box.corners[3] - box.corners[0]); }

// Lines from top to bottom; what is less than half a height apart stands in one line.
void sort_as_read(std::vector<TextBox>& boxes) {
  std::stable_sort(boxes.begin(), boxes.end(),
                   [](const TextBox& a, const TextBox& b) { return middle_y(a) < middle_y(b); });
  for (std::size_t begin = 0; begin < boxes.size();) {
    std::size_t end = begin + 1;
    while (end < boxes.size() &&
           middle_y(boxes[end]) - middle_y(boxes[begin]) < std::min(height_of(boxes[begin]), height_of(boxes[end])) / 2)
      ++end;
    std::stable_sort(boxes.begin() + static_cast<std::ptrdiff_t>(begin),
                     boxes.begin() + static_cast<std::ptrdiff_t>(end),
                     [](const TextBox& a, const TextBox& b) { return a.corners[0].x < b.corners[0].x; });
    begin = end;
  }
}

double sample(const Picture& picture, Point at, std::int64_t channel) {
  const double x = std::clamp(at.x - 0.5, 0.0, static_cast<double>(picture.width - 1)),
               y = std::clamp(at.y - 0.5, 0.0, static_cast<double>(picture.height - 1));
  const auto x0 = static_cast<std::int64_t>(x), y0 = static_cast<std::int64_t>(y);
  const std::int64_t x1 = std::min(x0 + 1, picture.width - 1), y1 = std::min(y0 + 1, picture.height - 1);
  const auto pixel = [&](std::int64_t py, std::int64_t px) {
    return static_cast<double>(picture.rgb[static_cast<std::size_t>(3 * (py * picture.width + px) + channel)]);
  };
  const double fx = x - static_cast<double>(x0), fy = y - static_cast<double>(y0);
  return (pixel(y0, x0) * (1 - fx) + pixel(y0, x1) * fx) * (1 - fy) +
         (pixel(y1, x0) * (1 - fx) + pixel(y1, x1) * fx) * fy;
}

}  // namespace

std::vector<TextBox> text_boxes(const Tensor& tensor, const DbRules& rules) {
  const Map map = map_of(tensor);
  std::vector<char> seen(map.values.size(), 0);
  std::vector<TextBox> boxes;
  for (std::size_t i = 0; i < seen.size() && boxes.size() < rules.boxes_max; ++i) {
    if (seen[i] != 0 || !(map.values[i] > rules.threshold)) continue;
    const Rectangle box = smallest(hull_of(component(map, rules.threshold, i, seen)));
    if (2 * std::min(box.half_width, box.half_height) < rules.side_min) continue;
    const float score = mean_in(map, box);
    if (score >= rules.box_threshold) boxes.push_back(corners_of(unclipped(box, rules.unclip_ratio), score));
  }
  sort_as_read(boxes);
  return boxes;
}

std::vector<TextBox> to_picture(std::vector<TextBox> boxes, const Tensor& tensor, const Placement& at) {
  const std::size_t rank = tensor.shape.size();
  // A map may be smaller than the input by a whole factor.
  const double step_y = static_cast<double>(at.input_height) / static_cast<double>(tensor.shape[rank - 2]);
  const double step_x = static_cast<double>(at.input_width) / static_cast<double>(tensor.shape[rank - 1]);
  for (TextBox& box : boxes)
    for (Point& corner : box.corners)
      corner = {(corner.x * step_x - at.offset_x) / at.ratio_x, (corner.y * step_y - at.offset_y) / at.ratio_y};
  return boxes;
}

Picture cut_out(const Picture& picture, const TextBox& box) {
  Point origin = box.corners[0], across = box.corners[1] - box.corners[0], down = box.corners[3] - box.corners[0];
  if (length(down) >= 1.5 * length(across)) {  // reads from top to bottom: a quarter turn against the clock
    origin = box.corners[1];
    const Point turned = across * -1;
    across = down, down = turned;
  }
  // A box reaches over the picture's edge by its unclipping only, so this bounds a map that lies.
  const auto side = [](double size, std::int64_t most) {
    return std::clamp<std::int64_t>(static_cast<std::int64_t>(std::lround(size)), 1, most);
  };
  const std::int64_t most = 2 * (picture.width + picture.height);
  Picture cut{side(length(down), most), side(length(across), most), {}};
  cut.rgb.reserve(static_cast<std::size_t>(3 * cut.height * cut.width));
  for (std::int64_t y = 0; y < cut.height; ++y)
    for (std::int64_t x = 0; x < cut.width; ++x) {
      const Point at = origin + across * ((static_cast<double>(x) + 0.5) / static_cast<double>(cut.width)) +
                       down * ((static_cast<double>(y) + 0.5) / static_cast<double>(cut.height));
      for (std::int64_t c = 0; c < 3; ++c)
        cut.rgb.push_back(static_cast<std::uint8_t>(std::lround(sample(picture, at, c))));
    }
  return cut;
}

Reading read_text(const Tensor& tensor, const std::vector<std::string>& dictionary) {
  const Shape& shape = tensor.shape;
  if (shape.size() < 2 || tensor.count() == 0)
    throw std::runtime_error("the recogniser's output is " + text_of(shape) +
                             ", and should be scores [1, steps, classes]");
  const auto classes = static_cast<std::size_t>(shape.back());
  const std::size_t letters = dictionary.size();
  // Steps and one sample: [1, T, C], [T, 1, C] or [T, C]. Several samples would be read as one text.
  if (shape.size() > 2 &&
      tensor.count() / classes != static_cast<std::size_t>(*std::max_element(shape.begin(), shape.end() - 1)))
    throw std::runtime_error("the recogniser's output is " + text_of(shape) + ", and should hold one text");
  if (classes != letters + 1 && classes != letters + 2)
    throw std::runtime_error("the recogniser knows " + std::to_string(classes) +
                             " classes, and should know a blank and the " + std::to_string(letters) +
                             " lines of the dictionary");
  const std::vector<float> scores = tensor.floats();
  Reading reading{"", 0.0F};
  std::size_t last = 0, kept = 0;
  for (auto step = scores.begin(); step != scores.end(); step += static_cast<std::ptrdiff_t>(classes)) {
    const auto top = std::max_element(step, step + static_cast<std::ptrdiff_t>(classes));
    const auto best = static_cast<std::size_t>(top - step);
    if (best != 0 && best != last) {
      reading.text += best <= letters ? dictionary[best - 1] : " ";
      reading.score += *top;
      ++kept;
    }
    last = best;
  }
  if (kept > 0) reading.score /= static_cast<float>(kept);
  return reading;
}

}  // namespace edgeflow

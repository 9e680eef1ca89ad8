#include "outlines.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <tuple>

namespace edgeflow {
namespace {

// Runs of pixels whose value is `value`, each with the first run of its component. Runs are joined with those that they
// touch in the row above.
struct Runs {
  std::vector<Run> runs;
  std::vector<std::size_t> owner;
};

std::size_t find(std::vector<std::size_t>& root, std::size_t k) {
  while (root[k] != k) k = root[k] = root[root[k]];
  return k;
}

Runs runs_of(const Bitmap& map, bool value, bool diagonal) {
  Runs found;
  const std::int64_t reach = diagonal ? 1 : 0;
  std::vector<std::size_t> root;
  std::size_t above = 0, here = 0;
  for (std::int64_t y = 0; y < map.height; ++y) {
    above = here, here = found.runs.size();
    std::size_t other = above;
    for (std::int64_t x = 0; x < map.width; ++x) {
      if ((map.at(y, x) != 0) != value) continue;
      Run run{y, x, x + 1};
      while (run.end < map.width && (map.at(y, run.end) != 0) == value) ++run.end;
      x = run.end;
      const std::size_t own = found.runs.size();
      found.runs.push_back(run), root.push_back(own);
      while (other < here && found.runs[other].end + reach <= run.begin) ++other;
      for (std::size_t k = other; k < here && found.runs[k].begin < run.end + reach; ++k) {
        const std::size_t one = find(root, k), two = find(root, own);
        root[std::max(one, two)] = std::min(one, two);
      }
    }
  }
  for (std::size_t k = 0; k < root.size(); ++k) found.owner.push_back(find(root, k));
  return found;
}

std::vector<std::vector<Run>> components(const Bitmap& map, bool value, bool diagonal) {
  const Runs all = runs_of(map, value, diagonal);
  std::vector<std::vector<Run>> found;
  std::vector<std::size_t> place(all.runs.size());
  for (std::size_t k = 0; k < all.runs.size(); ++k) {
    if (all.owner[k] == k) place[k] = found.size(), found.emplace_back();
    found[place[all.owner[k]]].push_back(all.runs[k]);
  }
  return found;
}

bool touches_frame(const std::vector<Run>& runs, const Bitmap& map) {
  return std::any_of(runs.begin(), runs.end(), [&](const Run& run) {
    return run.row == 0 || run.row == map.height - 1 || run.begin == 0 || run.end == map.width;
  });
}

}  // namespace

double distance(Point a, Point b) {
  const double x = b.x - a.x, y = b.y - a.y;
  return std::sqrt(x * x + y * y);
}

std::vector<Pixel> Outline::points() const {
  std::vector<Pixel> found;
  for (const Run& run : runs) {
    const std::int64_t last = run.end - 1;
    if (!hole) {
      found.push_back({run.begin, run.row}), found.push_back({last, run.row});
      continue;
    }
    found.push_back({run.begin - 1, run.row}), found.push_back({run.end, run.row});
    for (const std::int64_t x : {run.begin, last}) found.push_back({x, run.row - 1}), found.push_back({x, run.row + 1});
  }
  return found;
}

std::vector<Outline> outlines(const Bitmap& map) {
  std::vector<Outline> found;
  for (std::vector<Run>& runs : components(map, true, true)) found.push_back({std::move(runs), false});
  for (std::vector<Run>& runs : components(map, false, false))
    if (!touches_frame(runs, map)) found.push_back({std::move(runs), true});
  // A hole is met on the pixel before it.
  const auto start = [](const Outline& outline) {
    const Run& first = outline.runs.front();
    return std::make_tuple(first.row, first.begin - (outline.hole ? 1 : 0), outline.hole);
  };
  std::sort(found.begin(), found.end(), [&](const Outline& a, const Outline& b) { return start(a) > start(b); });
  return found;
}

Bitmap filled(const Outline& outline, Pixel& corner) {
  std::int64_t left = std::numeric_limits<std::int64_t>::max(), right = 0;
  for (const Run& run : outline.runs) left = std::min(left, run.begin), right = std::max(right, run.end);
  corner = {left - 2, outline.runs.front().row - 2};
  const std::int64_t height = outline.runs.back().row - corner.y + 3, width = right - corner.x + 2;
  Bitmap found{height, width, std::vector<char>(static_cast<std::size_t>(height * width), 0)};
  for (const Run& run : outline.runs)
    for (std::int64_t x = run.begin; x < run.end; ++x) found.at(run.row - corner.y, x - corner.x) = 1;
  const Runs outside = runs_of(found, false, false);  // the first run is the frame's
  std::fill(found.on.begin(), found.on.end(), 1);
  for (std::size_t k = 0; k < outside.runs.size(); ++k)
    if (outside.owner[k] == 0)
      for (std::int64_t x = outside.runs[k].begin; x < outside.runs[k].end; ++x) found.at(outside.runs[k].row, x) = 0;
  if (!outline.hole) return found;
  Bitmap grown = found;
  for (std::int64_t y = 1; y + 1 < height; ++y)
    for (std::int64_t x = 1; x + 1 < width; ++x)
      if (found.at(y, x) != 0) grown.at(y - 1, x) = grown.at(y + 1, x) = grown.at(y, x - 1) = grown.at(y, x + 1) = 1;
  return grown;
}

// Andrew's monotone chain.
std::vector<Pixel> hull_of(std::vector<Pixel> points) {
  std::sort(points.begin(), points.end(), [](Pixel a, Pixel b) { return a.x < b.x || (a.x == b.x && a.y < b.y); });
  std::vector<Pixel> hull;
  for (int side = 0; side < 2; ++side) {
    const std::size_t begin = hull.size();
    for (const Pixel& point : points) {
      while (hull.size() >= begin + 2) {
        const Pixel a = hull[hull.size() - 2], b = hull.back();
        if ((b.x - a.x) * (point.y - b.y) - (b.y - a.y) * (point.x - b.x) > 0) break;
        hull.pop_back();
      }
      hull.push_back(point);
    }
    hull.pop_back();
    std::reverse(points.begin(), points.end());
  }
  return hull.empty() ? std::vector<Pixel>{points.front()} : hull;
}

// It lies along an edge of the hull (Freeman and Shapira, 1975). Whole numbers until the corners, so that Python's are
// the same.
Rectangle smallest(const std::vector<Pixel>& hull) {
  struct Span {
    std::int64_t low, high;
    double size() const { return static_cast<double>(high - low); }
  };
  const auto still = Point{static_cast<double>(hull[0].x), static_cast<double>(hull[0].y)};
  Rectangle best{{still, still, still, still}, 0.0};
  double least = std::numeric_limits<double>::infinity();
  for (std::size_t k = 0; k < hull.size(); ++k) {
    const Pixel next = hull[(k + 1) % hull.size()];
    const std::int64_t x = next.x - hull[k].x, y = next.y - hull[k].y, square = x * x + y * y;
    if (square == 0) continue;
    constexpr std::int64_t far = std::numeric_limits<std::int64_t>::max();
    Span along{far, -far}, down{far, -far};
    for (const Pixel& point : hull) {
      const std::int64_t a = x * point.x + y * point.y, b = x * point.y - y * point.x;
      along = {std::min(along.low, a), std::max(along.high, a)};
      down = {std::min(down.low, b), std::max(down.high, b)};
    }
    const double size = static_cast<double>(square), area = along.size() * down.size() / size;
    if (!(area < least)) continue;
    least = area;
    auto corner = best.corners.begin();
    for (const std::int64_t a : {along.low, along.high})
      for (const std::int64_t b : {down.low, down.high})
        *corner++ = {static_cast<double>(a * x - b * y) / size, static_cast<double>(a * y + b * x) / size};
    best.side = std::min(along.size(), down.size()) / std::sqrt(size);
  }
  Quad found = best.corners;
  std::sort(found.begin(), found.end(), [](Point a, Point b) { return a.x < b.x || (a.x == b.x && a.y < b.y); });
  if (found[1].y < found[0].y) std::swap(found[0], found[1]);
  if (found[3].y < found[2].y) std::swap(found[2], found[3]);
  best.corners = {found[0], found[2], found[3], found[1]};
  return best;
}

}  // namespace edgeflow

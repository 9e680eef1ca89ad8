// Outlines of what stands out in a binary map, their hulls, and the smallest rectangle around one; the twin of
// edgeflow/core/outlines.py.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

namespace edgeflow {

struct Point {
  double x, y;
};
double distance(Point a, Point b);  // hypot would ask for glibc 2.35, and machines round it otherwise

struct Pixel {
  std::int64_t x, y;
};

// One byte a pixel, row by row: 0 is off.
struct Bitmap {
  std::int64_t height, width;
  std::vector<char> on;

  char& at(std::int64_t y, std::int64_t x) { return on[static_cast<std::size_t>(y * width + x)]; }
  char at(std::int64_t y, std::int64_t x) const { return on[static_cast<std::size_t>(y * width + x)]; }
};

struct Run {
  std::int64_t row, begin, end;  // before end
};

// A component of eight neighbours, or a hole in one, of four.
struct Outline {
  std::vector<Run> runs;
  bool hole;

  std::vector<Pixel> points() const;  // hold every corner of its hull; of a hole, those around it
};

// The last that a scan from the top left meets first, as OpenCV's findContours lists them.
std::vector<Outline> outlines(const Bitmap& map);

// The outline and all that it encloses, and the pixel of the map that its corner is.
Bitmap filled(const Outline& outline, Pixel& corner);

// The convex hull, from the leftmost pixel on.
std::vector<Pixel> hull_of(std::vector<Pixel> points);

// Corners in the order of PaddleOCR's get_mini_boxes, and the shorter side.
using Quad = std::array<Point, 4>;
struct Rectangle {
  Quad corners;
  double side;
};
Rectangle smallest(const std::vector<Pixel>& hull);

}  // namespace edgeflow

// Planes of another size; the twin of edgeflow/core/resizing.py.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace edgeflow {

using Plane = std::vector<float>;

struct Extent {
  std::int64_t height, width;
};

// Along rows, then along columns. linear: half-pixel centres, clamped at the edges, without antialiasing; cubic: four
// pixels, held to 0..255; area: the mean of what a pixel covers, or linear where a side grows.
Plane resized(const Plane& plane, Extent from, Extent to, const std::string& interpolation);

}  // namespace edgeflow

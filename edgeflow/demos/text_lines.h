// Lines of text side by side in a recogniser's input; the twin of edgeflow/core/text_lines.py.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "preprocess.h"

namespace edgeflow {

struct LineRules {
  std::int64_t height = 48;
  std::int64_t width = 320;       // the least
  std::int64_t width_max = 3072;  // longer lines are squeezed
  std::int64_t step = 1;          // widths in between are multiples of it
  std::size_t batch = 6;
  std::vector<std::int64_t> buckets;  // the widths that there are, ascending; empty: any
};

struct LineBatch {
  std::vector<std::size_t> lines;  // their places
  std::int64_t width;
};

// Lines of like proportions together; each is in one batch, once.
std::vector<LineBatch> line_batches(const std::vector<Picture>& lines, const LineRules& rules);

// Places of lines, those of like proportions beside each other.
std::vector<std::size_t> by_proportions(const std::vector<Picture>& lines);

}  // namespace edgeflow

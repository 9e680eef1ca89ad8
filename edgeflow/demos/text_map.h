// Boxes of text on a detector's probability map, as PaddleOCR's DBPostProcess gives them; the twin of
// edgeflow/core/text_map.py, which names the sources.
#pragma once

#include <cstddef>
#include <vector>

#include "outlines.h"
#include "preprocess.h"
#include "tensor.h"

namespace edgeflow {

struct BoxRules {
  double thresh = 0.3;        // of a pixel
  double box_thresh = 0.6;    // of the mean in a box
  double unclip_ratio = 1.5;  // how far the shrunk box grows again
  double min_size = 3.0;      // in pixels of the map
  std::size_t max_candidates = 1000;
  bool slow = false;    // the mean is that of the outline, not of the box
  bool dilate = false;  // what is text grows by a pixel to the right and below
};

// Corners in whole pixels of the picture, clockwise from the top left one.
struct TextBox {
  Quad corners;
  double score;
};

// Boxes of a probability map [1, 1, H, W] in reading order; `at`: where the picture lies in the model's input.
std::vector<TextBox> text_boxes(const Tensor& map, const BoxRules& rules, const Placement& at);

}  // namespace edgeflow

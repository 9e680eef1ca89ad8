// What a detector's outputs mean: boxes, in pixels of the picture.
#pragma once

#include <string>
#include <vector>

#include "preprocess.h"
#include "tensor.h"

namespace edgeflow {

struct Box {
  int label;
  float score;
  double x1, y1, x2, y2;
};

struct DetectionRules {
  float threshold = 0.5F;
  float overlap = 0.45F;             // two raw boxes of one class that share more are one
  int background = 0;                // class of raw scores that is no object; -1: none
  std::size_t output = 0;            // the one that the contract says to be boxes
  std::vector<std::string> columns;  // what its last axis holds; empty: the contract says nothing
};

// Boxes with at least the threshold, best first, in the units that the model uses. Understood are [N, 6] = class,
// score, x1, y1, x2, y2 (PaddleDetection, SSD after its own suppression), and raw boxes [1, N, 4] with scores [1, C,
// N], or an output whose columns the rules name. Throws for anything else.
std::vector<Box> decode_boxes(const std::vector<Tensor>& outputs, const DetectionRules& rules);

// The units of decoded boxes; picture: pixels of the input divided by the scale, as models with an input scale_factor
// give them.
enum class Units { normalised, input, picture };
Units guess_units(const std::vector<Box>& boxes);  // normalised when no coordinate is beyond 1.5
Units units_of(const std::string& name);           // throws std::runtime_error for another name

// Boxes in pixels of the picture, clipped to it.
std::vector<Box> to_picture(std::vector<Box> boxes, Units units, const Placement& at, const Picture& picture);

}  // namespace edgeflow

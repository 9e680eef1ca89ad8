// Reading text: boxes from a detector's probability map (DB), letters from a recogniser's scores (CTC).
#pragma once

#include <array>
#include <string>
#include <vector>

#include "preprocess.h"
#include "tensor.h"

namespace edgeflow {

struct Point {
  double x, y;
};

// Corners from the top left on, clockwise, as the text reads; a pixel's centre is at + 0.5.
struct TextBox {
  std::array<Point, 4> corners;
  float score;
};

// Source: "Real-time Scene Text Detection with Differentiable Binarization" (Liao et al., AAAI 2020), section 3.3, and
// the defaults of PaddleOCR 2.7's DBPostProcess for the score and the smallest side.
struct DbRules {
  float threshold = 0.3F;      // of a pixel
  float box_threshold = 0.6F;  // of the mean in a box
  double unclip_ratio = 1.6;   // how far the shrunk box grows again
  double side_min = 3.0;       // in pixels of the map
  std::size_t boxes_max = 1000;
};

// Boxes of a probability map [1, 1, H, W], in pixels of the map, from top to bottom and left to right.
std::vector<TextBox> text_boxes(const Tensor& map, const DbRules& rules);

// The same boxes in pixels of the picture that the map was made from.
std::vector<TextBox> to_picture(std::vector<TextBox> boxes, const Tensor& map, const Placement& at);

// What lies in a box, upright; text that is 1.5 times as high as wide is turned by a quarter.
Picture cut_out(const Picture& picture, const TextBox& box);

struct Reading {
  std::string text;
  float score;  // mean probability of the letters; 0 without any
};

// Greedy CTC: the best class of each step, repeats joined, class 0 (blank) left out. Class k is line k of the
// dictionary, the first being 1; a class after the last line is the space. Throws when classes and dictionary do not
// fit.
Reading read_text(const Tensor& scores, const std::vector<std::string>& dictionary);

}  // namespace edgeflow

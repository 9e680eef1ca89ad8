// From a picture to a model's input, as the contract says and no other way.
#pragma once

#include <cstdint>
#include <vector>

#include "contract.h"
#include "tensor.h"

namespace edgeflow {

// 8-bit RGB, row by row.
struct Picture {
  std::int64_t height = 0, width = 0;
  std::vector<std::uint8_t> rgb;
};

// Where a picture lies in the input: input = picture * ratio + offset, for y and x. Boxes come back through it.
struct Placement {
  std::int64_t picture_height = 0, picture_width = 0;
  std::int64_t height = 0, width = 0;  // of the picture after resizing
  double ratio_y = 1.0, ratio_x = 1.0;
  double offset_y = 0.0, offset_x = 0.0;
  std::int64_t input_height = 0, input_width = 0;
};

Placement placement(const Picture& picture, const Preprocess& contract);

// float32[1, C, H, W] or [1, H, W, C]. Throws std::runtime_error when the picture does not suit the contract.
Tensor preprocess(const Picture& picture, const Preprocess& contract);

}  // namespace edgeflow

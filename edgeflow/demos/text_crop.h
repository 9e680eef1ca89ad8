// A line of text cut out of its picture, upright, as PaddleOCR's get_rotate_crop_image cuts it; the twin of
// edgeflow/core/text_crop.py, which names the sources.
#pragma once

#include "outlines.h"
#include "preprocess.h"

namespace edgeflow {

// What lies in a quadrilateral; a line 1.5 times as high as wide is turned by a quarter. Throws std::runtime_error for
// corners far outside the picture.
Picture cut_out(const Picture& picture, const Quad& corners);

// The line upside down.
Picture turned(const Picture& line);

}  // namespace edgeflow

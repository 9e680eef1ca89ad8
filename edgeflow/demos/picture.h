// Pictures in files: PNG, JPEG and BMP in, PNG out.
#pragma once

#include <string>

#include "preprocess.h"

namespace edgeflow {

// Throws std::runtime_error when the file is no picture, larger than 64 MiB, or wider or higher than 16384 pixels.
Picture load_picture(const std::string& path);
void save_picture(const std::string& path, const Picture& picture);

// The outline of a rectangle, two pixels thick; what lies outside the picture is not drawn.
void draw_box(Picture& picture, double x1, double y1, double x2, double y2);

}  // namespace edgeflow

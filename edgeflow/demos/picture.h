// Pictures in files: PNG, JPEG and BMP in, PNG out.
#pragma once

#include <string>
#include <vector>

#include "outlines.h"
#include "preprocess.h"

namespace edgeflow {

// Throws std::runtime_error when the file is no picture, larger than 64 MiB, or wider or higher than 16384 pixels.
// `rotate`: turned upright as its EXIF says; without, the pixels are as they lie in the file.
Picture load_picture(const std::string& path, bool rotate = false);
void save_picture(const std::string& path, const Picture& picture);

// The outline of a rectangle, two pixels thick; what lies outside the picture is not drawn.
void draw_box(Picture& picture, double x1, double y1, double x2, double y2);
void draw_quad(Picture& picture, const Quad& corners);

// The pictures of a folder by name, or the file itself; throws std::runtime_error when there is none.
std::vector<std::string> pictures_of(const std::string& path);

}  // namespace edgeflow

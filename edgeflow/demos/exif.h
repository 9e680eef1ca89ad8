// How a camera was held, as JPEG files say it, and the picture turned upright.
#pragma once

#include <string>

#include "preprocess.h"

namespace edgeflow {

// EXIF's orientation, 1 to 8; 1 (upright) where the bytes of a file say nothing that can be read.
// Source: CIPA DC-008-2019 (Exif 2.32), sections 4.5.4, 4.6.2 and 4.6.4 A, tag 274.
int orientation_of(const std::string& bytes);

Picture upright(const Picture& picture, int orientation);

}  // namespace edgeflow

// .npy files: read without trusting them, written as NumPy writes them.
#pragma once

#include <string>

#include "tensor.h"

namespace edgeflow {

// Versions 1 to 3, little-endian, C order, no objects. Throws std::runtime_error that names the file for anything else.
Tensor read_npy(const std::string& path);
void write_npy(const std::string& path, const Tensor& tensor);

// The same on bytes; `where` names them in messages.
Tensor parse_npy(const std::string& bytes, const std::string& where);
std::string format_npy(const Tensor& tensor);

}  // namespace edgeflow

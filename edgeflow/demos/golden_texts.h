// Golden texts: each with the ids that its tokens have.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace edgeflow {

struct GoldenText {
  std::string text;
  std::vector<std::int64_t> ids;
};

// Throws std::runtime_error when the file is missing, too large, or no list of texts with their ids.
std::vector<GoldenText> read_golden_texts(const std::string& path);

}  // namespace edgeflow

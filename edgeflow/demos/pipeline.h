// pipeline.json: the models of a bundle that read text together, and what connects them.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "text_lines.h"
#include "text_map.h"

namespace edgeflow {

struct TurnRules {
  double thresh = 0.9;     // a line whose score is above it is turned by 180 degrees
  std::size_t turned = 1;  // the class that says so
  std::size_t batch = 6;
};

struct GoldenLine {
  std::string text;
  Quad box;
};

struct GoldenPage {
  std::string picture;  // path
  std::vector<GoldenLine> lines;
};

struct Pipeline {
  std::string path;
  std::string detector, classifier;      // paths of contracts; empty: none
  std::vector<std::string> recognisers;  // one, or one for each bucket; none: boxes alone
  BoxRules boxes;
  TurnRules turn;
  LineRules lines;
  std::string dictionary;  // path
  long blank = 0;
  bool rotate_exif = false;
  std::optional<std::vector<GoldenPage>> golden;
  double different_max = 0.0;  // share of golden lines that may be read otherwise
};

// Throws std::runtime_error when the file is missing, larger than 16 MiB, no JSON, of another format, or names a path
// that leaves its folder.
Pipeline read_pipeline(const std::string& path);

// Whether a file is a pipeline and no contract.
bool is_pipeline(const std::string& path);

}  // namespace edgeflow

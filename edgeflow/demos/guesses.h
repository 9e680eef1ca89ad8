// The most likely classes, from a classifier's scores.
#pragma once

#include <string>
#include <vector>

#include "tensor.h"

namespace edgeflow {

struct Guess {
  std::size_t index;
  float score;
  std::string label;
};

// The best `top` classes of one sample's scores, first output; scores that are no probabilities yet become some.
// `labels` path of a file of labels, or empty. Throws when there are no scores.
std::vector<Guess> guesses(const std::vector<Tensor>& outputs, const std::string& labels, std::size_t top);

}  // namespace edgeflow

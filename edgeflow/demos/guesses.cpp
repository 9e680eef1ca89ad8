#include "guesses.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <stdexcept>

#include "files.h"

namespace edgeflow {
namespace {

std::vector<float> probabilities(std::vector<float> scores) {
  const float sum = std::accumulate(scores.begin(), scores.end(), 0.0F);
  const bool done = std::all_of(scores.begin(), scores.end(), [](float s) { return s >= 0.0F && s <= 1.001F; }) &&
                    std::abs(sum - 1.0F) < 0.01F;
  if (done || scores.empty()) return scores;
  const float top = *std::max_element(scores.begin(), scores.end());
  float total = 0.0F;
  for (float& score : scores) total += score = std::exp(score - top);
  for (float& score : scores) score /= total;
  return scores;
}

}  // namespace

std::vector<Guess> guesses(const std::vector<Tensor>& outputs, const std::string& labels, std::size_t top) {
  if (outputs.empty() || outputs[0].count() == 0)
    throw std::runtime_error("the model gave no scores, and should give one a class");
  const std::vector<float> scores = probabilities(outputs[0].floats());
  std::vector<std::size_t> order(scores.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return scores[a] > scores[b]; });
  order.resize(std::min(top, order.size()));
  const std::vector<std::string> names = labels.empty() ? std::vector<std::string>() : read_lines(labels);
  std::vector<Guess> found;
  for (const std::size_t index : order)
    found.push_back({index, scores[index], index < names.size() ? names[index] : std::to_string(index)});
  return found;
}

}  // namespace edgeflow

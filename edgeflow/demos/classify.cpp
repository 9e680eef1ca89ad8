// A picture in, its most likely classes out. Contract, model, pre-processing, run, print: all there is to a device
// program.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <iostream>
#include <numeric>

#include "files.h"
#include "json_text.h"
#include "picture.h"
#include "session.h"

namespace {

using namespace edgeflow;

struct Guess {
  std::size_t index;
  float score;
  std::string label;
};

// Scores that are no probabilities yet become some.
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

std::vector<Guess> classify_picture(Session& session, const Picture& picture, std::size_t top) {
  const Contract& contract = session.contract();
  if (contract.inputs.size() != 1)
    throw std::runtime_error(contract.path + ": has " + std::to_string(contract.inputs.size()) +
                             " inputs, and a classifier should have one");
  const Tensor input = preprocess(picture, *contract.inputs[contract.picture_input()].preprocess);
  const std::vector<Tensor> outputs = session.infer({input});
  if (outputs.empty() || outputs[0].count() == 0)
    throw std::runtime_error(contract.model + ": gave no scores, and should give one a class");
  const std::vector<float> scores = probabilities(outputs[0].floats());
  std::vector<std::size_t> order(scores.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return scores[a] > scores[b]; });
  order.resize(std::min(top, order.size()));
  const std::vector<std::string> labels =
      contract.labels.empty() ? std::vector<std::string>() : read_lines(contract.labels);
  std::vector<Guess> guesses;
  for (const std::size_t index : order)
    guesses.push_back({index, scores[index], index < labels.size() ? labels[index] : std::to_string(index)});
  return guesses;
}

int classify(const Arguments& arguments) {
  if (const auto done = run_alone(arguments)) return *done;
  const Picture picture = load_picture(arguments.word("PICTURE"));
  const auto top = static_cast<std::size_t>(arguments.whole("--top", 5, 1, 100000));
  Session session(arguments);
  const std::vector<Guess> guesses = classify_picture(session, picture, top);
  if (arguments.has("--json")) {
    Json list = Json::array();
    for (const Guess& guess : guesses)
      list.push_back(Json::object({{"class", guess.index}, {"label", guess.label}, {"score", guess.score}}));
    std::cout << written(list) << '\n';
    return 0;
  }
  for (const Guess& guess : guesses) std::printf("%8.4f  %s\n", static_cast<double>(guess.score), guess.label.c_str());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  return run_program({"classify", "--contract FILE.json PICTURE [--top 5] [--json]",
                      "Name what a picture shows: the most likely classes with their scores.",
                      with_common({{"--top", Takes::one, "N  how many classes to print (5)"},
                                   {"--json", Takes::nothing, " print as JSON"}}),
                      classify},
                     argc, argv);
}

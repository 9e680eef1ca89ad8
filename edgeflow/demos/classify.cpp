// A picture in, its most likely classes out. Contract, model, pre-processing, run, print: all there is to a device
// program.
#include <cstdio>
#include <iostream>

#include "guesses.h"
#include "json_text.h"
#include "picture.h"
#include "session.h"

namespace {

using namespace edgeflow;

std::vector<Guess> classify_picture(Session& session, const Picture& picture, std::size_t top) {
  const Contract& contract = session.contract();
  if (contract.inputs.size() != 1)
    throw std::runtime_error(contract.path + ": has " + std::to_string(contract.inputs.size()) +
                             " inputs, and a classifier should have one");
  const Tensor input = preprocess(picture, *contract.inputs[contract.picture_input()].preprocess);
  return guesses(session.infer({input}), contract.labels, top);
}

int classify(const Arguments& arguments) {
  if (const auto done = run_alone(arguments)) return *done;
  const Picture picture = load_picture(arguments.word("PICTURE"));
  const auto top = static_cast<std::size_t>(arguments.whole("--top", 5, 1, 100000));
  Session session(arguments);
  const std::vector<Guess> found = classify_picture(session, picture, top);
  if (arguments.has("--json")) {
    Json list = Json::array();
    for (const Guess& guess : found)
      list.push_back(Json::object({{"class", guess.index}, {"label", guess.label}, {"score", guess.score}}));
    std::cout << written(list) << '\n';
    return 0;
  }
  for (const Guess& guess : found) std::printf("%8.4f  %s\n", static_cast<double>(guess.score), guess.label.c_str());
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

// A picture in, the text on it out: one model finds lines of text, another reads them.
#include <cmath>
#include <cstdio>
#include <iostream>

#include "files.h"
#include "json_text.h"
#include "picture.h"
#include "session.h"
#include "text.h"

namespace {

using namespace edgeflow;

constexpr std::int64_t aspect_max = 64;  // a line of text that is longer than 64 times its height is read squeezed

struct Line {
  TextBox box;
  Reading reading;
};

const Preprocess& picture_rules(const Contract& contract) {
  if (contract.inputs.size() != 1)
    throw std::runtime_error(contract.path + ": has " + std::to_string(contract.inputs.size()) +
                             " inputs, and a text model should have one");
  return *contract.inputs[contract.picture_input()].preprocess;
}

const Tensor& only(const std::vector<Tensor>& outputs, const Contract& contract) {
  if (outputs.empty()) throw std::runtime_error(contract.model + ": gave no output, and should give one");
  return outputs[0];
}

// A recogniser whose width is free reads each line in its own proportions, a text_line in at least the width of the
// contract, as PP-OCR's are; otherwise the contract alone decides.
Preprocess line_rules(const Contract& contract, const Picture& line) {
  Preprocess rules = picture_rules(contract);
  const Shape& shape = contract.inputs[0].shape;
  if (shape.size() != 4 || shape[rules.layout == "NCHW" ? 3 : 2] > 0 || rules.size.empty()) return rules;
  const std::int64_t widest = rules.size[0] * aspect_max;
  if (rules.resize == "text_line") {
    const double ratio = static_cast<double>(line.width) / static_cast<double>(line.height);
    const auto own = static_cast<std::int64_t>(static_cast<double>(rules.size[0]) * ratio);
    rules.size[1] = std::max(rules.size[1], std::min(own, widest));
    return rules;
  }
  const double width = std::ceil(static_cast<double>(rules.size[0]) * static_cast<double>(line.width) /
                                 static_cast<double>(line.height));
  rules.resize = "stretch";
  rules.size[1] = std::min(static_cast<std::int64_t>(width), widest);
  return rules;
}

std::vector<Line> read_picture(Session& detector, Session& recogniser, const std::vector<std::string>& dictionary,
                               const Picture& picture, const DbRules& rules) {
  const Preprocess& whole = picture_rules(detector.contract());
  const std::vector<Tensor> outputs = detector.infer({preprocess(picture, whole)});
  const Tensor& map = only(outputs, detector.contract());
  std::vector<Line> lines;
  for (const TextBox& box : to_picture(text_boxes(map, rules), map, placement(picture, whole))) {
    const Picture line = cut_out(picture, box);
    const std::vector<Tensor> scores = recogniser.infer({preprocess(line, line_rules(recogniser.contract(), line))});
    lines.push_back({box, read_text(only(scores, recogniser.contract()), dictionary)});
  }
  return lines;
}

int ocr(const Arguments& arguments) {
  if (const auto done = run_alone(arguments)) return *done;
  if (arguments.has("--model") || arguments.has("--contract"))
    throw UsageError("--model and --contract name one model, and --detector and --recogniser should name two");
  if (!arguments.has("--detector") || !arguments.has("--recogniser"))
    throw UsageError("--detector and --recogniser should both be given");
  const Picture picture = load_picture(arguments.word("PICTURE"));
  DbRules rules;
  rules.threshold = static_cast<float>(arguments.number("--threshold", 0.3, 0, 1));
  rules.box_threshold = static_cast<float>(arguments.number("--box-threshold", 0.6, 0, 1));
  rules.unclip_ratio = arguments.number("--unclip", 1.6, 0, 10);
  Session detector(arguments, arguments.text("--detector", "")),
      recogniser(arguments, arguments.text("--recogniser", ""));
  const std::string& labels = recogniser.contract().labels;
  if (labels.empty())
    throw std::runtime_error(recogniser.contract().path +
                             ": names no labels, and should name the dictionary of the recogniser");
  Json list = Json::array();
  for (const Line& line : read_picture(detector, recogniser, read_lines(labels), picture, rules)) {
    Json corners = Json::array();
    for (const Point& corner : line.box.corners) corners.emplace_back(std::vector<double>{corner.x, corner.y});
    list.push_back(Json::object(
        {{"text", line.reading.text}, {"score", line.reading.score}, {"box_score", line.box.score}, {"box", corners}}));
    if (!arguments.has("--json"))
      std::printf("%8.4f  %s\n", static_cast<double>(line.reading.score), line.reading.text.c_str());
  }
  if (arguments.has("--json")) std::cout << written(list) << '\n';
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  return run_program({"ocr", "--detector FILE.json --recogniser FILE.json PICTURE [--json]",
                      "Read the text on a picture, line by line; the recogniser's labels are its dictionary.",
                      with_common({{"--detector", Takes::one, "FILE.json  contract of the model that finds text"},
                                   {"--recogniser", Takes::one, "FILE.json  contract of the model that reads a line"},
                                   {"--threshold", Takes::one, "P  least probability of a pixel of text (0.3)"},
                                   {"--box-threshold", Takes::one, "P  least mean probability in a box (0.6)"},
                                   {"--unclip", Takes::one, "R  how far a box grows (1.6)"},
                                   {"--json", Takes::nothing, " print as JSON"}}),
                      ocr},
                     argc, argv);
}

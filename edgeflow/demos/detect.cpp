// A picture in, boxes of what it shows out.
#include <cstdio>
#include <iostream>

#include "detection.h"
#include "files.h"
#include "json_text.h"
#include "picture.h"
#include "session.h"

namespace {

using namespace edgeflow;

// PaddleDetection's exports ask for two more inputs than the picture. Source: PaddleDetection 2.6
// deploy/python/infer.py.
Tensor pair(double first, double second) {
  Tensor tensor = Tensor::make(Dtype::float32, {1, 2});
  tensor.data<float>()[0] = static_cast<float>(first), tensor.data<float>()[1] = static_cast<float>(second);
  return tensor;
}

struct Scene {
  std::vector<Tensor> inputs;
  Placement at;
  bool knows_picture = false;  // the model was told the scale, so its boxes are in pixels of the picture
};

Scene scene_of(const Contract& contract, const Picture& picture) {
  Scene scene;
  const Preprocess& rules = *contract.inputs[contract.picture_input()].preprocess;
  scene.at = placement(picture, rules);
  for (const Input& input : contract.inputs) {
    if (input.preprocess)
      scene.inputs.push_back(preprocess(picture, *input.preprocess));
    else if (input.name == "scale_factor")
      scene.inputs.push_back(pair(scene.at.ratio_y, scene.at.ratio_x)), scene.knows_picture = true;
    else if (input.name == "im_shape")
      scene.inputs.push_back(
          pair(static_cast<double>(scene.at.input_height), static_cast<double>(scene.at.input_width)));
    else
      throw std::runtime_error(
          contract.path + ": input '" + input.name +
          "' cannot be made from a picture; known are one with pre-processing, scale_factor and im_shape");
  }
  return scene;
}

std::vector<Box> detect_objects(Session& session, const Picture& picture, DetectionRules rules,
                                const std::string& units) {
  const Contract& contract = session.contract();
  const Scene scene = scene_of(contract, picture);
  const auto said = contract.first_of("boxes");
  if (said) rules.output = *said, rules.columns = contract.kinds[*said].columns;
  const std::vector<Box> boxes = decode_boxes(session.infer(scene.inputs), rules);
  const Units chosen = units != "auto"                            ? units_of(units)
                       : said && contract.kinds[*said].normalised ? Units::normalised
                       : scene.knows_picture                      ? Units::picture
                                                                  : guess_units(boxes);
  return to_picture(boxes, chosen, scene.at, picture);
}

void print(const std::vector<Box>& boxes, const std::vector<std::string>& labels, bool as_json) {
  const auto label = [&](const Box& box) {
    const auto index = static_cast<std::size_t>(box.label);
    return index < labels.size() ? labels[index] : std::to_string(box.label);
  };
  Json list = Json::array();
  for (const Box& box : boxes) {
    if (as_json)
      list.push_back(Json::object({{"class", box.label},
                                   {"label", label(box)},
                                   {"score", box.score},
                                   {"box", std::vector<double>{box.x1, box.y1, box.x2, box.y2}}}));
    else
      std::printf("%8.4f  %7.1f %7.1f %7.1f %7.1f  %s\n", static_cast<double>(box.score), box.x1, box.y1, box.x2,
                  box.y2, label(box).c_str());
  }
  if (as_json) std::cout << written(list) << '\n';
}

int detect(const Arguments& arguments) {
  if (const auto done = run_alone(arguments)) return *done;
  Picture picture = load_picture(arguments.word("PICTURE"));
  DetectionRules rules;
  rules.threshold = static_cast<float>(arguments.number("--threshold", 0.5, 0, 1));
  rules.overlap = static_cast<float>(arguments.number("--overlap", 0.45, 0, 1));
  rules.background = static_cast<int>(arguments.whole("--background", 0, -1, 100000));
  const std::string units = arguments.text("--boxes", "auto");
  if (units != "auto") units_of(units);
  Session session(arguments);
  const std::vector<Box> boxes = detect_objects(session, picture, rules, units);
  const std::string& labels = session.contract().labels;
  print(boxes, labels.empty() ? std::vector<std::string>() : read_lines(labels), arguments.has("--json"));
  if (arguments.has("--save")) {
    for (const Box& box : boxes) draw_box(picture, box.x1, box.y1, box.x2, box.y2);
    save_picture(arguments.text("--save", ""), picture);
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  return run_program(
      {"detect", "--contract FILE.json PICTURE [--threshold 0.5] [--save OUT.png] [--json]",
       "Find objects in a picture: score, x1, y1, x2, y2 in its pixels, and label.",
       with_common(
           {{"--threshold", Takes::one, "S  least score of a box (0.5)"},
            {"--save", Takes::one, "OUT.png  write the picture with its boxes"},
            {"--boxes", Takes::one,
             "UNITS  of the model's boxes: auto, normalised, input or picture (auto: picture where the model has an\n"
             "      input scale_factor, normalised where no coordinate is beyond 1.5, else input)"},
            {"--overlap", Takes::one, "S  raw boxes of one class that share more are one (0.45)"},
            {"--background", Takes::one, "N  class of raw scores that is no object, -1 for none (0)"},
            {"--json", Takes::nothing, " print as JSON"}}),
       detect},
      argc, argv);
}

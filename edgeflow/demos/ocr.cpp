// Pictures in, the text on them out: one model finds lines of text, one says which stand on their head, one reads them.
#include <cstdio>
#include <filesystem>
#include <iostream>

#include "files.h"
#include "json_text.h"
#include "page.h"
#include "page_check.h"
#include "picture.h"

namespace {

using namespace edgeflow;

constexpr std::int64_t aspect_max = 64;  // a line of text that is longer than 64 times its height is read squeezed

// Models that no pipeline connects: PaddleOCR's rules, and what the recogniser's own contract says of its input.
Pipeline alone(const Arguments& arguments) {
  if (!arguments.has("--detector") || !arguments.has("--recogniser"))
    throw UsageError("--pipeline, or --detector and --recogniser should be given");
  Pipeline found;
  found.detector = arguments.text("--detector", ""), found.classifier = arguments.text("--classifier", "");
  found.recognisers = {arguments.text("--recogniser", "")};
  const Contract contract = read_contract(found.recognisers[0]);
  if (contract.labels.empty())
    throw std::runtime_error(contract.path + ": names no labels, and should name the dictionary of the recogniser");
  found.dictionary = contract.labels;
  if (!contract.kinds.empty() && contract.kinds[0].kind == "ctc") found.blank = contract.kinds[0].blank;
  const Contract detector = read_contract(found.detector);
  if (detector.task == "ocr_detect" && !detector.kinds.empty() && detector.kinds[0].kind == "map")
    found.boxes.thresh = detector.kinds[0].threshold;
  const Input& input = contract.inputs[contract.picture_input()];
  const Preprocess& rules = *input.preprocess;
  const Shape& shape = input.shape;
  const bool fixed = shape.size() != 4 || shape[rules.layout == "NCHW" ? 3 : 2] > 0 || rules.size.empty();
  found.lines.batch = 1;
  if (fixed) {
    found.lines.buckets = {rules.size.empty() ? 1 : rules.size[1]};
    return found;
  }
  // A line keeps its proportions; a text_line is at least as wide as the contract says, as PP-OCR's are.
  found.lines.height = rules.size[0];
  found.lines.width = rules.resize == "stretch" ? 1 : rules.size[1];
  found.lines.width_max = std::max(found.lines.width, rules.size[0] * aspect_max);
  return found;
}

Pipeline pipeline_of(const Arguments& arguments) {
  for (const char* one : {"--model", "--contract"})
    if (arguments.has(one))
      throw UsageError(std::string(one) +
                       " names one model, and --pipeline, or --detector and --recogniser should "
                       "name all");
  if (arguments.has("--pipeline")) {
    for (const char* part : {"--detector", "--classifier", "--recogniser"})
      if (arguments.has(part)) throw UsageError(std::string(part) + " is given, and the pipeline names it already");
  }
  Pipeline found = arguments.has("--pipeline") ? read_pipeline(arguments.text("--pipeline", "")) : alone(arguments);
  found.boxes.thresh = arguments.number("--threshold", found.boxes.thresh, 0, 1);
  found.boxes.box_thresh = arguments.number("--box-threshold", found.boxes.box_thresh, 0, 1);
  found.boxes.unclip_ratio = arguments.number("--unclip", found.boxes.unclip_ratio, 0, 10);
  return found;
}

Json json_of(const std::vector<Line>& lines) {
  Json list = Json::array();
  for (const Line& line : lines) {
    Json corners = Json::array();
    for (const Point& corner : line.box.corners) corners.push_back(std::vector<double>{corner.x, corner.y});
    list.push_back(Json::object({{"text", line.reading.text},
                                 {"score", line.reading.score},
                                 {"box_score", line.box.score},
                                 {"box", corners},
                                 {"turned", line.turned}}));
  }
  return list;
}

Json json_of(const PageTimes& times) {
  const double total = times.detect + times.boxes + times.crop + times.classify + times.recognise;
  return Json::object({{"detect", times.detect},
                       {"boxes", times.boxes},
                       {"crop", times.crop},
                       {"classify", times.classify},
                       {"recognise", times.recognise},
                       {"total", total}});
}

void draw(const std::string& path, Picture picture, const std::vector<Line>& lines) {
  for (const Line& line : lines) draw_quad(picture, line.box.corners);
  save_picture(path, picture);
}

// Where the picture with its boxes goes: the file itself, or of several, a file of the same name in a folder.
std::string drawn_name(const std::string& given, const std::string& picture, bool several) {
  if (!several) return given;
  std::filesystem::create_directories(given);
  return (std::filesystem::path(given) / std::filesystem::path(picture).stem()).string() + ".png";
}

void print(const std::vector<Line>& lines) {
  for (const Line& line : lines) std::printf("%8.4f  %s\n", line.reading.score, line.reading.text.c_str());
  std::fflush(stdout);
}

// One picture read, and printed or given.
std::vector<Line> read_one(PageReader& reader, const Arguments& arguments, const std::string& path, bool several,
                           PageTimes& times) {
  const Picture picture = load_picture(path, reader.pipeline().rotate_exif);
  std::vector<Line> lines = reader.read(picture, times);
  const std::string name = std::filesystem::path(path).filename().string();
  if (arguments.has("--draw")) draw(drawn_name(arguments.text("--draw", ""), path, several), picture, lines);
  if (arguments.has("--times")) std::cerr << name << ": " << written(json_of(times)) << " ms\n";
  if (!arguments.has("--json")) {
    if (several) std::printf("%s\n", name.c_str());
    print(lines);
  }
  return lines;
}

int ocr(const Arguments& arguments) {
  for (const char* alone : {"--check", "--prepare"}) {
    if (!arguments.has(alone)) continue;
    const std::string path = arguments.text(alone, "");
    if (!is_pipeline(path)) return *run_alone(arguments);
    const bool check = arguments.has("--check");
    if (!check && !arguments.has("--cache-dir"))
      throw UsageError("--prepare keeps what it compiles, and --cache-dir should be given");
    PageReader reader(arguments, read_pipeline(path));
    return check ? check_pages(reader) : prepare_pages(reader);
  }
  const std::string& given = arguments.word("PICTURE or FOLDER");
  const std::vector<std::string> paths = pictures_of(given);
  const bool several = std::filesystem::is_directory(given);
  PageReader reader(arguments, pipeline_of(arguments));
  Json list = Json::array();
  std::vector<Line> lines;
  bool whole = true;
  for (const std::string& path : paths) {
    const std::string name = std::filesystem::path(path).filename().string();
    try {
      PageTimes times;
      lines = read_one(reader, arguments, path, several, times);
      list.push_back(Json::object({{"picture", name}, {"lines", json_of(lines)}, {"times_ms", json_of(times)}}));
    } catch (const std::exception& error) {
      if (!several) throw;
      whole = false;  // one picture that cannot be read does not cost the others
      std::cerr << "ocr: " << error.what() << '\n';
      list.push_back(Json::object({{"picture", name}, {"error", error.what()}}));
    }
  }
  if (arguments.has("--json")) {
    if (arguments.has("--pipeline") || several)
      std::cout << written(Json::object({{"pictures", list}, {"load_ms", reader.load_ms()}})) << '\n';
    else
      std::cout << written(json_of(lines)) << '\n';
  }
  return whole ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  return run_program(
      {"ocr", "--pipeline FILE.json PICTURE|FOLDER [--json] [--draw OUT]",
       "Read the text on a picture, or on those of a folder, line by line.",
       with_common(
           {{"--pipeline", Takes::one, "FILE.json  the models of a bundle, and what connects them"},
            {"--detector", Takes::one, "FILE.json  without a pipeline: contract of the model that finds text"},
            {"--classifier", Takes::one, "FILE.json  contract of the model that says which lines stand on their head"},
            {"--recogniser", Takes::one,
             "FILE.json  contract of the model that reads a line; its labels are its dictionary"},
            {"--threshold", Takes::one, "P  least probability of a pixel of text (the pipeline's, or 0.3)"},
            {"--box-threshold", Takes::one, "P  least mean probability in a box (the pipeline's, or 0.6)"},
            {"--unclip", Takes::one, "R  how far a box grows (the pipeline's, or 1.5)"},
            {"--draw", Takes::one, "OUT  write the picture with its boxes as PNG; of a folder, into this folder"},
            {"--times", Takes::nothing, " what each stage took, in milliseconds, on standard error"},
            {"--json", Takes::nothing, " print as JSON"}}),
       ocr},
      argc, argv);
}

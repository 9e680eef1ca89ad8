// What the device's half of reading text makes of the cases in FOLDER/cases.json; Python's half is held to it.
#include <iostream>

#include "arguments.h"
#include "json_read.h"
#include "json_text.h"
#include "npy.h"
#include "text.h"
#include "text_crop.h"
#include "text_lines.h"
#include "text_map.h"

using namespace edgeflow;

namespace {

using Table = nlohmann::json;

Quad quad_of(const Table& corners) {
  Quad quad{};
  for (std::size_t k = 0; k < 4; ++k) quad[k] = {corners[k][0].get<double>(), corners[k][1].get<double>()};
  return quad;
}

Picture picture_of(const Tensor& tensor) {
  return {tensor.shape[0], tensor.shape[1], {tensor.bytes.begin(), tensor.bytes.end()}};
}

Json boxes(const Table& one, const std::string& folder) {
  const Table& given = one["rules"];
  BoxRules rules;
  rules.thresh = given["thresh"], rules.box_thresh = given["box_thresh"], rules.unclip_ratio = given["unclip_ratio"];
  rules.min_size = given["min_size"], rules.max_candidates = given["max_candidates"];
  rules.slow = given["score_mode"] == "slow", rules.dilate = given["dilate"];
  Preprocess steps;
  steps.resize = one["resize"], steps.size = one["size"].get<std::vector<std::int64_t>>();
  Picture picture;
  picture.height = one["picture"][0], picture.width = one["picture"][1];
  const Tensor map = read_npy(folder + "/" + one["map"].get<std::string>());
  Json found = Json::array();
  for (const TextBox& box : text_boxes(map, rules, placement(picture, steps))) {
    Json row = Json::array({box.score});
    for (const Point& corner : box.corners) row.push_back(corner.x), row.push_back(corner.y);
    found.push_back(row);
  }
  return found;
}

Json cut(const Table& one, const std::string& folder) {
  Picture found = cut_out(picture_of(read_npy(folder + "/" + one["picture"].get<std::string>())), quad_of(one["quad"]));
  if (one["turned"]) found = turned(found);
  Tensor tensor = Tensor::make(Dtype::uint8, {found.height, found.width, 3});
  std::copy(found.rgb.begin(), found.rgb.end(), tensor.bytes.begin());
  write_npy(folder + "/" + one["to"].get<std::string>(), tensor);
  return one["to"].get<std::string>();
}

Json text(const Table& one, const std::string& folder) {
  const Tensor scores = read_npy(folder + "/" + one["scores"].get<std::string>());
  Json found = Json::array();
  for (const Reading& reading : read_texts(scores, static_cast<std::size_t>(scores.shape[0]),
                                           one["dictionary"].get<std::vector<std::string>>(), one["blank"]))
    found.push_back(Json::array({reading.text, reading.score}));
  return found;
}

Json lines(const Table& one) {
  const Table& given = one["rules"];
  LineRules rules;
  rules.height = given["height"], rules.width = given["width"], rules.width_max = given["width_max"];
  rules.step = given["step"], rules.batch = given["batch"];
  rules.buckets = given["buckets"].get<std::vector<std::int64_t>>();
  std::vector<Picture> pictures;
  for (const Table& size : one["sizes"]) pictures.push_back({size[0], size[1], {}});
  Json found = Json::array();
  for (const LineBatch& batch : line_batches(pictures, rules)) found.push_back(Json::array({batch.lines, batch.width}));
  return found;
}

int twin(const Arguments& arguments) {
  const std::string folder = arguments.word("FOLDER");
  const Table cases = json::read_table(folder + "/cases.json", std::size_t{1} << 24, "cases");
  std::vector<Json> maps, cuts, texts, batches;
  for (const Table& one : cases["maps"]) maps.push_back(boxes(one, folder));
  for (const Table& one : cases["cuts"]) cuts.push_back(cut(one, folder));
  for (const Table& one : cases["texts"]) texts.push_back(text(one, folder));
  for (const Table& one : cases["lines"]) batches.push_back(lines(one));
  std::cout << written(Json::object({{"maps", maps}, {"cuts", cuts}, {"texts", texts}, {"lines", batches}})) << '\n';
  return 0;
}

}  // namespace

int main(int argc, char** argv) { return run_program({"twin_text", "FOLDER", "", {}, twin}, argc, argv); }

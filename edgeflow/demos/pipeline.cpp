#include "pipeline.h"

#include <cmath>
#include <filesystem>
#include <set>
#include <stdexcept>

#include "json_read.h"

namespace edgeflow {
namespace {

using namespace json;
namespace fs = std::filesystem;

constexpr std::size_t pipeline_max_bytes = std::size_t{1} << 24;
constexpr double side_max = 16384;
constexpr std::size_t lines_max = 10000;

void known_keys(const Json& table, const std::set<std::string>& keys, const std::string& where) {
  if (!table.is_object()) refuse(where + " is " + shown(table) + ", and should be a table");
  for (const auto& item : table.items())
    if (keys.count(item.key()) == 0)
      refuse(where + ": unknown key '" + item.key() + "'; this program is older than the pipeline");
}

// The values of a table that need not all be there.
struct Values {
  const Json& table;
  std::string where;

  template <typename T>
  void set(const char* key, T& to, double least, double most) const {
    const Json* value = optional_member(table, key);
    if (value == nullptr) return;
    const std::string name = where + "." + key;
    const double found = number(*value, name);
    const bool fits = found >= least && found <= most && (std::is_floating_point_v<T> || std::floor(found) == found);
    if (!fits)
      refuse(name + " is " + shown(*value) + ", and should be from " + Json(least).dump() + " to " + Json(most).dump());
    to = static_cast<T>(found);
  }
};

std::string contract_of(const std::string& folder, const Json& table, const std::string& where) {
  return inside(folder, member(table, "contract", where), where + ".contract");
}

void read_detector(const Json& table, const std::string& folder, Pipeline& to) {
  const std::string where = "detector";
  known_keys(table,
             {"contract", "thresh", "box_thresh", "unclip_ratio", "min_size", "max_candidates", "score_mode", "dilate"},
             where);
  to.detector = contract_of(folder, table, where);
  const Values values{table, where};
  values.set("thresh", to.boxes.thresh, 0, 1);
  values.set("box_thresh", to.boxes.box_thresh, 0, 1);
  values.set("unclip_ratio", to.boxes.unclip_ratio, 0, 10);
  values.set("min_size", to.boxes.min_size, 0, 1000);
  values.set("max_candidates", to.boxes.max_candidates, 0, 100000);
  if (const Json* mode = optional_member(table, "score_mode"))
    to.boxes.slow = one_of(*mode, {"fast", "slow"}, where + ".score_mode") == "slow";
  if (const Json* dilate = optional_member(table, "dilate")) to.boxes.dilate = truth(*dilate, where + ".dilate");
}

void read_classifier(const Json& table, const std::string& folder, Pipeline& to) {
  const std::string where = "classifier";
  known_keys(table, {"contract", "thresh", "turned", "batch"}, where);
  to.classifier = contract_of(folder, table, where);
  const Values values{table, where};
  values.set("thresh", to.turn.thresh, 0, 1);
  values.set("turned", to.turn.turned, 0, 1);
  values.set("batch", to.turn.batch, 1, 256);
}

void read_recogniser(const Json& table, const std::string& folder, Pipeline& to) {
  const std::string where = "recogniser";
  known_keys(table, {"models", "height", "width", "width_max", "step", "batch"}, where);
  const Values values{table, where};
  values.set("height", to.lines.height, 1, side_max);
  values.set("width", to.lines.width, 1, side_max);
  values.set("width_max", to.lines.width_max, 1, side_max);
  values.set("step", to.lines.step, 1, side_max);
  values.set("batch", to.lines.batch, 1, 256);
  if (to.lines.width > to.lines.width_max)
    refuse(where + ".width is larger than width_max, and should be at most that");
  const Json& models = list(member(table, "models", where), where + ".models", 16);
  for (const Json& model : models) {
    const std::string name = where + ".models[" + std::to_string(to.recognisers.size()) + "]";
    known_keys(model, {"contract", "width"}, name);
    to.recognisers.push_back(contract_of(folder, model, name));
    if (optional_member(model, "width") == nullptr) continue;
    std::int64_t width = 0;
    Values{model, name}.set("width", width, 1, side_max);
    if (!to.lines.buckets.empty() && width <= to.lines.buckets.back())
      refuse(name + ".width is " + std::to_string(width) + ", and widths should ascend");
    to.lines.buckets.push_back(width);
  }
  const bool free = to.lines.buckets.empty() && to.recognisers.size() == 1;
  if (!free && (to.recognisers.empty() || to.lines.buckets.size() != to.recognisers.size()))
    refuse(where + ".models should be one of any width, or each of its own");
}

GoldenPage read_page(const Json& table, const std::string& folder, const std::string& where) {
  known_keys(table, {"picture", "lines"}, where);
  GoldenPage page;
  page.picture = inside(folder, member(table, "picture", where), where + ".picture");
  for (const Json& line : list(member(table, "lines", where), where + ".lines", lines_max)) {
    const std::string name = where + ".lines[" + std::to_string(page.lines.size()) + "]";
    known_keys(line, {"text", "score", "box"}, name);
    GoldenLine found{text(member(line, "text", name), name + ".text"), {}};
    const Json& box = list(member(line, "box", name), name + ".box", 4);
    if (box.size() != 4) refuse(name + ".box should have four corners");
    for (std::size_t k = 0; k < 4; ++k) {
      const Json& corner = list(box[k], name + ".box", 2);
      if (corner.size() != 2) refuse(name + ".box should hold pairs x, y");
      found.box[k] = {number(corner[0], name + ".box"), number(corner[1], name + ".box")};
    }
    page.lines.push_back(std::move(found));
  }
  return page;
}

void read_golden(const Json& table, const std::string& folder, Pipeline& to) {
  known_keys(table, {"pages", "different_max"}, "golden");
  to.golden.emplace();
  for (const Json& page : list(member(table, "pages", "golden"), "golden.pages", 256))
    to.golden->push_back(read_page(page, folder, "golden.pages[" + std::to_string(to.golden->size()) + "]"));
  Values{table, "golden"}.set("different_max", to.different_max, 0, 1);
}

Pipeline fill(const Json& table, const std::string& path) {
  const std::string folder = fs::path(path).has_parent_path() ? fs::path(path).parent_path().string() : ".";
  const std::string where = "the pipeline";
  if (member(table, "format", where) != 1)
    refuse("format is " + shown(member(table, "format", where)) + ", and should be 1");
  known_keys(table,
             {"format", "name", "target", "detector", "classifier", "recogniser", "dictionary", "blank", "rotate_exif",
              "golden"},
             where);
  Pipeline found;
  found.path = path;
  if (const Json* value = optional_member(table, "detector")) read_detector(*value, folder, found);
  if (const Json* value = optional_member(table, "classifier")) read_classifier(*value, folder, found);
  if (const Json* value = optional_member(table, "recogniser")) {
    read_recogniser(*value, folder, found);
    found.dictionary = inside(folder, member(table, "dictionary", where), "dictionary");
  }
  if (found.detector.empty() && found.recognisers.empty()) refuse("has neither detector nor recogniser");
  Values{table, "the pipeline"}.set("blank", found.blank, -1, 1e6);
  if (const Json* value = optional_member(table, "rotate_exif")) found.rotate_exif = truth(*value, "rotate_exif");
  if (const Json* value = optional_member(table, "golden")) read_golden(*value, folder, found);
  return found;
}

Json table_of(const std::string& path) {
  return read_table(path, pipeline_max_bytes, "the pipeline.json or contract.json that a build writes");
}

}  // namespace

Pipeline read_pipeline(const std::string& path) {
  const Json table = table_of(path);
  try {
    return fill(table, path);
  } catch (const std::exception& error) {
    throw std::runtime_error(path + ": " + error.what());
  }
}

bool is_pipeline(const std::string& path) {
  const Json table = table_of(path);
  return table.is_object() && (table.contains("detector") || table.contains("recogniser"));
}

}  // namespace edgeflow

#include "detection.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>

namespace edgeflow {
namespace {

constexpr double normalised_max = 1.5;  // a box may reach over the edge, but no box in pixels is so small
constexpr float classes_max = 1e6F;
constexpr std::size_t candidates_max = 1000;

bool has_last(const Tensor& tensor, std::size_t rank_least, std::int64_t size) {
  return tensor.shape.size() >= rank_least && tensor.shape.back() == size;
}

bool better(const Box& a, const Box& b) { return a.score > b.score; }

double overlap_of(const Box& a, const Box& b) {
  const double width = std::min(a.x2, b.x2) - std::max(a.x1, b.x1),
               height = std::min(a.y2, b.y2) - std::max(a.y1, b.y1);
  if (width <= 0 || height <= 0) return 0.0;
  const auto area = [](const Box& box) { return (box.x2 - box.x1) * (box.y2 - box.y1); };
  return width * height / (area(a) + area(b) - width * height);
}

// The row's value in the column of that name, or what stands for a column that is not there.
float in_column(const float* row, const std::vector<std::string>& columns, const char* name, float otherwise) {
  const auto at = std::find(columns.begin(), columns.end(), name);
  return at == columns.end() ? otherwise : row[at - columns.begin()];
}

Box box_of(const float* row, const std::vector<std::string>& columns) {
  const auto at = [&](const char* name, float otherwise) { return in_column(row, columns, name, otherwise); };
  Box box{-1, at("score", 1.0F), at("x1", 0), at("y1", 0), at("x2", 0), at("y2", 0)};
  const float label = at("class", 0);
  if (label >= 0 && label < classes_max) box.label = static_cast<int>(label);
  if (std::find(columns.begin(), columns.end(), "w") != columns.end()) {
    const double x = at("x", 0), y = at("y", 0), width = at("w", 0), height = at("h", 0);
    box.x1 = x - width / 2, box.x2 = x + width / 2, box.y1 = y - height / 2, box.y2 = y + height / 2;
  }
  return box;
}

std::vector<Box> finished(const Tensor& rows, const DetectionRules& rules) {
  static const std::vector<std::string> usual{"class", "score", "x1", "y1", "x2", "y2"};
  const std::vector<std::string>& columns = rules.columns.empty() ? usual : rules.columns;
  const std::vector<float> v = rows.floats();
  std::vector<Box> boxes;
  for (std::size_t i = 0; i + columns.size() <= v.size(); i += columns.size()) {
    const Box box = box_of(v.data() + i, columns);
    // A model that finds nothing writes one row with class -1.
    if (box.label >= 0 && box.score >= rules.threshold) boxes.push_back(box);
  }
  std::stable_sort(boxes.begin(), boxes.end(), better);
  return boxes;
}

// Keeps the best of boxes that overlap, class by class.
std::vector<Box> suppressed(std::vector<Box> boxes, float overlap) {
  std::stable_sort(boxes.begin(), boxes.end(), better);
  if (boxes.size() > candidates_max) boxes.resize(candidates_max);
  std::vector<Box> kept;
  for (const Box& box : boxes)
    if (std::none_of(kept.begin(), kept.end(), [&](const Box& other) {
          return other.label == box.label && overlap_of(other, box) > static_cast<double>(overlap);
        }))
      kept.push_back(box);
  return kept;
}

std::vector<Box> raw(const Tensor& corners, const Tensor& scores, const DetectionRules& rules) {
  const std::vector<float> at = corners.floats(), score = scores.floats();
  const auto count = static_cast<std::size_t>(corners.shape[1]), classes = static_cast<std::size_t>(scores.shape[1]);
  std::vector<Box> boxes;
  for (std::size_t c = 0; c < classes; ++c)
    for (std::size_t i = 0; i < count; ++i)
      if (static_cast<int>(c) != rules.background && score[c * count + i] >= rules.threshold)
        boxes.push_back(
            {static_cast<int>(c), score[c * count + i], at[4 * i], at[4 * i + 1], at[4 * i + 2], at[4 * i + 3]});
  return suppressed(std::move(boxes), rules.overlap);
}

}  // namespace

std::vector<Box> decode_boxes(const std::vector<Tensor>& outputs, const DetectionRules& rules) {
  if (!rules.columns.empty() && rules.output < outputs.size() &&
      has_last(outputs[rules.output], 2, static_cast<std::int64_t>(rules.columns.size())))
    return finished(outputs[rules.output], rules);
  for (const Tensor& output : outputs)
    if (rules.columns.empty() && has_last(output, 2, 6)) return finished(output, rules);
  if (!outputs.empty() && outputs[0].count() == 1 && outputs[0].value(0) == -1.0)
    return {};  // multiclass_nms found nothing
  for (const Tensor& boxes : outputs)
    for (const Tensor& scores : outputs)
      if (boxes.shape.size() == 3 && scores.shape.size() == 3 && boxes.shape[0] == 1 && scores.shape[0] == 1 &&
          boxes.shape[2] == 4 && scores.shape[2] == boxes.shape[1] && &boxes != &scores)
        return raw(boxes, scores, rules);
  std::string shapes;
  for (const Tensor& output : outputs) shapes += (shapes.empty() ? "" : ", ") + text_of(output.shape);
  throw std::runtime_error(
      "outputs are " + shapes +
      ", and should be boxes [N, 6] = class, score, x1, y1, x2, y2, or boxes [1, N, 4] with scores [1, C, N]");
}

Units guess_units(const std::vector<Box>& boxes) {
  for (const Box& box : boxes)
    if (std::max({box.x1, box.y1, box.x2, box.y2}) > normalised_max) return Units::input;
  return Units::normalised;
}

Units units_of(const std::string& name) {
  if (name == "normalised") return Units::normalised;
  if (name == "input") return Units::input;
  if (name == "picture") return Units::picture;
  throw std::runtime_error("box units are '" + name + "', and should be auto, normalised, input or picture");
}

std::vector<Box> to_picture(std::vector<Box> boxes, Units units, const Placement& at, const Picture& picture) {
  const auto width = static_cast<double>(picture.width), height = static_cast<double>(picture.height);
  const auto place = [&](double value, double size, double offset, double ratio, double limit) {
    if (units == Units::normalised) value *= size;
    // A model that was told the scale has divided by it, but knows no border.
    value = units == Units::picture ? value - offset / ratio : (value - offset) / ratio;
    return std::isfinite(value) ? std::clamp(value, 0.0, limit) : 0.0;
  };
  for (Box& box : boxes) {
    box.x1 = place(box.x1, static_cast<double>(at.input_width), at.offset_x, at.ratio_x, width);
    box.x2 = place(box.x2, static_cast<double>(at.input_width), at.offset_x, at.ratio_x, width);
    box.y1 = place(box.y1, static_cast<double>(at.input_height), at.offset_y, at.ratio_y, height);
    box.y2 = place(box.y2, static_cast<double>(at.input_height), at.offset_y, at.ratio_y, height);
  }
  return boxes;
}

}  // namespace edgeflow

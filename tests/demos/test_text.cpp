#include "expect.h"
#include "text.h"

using namespace edgeflow;

namespace {

Tensor scores(const std::vector<std::size_t>& best, std::size_t classes, Shape shape) {
  Tensor made = Tensor::make(Dtype::float32, std::move(shape));
  for (std::size_t t = 0; t < best.size(); ++t)
    made.data<float>()[t * classes + best[t]] = 0.5F + 0.1F * static_cast<float>(t % 5);
  return made;
}

Tensor blank_map(std::int64_t height, std::int64_t width) {
  return Tensor::make(Dtype::float32, {1, 1, height, width});
}

void paint(Tensor& map, std::int64_t top, std::int64_t left, std::int64_t bottom, std::int64_t right, float value) {
  for (std::int64_t y = top; y < bottom; ++y)
    for (std::int64_t x = left; x < right; ++x) map.data<float>()[y * map.shape[3] + x] = value;
}

// Pixels whose centre lies in a rectangle that is turned by `angle`.
void paint_turned(Tensor& map, double cx, double cy, double width, double height, double angle) {
  for (std::int64_t y = 0; y < map.shape[2]; ++y)
    for (std::int64_t x = 0; x < map.shape[3]; ++x) {
      const double dx = static_cast<double>(x) + 0.5 - cx, dy = static_cast<double>(y) + 0.5 - cy;
      const double u = dx * std::cos(angle) + dy * std::sin(angle), v = -dx * std::sin(angle) + dy * std::cos(angle);
      if (std::abs(u) <= width / 2 && std::abs(v) <= height / 2) map.data<float>()[y * map.shape[3] + x] = 0.9F;
    }
}

void ctc() {
  const std::vector<std::string> dictionary{"a", "b", "\xc3\xa9"};
  Reading reading = read_text(scores({0, 1, 1, 0, 1, 2, 2, 0, 3, 0}, 4, {1, 10, 4}), dictionary);
  EXPECT(reading.text == "aab\xc3\xa9");
  EXPECT_NEAR(reading.score, (0.6 + 0.9 + 0.5 + 0.8) / 4, 1e-6);
  EXPECT(read_text(scores({1, 2}, 4, {2, 1, 4}), dictionary).text == "ab");
  EXPECT(read_text(scores({1, 2}, 4, {2, 4}), dictionary).text == "ab");
  EXPECT(read_text(scores({1, 4, 2}, 5, {1, 3, 5}), dictionary).text == "a b");
  reading = read_text(scores({0, 0}, 4, {1, 2, 4}), dictionary);
  EXPECT(reading.text.empty() && reading.score == 0.0F);
  EXPECT_THROWS(read_text(scores({0}, 9, {1, 1, 9}), dictionary),
                "knows 9 classes, and should know a blank and the 3 lines");
  EXPECT_THROWS(read_text(scores({0, 0, 0, 0}, 4, {2, 2, 4}), dictionary), "should hold one text");
  EXPECT_THROWS(read_text(Tensor::make(Dtype::float32, {4}), dictionary), "should be scores");
}

void straight() {
  Tensor map = blank_map(40, 100);
  paint(map, 25, 60, 35, 80, 0.8F);  // the lower line, second
  paint(map, 26, 10, 34, 50, 0.9F);  // the lower line, first
  paint(map, 5, 30, 13, 70, 0.7F);   // the upper line
  paint(map, 1, 1, 3, 3, 0.9F);      // smaller than any letter
  paint(map, 15, 90, 24, 99, 0.4F);  // above the pixel's threshold, below the box's
  const std::vector<TextBox> boxes = text_boxes(map, {});
  EXPECT(boxes.size() == 3);
  if (boxes.size() != 3) return;
  // 40 x 8 grows by 40 * 8 * 1.6 / 96 on every side.
  const double grow = 40.0 * 8.0 * 1.6 / 96.0;
  EXPECT_NEAR(boxes[0].corners[0].x, 30 - grow, 1e-9);
  EXPECT_NEAR(boxes[0].corners[0].y, 5 - grow, 1e-9);
  EXPECT_NEAR(boxes[0].corners[2].x, 70 + grow, 1e-9);
  EXPECT_NEAR(boxes[0].corners[2].y, 13 + grow, 1e-9);
  EXPECT_NEAR(boxes[0].score, 0.7, 1e-6);
  EXPECT(boxes[1].corners[0].x < boxes[2].corners[0].x && boxes[1].corners[0].y > 20);
  DbRules few;
  few.boxes_max = 1;
  EXPECT(text_boxes(map, few).size() == 1);
  EXPECT_THROWS(text_boxes(Tensor::make(Dtype::float32, {1, 2, 4, 4}), {}), "one probability map");
  EXPECT(text_boxes(blank_map(3, 3), {}).empty());
  Tensor full = blank_map(6, 6);
  paint(full, 0, 0, 6, 6, std::nanf(""));
  EXPECT(text_boxes(full, {}).empty());
}

void turned() {
  Tensor map = blank_map(100, 100);
  const double angle = 0.4;
  paint_turned(map, 50, 50, 60, 12, angle);
  DbRules rules;
  rules.unclip_ratio = 0;
  const std::vector<TextBox> boxes = text_boxes(map, rules);
  EXPECT(boxes.size() == 1);
  if (boxes.empty()) return;
  const auto& c = boxes[0].corners;
  EXPECT_NEAR(std::atan2(c[1].y - c[0].y, c[1].x - c[0].x), angle, 0.03);
  EXPECT_NEAR(std::hypot(c[1].x - c[0].x, c[1].y - c[0].y), 60, 1.5);
  EXPECT_NEAR(std::hypot(c[3].x - c[0].x, c[3].y - c[0].y), 12, 1.5);
  EXPECT_NEAR((c[0].x + c[2].x) / 2, 50, 0.5);
}

void cut() {
  // Pixel (y, x) is 10 y + x in red.
  Picture picture{10, 20, std::vector<std::uint8_t>(600)};
  for (std::size_t y = 0; y < 10; ++y)
    for (std::size_t x = 0; x < 20; ++x) picture.rgb[3 * (20 * y + x)] = static_cast<std::uint8_t>(10 * y + x);
  const Picture straight_cut = cut_out(picture, {{{{2, 3}, {8, 3}, {8, 5}, {2, 5}}}, 1});
  EXPECT(straight_cut.height == 2 && straight_cut.width == 6);
  EXPECT(straight_cut.rgb[0] == 32 && straight_cut.rgb[3 * 5] == 37 && straight_cut.rgb[3 * 6] == 42);
  // Higher than wide: its right side becomes the top.
  const Picture turned_cut = cut_out(picture, {{{{2, 1}, {4, 1}, {4, 7}, {2, 7}}}, 1});
  EXPECT(turned_cut.height == 2 && turned_cut.width == 6);
  EXPECT(turned_cut.rgb[0] == 13 && turned_cut.rgb[3 * 5] == 63 && turned_cut.rgb[3 * 6] == 12);
  const Picture outside = cut_out(picture, {{{{-1e9, -1e9}, {1e9, -1e9}, {1e9, -1e9 + 4}, {-1e9, -1e9 + 4}}}, 1});
  EXPECT(outside.height == 4 && outside.width == 60);

  Tensor map = blank_map(5, 10);
  Preprocess stretch;
  stretch.resize = "stretch", stretch.size = {10, 40}, stretch.colour = "RGB";
  const std::vector<TextBox> boxes =
      to_picture({{{{{1, 1}, {9, 1}, {9, 4}, {1, 4}}}, 1}}, map, placement(picture, stretch));
  EXPECT_NEAR(boxes[0].corners[1].x, 18, 1e-9);  // map * 4 is the input, which is twice the picture
  EXPECT_NEAR(boxes[0].corners[2].y, 8, 1e-9);
}

}  // namespace

int main() {
  ctc();
  straight();
  turned();
  cut();
  return failures();
}

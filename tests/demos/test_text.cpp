// What the twin in Python cannot show: bad shapes, and boxes by hand. tests/demos/test_text_twins.py holds the rest.
#include "expect.h"
#include "text.h"
#include "text_crop.h"
#include "text_lines.h"
#include "text_map.h"

using namespace edgeflow;

namespace {

Tensor scores(const std::vector<std::size_t>& best, std::size_t classes, Shape shape) {
  Tensor made = Tensor::make(Dtype::float32, std::move(shape));
  for (std::size_t t = 0; t < best.size(); ++t)
    made.data<float>()[t * classes + best[t]] = 0.5F + 0.1F * static_cast<float>(t % 5);
  return made;
}

void ctc() {
  const std::vector<std::string> dictionary{"a", "b", "\xc3\xa9"};
  const auto one = [&](const Tensor& tensor) { return read_texts(tensor, 1, dictionary)[0]; };
  Reading reading = one(scores({0, 1, 1, 0, 1, 2, 2, 0, 3, 0}, 4, {1, 10, 4}));
  EXPECT(reading.text == "aab\xc3\xa9");
  EXPECT_NEAR(reading.score, (0.6 + 0.9 + 0.5 + 0.8) / 4, 1e-6);
  EXPECT(one(scores({1, 2}, 4, {2, 1, 4})).text == "ab");
  EXPECT(one(scores({1, 2}, 4, {2, 4})).text == "ab");
  EXPECT_THROWS(one(scores({1, 4, 2}, 5, {1, 3, 5})), "has 3 lines, and should have 4");  // a space is no guess
  EXPECT(read_texts(scores({1, 1, 2, 0}, 4, {2, 2, 4}), 2, dictionary)[1].text == "b");
  EXPECT(read_texts(scores({0, 3}, 4, {1, 2, 4}), 1, dictionary, -1)[0].text == "a");
  reading = one(scores({0, 0}, 4, {1, 2, 4}));
  EXPECT(reading.text.empty() && reading.score == 0.0);
  EXPECT_THROWS(one(scores({0}, 9, {1, 1, 9})), "has 3 lines, and should have 8");
  EXPECT_THROWS(one(scores({0, 0, 0, 0}, 4, {2, 2, 4})), "should be scores [1, steps, classes]");
  EXPECT_THROWS(one(Tensor::make(Dtype::float32, {4})), "should be scores");
  EXPECT_THROWS(read_texts(scores({0}, 4, {1, 1, 4}), 1, dictionary, 4), "the classes 0..3");
}

void boxes() {
  Tensor map = Tensor::make(Dtype::float32, {1, 1, 64, 128});
  const auto paint = [&](std::int64_t top, std::int64_t left, std::int64_t bottom, std::int64_t right, float value) {
    for (std::int64_t y = top; y < bottom; ++y)
      for (std::int64_t x = left; x < right; ++x) map.data<float>()[y * 128 + x] = value;
  };
  paint(20, 10, 31, 61, 0.7F);
  Picture picture{64, 128, {}};
  Preprocess steps;
  steps.resize = "none";
  const Placement at = placement(picture, steps);
  std::vector<TextBox> found = text_boxes(map, {}, at);
  EXPECT(found.size() == 1);
  if (found.empty()) return;
  EXPECT(found[0].corners[0].x == 4 && found[0].corners[0].y == 14);
  EXPECT(found[0].corners[2].x == 66 && found[0].corners[2].y == 36);
  EXPECT_NEAR(found[0].score, 0.7, 1e-6);
  paint(45, 70, 46, 90, 0.9F);  // thinner than any letter
  paint(5, 90, 15, 120, 0.4F);  // above the pixel's threshold, below the box's
  EXPECT(text_boxes(map, {}, at).size() == 1);
  paint(20, 70, 31, 110, 0.9F);
  BoxRules few;
  few.max_candidates = 1;
  EXPECT(text_boxes(map, {}, at).size() == 2 && text_boxes(map, few, at).empty());
  paint(0, 0, 64, 128, std::nanf(""));
  EXPECT(text_boxes(map, {}, at).empty());
  EXPECT_THROWS(text_boxes(Tensor::make(Dtype::float32, {1, 2, 4, 4}), {}, at), "one probability map");
}

void cuts() {
  // Pixel (y, x) is 10 y + x in red.
  Picture picture{10, 20, std::vector<std::uint8_t>(600)};
  for (std::size_t y = 0; y < 10; ++y)
    for (std::size_t x = 0; x < 20; ++x) picture.rgb[3 * (20 * y + x)] = static_cast<std::uint8_t>(10 * y + x);
  const Picture straight = cut_out(picture, {{{2, 3}, {8, 3}, {8, 5}, {2, 5}}});
  EXPECT(straight.height == 2 && straight.width == 6);
  EXPECT(straight.rgb[0] == 32 && straight.rgb[3 * 5] == 37 && straight.rgb[3 * 6] == 42);
  const Picture head = turned(straight);
  EXPECT(head.rgb[0] == 47 && head.rgb[3 * 11] == 32);
  // Higher than wide: its right side becomes the top.
  const Picture tall = cut_out(picture, {{{2, 1}, {4, 1}, {4, 7}, {2, 7}}});
  EXPECT(tall.height == 2 && tall.width == 6);
  EXPECT(tall.rgb[0] == 13 && tall.rgb[3 * 5] == 63 && tall.rgb[3 * 6] == 12);
  EXPECT_THROWS(cut_out(picture, {{{-1e9, 0}, {1e9, 0}, {1e9, 4}, {-1e9, 4}}}), "far outside");
}

}  // namespace

int main() {
  ctc();
  boxes();
  cuts();
  EXPECT(line_batches({}, {}).empty());
  return failures();
}

#include "detection.h"
#include "expect.h"

using namespace edgeflow;

namespace {

Tensor tensor(Shape shape, const std::vector<float>& values) {
  Tensor made = Tensor::make(Dtype::float32, std::move(shape));
  for (std::size_t i = 0; i < values.size(); ++i) made.data<float>()[i] = values[i];
  return made;
}

}  // namespace

int main() {
  DetectionRules rules;
  // Class, score, x1, y1, x2, y2: below the threshold, class -1 and NaN go; the best comes first.
  const Tensor rows = tensor({5, 6}, {1,  0.6F, 10, 20, 30, 40, 2, 0.9F,          1, 2, 3, 4, 0, 0.4F, 1, 1, 2, 2,
                                      -1, 0.9F, 0,  0,  1,  1,  3, std::nanf(""), 0, 0, 1, 1});
  std::vector<Box> boxes = decode_boxes({rows, Tensor::make(Dtype::int32, {1})}, rules);
  EXPECT(boxes.size() == 2 && boxes[0].label == 2 && boxes[1].label == 1);
  EXPECT(guess_units(boxes) == Units::input);
  EXPECT(decode_boxes({tensor({1, 1}, {-1})}, rules).empty());
  EXPECT(decode_boxes({tensor({0, 6}, {})}, rules).empty());
  EXPECT(decode_boxes({tensor({1, 6}, {1e30F, 0.9F, 0, 0, 1, 1})}, rules).empty());

  // Columns as the contract names them: centre and size, the class last.
  DetectionRules named;
  named.output = 1, named.columns = {"x", "y", "w", "h", "score", "class"};
  boxes = decode_boxes({rows, tensor({1, 2, 6}, {20, 30, 10, 20, 0.8F, 3, 1, 1, 1, 1, 0.2F, 0})}, named);
  EXPECT(boxes.size() == 1 && boxes[0].label == 3 && boxes[0].x1 == 15 && boxes[0].y2 == 40);

  // Raw boxes: the background is left out, the weaker of two that overlap goes, another class stays.
  const Tensor corners = tensor({1, 4, 4}, {0, 0, 1, 1, 0, 0, 1, 0.9F, 0, 0, 0.2F, 0.2F, 0.5F, 0.5F, 1, 1});
  const Tensor scores = tensor({1, 3, 4}, {0.9F, 0.9F, 0.9F, 0.9F, 0.8F, 0.7F, 0.6F, 0, 0, 0.55F, 0, 0});
  boxes = decode_boxes({corners, scores}, rules);
  EXPECT(boxes.size() == 3);
  EXPECT(boxes[0].label == 1 && boxes[1].label == 1 && boxes[2].label == 2);
  EXPECT_NEAR(boxes[0].score, 0.8, 1e-6);
  EXPECT_NEAR(boxes[1].score, 0.6, 1e-6);
  EXPECT(guess_units(boxes) == Units::normalised);
  EXPECT(decode_boxes({scores, corners}, rules).size() == 3);
  rules.background = -1;
  EXPECT(decode_boxes({corners, scores}, rules).size() == 6);
  EXPECT_THROWS(decode_boxes({tensor({1, 10}, {})}, rules), "outputs are [1, 10], and should be boxes [N, 6]");

  // A picture of 100 x 200 letterboxed into 50 x 50: ratio 0.25, 12 rows above.
  const Picture picture{100, 200, {}};
  Preprocess letterbox;
  letterbox.resize = "letterbox", letterbox.size = {50, 50}, letterbox.colour = "RGB";
  const Placement at = placement(picture, letterbox);
  const std::vector<Box> one{{1, 0.9F, 10, 12, 40, 60}};
  Box box = to_picture(one, Units::input, at, picture)[0];
  EXPECT_NEAR(box.x1, 40, 1e-9);
  EXPECT_NEAR(box.y1, 0, 1e-9);
  EXPECT_NEAR(box.x2, 160, 1e-9);
  EXPECT_NEAR(box.y2, 100, 1e-9);
  box = to_picture({{1, 0.9F, 0.2, 0.24, 0.8, 0.5}}, Units::normalised, at, picture)[0];
  EXPECT_NEAR(box.x1, 40, 1e-9);
  EXPECT_NEAR(box.y2, 52, 1e-9);
  box =
      to_picture({{1, 0.9F, -3, std::nan(""), 500, 108}}, Units::picture, at, picture)[0];  // 48 of 108 are the border
  EXPECT_NEAR(box.x1, 0, 0);
  EXPECT_NEAR(box.y1, 0, 0);
  EXPECT_NEAR(box.x2, 200, 0);
  EXPECT_NEAR(box.y2, 60, 0);
  EXPECT(units_of("input") == Units::input);
  EXPECT_THROWS(units_of("feet"), "box units are 'feet'");
  return failures();
}

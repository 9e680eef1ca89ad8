// Against edgeflow/core/preprocess.py: vectors/ holds what that computes, see make_vectors.py.
#include <filesystem>

#include "contract.h"
#include "expect.h"
#include "files.h"
#include "npy.h"
#include "picture.h"

using namespace edgeflow;

int main(int, char** argv) {
  const std::string folder = std::string(argv[1]) + "/vectors/";
  std::size_t checked = 0;
  Preprocess rules;
  for (int k = 0; std::filesystem::exists(folder + "contract_" + std::to_string(k) + ".json"); ++k) {
    const Contract contract = read_contract(folder + "contract_" + std::to_string(k) + ".json");
    const Tensor pixels = read_npy(folder + "picture_" + std::to_string(k) + ".npy"),
                 wanted = read_npy(folder + "input_" + std::to_string(k) + ".npy");
    const Picture picture{pixels.shape[0], pixels.shape[1], pixels.bytes};
    rules = *contract.inputs[contract.picture_input()].preprocess;
    const Tensor got = preprocess(picture, rules);
    EXPECT(got.shape == wanted.shape);
    for (std::size_t i = 0; i < got.count() && i < wanted.count(); ++i, ++checked)
      EXPECT_NEAR(got.value(i), wanted.value(i), 0);
    // A PNG gives the same pixels back.
    save_picture("p.png", picture);
    EXPECT(load_picture("p.png").rgb == picture.rgb);
  }
  EXPECT(checked > 1000);

  const Picture small{4, 6, std::vector<std::uint8_t>(72, 9)};
  rules.resize = "none", rules.size = {5, 6}, rules.crop = {};
  EXPECT_THROWS(preprocess(small, rules), "picture is 4 x 6, and should be 5 x 6");
  rules.size = {}, rules.crop = {5, 5};
  EXPECT_THROWS(preprocess(small, rules), "before the crop of 5 x 5");
  EXPECT_THROWS(preprocess(Picture{}, rules), "holds no pixel");

  // A box comes back to where it was through a letterbox and a crop.
  rules.resize = "letterbox", rules.size = {12, 12}, rules.crop = {10, 10};
  const Placement at = placement(small, rules);
  EXPECT(at.height == 8 && at.width == 12 && at.input_height == 10);
  EXPECT_NEAR(at.offset_y, 1, 0);
  EXPECT_NEAR(at.offset_x, -1, 0);
  EXPECT_NEAR(at.ratio_y, 2, 1e-12);

  write_file("bad.png", "no picture at all");
  EXPECT_THROWS(load_picture("bad.png"), "is no picture");
  const std::string png = read_file("p.png", 1 << 20);
  write_file("bad.png", png.substr(0, png.size() / 2));
  EXPECT_THROWS(load_picture("bad.png"), "bad.png: ");
  std::string huge = png;  // the width and height of a PNG stand at bytes 16 to 23
  huge.replace(16, 8, std::string("\0\0\x3f\xff\0\0\x3f\xff", 8));
  write_file("bad.png", huge);
  EXPECT_THROWS(load_picture("bad.png"), "64 megapixels");
  Picture canvas{8, 8, std::vector<std::uint8_t>(192, 0)};
  draw_box(canvas, -5, -5, 1e30, 3);
  EXPECT(canvas.rgb[3 * (3 * 8 + 4)] == 255 && canvas.rgb[3 * (5 * 8 + 4)] == 0);
  return failures();
}

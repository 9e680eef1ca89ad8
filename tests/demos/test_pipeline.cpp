#include <filesystem>

#include "exif.h"
#include "expect.h"
#include "files.h"
#include "pipeline.h"

using namespace edgeflow;

namespace {

namespace fs = std::filesystem;

std::string write(const std::string& text) {
  const fs::path folder = fs::temp_directory_path() / "edgeflow_test_pipeline";
  fs::create_directories(folder);
  const std::string path = (folder / "pipeline.json").string();
  write_file(path, text);
  return path;
}

const std::string whole = R"({"format": 1, "name": "cards", "target": "arm64",
 "detector": {"contract": "detector/contract.json", "thresh": 0.25, "box_thresh": 0.5, "unclip_ratio": 2.0,
              "min_size": 4, "max_candidates": 9, "score_mode": "slow", "dilate": true},
 "classifier": {"contract": "classifier/contract.json", "thresh": 0.8, "turned": 0, "batch": 3},
 "recogniser": {"models": [{"contract": "a/contract.json", "width": 160}, {"contract": "b/contract.json", "width": 320}],
                "height": 32, "width": 160, "width_max": 640, "step": 32, "batch": 1},
 "dictionary": "dictionary.txt", "blank": -1, "rotate_exif": true,
 "golden": {"pages": [{"picture": "golden/page_0.png",
                       "lines": [{"text": "é", "score": 0.9, "box": [[1, 2], [30, 2], [30, 9], [1, 9]]}]}],
            "different_max": 0.25}})";

std::string with(const std::string& from, const std::string& to) {
  std::string text = whole;
  const std::size_t at = text.find(from);
  return at == std::string::npos ? "" : write(text.replace(at, from.size(), to));
}

void reads() {
  const Pipeline found = read_pipeline(write(whole));
  EXPECT(found.boxes.thresh == 0.25 && found.boxes.max_candidates == 9 && found.boxes.slow && found.boxes.dilate);
  EXPECT(found.turn.thresh == 0.8 && found.turn.turned == 0 && found.turn.batch == 3);
  EXPECT(found.lines.buckets == (std::vector<std::int64_t>{160, 320}) && found.lines.step == 32);
  EXPECT(found.recognisers.size() == 2 && fs::path(found.recognisers[1]).parent_path().filename() == "b");
  EXPECT(found.blank == -1 && found.rotate_exif && found.different_max == 0.25);
  EXPECT(found.golden->at(0).lines.at(0).text == "\xc3\xa9" && found.golden->at(0).lines[0].box[2].y == 9);
  EXPECT(is_pipeline(write(whole)));
  const Pipeline least =
      read_pipeline(write(R"({"format": 1, "detector": null, "classifier": null, "dictionary": "d.txt", "golden": null,
                "recogniser": {"models": [{"contract": "a/contract.json", "width": null}]}})"));
  EXPECT(least.detector.empty() && least.lines.buckets.empty() && least.lines.width == 320 && !least.golden);
}

void refuses() {
  EXPECT_THROWS(read_pipeline(with("\"format\": 1", "\"format\": 2")), "format is 2, and should be 1");
  EXPECT_THROWS(read_pipeline(with("\"thresh\": 0.25", "\"thresh\": 1.5")),
                "detector.thresh is 1.5, and should be from");
  EXPECT_THROWS(read_pipeline(with("\"min_size\"", "\"least\"")), "unknown key 'least'");
  EXPECT_THROWS(read_pipeline(with("detector/contract.json", "../contract.json")), "detector.contract is");
  EXPECT_THROWS(read_pipeline(with("golden/page_0.png", "/etc/passwd")), "picture is");
  EXPECT_THROWS(read_pipeline(with("\"width\": 320", "\"width\": 100")), "widths should ascend");
  EXPECT_THROWS(read_pipeline(with("\"width\": 320", "\"width\": null")), "each of its own");
  EXPECT_THROWS(read_pipeline(with("\"batch\": 1", "\"batch\": 1.5")), "recogniser.batch is 1.5");
  EXPECT_THROWS(read_pipeline(with("\"width_max\": 640", "\"width_max\": 100")), "at most that");
  EXPECT_THROWS(read_pipeline(with("[30, 9], [1, 9]]", "[30, 9]]")), "four corners");
  EXPECT_THROWS(read_pipeline(with("\"slow\"", "\"slowly\"")), "should be one of fast, slow");
  EXPECT_THROWS(read_pipeline(write("{}")), "key 'format' is missing");
  EXPECT_THROWS(read_pipeline(write("[1")), "is no JSON");
  EXPECT_THROWS(read_pipeline(write(R"({"format": 1})")), "neither detector nor recogniser");
}

std::string jpeg(const std::string& tiff) {
  std::string body = std::string("Exif\0\0", 6) + tiff;
  const auto size = static_cast<char>(body.size() + 2);
  return std::string("\xFF\xD8\xFF\xE0\0\4ab\xFF\xE1\0", 11) + size + body + std::string("\xFF\xDA\0\2", 4);
}

void exif() {
  const std::string little("II*\0\x08\0\0\0\1\0\x12\1\3\0\1\0\0\0\6\0\0\0", 22);
  const std::string big("MM\0*\0\0\0\x08\0\1\1\x12\0\3\0\0\0\1\0\x08\0\0", 22);
  EXPECT(orientation_of(jpeg(little)) == 6 && orientation_of(jpeg(big)) == 8);
  for (std::size_t size = 0; size < jpeg(little).size(); ++size) orientation_of(jpeg(little).substr(0, size));
  EXPECT(orientation_of(jpeg(little.substr(0, 18))) == 1 && orientation_of("") == 1 && orientation_of("\x89PNG") == 1);
  const Picture picture{2, 3, {0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4, 5, 5, 5}};
  const auto order = [&](int orientation) {
    std::string found;
    const Picture turned = upright(picture, orientation);
    for (std::size_t k = 0; k < turned.rgb.size(); k += 3) found += static_cast<char>('0' + turned.rgb[k]);
    return std::to_string(turned.height) + found;
  };
  EXPECT(order(1) == "2012345" && order(2) == "2210543" && order(3) == "2543210" && order(4) == "2345012");
  EXPECT(order(5) == "3031425" && order(6) == "3304152" && order(7) == "3524130" && order(8) == "3251403");
}

}  // namespace

int main() {
  reads();
  refuses();
  exif();
  return failures();
}

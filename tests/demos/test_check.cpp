// Sessions over recorded outputs: the replay passes, and fails where it should.
#include <filesystem>

#include "expect.h"
#include "files.h"
#include "npy.h"
#include "picture.h"
#include "session.h"

using namespace edgeflow;

namespace {

Tensor counted(Shape shape, float factor) {
  Tensor tensor = Tensor::make(Dtype::float32, std::move(shape));
  for (std::size_t i = 0; i < tensor.count(); ++i) tensor.data<float>()[i] = static_cast<float>(i) * factor;
  return tensor;
}

void write_contract(const std::string& batch, const std::string& picture,
                    const std::string& input = "golden/in_0.npy") {
  write_file(
      "case/contract.json",
      R"({"format": 1, "name": "x", "target": "x", "task": null, "model": {"file": "model.nb", "sha256": ")" +
          sha256_of("case/model.nb") + R"("}, "inputs": [{"name": "x", "dtype": "float32", "shape": [)" + batch +
          R"(, 3, 2, 2], "preprocess": {"resize": "none", "size": null, "crop": null, "colour": "RGB", "scale": 1, "mean": [0, 0, 0], "std": [1, 1, 1], "layout": "NCHW"}}],
                 "outputs": ["y"], "golden": {"inputs": [")" +
          input + R"("], "outputs": ["golden/out_0.npy"], "max_abs": 0.001, )" + picture + R"("max": 0}})");
}

int check(std::vector<const char*> words = {}) {
  words.insert(words.begin(), {"test", "--check", "case/contract.json"});
  return run_check(Arguments(with_common({}), static_cast<int>(words.size()), words.data()));
}

}  // namespace

int main() {
  std::filesystem::create_directories("case/golden");
  std::filesystem::create_directories("case/model.nb.recorded");
  write_file("case/model.nb", std::string(2, '\0') + std::string(62, 'm'));
  const Tensor input = counted({5, 3, 2, 2}, 1), output = counted({5, 4}, 0.25F);
  for (const std::string folder : {"case/golden/", "case/model.nb.recorded/"})
    write_npy(folder + "in_0.npy", input), write_npy(folder + "out_0.npy", output);

  for (const char* batch : {"-1", "1", "2", "5", "7"}) {
    write_contract(batch, "");
    EXPECT(check() == 0);
  }
  Tensor other = output;
  other.data<float>()[7] += 0.0005F;
  write_npy("case/golden/out_0.npy", other);
  EXPECT(check() == 0);
  other.data<float>()[7] += 0.001F;
  write_npy("case/golden/out_0.npy", other);
  EXPECT(check() == 3);
  other.data<float>()[7] = std::nanf("");
  write_npy("case/golden/out_0.npy", other);
  EXPECT(check() == 3);
  write_npy("case/golden/out_0.npy", counted({5, 3}, 0.25F));
  EXPECT(check() == 3);
  write_npy("case/golden/out_0.npy", output);

  // The picture is the first sample; another one fails before the model runs.
  Picture picture{2, 2, std::vector<std::uint8_t>(12)};
  for (std::size_t i = 0; i < 12; ++i) picture.rgb[3 * (i % 4) + i / 4] = static_cast<std::uint8_t>(i);
  save_picture("case/golden/p.png", picture);
  write_npy("case/golden/picture_in.npy", slice(input, 0, 1));
  const std::string named = R"("picture": "golden/p.png", "picture_input": "golden/picture_in.npy", )";
  write_contract("1", named);
  EXPECT(check() == 0);
  Tensor flat = slice(input, 0, 1);
  flat.shape = {3, 2, 2};
  write_npy("case/golden/picture_in.npy", flat);
  EXPECT(check() == 0);
  flat.data<float>()[3] += 0.01F;
  write_npy("case/golden/picture_in.npy", flat);
  EXPECT(check() == 3);

  write_contract("1", "");
  write_npy("case/golden/wrong.npy", counted({5, 3, 2, 3}, 1));
  write_contract("1", "", "golden/wrong.npy");
  EXPECT_THROWS(check(), "input 'x' is given as float32[1, 3, 2, 3], and should be float32[1, 3, 2, 2]");
  write_npy("case/golden/wrong.npy", counted({5, 3, 2, 2}, 2));
  EXPECT_THROWS(check(), "was never recorded");
  write_contract("1", "");
  write_file("case/model.nb", std::string(2, '\0') + std::string(62, 'n'));
  EXPECT_THROWS(check(), "has SHA-256");
  write_file("case/model.nb", "short");
  EXPECT_THROWS(check(), "should be a .nb file");
  write_file("case/model.nb", std::string(64, 'm'));
  EXPECT_THROWS(check(), "does not begin as a .nb file does");
  write_file("case/model.nb", std::string(2, '\0') + std::string(62, 'm'));

  // One device for every batch size where the contract says so, or no contract tells; else one for all.
  const auto devices = [&](const std::string& runtime) {
    std::string text = read_file("case/contract.json", 1 << 20);
    text.insert(text.rfind('}'), runtime);
    write_file("case/tied.json", text);
    const std::vector<const char*> words{"test", "--contract", "case/tied.json"};
    Session session(Arguments(with_common({}), static_cast<int>(words.size()), words.data()));
    for (const std::int64_t size : {1, 3, 1, 2, 4, 5, 1})
      EXPECT(session.infer({slice(input, 0, size)}).at(0).shape.at(0) == size);
    return session.devices();
  };
  write_contract("-1", "");
  EXPECT(devices("") == 1);
  EXPECT(devices(R"(, "runtime": {"predictor_per_batch": false})") == 1);
  EXPECT(devices(R"(, "runtime": {"predictor_per_batch": true})") == 4);  // the latest four of five sizes
  EXPECT_THROWS(devices(R"(, "runtime": {"predictor_per_batch": 1})"), "should be true or false");
  write_contract("1", "");

  // Each model has its own folder of compiled programs.
  EXPECT(check({"--cache-dir", "cache"}) == 0);
  EXPECT(std::filesystem::is_directory("cache/" + sha256_of("case/model.nb")));
  EXPECT_THROWS(check({"--power-mode", "fast"}), "--power-mode is 'fast'");
  EXPECT_THROWS(check({"--threads", "0"}), "--threads is '0', and should be a number from 1 to 64");

  EXPECT(!difference(counted({2, 2}, 1), counted({2, 2}, 1), 0));
  EXPECT(*difference(counted({2, 2}, 1.5F), counted({2, 2}, 1), 0.5) ==
         "at [1, 0]: got 3, and should be 2 (limit 0.5)");
  EXPECT(difference(Tensor::make(Dtype::int32, {2}), Tensor::make(Dtype::int64, {2}), 1).has_value());
  return failures();
}

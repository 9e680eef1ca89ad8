#include "arguments.h"
#include "expect.h"

using namespace edgeflow;

namespace {

Arguments parsed(std::vector<const char*> words) {
  words.insert(words.begin(), "test");
  return Arguments({{"--in", Takes::many, ""}, {"--out", Takes::one, ""}, {"--json", Takes::nothing, ""}},
                   static_cast<int>(words.size()), words.data());
}

int code_of(std::vector<const char*> words, int (*run)(const Arguments&)) {
  words.insert(words.begin(), "test");
  return run_program({"test", "usage", "", {{"--json", Takes::nothing, ""}}, run}, static_cast<int>(words.size()),
                     words.data());
}

}  // namespace

int main() {
  const Arguments a = parsed({"--in", "a.npy", "b.npy", "--json", "word", "--out=x=y", "--in", "c.npy"});
  EXPECT((a.all("--in") == std::vector<std::string>{"a.npy", "b.npy", "c.npy"}));
  EXPECT(a.has("--json") && a.text("--out", "") == "x=y" && a.word("PICTURE") == "word");
  EXPECT(parsed({"--out", "-3"}).number("--out", 0, -5, 5) == -3.0);
  EXPECT(parsed({}).whole("--out", 7, 0, 9) == 7);
  EXPECT_THROWS(parsed({"--nope"}), "option --nope is unknown");
  EXPECT_THROWS(parsed({"--out"}), "option --out lacks its value");
  EXPECT_THROWS(parsed({"--out", "--json"}), "option --out lacks its value");
  EXPECT_THROWS(parsed({"--json=1"}), "option --json takes no value");
  EXPECT_THROWS(parsed({"--out", "a", "--out", "b"}), "option --out is given twice");
  EXPECT_THROWS(parsed({"--out", "1.5"}).whole("--out", 0, 0, 9), "should be a whole number");
  EXPECT_THROWS(parsed({"--out", "nan"}).number("--out", 0, 0, 9), "should be a number from 0 to 9");
  EXPECT_THROWS(parsed({"--out", "1x"}).number("--out", 0, 0, 9), "is '1x'");
  EXPECT_THROWS(parsed({"a", "b"}).word("PICTURE"), "2 arguments are given, and there should be one: PICTURE");
  EXPECT((split("a,,b", ',') == std::vector<std::string>{"a", "b"}));

  EXPECT(code_of({}, [](const Arguments&) { return 3; }) == 3);
  EXPECT(code_of({"--help"}, [](const Arguments&) { return 3; }) == 0);
  EXPECT(code_of({"--nope"}, [](const Arguments&) { return 0; }) == 2);
  EXPECT(code_of({}, [](const Arguments&) -> int { throw std::runtime_error("x is 1, and should be 2"); }) == 1);
  return failures();
}

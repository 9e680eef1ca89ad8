#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "expect.h"
#include "json_text.h"

using namespace edgeflow;

int main() {
  EXPECT(written("a\"b\\c\n\x01") == R"("a\"b\\c\n\u0001")");
  EXPECT(written("\xc3\xa9\xe4\xb8\xad\xf0\x9f\x98\x80") == "\"\xc3\xa9\xe4\xb8\xad\xf0\x9f\x98\x80\"");
  // No UTF-8: a lone continuation, an overlong slash, a surrogate, one beyond U+10FFFF, and a cut.
  for (const char* bad : {"\x80", "\xc0\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe4\xb8"})
    EXPECT(written(bad).find("\xef\xbf\xbd") == 1);
  EXPECT(written(0.5) == "0.5" && written(std::nan("")) == "null");
  EXPECT(written(-std::numeric_limits<double>::infinity()) == "null");
  EXPECT(std::stod(written(0.1)) == 0.1 && std::stof(written(0.1F)) == 0.1F);
  EXPECT(written(std::int64_t{-7}) == "-7");
  // In the order given, on one line; a list of one pair stays a list.
  EXPECT(written(Json::object({{"z", 1}, {"b", std::vector<double>{1.5, 2}}, {"a", Json::array()}})) ==
         R"({"z":1,"b":[1.5,2.0],"a":[]})");
  EXPECT(written(Json::array({Json::array({"x", 1})})) == R"([["x",1]])");
  return failures();
}

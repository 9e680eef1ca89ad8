#include "expect.h"
#include "json_text.h"

using namespace edgeflow;

int main() {
  EXPECT(Json("a\"b\\c\n\x01").text == R"("a\"b\\c\u000a\u0001")");
  EXPECT(Json("\xc3\xa9\xe4\xb8\xad\xf0\x9f\x98\x80").text == "\"\xc3\xa9\xe4\xb8\xad\xf0\x9f\x98\x80\"");
  // No UTF-8: a lone continuation, an overlong slash, a surrogate, one beyond U+10FFFF, and a cut.
  for (const char* bad : {"\x80", "\xc0\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe4\xb8"})
    EXPECT(Json(bad).text.find("\xef\xbf\xbd") == 1);
  EXPECT(Json(0.5).text == "0.5" && Json(std::nan("")).text == "null" && Json(-INFINITY).text == "null");
  EXPECT(std::stod(Json(0.1).text) == 0.1 && std::stof(Json(0.1F).text) == 0.1F);
  EXPECT(Json(std::int64_t{-7}).text == "-7");
  EXPECT(Json::object({{"a", 1}, {"b", std::vector<double>{1.5, 2}}, {"c", std::vector<Json>{}}}).text ==
         R"({"a": 1, "b": [1.5, 2], "c": []})");
  return failures();
}

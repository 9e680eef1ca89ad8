#include "json_text.h"

#include <array>
#include <cmath>
#include <cstdio>

namespace edgeflow {
namespace {

// Length of the UTF-8 character at `at`; 0 when there is none. Source: RFC 3629, section 4.
std::size_t character(const std::string& text, std::size_t at) {
  const auto byte = [&](std::size_t i) { return at + i < text.size() ? static_cast<unsigned char>(text[at + i]) : 0U; };
  const unsigned first = byte(0), second = byte(1);
  const std::size_t length = first < 0x80                    ? 1
                             : first >= 0xc2 && first < 0xe0 ? 2
                             : first >= 0xe0 && first < 0xf0 ? 3
                             : first >= 0xf0 && first < 0xf5 ? 4
                                                             : 0;
  for (std::size_t i = 1; i < length; ++i)
    if ((byte(i) & 0xc0) != 0x80) return 0;
  const bool outside = (first == 0xe0 && second < 0xa0) || (first == 0xed && second > 0x9f) ||
                       (first == 0xf0 && second < 0x90) || (first == 0xf4 && second > 0x8f);
  return outside ? 0 : length;
}

std::string number(const char* format, double value) {
  if (!std::isfinite(value)) return "null";
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), format, value);
  return text.data();
}

}  // namespace

Json::Json(const std::string& value) : text("\"") {
  for (std::size_t at = 0; at < value.size();) {
    const std::size_t length = character(value, at);
    const char c = value[at];
    if (length == 0)
      text += "\xef\xbf\xbd";
    else if (c == '"' || c == '\\')
      text += std::string("\\") + c;
    else if (length == 1 && static_cast<unsigned char>(c) < 0x20)
      text += std::string("\\u00") + "0123456789abcdef"[c >> 4] + "0123456789abcdef"[c & 15];
    else
      text.append(value, at, length);
    at += length == 0 ? 1 : length;
  }
  text += '"';
}

// Digits that bring the same value back.
Json::Json(double value) : text(number("%.17g", value)) {}
Json::Json(float value) : text(number("%.9g", static_cast<double>(value))) {}

Json Json::object(std::initializer_list<std::pair<const char*, Json>> members) {
  Json made(0);
  made.text = "{";
  for (const auto& [name, value] : members)
    made.text += (made.text.size() > 1 ? ", " : "") + Json(name).text + ": " + value.text;
  made.text += '}';
  return made;
}

void Json::join(const std::vector<Json>& values) {
  text = "[";
  for (const Json& value : values) text += (text.size() > 1 ? ", " : "") + value.text;
  text += ']';
}

}  // namespace edgeflow

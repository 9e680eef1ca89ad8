// JSON as the programs print it: one line, members in the order they were given.
#pragma once

#include <initializer_list>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace edgeflow {

// A value, written from the start: the library that knows how is compiled once, not again in every program.
class Json {
 public:
  // Bytes of a text that are no UTF-8 become U+FFFD; a number that is not finite becomes null.
  Json(const std::string& value);
  Json(const char* value) : Json(std::string(value)) {}
  Json(double value);
  template <typename T, std::enable_if_t<std::is_integral_v<T>, int> = 0>
  Json(T value) : text_(std::is_same_v<T, bool> ? (value ? "true" : "false") : std::to_string(value)) {}
  template <typename T>
  Json(const std::vector<T>& values) : text_("[]") {
    for (const T& value : values) push_back(value);
  }

  static Json array(std::initializer_list<Json> values = {});
  static Json object(std::initializer_list<std::pair<const char*, Json>> members);

  void push_back(const Json& value) { append(value.text_); }
  void add(const char* key, const Json& value) { append(Json(key).text_ + ':' + value.text_); }

  const std::string& text() const { return text_; }

 private:
  void append(const std::string& part);

  std::string text_;
};

inline const std::string& written(const Json& value) { return value.text(); }

}  // namespace edgeflow

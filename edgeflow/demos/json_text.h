// JSON as the programs print it. Reading JSON is contract.cpp's business, with a real parser.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace edgeflow {

// One value, already written. Bytes of a text that are no UTF-8 become U+FFFD; a number that is not finite becomes
// null.
struct Json {
  std::string text;

  Json(const std::string& value);
  Json(const char* value) : Json(std::string(value)) {}
  Json(double value);
  Json(float value);
  template <typename T>
  Json(const std::vector<T>& values) {
    join(std::vector<Json>(values.begin(), values.end()));
  }
  Json(const std::vector<Json>& values) { join(values); }
  template <typename T, typename = std::enable_if_t<std::is_integral_v<T>>>
  Json(T value) : text(std::to_string(value)) {}

  static Json object(std::initializer_list<std::pair<const char*, Json>> members);

 private:
  void join(const std::vector<Json>& values);
};

}  // namespace edgeflow

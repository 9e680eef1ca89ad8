#include "json_text.h"

#include <nlohmann/json.hpp>

namespace edgeflow {
namespace {

std::string dumped(const nlohmann::json& value) {
  return value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace

Json::Json(const std::string& value) : text_(dumped(value)) {}

Json::Json(double value) : text_(dumped(value)) {}

Json Json::array(std::initializer_list<Json> values) { return std::vector<Json>(values); }

Json Json::object(std::initializer_list<std::pair<const char*, Json>> members) {
  Json found = array();
  found.text_ = "{}";
  for (const auto& [key, value] : members) found.add(key, value);
  return found;
}

// Before the bracket that closes it.
void Json::append(const std::string& part) {
  const char closing = text_.back();
  text_.back() = ',';
  if (text_.size() == 2) text_.pop_back();
  (text_ += part) += closing;
}

}  // namespace edgeflow

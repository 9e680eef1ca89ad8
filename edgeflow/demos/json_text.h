// JSON as the programs print it: one line, members in the order they were given.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace edgeflow {

using Json = nlohmann::ordered_json;

// Bytes of a text that are no UTF-8 become U+FFFD; a number that is not finite becomes null.
inline std::string written(const Json& value) { return value.dump(-1, ' ', false, Json::error_handler_t::replace); }

}  // namespace edgeflow

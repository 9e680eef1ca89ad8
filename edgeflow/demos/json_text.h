// JSON as the programs print it: one line, members in the order they were given.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace edgeflow {

using Json = nlohmann::ordered_json;

// Bytes of a text that are no UTF-8 become U+FFFD; a number that is not finite becomes null.
std::string written(const Json& value);

// What a text holds; a discarded value where it is no JSON.
Json parsed(const std::string& text);

}  // namespace edgeflow

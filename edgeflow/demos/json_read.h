// Values of a JSON file that may come from anyone: each is what it should be, or a sentence says what it is.
#pragma once

#include <cstddef>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace edgeflow::json {

using Json = nlohmann::json;

// The whole file; throws std::runtime_error when it is missing, larger than that, or no JSON, and should be `what`.
Json read_table(const std::string& path, std::size_t bytes_max, const std::string& what);

// All below throw std::runtime_error; `where` names the value in its message.
[[noreturn]] void refuse(const std::string& what);
std::string shown(const Json& value);  // as a message has it
const Json& member(const Json& table, const char* key, const std::string& where);
const Json* optional_member(const Json& table, const char* key);  // nullptr: null or absent
std::string text(const Json& value, const std::string& where);
std::string one_of(const Json& value, const std::vector<std::string>& known, const std::string& where);
double number(const Json& value, const std::string& where);
bool truth(const Json& value, const std::string& where);
const Json& list(const Json& value, const std::string& where, std::size_t size_max);

// Joins a path to the folder that it stands in; it may not lead out, by name or by symbolic link.
std::string inside(const std::string& folder, const Json& value, const std::string& where);
std::vector<std::string> paths(const std::string& folder, const Json& value, const std::string& where);
std::vector<std::string> texts(const Json& value, const std::string& where);

}  // namespace edgeflow::json

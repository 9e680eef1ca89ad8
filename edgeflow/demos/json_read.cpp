#include "json_read.h"

#include <cmath>
#include <filesystem>
#include <stdexcept>

#include "files.h"

namespace edgeflow::json {

namespace fs = std::filesystem;

Json read_table(const std::string& path, std::size_t bytes_max, const std::string& what) {
  Json table = Json::parse(read_file(path, bytes_max), nullptr, false);
  if (table.is_discarded()) throw std::runtime_error(path + ": is no JSON, and should be " + what);
  return table;
}

void refuse(const std::string& what) { throw std::runtime_error(what); }

// What is nested is only named: printing it would go as deep as the file likes.
std::string shown(const Json& value) {
  return value.is_structured() ? std::string("an ") + value.type_name() : value.dump().substr(0, 80);
}

const Json& member(const Json& table, const char* key, const std::string& where) {
  if (!table.is_object()) refuse(where + " is no table");
  const auto found = table.find(key);
  if (found == table.end()) refuse(where + ": key '" + key + "' is missing");
  return *found;
}

const Json* optional_member(const Json& table, const char* key) {
  const auto found = table.find(key);
  return found == table.end() || found->is_null() ? nullptr : &*found;
}

std::string text(const Json& value, const std::string& where) {
  if (!value.is_string()) refuse(where + " is " + shown(value) + ", and should be a text");
  return value.get<std::string>();
}

std::string one_of(const Json& value, const std::vector<std::string>& known, const std::string& where) {
  const std::string found = text(value, where);
  std::string list;
  for (const std::string& name : known) {
    if (name == found) return found;
    list += (list.empty() ? "" : ", ") + name;
  }
  refuse(where + " is '" + found + "', and should be one of " + list);
}

double number(const Json& value, const std::string& where) {
  if (!value.is_number() || !std::isfinite(value.get<double>()))
    refuse(where + " is " + shown(value) + ", and should be a number");
  return value.get<double>();
}

bool truth(const Json& value, const std::string& where) {
  if (!value.is_boolean()) refuse(where + " is " + shown(value) + ", and should be true or false");
  return value.get<bool>();
}

const Json& list(const Json& value, const std::string& where, std::size_t size_max) {
  if (!value.is_array() || value.size() > size_max)
    refuse(where + " should be a list of at most " + std::to_string(size_max) + " entries");
  return value;
}

std::string inside(const std::string& folder, const Json& value, const std::string& where) {
  const std::string given = text(value, where);
  const fs::path path(given);
  bool leaves = given.empty() || given.find('\0') != std::string::npos || path.is_absolute();
  for (const fs::path& part : path) leaves = leaves || part == "..";
  std::error_code code;
  const fs::path base = fs::weakly_canonical(folder, code);
  const fs::path real = leaves ? fs::path() : fs::weakly_canonical(fs::path(folder) / path, code);
  if (!leaves)
    leaves = code || real.lexically_relative(base).begin() == real.lexically_relative(base).end() ||
             *real.lexically_relative(base).begin() == "..";
  if (leaves) refuse(where + " is " + shown(value) + ", and should be a path inside the folder of this file");
  return (fs::path(folder) / path).string();
}

std::vector<std::string> paths(const std::string& folder, const Json& value, const std::string& where) {
  std::vector<std::string> found;
  for (const Json& item : list(value, where, 256)) found.push_back(inside(folder, item, where));
  return found;
}

std::vector<std::string> texts(const Json& value, const std::string& where) {
  std::vector<std::string> found;
  for (const Json& item : list(value, where, 256)) found.push_back(text(item, where));
  return found;
}

}  // namespace edgeflow::json

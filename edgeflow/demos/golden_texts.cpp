#include "golden_texts.h"

#include <algorithm>
#include <stdexcept>

#include "json_read.h"

namespace edgeflow {

constexpr std::size_t texts_max_bytes = std::size_t{1} << 20;

std::vector<GoldenText> read_golden_texts(const std::string& path) {
  const json::Json list = json::read_table(path, texts_max_bytes, "a list of texts");
  if (!list.is_array()) throw std::runtime_error(path + ": is no list of texts");
  std::vector<GoldenText> found;
  for (const json::Json& entry : list) {
    const json::Json* text = entry.is_object() ? json::optional_member(entry, "text") : nullptr;
    const json::Json* ids = entry.is_object() ? json::optional_member(entry, "ids") : nullptr;
    const bool whole = text && ids && text->is_string() && ids->is_array() &&
                       std::all_of(ids->begin(), ids->end(), [](const auto& id) { return id.is_number_integer(); });
    if (!whole) throw std::runtime_error(path + ": an entry holds no text or no ids, and should hold both");
    found.push_back({text->get<std::string>(), ids->get<std::vector<std::int64_t>>()});
  }
  return found;
}

}  // namespace edgeflow

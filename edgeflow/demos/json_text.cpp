#include "json_text.h"

namespace edgeflow {

std::string written(const Json& value) { return value.dump(-1, ' ', false, Json::error_handler_t::replace); }

Json parsed(const std::string& text) { return Json::parse(text, nullptr, false); }

}  // namespace edgeflow

#include "arguments.h"

#include <unistd.h>

#include <cmath>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <iostream>

namespace edgeflow {
namespace {

bool is_option(const char* word) { return std::strncmp(word, "--", 2) == 0; }

const Option& find(const std::vector<Option>& options, const std::string& name) {
  for (const Option& option : options)
    if (option.name == name) return option;
  throw UsageError("option " + name + " is unknown");
}

// Paddle Lite has no other way to report an error than to log it and abort.
extern "C" void end_after_abort(int) {
  constexpr char text[] = "the runtime gave up, and its last line above says why\n";
  if (write(STDERR_FILENO, text, sizeof(text) - 1) < 0) _exit(2);
  _exit(1);
}

void print_help(const Program& program, std::ostream& to) {
  to << "usage: " << program.name << ' ' << program.usage << "\n\n" << program.summary << "\n\n";
  for (const Option& option : program.options) to << "  " << option.name << ' ' << option.help << '\n';
  to << "  --help  print this\n";
}

}  // namespace

Arguments::Arguments(const std::vector<Option>& options, int argc, const char* const* argv) {
  for (int i = 1; i < argc; ++i) {
    if (!is_option(argv[i])) {
      words_.emplace_back(argv[i]);
      continue;
    }
    std::string name = argv[i];
    std::vector<std::string> given;
    const std::size_t equals = name.find('=');
    if (equals != std::string::npos) given.push_back(name.substr(equals + 1)), name.resize(equals);
    const Option& option = find(options, name);
    if (has(name) && option.takes != Takes::many) throw UsageError("option " + name + " is given twice");
    if (option.takes == Takes::one && given.empty() && i + 1 < argc && !is_option(argv[i + 1]))
      given.emplace_back(argv[++i]);
    while (option.takes == Takes::many && equals == std::string::npos && i + 1 < argc && !is_option(argv[i + 1]))
      given.emplace_back(argv[++i]);
    if (option.takes == Takes::nothing && !given.empty()) throw UsageError("option " + name + " takes no value");
    if (option.takes != Takes::nothing && given.empty()) throw UsageError("option " + name + " lacks its value");
    std::vector<std::string>& all = values_[name];
    all.insert(all.end(), given.begin(), given.end());
  }
}

std::string Arguments::text(const std::string& name, const std::string& otherwise) const {
  return has(name) ? values_.at(name).front() : otherwise;
}

std::vector<std::string> Arguments::all(const std::string& name) const {
  return has(name) ? values_.at(name) : std::vector<std::string>();
}

double Arguments::number(const std::string& name, double otherwise, double least, double most) const {
  if (!has(name)) return otherwise;
  const std::string given = text(name, "");
  char* end = nullptr;
  const double value = std::strtod(given.c_str(), &end);
  if (given.empty() || *end != '\0' || !(value >= least && value <= most)) {
    const auto bound = [](double x) {
      return std::floor(x) == x ? std::to_string(static_cast<long>(x)) : std::to_string(x);
    };
    throw UsageError("option " + name + " is '" + given + "', and should be a number from " + bound(least) + " to " +
                     bound(most));
  }
  return value;
}

long Arguments::whole(const std::string& name, long otherwise, long least, long most) const {
  const double value =
      number(name, static_cast<double>(otherwise), static_cast<double>(least), static_cast<double>(most));
  if (std::floor(value) != value)
    throw UsageError("option " + name + " is '" + text(name, "") + "', and should be a whole number");
  return static_cast<long>(value);
}

const std::string& Arguments::word(const std::string& what) const {
  if (words_.size() != 1)
    throw UsageError(std::to_string(words_.size()) + " arguments are given, and there should be one: " + what);
  return words_.front();
}

std::vector<std::string> split(const std::string& text, char at) {
  std::vector<std::string> parts;
  for (std::size_t begin = 0; begin <= text.size();) {
    std::size_t end = text.find(at, begin);
    if (end == std::string::npos) end = text.size();
    if (end > begin) parts.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return parts;
}

int run_program(const Program& program, int argc, const char* const* argv) {
  std::signal(SIGABRT, end_after_abort);
  try {
    for (int i = 1; i < argc; ++i)
      if (std::strcmp(argv[i], "--help") == 0) {
        print_help(program, std::cout);
        return 0;
      }
    const int code = program.run(Arguments(program.options, argc, argv));
    // A full disk or a closed pipe must not end as success.
    if (!std::cout.flush()) throw std::runtime_error("the results cannot be written to standard output");
    return code;
  } catch (const UsageError& error) {
    std::cerr << program.name << ": " << error.what() << "\nusage: " << program.name << ' ' << program.usage << "\n";
    return 2;
  } catch (const std::exception& error) {
    std::cerr << program.name << ": " << error.what() << "\n";
    return 1;
  }
}

}  // namespace edgeflow

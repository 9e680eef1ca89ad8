// The command line: one table of options a program, one place where errors become messages and exit codes.
#pragma once

#include <map>
#include <stdexcept>
#include <string>
#include <vector>

namespace edgeflow {

// A wrong call: exit code 2. Everything else that is thrown ends with exit code 1.
struct UsageError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

enum class Takes { nothing, one, many };

struct Option {
  std::string name;  // "--model"
  Takes takes;
  std::string help;  // "FILE.nb  the model"
};

class Arguments {
 public:
  Arguments(const std::vector<Option>& options, int argc, const char* const* argv);

  bool has(const std::string& name) const { return values_.count(name) != 0; }
  std::string text(const std::string& name, const std::string& otherwise) const;
  std::vector<std::string> all(const std::string& name) const;
  long whole(const std::string& name, long otherwise, long least, long most) const;
  double number(const std::string& name, double otherwise, double least, double most) const;
  const std::vector<std::string>& words() const { return words_; }  // what is no option
  const std::string& word(const std::string& what) const;  // the only one; UsageError when there is not exactly one

 private:
  std::map<std::string, std::vector<std::string>> values_;
  std::vector<std::string> words_;
};

std::vector<std::string> split(const std::string& text, char at);  // without empty parts

struct Program {
  std::string name;
  std::string usage;  // what follows the name on the usage line
  std::string summary;
  std::vector<Option> options;
  int (*run)(const Arguments&);
};

// main() of every program: --help, errors on stderr as `name: what is, and what should be`.
int run_program(const Program& program, int argc, const char* const* argv);

}  // namespace edgeflow

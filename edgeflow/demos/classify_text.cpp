// Lines of text in, the most likely class of each out; one line of answer for each line given.
#include <fstream>
#include <iomanip>
#include <iostream>
#include <memory>

#include "guesses.h"
#include "json_text.h"
#include "session.h"
#include "tokenize.h"

namespace {

using namespace edgeflow;

constexpr std::size_t line_max_bytes = (std::size_t{1} << 20) + 1;  // one more than the tokenizer takes

class Classifier {
 public:
  Classifier(const Arguments& arguments)
      : longest_(arguments),
        top_(static_cast<std::size_t>(arguments.whole("--top", 1, 1, 100000))),
        as_json_(arguments.has("--json")) {
    if (arguments.has("--shorter") && arguments.has("--model"))
      throw UsageError("--shorter and --model are given, and files of several lengths should have a contract each");
    for (const std::string& path : arguments.all("--shorter")) add(arguments, path);
  }

  // Prints what a text is, or why nobody can say; remembers the latter.
  void answer(const std::string& text) {
    Json entry = Json::object({{"text", text}});
    try {
      bool whole = true;
      const std::vector<std::int64_t> ids = longest_.tokenizer.ids(text, &whole);
      Length& chosen = length_for(ids.size());
      const std::vector<Guess> found = classes_of(chosen, ids);
      if (!as_json_) return print(found, text);
      entry.add("label", found[0].label), entry.add("score", found[0].score);
      entry.add("tokens", ids.size()), entry.add("cut", !whole);
      if (!shorter_.empty()) entry.add("length", chosen.session.contract().tokenize().max_length);
      if (top_ > 1) {
        Json classes = Json::array();
        for (const Guess& guess : found)
          classes.push_back(Json::object({{"class", guess.index}, {"label", guess.label}, {"score", guess.score}}));
        entry.add("classes", classes);
      }
    } catch (const TextError& error) {
      failed_ = true;
      if (!as_json_) {
        std::cout << "       -  " << error.what() << '\n';
        return;
      }
      entry.add("error", error.what());
    }
    std::cout << written(entry) << '\n';
  }

  int code() const { return failed_ ? 1 : 0; }

 private:
  // A model, and how a text becomes its inputs.
  struct Length {
    explicit Length(const Arguments& arguments, const std::string& contract = "")
        : session(arguments, contract), tokenizer(session.contract().tokenize()) {}
    Session session;
    Tokenizer tokenizer;
  };

  // A file for shorter texts; what it does not share with the longest is refused, and so is one out of order.
  void add(const Arguments& arguments, const std::string& path) {
    shorter_.push_back(std::make_unique<Length>(arguments, path));
    const Contract &own = shorter_.back()->session.contract(), &all = longest_.session.contract();
    const std::int64_t before =
        shorter_.size() < 2 ? 0 : shorter_.rbegin()[1]->session.contract().tokenize().max_length;
    if (own.tokenize().vocab_sha256 != all.tokenize().vocab_sha256 || own.inputs.size() != all.inputs.size())
      throw std::runtime_error(path + ": is of another model than " + all.path);
    if (own.tokenize().max_length <= before || own.tokenize().max_length >= all.tokenize().max_length)
      throw std::runtime_error(path + ": is for " + std::to_string(own.tokenize().max_length) +
                               " tokens, and lengths should rise up to that of " + all.path);
  }

  // The shortest model that takes so many tokens.
  Length& length_for(std::size_t tokens) {
    for (const auto& item : shorter_)
      if (tokens <= static_cast<std::size_t>(item->session.contract().tokenize().max_length)) return *item;
    return longest_;
  }

  std::vector<Guess> classes_of(Length& chosen, const std::vector<std::int64_t>& ids) {
    const Contract& contract = chosen.session.contract();
    const Shape& shape = contract.inputs[0].shape;
    const std::int64_t batch = shape.empty() || shape[0] < 0 ? 1 : shape[0];
    return guesses(infer_batches(chosen.session, chosen.tokenizer.inputs(contract, {ids}), batch), contract.labels,
                   top_);
  }

  void print(const std::vector<Guess>& found, const std::string& text) const {
    for (const Guess& guess : found)
      std::cout << std::fixed << std::setprecision(4) << std::setw(8) << guess.score << "  " << guess.label
                << (&guess == &found[0] ? "  " + text : std::string()) << '\n';
  }

  Length longest_;
  std::vector<std::unique_ptr<Length>> shorter_;  // fewest tokens first
  std::size_t top_;
  bool as_json_, failed_ = false;
};

// A line without its end, of which no more is kept than can be used.
bool next_line(std::istream& stream, std::string& line) {
  line.clear();
  int at = stream.get();
  if (at == std::istream::traits_type::eof()) return false;
  for (; at != std::istream::traits_type::eof() && at != '\n'; at = stream.get())
    if (line.size() < line_max_bytes) line.push_back(static_cast<char>(at));
  if (!line.empty() && line.back() == '\r') line.pop_back();
  return true;
}

int classify_text(const Arguments& arguments) {
  if (const auto done = run_alone(arguments)) return *done;
  if (arguments.has("--file") && !arguments.words().empty())
    throw UsageError("texts are given and --file, and there should be one of them");
  std::ifstream file(arguments.text("--file", ""));
  if (arguments.has("--file") && !file)
    throw std::runtime_error(arguments.text("--file", "") + ": cannot be read, and should hold a text a line");
  Classifier classifier(arguments);
  for (const std::string& text : arguments.words()) classifier.answer(text);
  if (!arguments.words().empty()) return classifier.code();
  std::istream& lines = arguments.has("--file") ? file : std::cin;
  for (std::string line; next_line(lines, line); std::cout.flush()) classifier.answer(line);
  return classifier.code();
}

}  // namespace

int main(int argc, char** argv) {
  return run_program(
      {"classify_text", "--contract FILE.json [TEXT ... | --file LINES.txt] [--top 1] [--json]",
       "Say what texts mean: the most likely class of each with its score. Without TEXT and --file, lines "
       "are read from standard input.",
       with_common({{"--file", Takes::one, "LINES.txt  a text a line"},
                    {"--shorter", Takes::many, "C.json ...  contracts of files for fewer tokens, the fewest first"},
                    {"--top", Takes::one, "N  how many classes to print (1)"},
                    {"--json", Takes::nothing, " print as JSON, an object a line"}}),
       classify_text},
      argc, argv);
}

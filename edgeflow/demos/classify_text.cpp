// Lines of text in, the most likely class of each out; one line of answer for each line given.
#include <fstream>
#include <iomanip>
#include <iostream>

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
      : session_(arguments),
        tokenizer_(session_.contract().tokenize()),
        top_(static_cast<std::size_t>(arguments.whole("--top", 1, 1, 100000))),
        as_json_(arguments.has("--json")) {}

  // Prints what a text is, or why nobody can say; remembers the latter.
  void answer(const std::string& text) {
    Json entry = Json::object({{"text", text}});
    try {
      bool whole = true;
      const std::vector<std::int64_t> ids = tokenizer_.ids(text, &whole);
      const std::vector<Guess> found = classes_of(ids);
      if (!as_json_) return print(found, text);
      entry["label"] = found[0].label, entry["score"] = found[0].score;
      entry["tokens"] = ids.size(), entry["cut"] = !whole;
      if (top_ > 1) {
        for (const Guess& guess : found)
          entry["classes"].push_back({{"class", guess.index}, {"label", guess.label}, {"score", guess.score}});
      }
    } catch (const TextError& error) {
      failed_ = true;
      if (!as_json_) {
        std::cout << "       -  " << error.what() << '\n';
        return;
      }
      entry["error"] = error.what();
    }
    std::cout << written(entry) << '\n';
  }

  int code() const { return failed_ ? 1 : 0; }

 private:
  std::vector<Guess> classes_of(const std::vector<std::int64_t>& ids) {
    const Contract& contract = session_.contract();
    const Shape& shape = contract.inputs[0].shape;
    const std::int64_t batch = shape.empty() || shape[0] < 0 ? 1 : shape[0];
    return guesses(infer_batches(session_, tokenizer_.inputs(contract, {ids}), batch), contract.labels, top_);
  }

  void print(const std::vector<Guess>& found, const std::string& text) const {
    for (const Guess& guess : found)
      std::cout << std::fixed << std::setprecision(4) << std::setw(8) << guess.score << "  " << guess.label
                << (&guess == &found[0] ? "  " + text : std::string()) << '\n';
  }

  Session session_;
  Tokenizer tokenizer_;
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
                    {"--top", Takes::one, "N  how many classes to print (1)"},
                    {"--json", Takes::nothing, " print as JSON, an object a line"}}),
       classify_text},
      argc, argv);
}

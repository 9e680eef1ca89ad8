#include "tokenize.h"

#include <algorithm>
#include <iterator>
#include <stdexcept>

#include "files.h"
#include "unicode_tables.h"

namespace edgeflow {
namespace {

constexpr std::size_t vocabulary_max_bytes = std::size_t{1} << 24;
constexpr std::size_t text_max_bytes = std::size_t{1} << 20;
// Longer words are unknown. Source: BERT, tokenization.py, max_input_chars_per_word; tokenizers' WordPiece as well.
constexpr std::size_t word_max = 100;
constexpr char32_t replacement = 0xfffd;

// The entry of a sorted table whose range holds a code point, or null.
template <typename Entry, std::size_t count>
const Entry* entry_of(const Entry (&table)[count], char32_t at) {
  const auto after = std::upper_bound(std::begin(table), std::end(table), at,
                                      [](char32_t point, const Entry& entry) { return point < entry.first; });
  if (after == std::begin(table)) return nullptr;
  const Entry* found = after - 1;
  return at <= found->last ? found : nullptr;
}

template <std::size_t count>
bool in(const CodeRange (&table)[count], char32_t at) {
  return entry_of(table, at) != nullptr;
}

template <std::size_t count>
char32_t moved(const CodeStep (&table)[count], char32_t at) {
  const CodeStep* found = entry_of(table, at);
  if (found == nullptr || (at - found->first) % found->step != 0) return at;
  return static_cast<char32_t>(static_cast<std::int32_t>(at) + found->delta);
}

std::u32string cleaned(const std::u32string& text, bool alone) {
  std::u32string found;
  for (char32_t at : text) {
    if (in(removed_ranges, at)) continue;
    if (in(blank_ranges, at)) at = U' ';
    if (alone && in(cjk_ranges, at))
      found.append({U' ', at, U' '});
    else
      found.push_back(at);
  }
  return found;
}

// Canonical decomposition without the accents. Source: The Unicode Standard, sections 3.11 and 3.12.
class Stripper {
 public:
  std::u32string operator()(const std::u32string& text) {
    for (const char32_t at : text) take_apart(at);
    flush();
    return std::move(found_);
  }

 private:
  void take_apart(char32_t at) {
    constexpr char32_t syllables = 0xac00, leads = 0x1100, vowels = 0x1161, trails = 0x11a7;
    if (at >= syllables && at < syllables + 11172) {
      const char32_t index = at - syllables;
      put(leads + index / 588), put(vowels + index % 588 / 28);
      if (index % 28 != 0) put(trails + index % 28);
      return;
    }
    const auto parts = std::lower_bound(std::begin(stripped_parts), std::end(stripped_parts), at,
                                        [](const CodeParts& entry, char32_t point) { return entry.whole < point; });
    if (parts == std::end(stripped_parts) || parts->whole != at) return put(moved(stripped_steps, at));
    for (const char32_t part : parts->parts)
      if (part != 0) put(part);
  }

  // Marks wait for the next starter, and are then put in order.
  void put(char32_t at) {
    if (in(mark_ranges, at)) {
      if (in(mark_starter_ranges, at)) flush();
    } else if (const CodeClass* kept = entry_of(kept_classes, at)) {
      waiting_.emplace_back(kept->combining_class, at);
    } else {
      flush();
      found_.push_back(at);
    }
  }

  void flush() {
    std::stable_sort(waiting_.begin(), waiting_.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
    for (const auto& mark : waiting_) found_.push_back(mark.second);
    waiting_.clear();
  }

  std::u32string found_;
  std::vector<std::pair<std::uint32_t, char32_t>> waiting_;
};

std::u32string lowered(const std::u32string& text) {
  std::u32string found;
  for (const char32_t at : text) {
    found.push_back(at == 0x130 ? U'i' : moved(lower_steps, at));
    if (at == 0x130) found.push_back(0x307);  // the one capital whose small letter is two
  }
  return found;
}

void put(Tensor& tensor, std::size_t at, std::int64_t value) {
  if (tensor.dtype == Dtype::int64)
    tensor.data<std::int64_t>()[at] = value;
  else if (tensor.dtype == Dtype::int32)
    tensor.data<std::int32_t>()[at] = static_cast<std::int32_t>(value);
  else if (tensor.dtype == Dtype::float32)
    tensor.data<float>()[at] = static_cast<float>(value);
  else
    throw std::runtime_error("an input is " + name_of(tensor.dtype) +
                             ", and should be int64, int32 or float32 to be made from a text");
}

std::string encoded(const std::u32string& text) {
  std::string found;
  for (const char32_t at : text) {
    const auto put = [&](char32_t byte) { found.push_back(static_cast<char>(byte)); };
    const auto rest = [&](unsigned shift) { put(0x80 | ((at >> shift) & 0x3f)); };
    if (at < 0x80)
      put(at);
    else if (at < 0x800)
      put(0xc0 | (at >> 6)), rest(0);
    else if (at < 0x10000)
      put(0xe0 | (at >> 12)), rest(6), rest(0);
    else
      put(0xf0 | (at >> 18)), rest(12), rest(6), rest(0);
  }
  return found;
}

}  // namespace

std::u32string decoded(const std::string& bytes) {
  std::u32string found;
  const auto byte = [&](std::size_t at) { return static_cast<unsigned char>(bytes[at]); };
  for (std::size_t at = 0; at < bytes.size();) {
    const unsigned lead = byte(at++);
    if (lead < 0x80) {
      found.push_back(lead);
      continue;
    }
    const unsigned more = lead < 0xc2 || lead > 0xf4 ? 0 : lead < 0xe0 ? 1 : lead < 0xf0 ? 2 : 3;
    // The second byte has narrower bounds after some leads: nothing written too long, no surrogates, nothing beyond.
    unsigned low = lead == 0xe0   ? 0xa0
                   : lead == 0xf0 ? 0x90
                                  : 0x80,
             high = lead == 0xed   ? 0x9f
                    : lead == 0xf4 ? 0x8f
                                   : 0xbf;
    char32_t point = lead & (0x3fU >> more);
    unsigned seen = 0;
    while (seen < more && at < bytes.size() && byte(at) >= low && byte(at) <= high) {
      point = (point << 6) | (byte(at++) & 0x3fU);
      ++seen, low = 0x80, high = 0xbf;
    }
    found.push_back(more > 0 && seen == more ? point : replacement);
  }
  return found;
}

std::vector<std::u32string> words_of(const std::string& text, const Tokenize& rules) {
  std::u32string points = cleaned(decoded(text), rules.split_cjk);
  if (rules.strip_accents) points = Stripper()(points);
  if (rules.lower_case) points = lowered(points);
  std::vector<std::u32string> words;
  bool open = false;
  for (const char32_t at : points) {
    if (at == U' ') {
      open = false;
      continue;
    }
    const bool single = rules.kind == "character" || in(punctuation_ranges, at);
    if (single || !open) words.emplace_back();
    words.back().push_back(at);
    open = !single;
  }
  return words;
}

Tokenizer::Tokenizer(const Tokenize& rules) : rules_(rules) {
  const std::string bytes = read_file(rules.vocab, vocabulary_max_bytes);
  if (sha256_text(bytes) != rules.vocab_sha256)
    throw std::runtime_error(rules.vocab + ": is not the vocabulary that the contract was written for; its ids differ");
  const std::vector<std::string> lines = lines_of(bytes);
  for (std::size_t i = 0; i < lines.size(); ++i) vocabulary_[lines[i]] = static_cast<std::int64_t>(i);
  unknown_ = id_of(rules.unk, "unk"), pad_ = id_of(rules.pad, "pad");
  if (!rules.cls.empty()) begin_ = id_of(rules.cls, "cls");
  if (!rules.sep.empty()) end_ = id_of(rules.sep, "sep");
}

std::int64_t Tokenizer::id_of(const std::string& token, const char* what) const {
  const auto found = vocabulary_.find(token);
  if (found == vocabulary_.end())
    throw std::runtime_error(rules_.vocab + ": lacks the token " + what + " = '" + token + "', and should hold it");
  return found->second;
}

// The longest piece first, from the left; a word of which a piece is missing is unknown as a whole.
// Source: BERT, tokenization.py, WordpieceTokenizer.
void Tokenizer::add(const std::u32string& word, std::vector<std::int64_t>& ids) const {
  const std::size_t begin = ids.size();
  for (std::size_t from = 0; from < word.size();) {
    std::size_t to = word.size() > word_max ? from : word.size();
    auto piece = vocabulary_.end();
    for (; to > from; --to) {
      piece =
          vocabulary_.find((from > 0 ? rules_.continuation : std::string()) + encoded(word.substr(from, to - from)));
      if (piece != vocabulary_.end()) break;
    }
    if (piece == vocabulary_.end()) {
      ids.resize(begin);
      ids.push_back(unknown_);
      return;
    }
    ids.push_back(piece->second);
    from = to;
  }
}

std::vector<std::int64_t> Tokenizer::ids(const std::string& text, bool* whole) const {
  if (text.size() > text_max_bytes)
    throw TextError("the text takes " + std::to_string(text.size()) + " bytes, and should take at most " +
                    std::to_string(text_max_bytes));
  std::vector<std::int64_t> found;
  for (const std::u32string& word : words_of(text, rules_)) add(word, found);
  if (found.empty()) throw TextError("the text holds no word, and should hold one at least");
  const std::size_t special = (begin_ >= 0 ? 1 : 0) + (end_ >= 0 ? 1 : 0);
  const auto room = static_cast<std::size_t>(rules_.max_length) - special;
  if (found.size() > room && rules_.truncation == "none")
    throw TextError("the text is " + std::to_string(found.size() + special) + " tokens long, and should be at most " +
                    std::to_string(rules_.max_length) + "; nothing may be cut");
  if (whole != nullptr) *whole = found.size() <= room;
  if (found.size() > room) found.resize(room);
  if (begin_ >= 0) found.insert(found.begin(), begin_);
  if (end_ >= 0) found.push_back(end_);
  return found;
}

std::vector<Tensor> Tokenizer::inputs(const Contract& contract,
                                      const std::vector<std::vector<std::int64_t>>& ids) const {
  std::size_t length = rules_.padding == "max_length" ? static_cast<std::size_t>(rules_.max_length) : 1;
  for (const auto& row : ids) length = std::max(length, row.size());
  const auto texts = static_cast<std::int64_t>(ids.size());
  std::vector<Tensor> found;
  for (const Input& input : contract.inputs) {
    const bool counts = !rules_.length.empty() && input.name == rules_.length;
    Tensor tensor = Tensor::make(input.dtype, counts ? Shape{texts} : Shape{texts, static_cast<std::int64_t>(length)});
    for (std::size_t text = 0; text < ids.size(); ++text)
      for (std::size_t at = 0; at < (counts ? 1 : length); ++at) {
        const bool real = at < ids[text].size();
        std::int64_t value = 0;
        if (input.tokenize)
          value = real ? ids[text][at] : pad_;
        else if (counts)
          value = static_cast<std::int64_t>(ids[text].size());
        else if (input.name == rules_.positions)
          value = static_cast<std::int64_t>(at);
        else if (input.name == rules_.mask)
          value = real ? 1 : 0;
        else if (input.name != rules_.token_types && input.name != rules_.task_types)
          throw std::runtime_error(contract.path + ": input '" + input.name +
                                   "' cannot be made from a text; known are the one with tokenize and those it names");
        put(tensor, text * (counts ? 1 : length) + at, value);
      }
    found.push_back(std::move(tensor));
  }
  return found;
}

}  // namespace edgeflow

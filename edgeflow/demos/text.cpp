#include "text.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>

namespace edgeflow {
namespace {

Reading read_line(const float* scores, std::size_t steps, const std::vector<std::string>& letters, std::size_t blank) {
  const std::size_t classes = letters.size();
  Reading reading{"", 0.0};
  std::size_t last = classes, kept = 0;
  for (std::size_t t = 0; t < steps; ++t) {
    const float *step = scores + t * classes, *end = step + classes;
    const bool known = std::none_of(step, end, [](float score) { return std::isnan(score); });
    const std::size_t best = known ? static_cast<std::size_t>(std::max_element(step, end) - step) : blank;
    if (best != blank && best != last) {
      reading.text += letters[best];
      reading.score += static_cast<double>(step[best]);
      ++kept;
    }
    last = best;
  }
  if (kept > 0) reading.score /= static_cast<double>(kept);
  return reading;
}

}  // namespace

std::vector<std::string> letters_of(std::size_t classes, const std::vector<std::string>& dictionary, long blank) {
  if (blank < -1 || blank >= static_cast<long>(classes))
    throw std::runtime_error("the blank is class " + std::to_string(blank) +
                             ", and the recogniser has the classes 0.." + std::to_string(classes - 1));
  std::vector<std::string> letters = dictionary;
  if (letters.size() + 1 != classes)
    throw std::runtime_error("the dictionary has " + std::to_string(dictionary.size()) + " lines, and should have " +
                             std::to_string(classes - 1) + ", one for each of the " + std::to_string(classes) +
                             " classes of the recogniser but the blank; a space is a line of its own");
  const std::size_t place = blank < 0 ? classes - 1 : static_cast<std::size_t>(blank);
  letters.insert(letters.begin() + static_cast<std::ptrdiff_t>(place), "");
  return letters;
}

std::vector<Reading> read_texts(const Tensor& tensor, std::size_t lines, const std::vector<std::string>& dictionary,
                                long blank) {
  const Shape& shape = tensor.shape;
  const bool batch = shape.size() == 3 && shape[0] == static_cast<std::int64_t>(lines);
  const bool alone = lines == 1 && (shape.size() == 2 || (shape.size() == 3 && shape[1] == 1));
  if (tensor.count() == 0 || (!batch && !alone))
    throw std::runtime_error("the recogniser's output is " + text_of(shape) + ", and should be scores [" +
                             std::to_string(lines) + ", steps, classes]");
  const auto classes = static_cast<std::size_t>(shape.back());
  const std::vector<std::string> letters = letters_of(classes, dictionary, blank);
  const std::size_t place = blank < 0 ? classes - 1 : static_cast<std::size_t>(blank);
  const std::vector<float> scores = tensor.floats();
  const std::size_t steps = scores.size() / classes / lines;
  std::vector<Reading> found;
  for (std::size_t k = 0; k < lines; ++k)
    found.push_back(read_line(scores.data() + k * steps * classes, steps, letters, place));
  return found;
}

}  // namespace edgeflow

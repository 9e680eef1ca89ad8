#include "page.h"

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "files.h"
#include "text_crop.h"

namespace edgeflow {
namespace {

const Preprocess& picture_rules(const Session& session) {
  const Contract& contract = session.contract();
  if (contract.inputs.size() != 1)
    throw std::runtime_error(contract.path + ": has " + std::to_string(contract.inputs.size()) +
                             " inputs, and a text model should have one");
  return *contract.inputs[contract.picture_input()].preprocess;
}

// The first output of lines side by side, as many at a time as the model was built for.
Tensor run_lines(Session& session, const std::vector<Picture>& lines, const std::vector<std::size_t>& places,
                 const Preprocess& rules) {
  Tensor input;
  for (const std::size_t k : places) append(input, preprocess(lines[k], rules));
  const Shape& shape = session.contract().inputs[0].shape;
  const std::int64_t built = shape.empty() || shape[0] < 0 ? 0 : shape[0];
  const std::vector<Tensor> outputs = infer_batches(session, {input}, built);
  if (outputs.empty()) throw std::runtime_error(session.contract().model + ": gave no output, and should give one");
  return outputs[0];
}

std::unique_ptr<Session> session_of(const Arguments& arguments, const std::string& contract) {
  return contract.empty() ? nullptr : std::make_unique<Session>(arguments, contract);
}

// Adds the time until now, and begins anew.
class Watch {
 public:
  void stop(double& to) {
    const double now = clock_ms();
    to += now - begin_;
    begin_ = now;
  }

 private:
  double begin_ = clock_ms();
};

}  // namespace

PageReader::PageReader(const Arguments& arguments, Pipeline pipeline) : pipeline_(std::move(pipeline)) {
  Watch watch;
  detector_ = session_of(arguments, pipeline_.detector);
  classifier_ = session_of(arguments, pipeline_.classifier);
  for (const std::string& contract : pipeline_.recognisers) recognisers_.push_back(session_of(arguments, contract));
  if (!recognisers_.empty()) dictionary_ = edgeflow::read_lines(pipeline_.dictionary);
  watch.stop(load_ms_);
}

std::vector<Line> PageReader::read(const Picture& picture, PageTimes& times) {
  Watch watch;
  std::vector<TextBox> boxes;
  std::vector<Picture> cuts;
  if (detector_) {
    const Preprocess& rules = picture_rules(*detector_);
    const std::vector<Tensor> outputs = detector_->infer({preprocess(picture, rules)});
    if (outputs.empty())
      throw std::runtime_error(detector_->contract().model + ": gave no output, and should give one");
    watch.stop(times.detect);
    boxes = text_boxes(outputs[0], pipeline_.boxes, placement(picture, rules));
    watch.stop(times.boxes);
    for (const TextBox& box : boxes) cuts.push_back(cut_out(picture, box.corners));
  } else {
    const auto width = static_cast<double>(picture.width), height = static_cast<double>(picture.height);
    boxes = {{{{{0, 0}, {width, 0}, {width, height}, {0, height}}}, 1.0}};
    cuts = {picture};
  }
  watch.stop(times.crop);
  const std::vector<bool> over = upside_down(cuts);
  for (std::size_t k = 0; k < cuts.size(); ++k)
    if (over[k]) cuts[k] = turned(cuts[k]);
  watch.stop(times.classify);
  const std::vector<Reading> readings = read_lines(cuts);
  watch.stop(times.recognise);
  std::vector<Line> lines;
  for (std::size_t k = 0; k < boxes.size(); ++k) lines.push_back({boxes[k], readings[k], over[k]});
  return lines;
}

std::vector<bool> PageReader::upside_down(const std::vector<Picture>& lines) {
  std::vector<bool> found(lines.size(), false);
  if (!classifier_) return found;
  const std::vector<std::size_t> order = by_proportions(lines);
  for (std::size_t begin = 0; begin < order.size(); begin += pipeline_.turn.batch) {
    const std::vector<std::size_t> part(
        order.begin() + static_cast<std::ptrdiff_t>(begin),
        order.begin() + static_cast<std::ptrdiff_t>(std::min(begin + pipeline_.turn.batch, order.size())));
    const Tensor scores = run_lines(*classifier_, lines, part, picture_rules(*classifier_));
    if (scores.shape != Shape{static_cast<std::int64_t>(part.size()), 2})
      throw std::runtime_error("the classifier's output is " + text_of(scores.shape) + ", and should be [" +
                               std::to_string(part.size()) + ", 2]");
    const std::vector<float> values = scores.floats();
    for (std::size_t i = 0; i < part.size(); ++i)
      found[part[i]] = values[2 * i + pipeline_.turn.turned] > static_cast<float>(pipeline_.turn.thresh);
  }
  return found;
}

std::vector<Reading> PageReader::read_lines(const std::vector<Picture>& lines) {
  std::vector<Reading> found(lines.size(), Reading{"", 0.0});
  if (recognisers_.empty()) return found;
  const std::vector<std::int64_t>& buckets = pipeline_.lines.buckets;
  for (const LineBatch& batch : line_batches(lines, pipeline_.lines)) {
    const auto bucket = std::find(buckets.begin(), buckets.end(), batch.width);
    Session& session = *recognisers_[bucket == buckets.end() ? 0 : static_cast<std::size_t>(bucket - buckets.begin())];
    Preprocess rules = picture_rules(session);
    if (rules.size.size() == 2) rules.size[1] = batch.width;
    const std::vector<Reading> readings =
        read_texts(run_lines(session, lines, batch.lines, rules), batch.lines.size(), dictionary_, pipeline_.blank);
    for (std::size_t i = 0; i < readings.size(); ++i) found[batch.lines[i]] = readings[i];
  }
  return found;
}

}  // namespace edgeflow

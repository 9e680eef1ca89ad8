// A page of text read by three models: lines found, cut out, turned, read; the twin of edgeflow/core/text_page.py.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "pipeline.h"
#include "session.h"
#include "text.h"

namespace edgeflow {

struct Line {
  TextBox box;
  Reading reading;
  bool turned;
};

// What each stage took, in milliseconds. boxes: of the map; recognise includes reading the scores.
struct PageTimes {
  double detect = 0, boxes = 0, crop = 0, classify = 0, recognise = 0;
};

class PageReader {
 public:
  PageReader(const Arguments& arguments, Pipeline pipeline);

  const Pipeline& pipeline() const { return pipeline_; }
  double load_ms() const { return load_ms_; }
  std::vector<Line> read(const Picture& picture, PageTimes& times);  // in reading order

 private:
  std::vector<bool> upside_down(const std::vector<Picture>& lines);
  std::vector<Reading> read_lines(const std::vector<Picture>& lines);

  Pipeline pipeline_;
  std::unique_ptr<Session> detector_, classifier_;
  std::vector<std::unique_ptr<Session>> recognisers_;  // in the order of the buckets
  std::vector<std::string> dictionary_;
  double load_ms_ = 0;
};

}  // namespace edgeflow

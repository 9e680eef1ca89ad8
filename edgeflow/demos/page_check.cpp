#include "page_check.h"

#include <algorithm>
#include <array>
#include <iostream>
#include <stdexcept>

#include "picture.h"

namespace edgeflow {
namespace {

// Each corner nearer than half the line's height: other rounding on a device moves one by a pixel or two of the map.
bool same_place(const Quad& found, const Quad& wanted) {
  const double near = std::min(distance(wanted[0], wanted[1]), distance(wanted[0], wanted[3])) / 2;
  for (std::size_t k = 0; k < 4; ++k)
    if (!(distance(found[k], wanted[k]) <= near)) return false;
  return true;
}

const std::vector<GoldenPage>& golden_of(const Pipeline& pipeline) {
  if (!pipeline.golden) throw std::runtime_error(pipeline.path + ": has no golden pages, and should have some");
  return *pipeline.golden;
}

}  // namespace

int prepare_pages(PageReader& reader) {
  const Pipeline& pipeline = reader.pipeline();
  const std::vector<GoldenPage>& pages = golden_of(pipeline);
  std::array<double, 2> took{};
  for (double& time : took) {
    const double begin = clock_ms();
    PageTimes times;
    for (const GoldenPage& page : pages) reader.read(load_picture(page.picture, pipeline.rotate_exif), times);
    time = clock_ms() - begin;
  }
  std::cout << "prepared: loaded in " << reader.load_ms() << " ms, the pages first read in " << took[0]
            << " ms, then in " << took[1] << " ms\n";
  return 0;
}

int check_pages(PageReader& reader) {
  const Pipeline& pipeline = reader.pipeline();
  std::size_t lines = 0, different = 0;
  std::string first;
  for (const GoldenPage& page : golden_of(pipeline)) {
    PageTimes times;
    std::vector<Line> found = reader.read(load_picture(page.picture, pipeline.rotate_exif), times);
    const auto note = [&](const std::string& got, const std::string& wanted) {
      if (++different == 1) first = page.picture + ": reads " + got + ", and should read " + wanted;
    };
    for (const GoldenLine& wanted : page.lines) {
      ++lines;
      const auto near = std::find_if(found.begin(), found.end(),
                                     [&](const Line& line) { return same_place(line.box.corners, wanted.box); });
      if (near == found.end()) {
        note("nothing where a line is", "'" + wanted.text + "'");
        continue;
      }
      if (near->reading.text != wanted.text) note("'" + near->reading.text + "'", "'" + wanted.text + "'");
      found.erase(near);
    }
    lines += found.size();
    for (const Line& line : found) note("'" + line.reading.text + "'", "nothing there");
  }
  const bool good = static_cast<double>(different) <= pipeline.different_max * static_cast<double>(lines);
  std::cout << (good ? "PASS: " : "FAIL: ") << lines - different << " of " << lines << " lines on "
            << pipeline.golden->size() << " pages are read as they should be";
  std::cout << (first.empty() ? "" : "; " + first) << '\n';
  return good ? 0 : 3;
}

}  // namespace edgeflow
